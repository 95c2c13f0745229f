"""Reads the secrets that references name. No other module reads their variables, files and programs."""

from __future__ import annotations

import base64
import os
import re
import stat
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import CredentialError
from orchestrator.model.credentials import (
    NO_CREDENTIAL,
    SHORTEST_SECRET,
    AccessKeys,
    LoginPassword,
    Secret,
    StoreCredential,
)
from orchestrator.model.gateway import Gateway
from orchestrator.model.settings import CredentialReference
from orchestrator.system.reading import FileRefusedError, read_any

if TYPE_CHECKING:
    import subprocess

LARGEST = 64 * 1024
"""Bytes; a longer text is no credential."""

COMMAND_TIMEOUT = 30.0
"""Seconds that a command may take to print a credential."""


def resolve(gateway: Gateway, folder: Path) -> Secret | AccessKeys | LoginPassword:
    """Read the references of a gateway, again at each call; paths are relative to ``folder``.

    Raises CredentialError if one is missing, empty, or holds characters that it cannot hold. The text names
    the reference, never its value. May take as long as a command may take.
    """
    where = f"gateway {gateway.name}:"
    auth = gateway.auth
    if (login := auth.password_login) is not None:
        return LoginPassword(_read_password(login.password, folder, where))
    if auth.access_key is not None and auth.secret_key is not None:
        token = auth.security_token
        return AccessKeys(
            _read_header_text(auth.access_key, folder, f"{where} the access_key"),
            _read_header_text(auth.secret_key, folder, f"{where} the secret_key"),
            None if token is None else _read_header_text(token, folder, f"{where} the security_token"),
        )
    if auth.token is None:
        raise CredentialError(f"{where} auth names no credential")
    return _read_header_text(auth.token, folder, f"{where} the token")


def resolve_store(gateway: Gateway, folder: Path) -> StoreCredential:
    """Read the references of a gateway's traffic store; as ``resolve``."""
    auth = None if gateway.traffic_store is None else gateway.traffic_store.auth
    if auth is None:
        return NO_CREDENTIAL
    where = f"gateway {gateway.name}: usage.elasticsearch:"
    if auth.user is not None and auth.password is not None:
        password = _read_password(auth.password, folder, where)
        pair = f"{auth.user}:{password.reveal()}".encode()
        encoded = base64.b64encode(pair).decode("ascii")
        return StoreCredential(Secret(f"Basic {encoded}"), (password, Secret(encoded)))
    if auth.api_key is not None:
        key = _read_header_text(auth.api_key, folder, f"{where} the api_key")
        return StoreCredential(Secret(f"ApiKey {key.reveal()}"), (key, *_list_parts(key)))
    if auth.token is None:
        raise CredentialError(f"{where} auth names no credential")
    token = _read_header_text(auth.token, folder, f"{where} the token")
    return StoreCredential(Secret(f"Bearer {token.reveal()}"), (token,))


