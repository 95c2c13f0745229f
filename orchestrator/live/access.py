"""Who may read the live page and who may steer by it: hosts, origins, the one-time token and the session.

Pure, but for the random bytes that its caller hands in. A browser is the danger here: every page that it has
open may send requests to this machine. The checks keep those out; the token keeps other users out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from hmac import compare_digest

from msgspec import Struct

from orchestrator.live.address import PageAddress

PAGES = frozenset(("/", "/report"))
"""What a link on another site may lead to: the other site sees nothing of it, and no frame may hold it."""
NEEDS_NO_SESSION = frozenset(("/", "/session"))
"""What is free even where reading needs a session: the page without any fact of the run, and the exchange."""
FREE_FOLDERS = ("/page/", "/shared/")


_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
"""The header ``Host``."""


class AccessRefusal(Struct, frozen=True):
    """Why a request is not answered: an HTTP status, and the reason in words."""

    status: int
    text: str


class AccessGuard:
    """The gate of one server.

    ``names`` are the host names of this machine, under which another machine may reach it. ``make_secret``
    returns a new secret text each time.
    """

    def __init__(self, address: PageAddress, make_secret: Callable[[], str], names: tuple[str, ...]) -> None:
        self.token = make_secret()
        """The one-time token: whoever has it gets the session that may steer."""
        self.cookie = f"undeploy-{address.port}"
        """The name of the session's cookie: a browser sends cookies to every port of a host."""
        self._is_loopback = address.is_loopback
        self._names = frozenset(name.casefold() for name in names)
        self._make_secret = make_secret
        self._session: str | None = None

    @property
    def is_token_used(self) -> bool:
        """Return whether the token was exchanged for a session, and opens nothing any more."""
        return self._session is not None

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> AccessRefusal | None:
        """Return why a request is refused; None if it may be answered."""
        host = headers.get("Host", "")
        if not self._is_ours(host):
            return AccessRefusal(421, "this server is not that host; open it by its IP address or localhost")
        if (refusal := _check_origin(method, path, host, headers)) is not None:
            return refusal
        free = path in NEEDS_NO_SESSION or path.startswith(FREE_FOLDERS)
        if not free and not self.may_read(headers):
            return AccessRefusal(401, "reading from another machine needs the link that the terminal shows")
        return None

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header names this machine, whatever port a tunnel gives it.

        A site that lets its own name lead to this machine (DNS rebinding) sends that name.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["six"] or found["name"]).casefold()
        if name == "localhost" or (not self._is_loopback and name in self._names):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._is_loopback

    def may_read(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request may have the facts of the run: on loopback, or with the session."""
        return self._is_loopback or self.has_session(headers)

    def has_session(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes with the cookie of the session."""
        session = self._session
        if session is None:
            return False
        found = _list_cookies(headers.get("Cookie", ""), self.cookie)
        return any(_are_same(value, session) for value in found)

    def exchange(self, token: str) -> str | AccessRefusal:
        """Return a new session for the token, which is void from then on.

        Guesses are not counted: nobody guesses 256 bits, and a bound would let a stranger's wrong tokens keep
        the right one out.
        """
        if self._session is not None:
            return AccessRefusal(
                403, "this link was used already; `undeploy watch` on a terminal shows a new one"
            )
        if not _are_same(token, self.token):
            return AccessRefusal(403, "this is not the token that the terminal shows")
        self._session = self._make_secret()
        return self._session


def _list_cookies(header: str, name: str) -> Iterator[str]:
    """Yield the values of the cookies of one name.

    A browser sends the cookies of every program of this host. Some are no cookies by the standard, and a
    parser that stops at one of these would lose the session behind it.
    """
    for cookie in header.split(";"):
        given, _, value = cookie.partition("=")
        if given.strip() == name:
            yield value.strip()


def _are_same(given: str, secret: str) -> bool:
    # A header has any bytes: what is no UTF-8 in it comes as lone surrogates.
    return compare_digest(given.encode(errors="surrogatepass"), secret.encode())


def _check_origin(method: str, path: str, host: str, headers: Mapping[str, str]) -> AccessRefusal | None:
    """Return why a request that another site's page may have sent is refused."""
    foreign = AccessRefusal(403, "another site may not read this page, and not steer by it")
    origin = headers.get("Origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return foreign
    site = headers.get("Sec-Fetch-Site", "same-origin")
    if method == "POST":
        # A program that is no browser has `undeploy control`.
        return foreign if origin is None or site != "same-origin" else None
    if site in ("same-origin", "none"):
        return None
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return None if is_link and path in PAGES else foreign
