"""A plan without its targets as JSON, for the journal. A resume reads this instead of the YAML file.

Journals outlive programs: a field may join, with a default, but no field may lose its name or its form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.errors import JournalError
from orchestrator.model.plan import Plan, PlanHeader, Wave

if TYPE_CHECKING:
    from orchestrator.model.gateway import Gateway


def encode_plan(plan: Plan) -> bytes:
    """Return ``plan`` as JSON. Like the plan itself, it only refers to credentials."""
    fields = msgspec.to_builtins(plan)
    entries = zip(fields["gateways"], plan.gateways, strict=True)
    fields["gateways"] = [{**entry, "kind": gateway.KIND} for entry, gateway in entries]
    return msgspec.json.encode(fields)


def decode_plan(raw: bytes) -> Plan:
    """Return the plan that ``encode_plan`` wrote. Raises ``JournalError`` for anything else."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        header = msgspec.convert(fields, PlanHeader)
        return Plan(
            **msgspec.structs.asdict(header),
            # `Plan` names the base class of gateways only, so each one is converted by the class of its kind.
            gateways=tuple(map(_decode_gateway, fields["gateways"])),
            waves=msgspec.convert(fields["waves"], tuple[Wave, ...]),
        )
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError, RecursionError) as error:
        raise JournalError(f"the plan in the journal cannot be read: {error}") from error


def decode_header(raw: bytes) -> PlanHeader:
    """Return the keys at the top of the plan, without its gateways. Raises as ``decode_plan`` does."""
    try:
        return msgspec.json.decode(raw, type=PlanHeader)
    except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
        raise JournalError(f"the plan in the journal cannot be read: {error}") from error


def _decode_gateway(fields: dict[str, Any]) -> Gateway:
    # Not at the top: the kinds take a good part of the start of a command, and a list of runs needs none.
    from orchestrator.gateways import KINDS  # noqa: PLC0415 - see above

    kind = KINDS.get(fields["kind"])
    if kind is None:
        raise JournalError(f"the journal has a gateway of kind {fields['kind']!r}, which this program lacks")
    return msgspec.convert(fields, kind)
