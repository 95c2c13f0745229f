"""The servers that both sides of a comparison talk to: nginx where it is installed, ours where not."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import BenchmarkError
from bench.processes import LAUNCHER, end_process, make_environment, serve_program
from bench.server import EVIDENCE
from tests.support.ports import find_free_port

# Debian's nginx is in sbin, which is not on everybody's path.
_PLACES = ":/usr/local/sbin:/usr/sbin:/sbin"
_ATTEMPTS, _PATIENCE = 5, 5.0
_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 204; }}
    location /apiops/ {{ return 200 '{evidence}'; }}
  }}
}}
"""


def find_nginx() -> str | None:
    """Return the path of nginx, or None where it is not installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + _PLACES)


def name_server() -> str:
    """Return which server ``serve_fast`` starts here, for people."""
    if find_nginx() is None:
        return "bench.server (nginx is not installed here)"
    return "nginx with one worker"


@contextmanager
def serve_fast(folder: Path) -> Iterator[int]:
    """Serve 204 to ROMA's call and full evidence to Apinizer's, as fast as can be; yields the port."""
    if (nginx := find_nginx()) is None:
        with serve_slow(0.0) as port:
            yield port
        return
    place = folder / "nginx"
    place.mkdir(exist_ok=True)
    process, port = _start_nginx(nginx, place)
    try:
        yield port
    finally:
        end_process(process)


@contextmanager
def serve_slow(seconds: float) -> Iterator[int]:
    """Serve the same from ``bench.server``, so many seconds late; yields the port.

    nginx cannot sleep without a module that Debian has not in its smallest package.
    """
    with serve_program([sys.executable, "-m", "bench.server", "--late", str(seconds)]) as line:
        yield int(line)


def _start_nginx(nginx: str, folder: Path) -> tuple[subprocess.Popen[str], int]:
    # Another program may take the free port before nginx does: then another one is tried.
    for _ in range(_ATTEMPTS):
        port = find_free_port()
        settings = folder / "nginx.conf"
        evidence = EVIDENCE.partition(b"\r\n\r\n")[2].decode()
        settings.write_text(_CONFIGURATION.format(folder=folder, port=port, evidence=evidence))
        process = LAUNCHER.start(
            [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(settings)],
            make_environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if _answers(process, port):
            return process, port
        end_process(process)
    raise BenchmarkError(f"nginx does not start:\n{(folder / 'error.log').read_text()[-2000:]}")


def _answers(process: subprocess.Popen[str], port: int) -> bool:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
