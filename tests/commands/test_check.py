import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.commands.terminal.plan_words import warn_of_untold_use
from orchestrator.model.plan import Plan
from tests.support.recorded import gateway

Undeploy = Callable[..., tuple[int, str, str]]


def test_counts_and_digest_go_to_stdout(plan: Callable[..., Path], undeploy: Undeploy) -> None:
    status, out, err = undeploy("check", plan())
    lines = out.splitlines()

    assert (status, err) == (0, "")
    assert lines[:2] == ["plan: clean-up", "targets: 6"]
    assert [line.split() for line in lines[2:4]] == [
        ["gateway", "apim", "apinizer", "6"],
        ["wave", "targets", "6"],
    ]
    assert lines[-1].startswith("digest: ")
    assert len(lines[-1]) == len("digest: ") + 64


def test_a_machine_without_a_temporary_folder_is_told_of(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plan()
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(folder / "missing"))
        status, out, err = undeploy("check", path)

    assert (status, out) == (2, "")
    assert "TMPDIR" in err


def test_a_plan_of_several_zones_tells_how_many_targets_each_has(folder: Path, undeploy: Undeploy) -> None:
    gateway = "{kind: apinizer, url: https://%s.example.com, auth: {token: {env: T}}%s}"
    (folder / "p.yaml").write_text(
        f"version: 1\nname: zones\ngateways:\n  a: {gateway % ('a', ', zone: dmz')}\n"
        f"  b: {gateway % ('b', '')}\n  c: {gateway % ('c', ', zone: dmz')}\ntargets:\n"
        "  - {gateway: a, project: P, proxies: [p, q], environment: e}\n"
        "  - {gateway: b, project: P, proxy: p, environment: e}\n"
        "  - {gateway: c, project: P, proxy: p, environment: e}\n"
    )

    lines = undeploy("check", "p.yaml")[1].splitlines()

    zones = [line.split() for line in lines if line.startswith("zone")]
    assert zones == [["zone", "dmz", "3"], ["zone", "default", "1"]]


