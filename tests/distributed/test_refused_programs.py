"""A worker's refusal to run the programs that plans name as credentials."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from orchestrator.distributed.refused_programs import refuse_programs
from orchestrator.errors import CredentialError
from orchestrator.lanes.environment import Environment, StoreAccess
from orchestrator.model.credentials import NO_CREDENTIAL, Secret, StoreCredential
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth, CredentialReference
from tests.support.journals import roma

TOKEN = Secret("of this machine")


def build_environment() -> Environment:
    async def credential(_: Gateway) -> Secret:
        return TOKEN

    async def open_store(_: Gateway) -> StoreCredential:
        return NO_CREDENTIAL

    never = lambda *_: pytest.fail("nothing is connected to")  # noqa: E731
    return Environment(
        now=lambda: 0.0,
        monotonic=lambda: 0.0,
        roll=lambda: 0.0,
        connect=never,
        credential=credential,
        store=StoreAccess(connect=never, credential=open_store),
    )


def refer(reference: CredentialReference) -> Gateway:
    return replace(roma(), auth=Auth(token=reference))


@pytest.mark.promise(9)
def test_a_program_of_a_plan_is_not_run_and_the_way_out_is_named() -> None:
    guarded = refuse_programs(build_environment())
    gateway = refer(CredentialReference(command=("print-token", "--secret-argument")))

    assert guarded.store is not None
    for resolve in (guarded.credential, guarded.store.credential):
        with pytest.raises(CredentialError, match="--allow-commands") as refused:
            asyncio.run(resolve(gateway))
        assert "print-token" in str(refused.value)
        assert "--secret-argument" not in str(refused.value)


def test_every_other_reference_is_resolved_as_ever() -> None:
    guarded = refuse_programs(build_environment())

    for reference in (CredentialReference(env="TOKEN"), CredentialReference(file="token")):
        assert asyncio.run(guarded.credential(refer(reference))) is TOKEN
