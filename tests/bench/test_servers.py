"""The benchmark serves, and names what is absent, where neither nginx nor curl is installed."""

import urllib.request
from pathlib import Path

import pytest

from bench import servers, tools
from bench.figures import Figure, Sizes
from bench.servers import find_nginx, name_server, serve_fast


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.status, reply.read()


def answers(port: int) -> list[tuple[int, bytes]]:
    undeploy = ask(port, "POST", "/v2/p/apic/instances/i/livedata-apis/x/undeploy")
    return [undeploy, ask(port, "DELETE", "/apiops/projects/P/apiProxies/a/environments/prod/")]


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any of the optional programs."""
    monkeypatch.setattr(servers, "find_nginx", lambda: None)
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)


@pytest.mark.usefixtures("bare_machine")
def test_without_nginx_our_own_server_answers(tmp_path: Path) -> None:
    with serve_fast(tmp_path) as port:
        undeploy, evidence = answers(port)

    assert undeploy == (204, b"")
    assert evidence[0] == 200
    assert b'"success": true' in evidence[1]
    assert "nginx is not installed here" in name_server()


@pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed here")
def test_both_servers_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_fast(tmp_path) as port:
        by_nginx = answers(port)
    monkeypatch.setattr(servers, "find_nginx", lambda: None)
    with serve_fast(tmp_path) as port:
        assert answers(port) == by_nginx


@pytest.mark.long("runs two whole runs")
@pytest.mark.usefixtures("bare_machine")
def test_without_other_tools_each_of_them_is_named_as_absent(tmp_path: Path) -> None:
    (tmp_path / "curl").mkdir()
    (tmp_path / "others").mkdir()
    found: list[Figure] = [
        *tools.compare_with_curl(tmp_path / "curl", Sizes(20, 1)),
        *tools.compare_with_others(tmp_path / "others", Sizes(20, 1)),
    ]

    absent = {figure.variant for figure in found if figure.absent}
    assert absent >= {"`curl -Z --parallel-max 100 -K file`", "`xargs -P 10 curl`", "Ansible's `uri`"}
    assert [figure.variant for figure in found if figure.values] == ["a bare aiohttp loop"]