def test_a_plan_too_large_to_go_on_alone_on_an_engine_says_so(
    plan: Callable[..., Path], undeploy: Undeploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "with --on: 5 targets at most go on while no command takes their results over"

    assert told not in undeploy("check", plan())[1]
    monkeypatch.setattr("orchestrator.distributed.bounds.OPEN_TARGETS", 5)
    assert told in undeploy("check", plan())[1].splitlines()


STEERED = """
stop_when: {failed: 3, unknown: 12.5%}
window: {opens: 2026-11-22T22:00:00+03:00, closes: 2026-11-23T02:00:00+03:00}
gateways:
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
    limits: {rate: 100/m}
    park_for: 90s
protect: ["apim/P/a/*"]
waves:
  - name: one
    pause_after: 5m
    targets: [{gateway: apim, project: P, proxy: first, environment: e}]
  - name: many
    sizes: [1, 10%, 100%]
    pause_after: 10s
    proceed: ask
    targets:
      - gateway: apim
        project: P
        proxies: [a, b, c, d]
        environments: [e, f, g, h, i]
        after: [apim/P/first/e]
"""


def test_it_explains_how_the_plan_would_go(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text(f"version: 1\nname: steered{STEERED}")
    (folder / "protected").write_text("apim/P/b/e\napim.example.com/P/c/*\n")
    status, out, _ = undeploy("check", "p.yaml", "--protect-file", "protected")
    lines = out.splitlines()

    assert status == 0
    opens, closes = "Sun 2026-11-22 22:00 +03:00", "Mon 2026-11-23 02:00 +03:00"
    assert re.fullmatch(
        rf"window: from {re.escape(opens)}( \(.* here\))? until {re.escape(closes)}.*", lines[5]
    )
    assert [line for line in lines[6:-1] if "the window closed " not in line] == [
        "gateway apim: https://apim.example.com; token from env APINIZER_TOKEN",
        (
            "gateway apim: 4 requests in flight at most; 100/m undeploys and 100/m looks at most; "
            "parked for 1 min 30 s at most"
        ),
        "wave one: pauses 5 min after it",
        "wave many: steps of 1, 8 targets; pauses 10 s after each; asks before it goes on",
        "after: 20 targets come after another",
        "protect: 3 patterns are in force",
        "protected: 11 targets: apim/P/a/e, apim/P/a/f, apim/P/a/g and 8 more",
        "stops when more than 3 targets of the run (3 of 21 targets, 14%) failed",
        "stops when more than 12.5% of the ended targets are unknown",
        (
            "stops when more than 50% of the ended targets are surprising: they do not exist, drifted, "
            "or (in a first run) were undeployed already"
        ),
        "stops when a wave or step ends with none of its targets undeployed",
        (
            "a share is one of a wave or step: from 20 ended targets on, "
            "and at any number before the next one starts"
        ),
    ]


def test_targets_that_wait_for_a_protected_one_are_warned_of(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text(
        f"version: 1\nname: stuck{STEERED}".replace("apim/P/a/*", "apim/P/first/e")
    )

    lines = undeploy("check", "p.yaml")[1].splitlines()

    assert [line for line in lines if "cannot go" in line] == [
        (
            "warning: 20 targets come after one that is protected or left out, and cannot go:"
            " apim/P/a/e after apim/P/first/e and 19 more"
        )
    ]


@pytest.mark.parametrize(
    ("pause", "warned"),
    [("59m", []), ("1h", ["1 h 00 min"]), ("90m", ["1 h 30 min"])],
)
def test_pauses_that_fill_the_window_are_warned_of(
    folder: Path, undeploy: Undeploy, pause: str, warned: list[str]
) -> None:
    window = "{opens: 2999-01-01T22:00:00Z, closes: 2999-01-01T23:00:00Z}"
    gateway = "{kind: apinizer, url: https://a.example.com, auth: {token: {env: T}}, timeout: 5s}"
    target = "{gateway: a, project: P, proxy: %s, environment: e}"
    (folder / "p.yaml").write_text(
        f"version: 1\nname: slow\nwindow: {window}\ngateways: {{a: {gateway}}}\nwaves:\n"
        f"  - {{name: one, pause_after: {pause}, targets: [{target % 'p'}]}}\n"
        f"  - {{name: two, pause_after: {pause}, targets: [{target % 'q'}]}}\n"
    )

    lines = undeploy("check", "p.yaml")[1].splitlines()

    assert [line for line in lines if "the pauses alone" in line] == [
        f"warning: the pauses alone take {told}, and the window is open for 1 h 00 min:"
        " it closes before the last wave or step"
        for told in warned
    ]


def test_a_reason_that_a_comment_has_cut_off_shows(plan: Callable[..., Path], undeploy: Undeploy) -> None:
    assert "reason: CHG" in undeploy("check", plan(more="reason: CHG #1042"))[1].splitlines()


@pytest.mark.parametrize(
    ("year", "warned"),
    [("2020", [r"warning: the window closed [\d,]+ days ago; a run wants .*"]), ("2999", [])],
)
def test_a_window_that_is_over_is_warned_of(
    plan: Callable[..., Path], undeploy: Undeploy, year: str, warned: list[str]
) -> None:
    status, out, _ = undeploy("check", plan(more=f"window: {{closes: {year}-01-01T02:00:00+03:00}}"))
    found = [line for line in out.splitlines() if line.startswith("warning: ")]

    assert (status, len(found)) == (0, len(warned))
    assert all(map(re.fullmatch, warned, found))


@pytest.mark.parametrize(
    ("closes", "warned"),
    [
        ("22:02:29", ["2 min 29 s, and one timeout (150 s) does not fit in: none of its targets can start"]),
        ("22:02:30", []),
    ],
)
def test_a_window_into_which_nothing_fits_is_warned_of(
    plan: Callable[..., Path], undeploy: Undeploy, closes: str, warned: list[str]
) -> None:
    hours = f"window: {{opens: 2999-01-01T22:00:00+03:00, closes: 2999-01-01T{closes}+03:00}}"

    out = undeploy("check", plan(more=hours)).out

    begin = "warning: apim: the window is open for "
    assert [line.removeprefix(begin) for line in out.splitlines() if line.startswith("warning: ")] == warned


def test_the_sites_protect_file_counts_too(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "site").write_text("apim/Retail/proxy-1/*\n")
    path = plan()
    out = undeploy("check", path)[1]
    assert "protect: no pattern is in force\n" in out
    assert "protected" not in out
    monkeypatch.setenv("UNDEPLOY_PROTECT_FILE", "site")

    assert "protected: 1 target: apim/Retail/proxy-1/test\n" in undeploy("check", path)[1]


CALLED_TWICE = """
version: 1
name: two names
protect: ['b/Payments/**', 'a/Nothing/**', 'c/a9']
gateways:
  a: {kind: apinizer, url: 'https://apim.example.com', auth: {token: {command: [pass, show, "s3cret"]}}}
  b:
    kind: apinizer
    url: 'HTTPS://APIM.example.com.:443/./'
    auth: {login: {user: root, password: {file: secrets/pw}}}
    tls: {insecure: true}
  c: {kind: roma, url: 'http://10.1.2.3:8080', project_id: p, instance_id: i, auth: {token: {keyring: s/u}}}
  d:
    kind: roma
    url: 'http://roma.test:8080/'
    project_id: p
    instance_id: i
    auth: {access_key: {env: AK}, secret_key: {env: SK}}
    proxy: 'http://proxy.example.com:3128'
  e:
    kind: roma
    url: 'https://roma2.example.com'
    project_id: p
    instance_id: i
    auth: {iam: {url: 'https://iam.example.com', user: u, domain: d, password: {env: PW}}}
targets:
  - {gateway: a, project: Payments, proxy: x, environment: production}
  - {gateway: d, ld_api_id: a1}
"""


def test_it_shows_where_each_gateway_is_and_where_its_credential_comes_from(
    folder: Path, undeploy: Undeploy
) -> None:
    (folder / "p.yaml").write_text(CALLED_TWICE)
    (folder / "site").write_text("crm/**\n\napim.example.com/P/**\n")
    status, out, err = undeploy("check", "p.yaml", "--protect-file", "site")

    assert (status, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("gateway ") and " from " in line] == [
        "gateway a: https://apim.example.com; token from command pass",
        "gateway b: HTTPS://APIM.example.com.:443/./; logs in, password from file secrets/pw",
        "gateway c: http://10.1.2.3:8080; token from keyring s/u",
        (
            "gateway d: http://roma.test:8080/ through http://proxy.example.com:3128;"
            " access key from env AK, secret key from env SK"
        ),
        "gateway e: https://roma2.example.com; logs in at https://iam.example.com, password from env PW",
    ]
    assert "s3cret" not in out
    warnings = [line.removeprefix("warning: ") for line in out.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        (
            "b: insecure: any certificate is believed, so whoever stands in between can use the credential;"
            " name the gateway's authority under tls: ca_file"
        ),
        "c: http:// sends the credential in clear: whoever listens can use it; use https://",
        "d: http:// sends the credential in clear: whoever listens can use it; use https://",
        "protect: the pattern crm/** (site:1) names no gateway of this plan",
        (
            "protect: 2 patterns a/Nothing/** (in the plan), apim.example.com/P/** (site:3) match none"
            " of the targets"
        ),
        "protect: the pattern c/a9 (in the plan) matches none of the targets",
        (
            "c (http://10.1.2.3:8080), d (http://roma.test:8080/) are possibly the same place (a host and an"
            " address);"
            " if so, give them one URL: without it, a target that the plan names twice or protects under"
            " the other name goes unnoticed"
        ),
    ]
    assert "protect: 5 patterns are in force\nprotected: 1 target: a/Payments/x/production\n" in out


@pytest.mark.parametrize("command", ["check", "preview", "run", "rehearse"])
def test_each_wrong_line_of_a_protect_file_is_told_and_nothing_is_sent(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, command: str
) -> None:
    (folder / "site").write_text('# never\n"apim/Retail/**"\napim/Retail/**\n  apim/Retail\n')
    yes = ["--yes"] if command == "run" else []
    status, out, err = undeploy(command, plan(), *yes, "--protect-file", "site")

    assert (status, out) == (2, "")
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["site:2:1", "site:4:3"]
    assert 'the character " may not stand in a protect file' in err
    assert 'write "apim/Retail/**" for all below' in err
    assert not (folder / ".undeploy").exists()


def test_what_is_wrong_with_plan_and_protect_file_is_told_at_once(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path
) -> None:
    (folder / "site").write_text("apim/Retail/**\n'apim/Retail/**'\n")
    _, _, err = undeploy("check", plan(more="at_most: 0"), "--protect-file", "site")

    assert len(err.splitlines()) == 2
    assert "plan.yaml:4:10 at_most: " in err
    assert "site:2:1 " in err


def test_a_protect_file_that_is_not_there_is_told(plan: Callable[..., Path], undeploy: Undeploy) -> None:
    status, out, err = undeploy("check", plan(), "--protect-file", "nowhere")

    assert (status, out) == (2, "")
    assert "cannot read the protect file nowhere" in err


def test_given_ids_have_neither_steps_nor_an_order(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text(f"version: 1\nname: steered{STEERED}")
    _, out, _ = undeploy("check", "p.yaml", "--target", "apim/P/a/e", "apim/P/first/e")

    assert not [line for line in out.splitlines() if line.startswith(("wave ", "after:"))][1:]


def test_every_problem_is_told_at_once_with_its_place(folder: Path, undeploy: Undeploy) -> None:
    (folder / "p.yaml").write_text("version: 1\nname: x\nnonsense: 1\ngateways: {}\ntargets: 7\n")
    status, out, err = undeploy("check", "p.yaml")

    assert (status, out) == (2, "")
    assert len(err.splitlines()) >= 2
    assert all(line.startswith("p.yaml:") for line in err.splitlines())


def test_a_plan_that_is_not_there_is_told(folder: Path, undeploy: Undeploy) -> None:
    status, _, err = undeploy("check", "nowhere.yaml")

    assert status == 2
    assert "nowhere.yaml" in err
    assert "Traceback" not in err


WITHOUT_LIBYAML = """\
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("yaml._yaml", "_yaml"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from orchestrator.cli import main
main(["check", "plan.yaml"])
"""


def test_a_yaml_library_without_libyaml_is_told_with_the_remedy(
    plan: Callable[..., Path], folder: Path
) -> None:
    plan()

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBYAML],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("PyYAML was installed here without libyaml, by which plans are read")
    assert "--only-binary=:all: pyyaml" in done.stderr


def test_check_leaves_nothing_behind(plan: Callable[..., Path], undeploy: Undeploy, folder: Path) -> None:
    path = plan()
    undeploy("check", path)

    assert list(folder.iterdir()) == [path]


def test_targets_come_from_a_file_too(plan: Callable[..., Path], undeploy: Undeploy, folder: Path) -> None:
    (folder / "ids").write_text("# two\napim/Retail/proxy-1/test\n\napim/Retail/proxy-2/test\n")
    path = plan()
    listed = undeploy("check", path, "--targets-from", "ids")
    named = undeploy("check", path, "--target", "apim/Retail/proxy-1/test", "apim/Retail/proxy-2/test")

    assert listed == named
    assert "targets: 2" in listed[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--targets-from", "nowhere"], "cannot read the list of targets nowhere"),
        (["--targets-from", "empty"], "empty names no target"),
        (["apim/Retail/proxy-1/test"], "unexpected extra arguments"),
        (["--target", "apim/Retail"], "apim/Retail"),
    ],
)
def test_targets_that_are_none_are_told(
    plan: Callable[..., Path], undeploy: Undeploy, folder: Path, arguments: list[str], told: str
) -> None:
    (folder / "empty").touch()
    status, out, err = undeploy("check", plan(), *arguments)

    assert (status, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("in_use: warn", "in use: warns of a target with more than 0 calls in the last 72 h"),
        (
            "in_use: refuse\nin_use_over: 1/24h",
            (
                "in use: leaves a target with more than 1 call in the last 24 h, "
                "and one whose calls cannot be told"
            ),
        ),
        ("in_use: ignore", None),
    ],
)
def test_it_tells_what_becomes_of_targets_in_use(
    folder: Path, undeploy: Undeploy, keys: str, told: str | None
) -> None:
    (folder / "p.yaml").write_text(f"version: 1\nname: steered\n{keys}{STEERED}")

    lines = undeploy("check", "p.yaml")[1].splitlines()

    assert [line for line in lines if line.startswith("in use:")] == ([told] if told else [])


def test_it_warns_of_a_gateway_that_cannot_tell_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    roma = gateway("roma")
    plan = Plan(name="p", gateways=(roma,), waves=(), in_use="refuse")
    assert list(warn_of_untold_use(plan)) == []
    monkeypatch.setattr(type(roma), "traffic", None)

    assert list(warn_of_untold_use(plan)) == [
        f"warning: {roma.name}: nothing tells its calls, so by in_use none of its targets goes down"
    ]
    assert list(warn_of_untold_use(replace(plan, in_use="ignore"))) == []


def test_a_pattern_that_was_probably_meant_may_be_copied_into_its_protect_file(
    folder: Path, undeploy: Undeploy
) -> None:
    (folder / "plan.yaml").write_text(
        "version: 1\nname: p\ngateways:\n"
        "  apim: {kind: apinizer, url: 'https://apim.example.com', auth: {token: {env: T}}}\n"
        "targets: [{gateway: apim, project: 'Cards, old', proxy: p, environment: e}]\n"
    )
    protect = folder / "protect.txt"
    protect.write_text("apim/Cards%2C odl/**\n")

    out = undeploy("check", "plan.yaml", "--protect-file", protect).out
    (meant,) = re.findall(r'did you mean "(.*)"\?', out)
    protect.write_text(meant)
    ended = undeploy("check", "plan.yaml", "--protect-file", protect)

    assert meant == "apim/Cards%2C old/**"
    assert (ended.status, "protected: 1 target: apim/Cards, old/p/e" in ended.out) == (0, True)
