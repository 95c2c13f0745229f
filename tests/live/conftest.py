"""The stage of the scenarios, for the runs whose page is looked at."""

from tests.scenarios.conftest import platform, staged

__all__ = ["platform", "staged"]
