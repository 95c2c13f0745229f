"""The warnings about a gateway with less than full protection. They need no ssl, which is slow to import."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Tls


def list_warnings(gateway: Gateway) -> list[str]:
    """Return the warnings that a report shows of a gateway with less than full protection."""
    told = []
    if _is_in_clear(gateway.url):
        told.append("http:// sends the credential in clear: whoever listens can use it; use https://")
    login = gateway.auth.password_login
    if login is not None and login.url is not None and _is_in_clear(login.url):
        told.append(
            f"auth.{login.KEY}.url: http:// sends the password in clear: whoever listens can use it; use https://"
        )
    if gateway.tls.insecure:
        advice = _advise(gateway.tls, "name the gateway's authority under tls: ca_file")
        told.append(
            "insecure: any certificate is believed, so whoever stands in between can use the credential;"
            f" {advice}"
        )
    return told


def list_store_warnings(gateway: Gateway) -> list[str]:
    """Return the warnings about the traffic store of a gateway, for a command that asks it.

    A store without a credential has nothing that could be used elsewhere.
    """
    store = gateway.traffic_store
    if store is None or store.auth is None:
        return []
    told = []
    if _is_in_clear(store.url):
        told.append(
            "usage.elasticsearch.url: http:// sends its credential in clear: whoever listens can use it; use https://"
        )
    if store.tls.insecure:
        told.append(
            "usage.elasticsearch.tls: insecure: any certificate is believed, so whoever stands in between can"
            f" use its credential; {_advise(store.tls, 'name the authority under ca_file')}"
        )
    return told


def _advise(tls: Tls, otherwise: str) -> str:
    """Return what to do in place of ``insecure``, which leaves a ``ca_file`` beside it without effect."""
    return otherwise if tls.ca_file is None else "beside it ca_file has no effect: take insecure out"


def _is_in_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or number alone, without resolving it."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