def _list_parts(key: Secret) -> tuple[Secret, ...]:
    """Return the secret inside an encoded API key (``id:secret``): a reply may repeat it alone."""
    try:
        _, _, inner = base64.b64decode(key.reveal(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        return ()
    return (Secret(inner),) if inner else ()


def find_short_secrets(gateway: Gateway, folder: Path) -> tuple[CredentialReference, ...]:
    """Return the references of a gateway that give fewer than ``SHORTEST_SECRET`` characters.

    Judges by the length of a variable that is set, or the size of a file, and resolves none. The id of an
    access key is no secret.
    """
    auth = gateway.auth
    login = auth.password_login
    password = None if login is None else login.password
    store = () if gateway.traffic_store is None else tuple(gateway.traffic_store.references)
    given = (auth.token, auth.secret_key, auth.security_token, password, *store)
    return tuple(each for each in given if each is not None and _measure(each, folder) < SHORTEST_SECRET)


def _measure(reference: CredentialReference, folder: Path) -> int:
    """Return how many characters, or bytes, a reference gives at most.

    A length that cannot be seen counts as ``SHORTEST_SECRET``, which is long enough.
    """
    if reference.env is not None:
        return len(os.environ.get(reference.env, " " * SHORTEST_SECRET))
    if reference.file is None:
        return SHORTEST_SECRET
    try:
        found = (folder / Path(reference.file).expanduser()).stat()
    except (OSError, RuntimeError, ValueError):
        return SHORTEST_SECRET
    # A pipe shows no length before it is read.
    return found.st_size if stat.S_ISREG(found.st_mode) else SHORTEST_SECRET


def read_reference(reference: CredentialReference, folder: Path, what: str) -> Secret:
    """Read a single reference. Raises CredentialError with a text that begins with ``what``."""
    return Secret(_read_text(reference, folder, what))


def _read_header_text(reference: CredentialReference, folder: Path, what: str) -> Secret:
    """Return a text that a header can carry."""
    text = _read_text(reference, folder, what)
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in text):
        raise CredentialError(
            f"{what} {reference} holds a space, a line break or another character that no header can carry"
        )
    return Secret(text)


def _read_password(reference: CredentialReference, folder: Path, where: str) -> Secret:
    """Return a text that may hold any character that can be typed."""
    text = _read_text(reference, folder, f"{where} the password")
    if any(not character.isprintable() for character in text):
        raise CredentialError(
            f"{where} the password {reference} holds a line break or another control character"
        )
    return Secret(text)


def _read_text(reference: CredentialReference, folder: Path, what: str) -> str:
    text = _read(reference, folder, f"{what} {reference}")
    if not text:
        raise CredentialError(f"{what} {reference} is empty")
    return text


def _read(reference: CredentialReference, folder: Path, what: str) -> str:
    if reference.env is not None:
        text = os.environ.get(reference.env)
        if text is None:
            raise CredentialError(f"{what} is not set in the environment")
        return text
    if reference.command is not None:
        return _run_command(reference.command, folder, what)
    if reference.keyring is not None:
        return _read_keyring(reference.keyring, what)
    return _read_file(reference.file or "", folder, what)


def _read_file(name: str, folder: Path, what: str) -> str:
    try:
        data = read_any(folder / Path(name).expanduser(), largest=LARGEST)
    except FileRefusedError as refused:
        raise CredentialError(f"{what} {refused}") from None
    except RuntimeError:
        raise CredentialError(f"{what} begins with the home folder of a user who has none here") from None
    return _decode_line(data, f"{what} is not text in UTF-8")


def _decode_line(data: bytes, otherwise: str) -> str:
    """Return the text of ``data``. Raises CredentialError with the text ``otherwise``.

    Editors and programs end a file with a line break, which is no part of the text; all before it is.
    """
    try:
        return re.sub(r"\r?\n\Z", "", data.decode("utf-8"))
    except UnicodeDecodeError:
        raise CredentialError(otherwise) from None


def _run_command(command: tuple[str, ...], folder: Path, what: str) -> str:
    """Return what a program prints, but no last line break; its stderr, which may hold secrets, is lost."""
    import subprocess  # noqa: PLC0415 - slow to import, and few plans name a program

    try:
        with subprocess.Popen(  # noqa: S603 - an argv that the plan names, without a shell
            command,
            cwd=folder,
            # A program that asks something on the terminal would stop an unattended run.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                data = _read_output(process)
            finally:
                # Leaving the block waits for the program, and a program that was cut off may never end.
                process.kill()
    except subprocess.TimeoutExpired:
        raise CredentialError(f"{what} has not ended within {COMMAND_TIMEOUT:g} seconds") from None
    except OSError as error:
        raise CredentialError(f"{what} cannot be started: {error.strerror}") from None
    if len(data) > LARGEST:
        raise CredentialError(f"{what} printed more than {LARGEST} bytes, which no credential is")
    if process.returncode:
        raise CredentialError(f"{what} ended with status {process.returncode}; run it by hand to see why")
    return _decode_line(data, f"{what} did not print text in UTF-8")


def _read_output(process: subprocess.Popen[bytes]) -> bytes:
    """Return all that a program prints until it ends, or until it has printed more than ``LARGEST`` bytes.

    Raises ``TimeoutExpired``.
    """
    import selectors  # noqa: PLC0415 - as above
    import subprocess  # noqa: PLC0415

    assert process.stdout is not None  # noqa: S101 - it is a pipe
    data = b""
    ends = time.monotonic() + COMMAND_TIMEOUT
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(data) <= LARGEST:
            if not selector.select(max(0.0, ends - time.monotonic())):
                raise subprocess.TimeoutExpired(process.args, COMMAND_TIMEOUT)
            more = os.read(process.stdout.fileno(), LARGEST)
            if not more:
                process.wait(max(0.0, ends - time.monotonic()))
                break
            data += more
    return data


def _read_keyring(place: str, what: str) -> str:
    try:
        keyring = import_module("keyring")
    except ImportError:
        raise CredentialError(
            f"{what} needs the package keyring: pip install 'undeploy-orchestrator[keyring]'"
        ) from None
    service, _, user = place.rpartition("/")
    try:
        text = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - a backend also raises the errors of its own libraries
        raise CredentialError(f"{what} cannot be read: {type(error).__name__}") from None
    if text is None:
        raise CredentialError(f"{what} is not in the keyring")
    return str(text)
