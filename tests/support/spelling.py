"""The ways to write one text in another: a gateway that repeats a credential may use any of them."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Callable
from unicodedata import normalize
from urllib.parse import quote, quote_plus


def json_all(text: str) -> str:
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "small letters": str.lower,
    "capitals": str.upper,
    "accents apart": lambda text: normalize("NFD", text),
    "a list of bytes": lambda text: ", ".join(map(str, text.encode())),
    "base64 in base64": lambda text: b64encode(b64encode(text.encode())).decode(),
    "base64 of a form": lambda text: b64encode(f"client_secret={quote_plus(text)}&x=1".encode()).decode(),
    "base64 of JSON": lambda text: b64encode(json.dumps({"p": text}).encode()).decode(),
    "hexadecimal digits of JSON": lambda text: json.dumps({"p": text}).encode().hex(),
    "hexadecimal digits in pairs": lambda text: ":".join(f"{byte:02X}" for byte in text.encode()),
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, as it is": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, with slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, all of it": json_all,
    "JSON, in capitals": lambda text: json_all(text).upper().replace("\\U", "\\u"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[3:-3],
    "a program's": lambda text: "".join(f"\\x{ord(sign):02x}" if ord(sign) < 256 else sign for sign in text),
    "a program's, braced": lambda text: "".join(f"\\u{{{ord(sign):x}}}" for sign in text),
    "octal": lambda text: "".join(f"\\{ord(sign):03o}" if ord(sign) < 128 else sign for sign in text),
    "repr": lambda text: repr(text)[1:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL, all of it": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL, in part": quote,
    "form": quote_plus,
    "URL in URL": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": html.escape,
    "HTML, numbers": lambda text: "".join(f"&#{ord(sign)};" for sign in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(sign):X};" for sign in text),
    "HTML of JSON": lambda text: html.escape(json.dumps(text))[6:-6],
    "mail": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "split": lambda text: "\n  ".join(text[at : at + 5] for at in range(0, len(text), 5)),
    "split, in JSON": lambda text: json.dumps("\r\n".join((text[:7], text[7:])))[1:-1],
    "split by what nobody sees": "\u200b".join,
}  # fmt: skip
