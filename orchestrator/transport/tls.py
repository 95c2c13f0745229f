"""The certificates that we accept of a gateway and show to it, and their faults in words."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import CredentialError
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import Tls
from orchestrator.system.reading import FileRefusedError, read_regular
from orchestrator.transport.proxy import ProxyServer

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

# OpenSSL's numbers of the faults that verification can find (X509_V_ERR_...).
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 63, 64})

# Alerts by which the other side refuses our certificate, or refuses that we show none. With TLS 1.3 they come
# only after our handshake and the request after it have left.
_REFUSALS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours; name one under tls: cert_file",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refused the handshake; it may want a certificate of ours (tls:"
    " cert_file)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it does not accept certificates such as ours",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it says that our certificate was revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority that signed our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it knows our certificate, and does not let it in",
}

_SPEAKS_NO_TLS = "what answers there speaks no TLS; see whether its port, or https, is meant"


def check_trust(gateway: Gateway, folder: Path) -> None:
    """Raise CredentialError if a file that ``tls`` names cannot be used; sends nothing.

    The text names the gateway, the key and the file. Paths are relative to ``folder``.
    """
    if gateway.tls != Tls():
        make_context(gateway, folder)
    store = gateway.traffic_store
    if store is not None and store.tls != Tls():
        make_store_context(gateway.name, store.tls, folder)


def needs_context(gateway: Gateway, proxies: Iterable[ProxyServer]) -> bool:
    """Return whether a request may need TLS: to the gateway, its login or a proxy, or since ``tls`` says so.

    Reading the system's store takes longer than the rest of the start of a small run.
    """
    login = gateway.auth.password_login
    urls = [gateway.url, *(proxy.url for proxy in proxies)]
    if login is not None and login.url is not None:
        urls.append(login.url)
    return gateway.tls != Tls() or any(urlsplit(url).scheme == "https" for url in urls)


def make_context(gateway: Gateway, folder: Path) -> ssl.SSLContext:
    """Return the context of all TLS connections of one gateway: to itself, its login and its proxy.

    It trusts the system's store and ``ca_file``. Raises as ``check_trust`` does.
    """
    return _make_context(gateway.tls, f"gateway {gateway.name}: tls.", folder)


def make_store_context(name: str, tls: Tls, folder: Path) -> ssl.SSLContext:
    """Return the context of the connections to the traffic store of the gateway ``name``."""
    return _make_context(tls, f"gateway {name}: usage.elasticsearch.tls.", folder)


def _make_context(tls: Tls, where: str, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # From Python 3.13 on, the default refuses authorities that leave out an extension of RFC 5280, as private
    # ones of old often do. Then `insecure` would be the only way to their gateways.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # aiohttp speaks no HTTP/2, so a server must not choose it.
    context.set_alpn_protocols(["http/1.1"])
    if tls.ca_file is not None:
        _add_authority(context, folder, tls.ca_file, where)
    if tls.cert_file is not None:
        _load_certificate(context, folder, tls.cert_file, tls.key_file, where)
    elif tls.key_file is not None:
        raise CredentialError(f"{where}key_file is given without cert_file, the certificate that it is for")
    if tls.insecure:
        # In this order: ssl refuses CERT_NONE while the name is still checked.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _add_authority(context: ssl.SSLContext, folder: Path, name: str, where: str) -> None:
    path = _resolve_path(folder, name, f"{where}ca_file")
    _read_file(path, name, f"{where}ca_file")
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise CredentialError(
            f"{where}ca_file {name} holds no certificate in PEM, or a damaged one"
        ) from None


def _load_certificate(context: ssl.SSLContext, folder: Path, cert: str, key: str | None, where: str) -> None:
    """Load our certificate and its key; without a key file the key stands beside the certificate."""
    cert_path = _resolve_path(folder, cert, f"{where}cert_file")
    text = _read_file(cert_path, cert, f"{where}cert_file")
    key_path = None if key is None else _resolve_path(folder, key, f"{where}key_file")
    if key_path is not None and key is not None:
        _read_file(key_path, key, f"{where}key_file")
    asked = []

    def no_passphrase() -> str:
        """Answer in place of OpenSSL's question on the terminal, which would stop an unattended run."""
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(cert_path, key_path, no_passphrase)
    except ssl.SSLError as error:
        the_key = f"{where}cert_file {cert}" if key is None else f"{where}key_file {key}"
        if _CERTIFICATE not in text:
            why = f"{where}cert_file {cert} holds no certificate in PEM"
        elif asked:
            why = f"{the_key}: the key is protected by a passphrase; give one without, readable by you only"
        elif error.reason == "KEY_VALUES_MISMATCH":
            why = f"{the_key}: the key does not belong to the certificate"
        elif key is None:
            why = f"{the_key} holds no whole certificate and key in PEM; name the key under key_file"
        else:
            why = f"{where}cert_file {cert} or key_file {key} is damaged, or the key is not in PEM"
        raise CredentialError(why) from None


def _resolve_path(folder: Path, name: str, key: str) -> Path:
    try:
        return folder / Path(name).expanduser()
    except RuntimeError:
        raise CredentialError(
            f"{key} {name} begins with the home folder of a user who has none here"
        ) from None


def _read_file(path: Path, name: str, key: str) -> bytes:
    """Return a file's bytes. OpenSSL alone would not say which file it cannot read, and would read a pipe."""
    try:
        return read_regular(path)
    except FileRefusedError as refused:
        raise CredentialError(f"{key} {name} {refused}") from None


def explain_tls_error(error: BaseException, host: str) -> str | None:
    """Name the fault of a certificate or of TLS in one clause; None for any other error."""
    match error:
        case ssl.SSLCertVerificationError():
            return _explain_certificate(error.verify_code, error.verify_message, host)
        case ssl.SSLError():
            reason = getattr(error, "reason", None)  # those that asyncio raises itself have none
            if not reason:
                return "no TLS was answered"
            if reason == "WRONG_VERSION_NUMBER":  # OpenSSL's name for a reply in plain HTTP
                return _SPEAKS_NO_TLS
            return _REFUSALS.get(reason) or str(reason).replace("_", " ").lower()
        case _:
            return None


def _explain_certificate(code: int, message: str, host: str) -> str:
    if code == _EXPIRED:
        return f"the certificate of {host} has expired"
    if code == _NOT_YET_VALID:
        return f"the certificate of {host} is not valid yet; compare its date with this machine's clock"
    if code in _OTHER_NAME:
        return f"the certificate is not for {host}: it was made for another name, or this is another server"
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"the certificate of {host} is signed by an authority that is not known here; name"
            " that authority's certificate under tls: ca_file"
        )
    return f"the certificate of {host} is not valid ({message})"


def refuses_our_certificate(error: BaseException | None) -> bool:
    """Return whether the other side refused our part of the handshake, and so has read nothing else."""
    return isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _REFUSALS
