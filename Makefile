# Short verbs; CI calls the same ones. Needs Python 3.11 or newer and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# Some tests wait for seconds and most for nothing: a worker without tests takes some from the others. Quick ones have
# a third worker, for when one waits for a disk; long ones start processes of their own, and are timed.
QUICK_WORKERS := -n 3 --dist worksteal
WORKERS := -n 2 --dist worksteal
# A lock holds hashes and no address. pip-tools has an environment of its own, so that it adds nothing to the locks.
COMPILE = .venv/lock/bin/python -m piptools compile --quiet --strip-extras --generate-hashes --allow-unsafe --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(LOCK_ARGS)
# Many tests start Python anew. Without kept bytecode each of them would compile the program first.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all check coverage format lint types layers docs docs-site stories lock simulate seeds mutants chaos fuzz soak bench bench-gate shape pictures build sbom clean

help:  ## what each verb does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(READY)  ## make .venv with the undeploy command in it

# What runs stands in requirements.lock; requirements-dev.lock has the same pins, and those of what tests and builds.
# Between them requirements-extras.lock adds the extras that a server may want: all but keyring.
# They are complete (pip check), so nothing is resolved again: a new release on the registry changes nothing.
# The mark is written last: a set-up that was cut off starts again from an empty folder.
$(READY): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name it with make PYTHON=/path/to/python' >&2; exit 1; }
	@echo 'making .venv with the packages of the lock; it takes a minute or two'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements.lock -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@$(BIN)/python -m pip check --disable-pip-version-check >/dev/null
	@touch $@

run: setup  ## the main job: the example plan against the embedded simulators
	$(BIN)/undeploy rehearse plans/example.yaml

test: setup  ## all tests but the long ones: under two minutes on two cores
	$(BIN)/python -m pytest $(QUICK_WORKERS) -m "not long" $(PYTEST_ARGS)

test-all: setup  ## all tests, with those that run real processes for long
	$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

check: setup lint types layers  ## everything that CI runs on the source: lint, types, layers, all tests
	$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

coverage: setup  ## all tests once more, and which lines they reach; at least twice as long as they take alone
	$(BIN)/python -m pytest $(WORKERS) --cov --cov-report=term $(PYTEST_ARGS)

format: setup  ## write the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup  ## format and lint, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## strict types
	$(BIN)/mypy
	@# The program is for any POSIX system: nothing that Linux alone offers may be used without asking.
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin orchestrator

layers: setup  ## the import contracts of pyproject.toml
	$(BIN)/lint-imports --no-cache --no-logo

docs: setup  ## the help texts of the pages and the manual page are those of the program
	$(BIN)/python -m pytest tests/test_docs.py tests/packaging/test_manual.py

docs-site: setup  ## the site of the documentation, with strict links: make docs-site [TO=folder]; dist/site if not given
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet -f docs/site/mkdocs.yml \
	  -d $(abspath $(or $(TO),dist/site))

stories: setup  ## run the commands of the tutorial and the stories again, and write what they print into the pages
	$(BIN)/python -m docs.stories

simulate: setup  ## whole runs on a virtual clock, from seeds: make simulate SEEDS=1000 [FIRST=1]
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),100) --first $(or $(FIRST),1)

# The page tells of a trial that failed, too; the verb then fails after the page.
TRY = $(1) && tried=0 || tried=$$?; $(BIN)/python -m bench.trust && exit $$tried

seeds: setup  ## the same, on from the last seed that was kept for docs/trust.md: make seeds UNTIL=100000 [FAR=20000]
	@$(call TRY,$(BIN)/python -m tests.simulation --until $(or $(UNTIL),100000) && $(BIN)/python -m tests.simulation --far --until $(or $(FAR),20000))

mutants: setup  ## change one place of a deciding module at a time; the tests should notice: make mutants [MODULES="pacing retry"]
	@$(call TRY,$(BIN)/python -m bench.mutants $(MODULES))

chaos: setup  ## faults in real processes, judged by the simulators: make chaos [SCENES="kill-run freeze"] [TIMES=5] [SEED=1]
	@$(call TRY,$(BIN)/python -m tests.chaos $(SCENES) --times $(or $(TIMES),5) --seed $(or $(SEED),1))

fuzz: setup  ## made-up inputs for the readers; atheris is used if installed: make fuzz [AIMS="roma plan"] [MINUTES=1]
	@$(call TRY,$(BIN)/python -m tests.fuzzing $(AIMS) --minutes $(or $(MINUTES),1))

soak: setup  ## whether memory, descriptors or files grow: make soak [NIGHTS=1000] [MINUTES=10]
	@$(call TRY,$(BIN)/python -m tests.soak --nights $(or $(NIGHTS),40) --minutes $(or $(MINUTES),2))

bench: setup  ## measure what a run costs, and write docs/benchmarks.md: make bench [PARTS="run p9"]
	$(BIN)/python -m bench $(PARTS)

bench-gate: setup  ## fail if a figure is below its floor; takes minutes
	$(BIN)/python -m bench --gate $(PARTS)

pictures: setup  ## the pictures of the README from the running program; needs tmux and chromium: make pictures [TO=folder]
	$(BIN)/python docs/pictures.py $(TO)

shape: setup  ## what shape the code is in: rooms, names, functions, comments, words
	$(BIN)/python -m bench.shape

lock:  ## pin the dependencies again, and keep the pins that still fit: make lock [LOCK_ARGS=--upgrade]
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools==7.6.2 uv==0.13.9
	$(COMPILE) -o requirements.lock pyproject.toml
	$(COMPILE) --extra notify --extra otel --extra temporal --extra uvloop --constraint requirements.lock \
	  -o requirements-extras.lock pyproject.toml
	$(COMPILE) --extra dev --constraint requirements-extras.lock -o requirements-dev.lock pyproject.toml
	.venv/lock/bin/python -m docs.release_days .venv/lock/bin/uv
	$(MAKE) setup
	$(BIN)/python -m docs.dependencies

build: setup  ## the wheel and the sdist, into dist/
	$(BIN)/python -m hatchling build --directory dist

sbom: setup  ## the bill of materials of what runs, as CycloneDX JSON: make sbom [TO=file] [LOCK=file]
	$(BIN)/python -m docs.sbom $(or $(TO),dist/undeploy.cdx.json) $(LOCK)

clean:  ## remove what the verbs above made, but the runs in .undeploy
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis .coverage htmlcov dist build
