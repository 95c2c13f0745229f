"""The table of kinds. A new kind is a module here, a line in the table, and its samples."""

from __future__ import annotations

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.gateway import Gateway

KINDS: dict[str, type[Gateway]] = {"roma": Roma, "apinizer": Apinizer}
