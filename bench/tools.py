"""What a user would pick today, beside a whole run of ours: P10, and the tools that have no goal.

Whole processes on both sides, from their start to their end: unlike in P1, ours has its imports counted. None
of these tools keeps a journal, resumes, reads a reply's meaning, or makes a report.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.figures import BenchmarkError, Figure, Sizes
from bench.plans import INSTANCE, PROJECT, PlanGateway, PlanText
from bench.processes import run_program
from bench.servers import serve_fast

PARALLEL = 100
_TOKEN = "X-Auth-Token: token"


class OtherTool(NamedTuple):
    """A tool, and how it sends ROMA's call for so many targets to a port.

    ``prepare`` writes its files into a folder, and returns its command. ``share`` is the share of our targets
    that it gets: a slow tool would take hours with all. With ``codes`` it prints the status of each reply.
    """

    name: str
    needs: Callable[[], bool]
    prepare: Callable[[Path, int, int], Sequence[str]]
    share: float
    codes: bool = False


def list_urls(port: int, count: int) -> Iterator[str]:
    """Yield the URLs of ROMA's call for so many targets."""
    base = f"http://127.0.0.1:{port}/v2/{PROJECT}/apic/instances/{INSTANCE}/livedata-apis"
    return (f"{base}/{number:032x}/undeploy" for number in range(count))


def prepare_curl(folder: Path, port: int, count: int) -> Sequence[str]:
    """Return the command of `curl -Z`, which reads its calls from a file."""
    settings = folder / "curl.conf"
    with settings.open("w", encoding="utf-8") as out:
        out.write(f'request = POST\nheader = "{_TOKEN}"\nsilent\nwrite-out = "%{{http_code}}\\n"\n')
        out.writelines(f'url = "{url}"\n' for url in list_urls(port, count))
    # -q: no settings of the user who runs the benchmark.
    return ["curl", "-q", "-Z", "--parallel-max", str(PARALLEL), "-K", str(settings)]


def prepare_xargs(folder: Path, port: int, count: int) -> Sequence[str]:
    """Return the command that keeps ten curls running, a process for each call."""
    urls = folder / "urls"
    urls.write_text("".join(f"{url}\n" for url in list_urls(port, count)), encoding="utf-8")
    curl = ["curl", "-q", "-s", "-X", "POST", "-H", _TOKEN, "-w", "%{http_code}\\n"]
    return ["xargs", "-a", str(urls), "-P", "10", "-n", "1", *curl]


def prepare_bare_loop(_folder: Path, port: int, count: int) -> Sequence[str]:
    """Return the command of the bare aiohttp loop."""
    words = ["roma", str(port), str(count), str(PARALLEL), "asyncio"]
    return [sys.executable, "-m", "bench.programs.bare_loop", *words]


def prepare_sdk(_folder: Path, port: int, count: int) -> Sequence[str]:
    """Return the command of the vendor's client in fifty threads."""
    return [sys.executable, "-m", "bench.programs.vendor_sdk", str(port), str(count)]


_PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.uri:
        url: "{{{{ item }}}}"
        method: POST
        status_code: 204
        headers: {{X-Auth-Token: token}}
      loop: {urls}
"""


def prepare_ansible(folder: Path, port: int, count: int) -> Sequence[str]:
    """Return the command of Ansible's `uri` in a loop."""
    playbook = folder / "playbook.yaml"
    playbook.write_text(_PLAYBOOK.format(urls=list(list_urls(port, count))), encoding="utf-8")
    # Ansible keeps a folder of its own in the home folder, where nothing may be left behind.
    own = ["-i", "localhost,", "-e", "ansible_python_interpreter={{ ansible_playbook_python }}"]
    return ["env", f"HOME={folder}", "ansible-playbook", *own, str(playbook)]


def _is_there(*programs: str) -> Callable[[], bool]:
    return lambda: all(map(shutil.which, programs))


def _is_module(name: str) -> Callable[[], bool]:
    return lambda: find_spec(name) is not None


CURL = OtherTool("`curl -Z --parallel-max 100 -K file`", _is_there("curl"), prepare_curl, 1.0, codes=True)
OTHERS = (
    OtherTool("a bare aiohttp loop", lambda: True, prepare_bare_loop, 1.0),
    OtherTool("`xargs -P 10 curl`", _is_there("curl", "xargs"), prepare_xargs, 0.05, codes=True),
    OtherTool("the vendor's SDK in 50 threads", _is_module("huaweicloudsdkroma"), prepare_sdk, 0.05),
    OtherTool("Ansible's `uri`", _is_there("ansible-playbook"), prepare_ansible, 0.001),
)


def compare_with_curl(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure P10."""
    yield from _compare(folder, "P10", [CURL], sizes)


def compare_with_others(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Measure the tools that have no goal."""
    yield from _compare(folder, "beside", OTHERS, sizes)


def _compare(folder: Path, name: str, tools: Sequence[OtherTool], sizes: Sizes) -> Iterator[Figure]:
    with serve_fast(folder) as port:
        gateway = PlanGateway(f"http://127.0.0.1:{port}", f"limits: {{concurrency: {PARALLEL}}}")
        plan = PlanText([gateway], sizes.targets).write(folder / "plan.yaml")
        for tool in tools:
            if not tool.needs():
                yield Figure(name, tool.name, absent="not installed here")
                continue
            count = max(1, round(sizes.targets * tool.share))
            ratios = []
            for _ in range(sizes.pairs):
                theirs = _time_tool(tool, folder, port, count)
                ratios.append(theirs / (_time_ours(plan) / sizes.targets))
            yield Figure(name, tool.name, tuple(ratios))


def _time_tool(tool: OtherTool, folder: Path, port: int, count: int) -> float:
    """Return the seconds a target. Raises BenchmarkError where a tool tells of a reply that was no 204."""
    command = tool.prepare(folder, port, count)
    began = time.perf_counter()
    output = run_program(command)
    seconds = time.perf_counter() - began
    answered = output.split().count("204") if tool.codes else count
    if answered != count:
        raise BenchmarkError(f"{tool.name}: {answered} of {count} calls were answered with 204")
    return seconds / count


def _time_ours(plan: Path) -> float:
    state = plan.with_suffix(".state")
    command = [sys.executable, "-m", "orchestrator", "run", str(plan), "--yes", "--quiet"]
    began = time.perf_counter()
    run_program([*command, "--state", str(state)])
    seconds = time.perf_counter() - began
    shutil.rmtree(state)
    return seconds
