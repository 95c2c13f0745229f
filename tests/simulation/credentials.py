"""The credentials of a scene: tokens, passwords and access keys, and the references that give wrong ones."""

from __future__ import annotations

from random import Random
from typing import Literal

from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.model.credentials import AccessKeys, LoginPassword, Material, Secret
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.simulator.bound_replies import SIGN_KEY, SIGN_SECRET
from orchestrator.simulator.gateway_fixture import FAKE_KEYS

TOKENS = ("first-secret-marker-5f1c", "second-secret-marker-77aa")
"""The credential before and after its renewal; no file may hold either of them."""

PASSWORD = "login-secret-marker-c3d9"
"""The password of all logins; no file may hold it."""

WRONG = "wrong-secret-marker-0b1e"
"""What a reference gives in place of any of these while it is wrong."""

SECRETS = (*TOKENS, PASSWORD, WRONG, FAKE_KEYS.secret, SIGN_KEY, SIGN_SECRET)
"""All that no file and no event may hold."""

CredentialTrouble = Literal["wrong", "lost"]
"""How a reference fails: in the first session it gives what is rejected, or it cannot be read again."""

_REFERENCE = CredentialReference(env="UNDEPLOY_SIMULATED")
_SECRET = CredentialReference(env="UNDEPLOY_SIMULATED_SECRET")


def sign_some(random: Random, gateways: tuple[Gateway, ...]) -> tuple[Gateway, ...]:
    """Return the gateways of a scene; some instances of ROMA are let in by access keys, and not by tokens."""
    keys = Auth(access_key=_REFERENCE, secret_key=_SECRET)
    return tuple(
        replace(gateway, auth=keys)
        if gateway.KIND == "roma" and gateway.auth.token is not None and random.random() < 0.15
        else gateway
        for gateway in gateways
    )


def choose_troubles(random: Random, gateways: tuple[Gateway, ...]) -> dict[str, CredentialTrouble]:
    """Return the gateways whose references fail, each with the way."""
    found: dict[str, CredentialTrouble] = {}
    for gateway in gateways:
        if random.random() < 0.06:
            found[gateway.name] = "wrong" if random.random() < 0.5 else "lost"
    return found


def resolve(gateway: Gateway, token: str, trouble: CredentialTrouble | None, *, again: bool) -> Material:
    """Return what the references of a gateway give; ``again``: they were read in this session before.

    Raises CredentialError where they cannot be read again.
    """
    if trouble == "lost" and again:
        raise CredentialError("the variable UNDEPLOY_SIMULATED is not set any more")
    wrong = Secret(WRONG) if trouble == "wrong" else None
    if gateway.auth.access_key is not None:
        return AccessKeys(Secret(FAKE_KEYS.access), wrong or Secret(FAKE_KEYS.secret))
    if gateway.auth.token is None:
        return LoginPassword(wrong or Secret(PASSWORD))
    return wrong or Secret(token)
