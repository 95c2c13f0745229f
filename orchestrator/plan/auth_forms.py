"""Check the keys of one gateway that go together: those of ``auth``, and ``tls`` with the address.

The same is checked of its traffic store.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Auth, IamLogin, StoreAuth
from orchestrator.plan.nodes import MappingNode, Node, ScalarNode
from orchestrator.plan.problems import Problems, find_misspelt
from orchestrator.plan.records import list_keys

AUTH_FORMS = (("token",), ("iam",), ("login",), ("access_key", "secret_key"))
"""The forms of ``auth``. The keys of one form go together, and no key of another form may join them."""

STORE_FORMS = (("user", "password"), ("api_key",), ("token",))
"""The forms of ``auth`` of a traffic store."""

WITH_TEMPORARY_KEYS = "security_token"
"""The one key that may join the last form."""


def list_auth_forms(kind: type[Gateway]) -> list[tuple[str, ...]]:
    """Return the forms of ``auth`` that gateways of this ``kind`` know."""
    return [way for way in AUTH_FORMS if kind.AUTH.issuperset(way)]


def check_auth(gateway: MappingNode, kind: type[Gateway], path: str, problems: Problems) -> bool:
    """Return whether ``auth`` is one whole form that the ``kind`` knows; add a problem if it is not."""
    auth, path = gateway.values.get("auth"), f"{path}.auth"
    if not isinstance(auth, MappingNode):
        return True
    given = [key for key in list_keys(Auth) if key in auth.keys]
    strange = [key for key in given if key not in kind.AUTH]
    for key in strange:
        message = f"gateways of kind {kind.KIND} have no such way in"
        problems.add(auth.keys[key], f"{path}.{key}", message, _hint_at_forms(kind))
    message = "" if strange else _explain_auth(auth, Auth, list_auth_forms(kind))
    # If all keys are unknown, the loop above has named each of them.
    if message and (given or not auth.keys):
        problems.add(auth.at, path, message, _hint_at_forms(kind))
    return not message and not strange


def _explain_auth(auth: MappingNode, cls: type[Struct], ways: Sequence[tuple[str, ...]]) -> str:
    """Return why the keys of ``auth`` are not one whole form; an empty text if they are.

    Also empty if a key that ``cls`` lacks stands for the missing one: the reader has added that problem.
    """
    given = [key for key in list_keys(cls) if key in auth.keys]
    begun = [way for way in ways if any(key in given for key in way)]
    if len(begun) > 1:
        return f"{' and '.join(key for key in given)} are given; exactly one way in is expected"
    # A security token belongs to a pair of temporary keys; the other forms have no use for one.
    if WITH_TEMPORARY_KEYS in given and begun != [AUTH_FORMS[-1]]:
        return f"{WITH_TEMPORARY_KEYS} comes with {' and '.join(AUTH_FORMS[-1])} only"
    missing = [key for way in begun for key in way if key not in given]
    if missing and find_misspelt(missing[0], auth.keys, list_keys(cls)):
        return ""
    if missing:
        return f"the key {missing[0]} is missing"
    return "" if begun else "no way in is given"


def _hint_at_forms(kind: type[Gateway]) -> str:
    return _list_ways(list_auth_forms(kind))


def _list_ways(ways: Sequence[tuple[str, ...]]) -> str:
    return f"the ways in are {' or '.join(' with '.join(way) for way in ways)}"


def check_store(gateway: MappingNode, path: str, problems: Problems) -> bool:
    """Return whether the ``auth`` and ``tls`` of a traffic store go together; add a problem if not."""
    usage = gateway.values.get("usage")
    store = usage.values.get("elasticsearch") if isinstance(usage, MappingNode) else None
    if not isinstance(store, MappingNode):
        return True
    path = f"{path}.usage.elasticsearch"
    auth, fits = store.values.get("auth"), check_tls(store, path, problems)
    if not isinstance(auth, MappingNode):
        return fits
    given = [key for key in list_keys(StoreAuth) if key in auth.keys]
    message = _explain_auth(auth, StoreAuth, STORE_FORMS)
    if message and (given or not auth.keys):
        problems.add(auth.at, f"{path}.auth", message, _list_ways(STORE_FORMS))
    return fits and not message


def check_tls(gateway: MappingNode, path: str, problems: Problems) -> bool:
    """Return whether ``tls`` can have any effect on this gateway; add a problem if it cannot."""
    fits = True
    if "tls" in gateway.keys and _is_in_clear(gateway):
        hint = "remove it, or write the url with https"
        problems.add(gateway.keys["tls"], f"{path}.tls", "has no effect on an http url", hint)
        fits = False
    tls = gateway.values.get("tls")
    if isinstance(tls, MappingNode) and "key_file" in tls.keys and "cert_file" not in tls.keys:
        hint = "name the certificate that the key belongs to"
        problems.add(tls.keys["key_file"], f"{path}.tls", "the key cert_file is missing", hint)
        fits = False
    return fits


def _is_in_clear(place: MappingNode) -> bool:
    """Return whether all addresses of a gateway or a store are http: its own, its login's and its proxy's."""
    auth, url = place.values.get("auth"), place.values.get("url")
    login = auth.values.get(IamLogin.KEY) if isinstance(auth, MappingNode) else None
    others = [place.values.get("proxy"), login.values.get("url") if isinstance(login, MappingNode) else None]
    return _is_http(url) and all(_is_http(one) for one in others if one is not None)


def _is_http(url: Node | None) -> bool:
    return isinstance(url, ScalarNode) and url.text.lower().startswith("http://")
