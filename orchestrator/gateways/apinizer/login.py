"""The login at an Apinizer manager, which gives a token for its own APIs.

After the vendor's page "Authentication API".
"""

from __future__ import annotations

from urllib.parse import urlencode

from msgspec import Struct

from orchestrator.gateways.envelope import describe_reply, parse_object
from orchestrator.gateways.logins import find_reason, make_token, make_unclear, refuse_unsendable
from orchestrator.model.credentials import LoginGranted, LoginRejected, LoginUnclear, Secret
from orchestrator.model.http import Reply, Request
from orchestrator.model.settings import Url


class ApinizerLoginFeature(Struct, frozen=True):
    """The login feature of one manager. ``url`` is its address, without ``/apiops``."""

    url: Url
    user: str

    def build_request(self, password: Secret) -> Request:
        """Build the login of the user.

        Raises ``ValueError`` for an empty or unsendable name or password.
        """
        refuse_unsendable(Secret(self.user), "user")
        refuse_unsendable(password, "password")
        # As a form: the vendor does not accept JSON here, unlike everywhere else.
        body = urlencode(
            {"grant_type": "client_credentials", "client_id": self.user, "client_secret": password.reveal()}
        ).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        # No slash at the end, unlike all of the manager's other addresses.
        return Request("POST", f"{self.url.rstrip('/')}/apiops/auth/token", headers, body)

    def read(self, reply: Reply) -> LoginGranted | LoginRejected | LoginUnclear:
        """Read the manager's answer. Only a 200 with a typed token grants."""
        fields = parse_object(reply) or {}
        if reply.status == 200:
            token = make_token(fields.get("access_token"))
            if token is not None:
                # expires_in is documented as 3600, as a time in milliseconds, and as a number without a unit.
                # To believe one of them is to renew at each request, or never, by the others. A 401 tells.
                return LoginGranted(token, until=None)
            return make_unclear(reply, fields, "the manager answered 200 without a token in access_token")
        limited = fields.get("error") == "rate_limit_exceeded"  # documented without a status of its own
        if reply.status in {400, 401, 403} and not limited:
            return LoginRejected(*find_reason(reply, fields))
        text = f"{describe_reply(reply)} is not how the manager answers a login; check url"
        return make_unclear(reply, fields, text)
