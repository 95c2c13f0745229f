"""A worker's refusal to run the programs that plans name as credentials.

Such a plan comes from whoever may write to the server's namespace, who would have a shell on each worker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.lanes.environment import Environment
from orchestrator.model.gateway import Gateway

_Credential = TypeVar("_Credential")


def refuse_programs(environment: Environment) -> Environment:
    """Return the environment in which a gateway whose credential is a ``{command: …}`` gets none.

    There to resolve it raises CredentialError.
    """
    store = environment.store
    return replace(
        environment,
        credential=_guard(environment.credential),
        store=None if store is None else replace(store, credential=_guard(store.credential)),
    )


def _guard(
    resolve: Callable[[Gateway], Awaitable[_Credential]],
) -> Callable[[Gateway], Awaitable[_Credential]]:
    async def credential(gateway: Gateway) -> _Credential:
        for reference in gateway.references:
            if reference.command is not None:
                raise CredentialError(
                    f"gateway {gateway.name}: the worker runs no program for a credential ({reference});"
                    " start it with --allow-commands, or refer to a variable or a file"
                )
        return await resolve(gateway)

    return credential
