"""What the keys of one gateway may be together: the form of ``auth``, and ``tls`` beside its address."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth
from orchestrator.plan.nodes import MappingNode, ScalarNode
from orchestrator.plan.problems import Problems
from orchestrator.plan.records import list_keys

AUTH_FORMS = (("token",), ("iam",), ("login",), ("access_key", "secret_key"))
"""The forms of ``auth``: keys that are given together, and with no others but the next ones."""

WITH_TEMPORARY_KEYS = "security_token"
"""The key of ``auth`` that may come with the last form."""


def list_auth_forms(kind: type[Gateway]) -> list[tuple[str, ...]]:
    """Return the forms of ``auth`` that a ``kind`` knows."""
    return [way for way in AUTH_FORMS if kind.AUTH.issuperset(way)]


def check_auth(gateway: MappingNode, kind: type[Gateway], path: str, problems: Problems) -> bool:
    """Say whether ``auth`` has exactly one form, whole, and one that the ``kind`` knows; tell why not."""
    auth, path = gateway.values.get("auth"), f"{path}.auth"
    if not isinstance(auth, MappingNode):
        return True
    given = [key for key in list_keys(Auth) if key in auth.keys]
    strange = [key for key in given if key not in kind.AUTH]
    for key in strange:
        message = f"gateways of kind {kind.KIND} have no such way in"
        problems.add(auth.keys[key], f"{path}.{key}", message, _hint_at_forms(kind))
    message = "" if strange else _explain_auth(given, list_auth_forms(kind))
    # Where only unknown keys are given, they have been told already.
    if message and (given or not auth.keys):
        problems.add(auth.at, path, message, _hint_at_forms(kind))
    return not message and not strange


def _explain_auth(given: Sequence[str], ways: Sequence[tuple[str, ...]]) -> str:
    """Return what keeps the ``given`` keys from being one whole form; nothing where they are."""
    begun = [way for way in ways if any(key in given for key in way)]
    if len(begun) > 1:
        return f"{' and '.join(key for key in given)} are given; exactly one way in is expected"
    if WITH_TEMPORARY_KEYS in given and begun != [AUTH_FORMS[-1]]:
        return f"{WITH_TEMPORARY_KEYS} comes with {' and '.join(AUTH_FORMS[-1])} only"
    missing = [key for way in begun for key in way if key not in given]
    if missing:
        return f"the key {missing[0]} is missing"
    return "" if begun else "no way in is given"


def _hint_at_forms(kind: type[Gateway]) -> str:
    return f"the ways in are {' or '.join(' with '.join(way) for way in list_auth_forms(kind))}"


def check_tls(gateway: MappingNode, path: str, problems: Problems) -> bool:
    """Say whether ``tls`` can have the effect that it is meant to have; tell why not."""
    url = gateway.values.get("url")
    fits = True
    if "tls" in gateway.keys and isinstance(url, ScalarNode) and url.text.lower().startswith("http://"):
        hint = "remove it, or write the url with https"
        problems.add(gateway.keys["tls"], f"{path}.tls", "has no effect on an http url", hint)
        fits = False
    tls = gateway.values.get("tls")
    if isinstance(tls, MappingNode) and "key_file" in tls.keys and "cert_file" not in tls.keys:
        hint = "name the certificate that the key belongs to"
        problems.add(tls.keys["key_file"], f"{path}.tls", "the key cert_file is missing", hint)
        fits = False
    return fits
