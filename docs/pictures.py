"""Make the pictures of the README from the running program: docs/terminal.svg, docs/report.png, and
docs/live-page.png with docs/live-page-phone.png.

python docs/pictures.py [FOLDER]        needs tmux and chromium; FOLDER in place of docs/, which CI names
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).parent
UNDEPLOY = Path(sys.executable).parent / "undeploy"
LIVE_INSTANT = 14.0
"""Seconds after the start at which the live page is looked at."""
WIDTH, HEIGHT = 108, 26
STORM = "60%:slow@0.4,slow@0.7,500,500,reset-after,503@1"
INSTANTS = (5.0, 25.0)
"""Seconds after the start at which the terminal is looked at: in mid-run, and after the end."""


def draw_terminal(state: str, to: Path) -> None:
    """Rehearse the example in a real terminal, and draw what it showed in mid-run and at the end."""
    rehearse = f"{UNDEPLOY} rehearse plans/example.yaml --state {state} --storm '{STORM}'; sleep 60"
    tmux = ["tmux", "-L", "undeploy-pictures"]
    shown = []
    subprocess.run([*tmux, "new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), rehearse], check=True)
    try:
        for before, instant in zip((0.0, *INSTANTS), INSTANTS, strict=False):
            time.sleep(instant - before)
            seen = subprocess.run(
                [*tmux, "capture-pane", "-p", "-e"], check=True, capture_output=True, text=True
            )
            shown.append(seen.stdout.rstrip().replace(state, ".undeploy"))
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere, force_terminal=True)
        console.print(Text("$ undeploy rehearse plans/example.yaml"))
        console.print(Text.from_ansi(f"\n{'·' * WIDTH}\n".join(shown)), soft_wrap=True)
        console.save_svg(str(to / "terminal.svg"), title="undeploy", theme=MONOKAI)


def photograph_report(state: str, to: Path) -> None:
    """Photograph the report of that rehearsal."""
    report = next(Path(state).glob("rehearsals/*/report.html"))
    with _open_browser() as browser:
        page = browser.new_page(viewport={"width": 1200, "height": 1500})
        page.goto(report.absolute().as_uri())
        page.wait_for_selector("tr.target")
        page.screenshot(path=to / "report.png")


def photograph_live_page(state: str, to: Path) -> None:
    """Photograph the live page of a rehearsal in mid-run: wide, and on a phone."""
    folder = Path(state)
    plan, faults = folder / "retirement.yaml", folder / "faults.json"
    plan.write_text(_RETIREMENT + "\n".join(map(_list_target, range(1, 401))), encoding="utf-8")
    faults.write_text(json.dumps({"script": _SCRIPT}), encoding="utf-8")
    rehearse = [
        UNDEPLOY, "rehearse", plan, "--faults", faults, "--storm", "20%:slow@0.3,500",
        "--state", folder / "live", "--serve", "127.0.0.1:0",
    ]  # fmt: skip
    log = folder / "log"
    with log.open("w", encoding="utf-8") as told:
        run = subprocess.Popen(rehearse, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=told)
    try:
        _photograph_page(_wait_for_address(log), to)
    finally:
        run.kill()
        run.wait()


def _wait_for_address(log: Path) -> str:
    """Return the address of the live page, once the run has told it."""
    for _ in range(300):
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("live page: "):
                return line.removeprefix("live page: ")
        time.sleep(0.1)
    raise SystemExit(f"the run did not serve its page: {log.read_text(encoding='utf-8')}")


def _photograph_page(url: str, to: Path) -> None:
    with _open_browser() as browser:
        wide = browser.new_page(viewport={"width": 1200, "height": 1100})
        phone = browser.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=2)
        for page in (wide, phone):
            page.goto(url)
        wide.wait_for_timeout(1000 * LIVE_INSTANT)
        wide.screenshot(path=to / "live-page.png")
        phone.screenshot(path=to / "live-page-phone.png")


@contextmanager
def _open_browser() -> Iterator[Browser]:
    """Start the Chromium that the system has."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def _list_target(number: int) -> str:
    if number % 4:
        gateway = "roma-tr" if number % 10 == 5 else "roma-eu"
        name = md5(str(number).encode(), usedforsecurity=False).hexdigest()
        return f"      - {{gateway: {gateway}, ld_api_id: {name}}}"
    return f"      - {{gateway: apim, project: Retail, proxy: orders-{number:03}-api, environment: test}}"


_RETIREMENT = """\
version: 1
name: orders-retirement
reason: CHG-1042 scheduled maintenance
gateways:
  roma-eu:
    kind: roma
    url: https://roma.eu-west-101.myhuaweicloud.eu
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: f0fa1789-3b76-433b-a787-9892951c620e
    auth: {token: {env: ROMA_TOKEN}}
    limits: {concurrency: 8, rate: 12/s}
  apim:
    kind: apinizer
    url: https://apim.example.com
    auth: {token: {env: APINIZER_TOKEN}}
    limits: {concurrency: 4, rate: 4/s}
  roma-tr:
    kind: roma
    url: https://roma.tr.example.com
    project_id: 0123456789abcdef0123456789abcdef
    instance_id: 7d1f06c5-20b2-4f0a-a0ae-6f6b6c7f3f0e
    auth: {token: {env: ROMA_TOKEN}}
waves:
  - name: canary
    targets:
      - {gateway: apim, project: Retail, proxies: [petstore-api, baskets-api], environment: test}
  - name: everything
    targets:
"""
_REFUSAL = {
    "kind": "status", "status": 409, "times": 0, "code": "conflict",
    "message": "Another deployment of this proxy is under way",
}  # fmt: skip
_OUTAGE = {"kind": "status", "status": 503, "times": 0, "message": "no healthy upstream"}
_SCRIPT = {"roma-tr": [_OUTAGE]} | {
    f"apim/Retail/orders-{number:03}-api/test": [_REFUSAL] for number in (12, 24, 36, 60)
}


def main(to: Path) -> None:
    """Make all pictures into a folder, which is made if it is not there."""
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        draw_terminal(folder, to)
        photograph_report(folder, to)
        photograph_live_page(folder, to)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else DOCS)
