"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import sys
import warnings
from collections.abc import Generator
from functools import partial
from pathlib import Path

import hypothesis
import pytest

import orchestrator

# A busy machine is slow, and that is no fault of the code under test.
hypothesis.settings.register_profile(
    "without deadline", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "quick", hypothesis.settings.get_profile("without deadline"), max_examples=40
)
hypothesis.settings.load_profile("without deadline")

# In the background, or under nohup, signals are ignored. The programs that the tests start and signal would
# ignore them, too: a process inherits which signals are ignored.
for _signal in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.default_int_handler if _signal is signal.SIGINT else signal.SIG_DFL)

# A machine may have all its programs send traces; those of the tests would be a nuisance.
for _name in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[_name]

# No test reaches a server that one of the system's authorities vouches for. To read all their certificates
# takes a twentieth of a second for each TLS context, and for each program that the tests start. One
# certificate, whose key was thrown away, stands for them all: some libraries refuse to do with none.
_AUTHORITIES = Path(__file__).parent / "support" / "authorities"
os.environ.update(SSL_CERT_FILE=str(_AUTHORITIES / "nobody.pem"), SSL_CERT_DIR=str(_AUTHORITIES))


class _TellingConnection(sqlite3.Connection):
    """Tells that nobody closed it, as every connection does from Python 3.13 on."""

    _is_closed = False

    def close(self) -> None:
        super().close()
        self._is_closed = True

    def __del__(self) -> None:
        if not self._is_closed:
            warnings.warn(f"unclosed database in {self!r}", ResourceWarning, stacklevel=1)


if sys.version_info < (3, 13):
    sqlite3.connect = partial(sqlite3.connect, factory=_TellingConnection)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--installed", action="store_true", help="refuse to test anything but the installed package"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where ``--installed`` was asked for and the source tree would be tested instead."""
    found = Path(orchestrator.__file__)
    if config.getoption("--installed") and not found.is_relative_to(sys.prefix):
        raise pytest.UsageError(f"the tests would import {found}, which is not installed in {sys.prefix}")
    # The quick tests are to be quick: all tests together, as in CI, try the usual hundred examples each.
    if "not long" in config.getoption("markexpr"):
        hypothesis.settings.load_profile("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which would look again and again at what stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
