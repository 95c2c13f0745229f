"""References to secrets. The only reader of the environment and of credential files."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import CredentialError
from orchestrator.model import Gateway, Reference
from orchestrator.wire import Secret

LARGEST = 64 * 1024
"""Bytes; a longer credential file is not one."""


def resolve(gateway: Gateway, folder: Path) -> Secret:
    """Read a gateway's credential, anew at each call; file paths are relative to ``folder``.

    Raises CredentialError where it is missing, empty, or holds what no header can carry. The text names
    the reference, never what it gave.
    """
    reference = gateway.auth.token
    where = f"gateway {gateway.name}: the token {reference}"
    text = _read(reference, folder, where)
    if not text:
        raise CredentialError(f"{where} is empty")
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in text):
        raise CredentialError(
            f"{where} holds a space, a line break or another character that no header can carry"
        )
    return Secret(text)


def _read(reference: Reference, folder: Path, where: str) -> str:
    if reference.env is not None:
        text = os.environ.get(reference.env)
        if text is None:
            raise CredentialError(f"{where} is not set in the environment")
        return text
    try:
        path = folder / Path(reference.file or "").expanduser()
        if path.stat().st_size > LARGEST:
            raise CredentialError(f"{where} is larger than {LARGEST} bytes, which no token is")
        # Every editor ends a file with a line break; it is not part of the token.
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise CredentialError(f"{where} cannot be read: {error.strerror}") from None
    except RuntimeError:
        raise CredentialError(f"{where} begins with the home folder of a user who has none here") from None
    except UnicodeDecodeError:
        raise CredentialError(f"{where} is not text in UTF-8") from None
