"""The settings of a gateway in a plan: credentials, trust, limits, retries. Durations are seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

# `form` names the spelling of a value in a plan, where the type does not tell it; the type is the read value.
Seconds = Annotated[float, Meta(gt=0, le=86400, extra={"form": "duration"})]
PerSecond = Annotated[float, Meta(ge=1 / 3600, le=100_000, extra={"form": "rate"})]
Url = Annotated[str, Meta(extra={"form": "url"})]
ProxyUrl = Annotated[str, Meta(extra={"form": "proxy"})]
Prose = Annotated[str, Meta(extra={"form": "prose"})]
"""A text for people."""
FilePath = Annotated[str, Meta(extra={"form": "path"})]
AccountName = Annotated[str, Meta(extra={"form": "account"})]
VariableName = Annotated[str, Meta(extra={"form": "variable"})]
KeyringEntry = Annotated[str, Meta(extra={"form": "keyring"})]
Argument = Annotated[str, Meta(extra={"form": "argument"})]
"""A program, or one of its arguments."""


class CredentialReference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The place of a credential; exactly one field is set. Never the credential itself."""

    env: Annotated[
        VariableName | None, Meta(description="The name of an environment variable.", examples=["ROMA_TOKEN"])
    ] = None
    file: Annotated[
        FilePath | None,
        Meta(
            description="A path, relative to the plan.",
            examples=["secrets/roma-token", "/run/secrets/roma-token"],
        ),
    ] = None
    command: Annotated[
        tuple[Argument, ...] | None,
        Meta(
            description="A program and its arguments, run without a shell; it prints the credential.",
            examples=[["pass", "show", "roma-token"]],
        ),
    ] = None
    keyring: Annotated[
        KeyringEntry | None,
        Meta(description="service/user of the system's keyring.", examples=["roma/undeployer"]),
    ] = None

    def __str__(self) -> str:
        name = next(name for name in self.__struct_fields__ if getattr(self, name) is not None)
        value = getattr(self, name)
        # Arguments may say more than a plan's reader should see in a log.
        return f"{{{name}: {value[0] + ' …' if name == 'command' else value}}}"


class IamLogin(Struct, frozen=True, kw_only=True):
    """A user of Huawei's IAM, who logs in with a password for a token of 24 hours."""

    url: Annotated[
        Url, Meta(description="IAM's base address.", examples=["https://iam.eu-west-101.myhuaweicloud.eu"])
    ]
    user: Annotated[AccountName, Meta(description="The name of the user.", examples=["undeployer"])]
    domain: Annotated[
        AccountName, Meta(description="The account that the user belongs to.", examples=["example"])
    ]
    password: Annotated[
        CredentialReference,
        Meta(description="The password, by reference.", examples=[{"file": "iam-password"}]),
    ]

    API_PATH: ClassVar[str] = "/v3(?:/auth/tokens)?"
    """An expression of the path of its requests, as in ``Gateway``."""
    KEY: ClassVar[str] = "iam"
    """The key of ``auth`` that holds this login."""


class ManagerLogin(Struct, frozen=True, kw_only=True):
    """A user of an Apinizer manager, who logs in with a password for a token."""

    user: Annotated[AccountName, Meta(description="The name of the user.", examples=["undeployer"])]
    password: Annotated[
        CredentialReference,
        Meta(description="The password, by reference.", examples=[{"keyring": "apinizer/undeployer"}]),
    ]

    KEY: ClassVar[str] = "login"
    url: ClassVar[None] = None
    """None: the logins go to the manager itself."""


class Auth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A gateway's credential in exactly one form: a token, a login, or an access key with its secret key."""

    token: Annotated[
        CredentialReference | None,
        Meta(description="A token, by reference.", examples=[{"env": "ROMA_TOKEN"}]),
    ] = None
    iam: Annotated[
        IamLogin | None,
        Meta(
            description="A user of Huawei's IAM, who logs in with a password.",
            examples=[
                {
                    "url": "https://iam.eu-west-101.myhuaweicloud.eu",
                    "user": "undeployer",
                    "domain": "example",
                    "password": {"file": "iam-password"},
                }
            ],
        ),
    ] = None
    login: Annotated[
        ManagerLogin | None,
        Meta(
            description="A user of the manager, who logs in with a password.",
            examples=[{"user": "undeployer", "password": {"env": "APINIZER_PASSWORD"}}],
        ),
    ] = None
    access_key: Annotated[
        CredentialReference | None,
        Meta(description="An access key, by reference; with secret_key.", examples=[{"env": "ROMA_AK"}]),
    ] = None
    secret_key: Annotated[
        CredentialReference | None,
        Meta(description="Its secret key, by reference.", examples=[{"env": "ROMA_SK"}]),
    ] = None
    security_token: Annotated[
        CredentialReference | None,
        Meta(description="Comes with temporary access keys only.", examples=[{"env": "ROMA_SECURITY_TOKEN"}]),
    ] = None

    @property
    def password_login(self) -> IamLogin | ManagerLogin | None:
        """The user who logs in with a password, whichever vendor's login it is."""
        return self.iam or self.login

    @property
    def references(self) -> Iterator[CredentialReference]:
        """All given references, with that of a password."""
        login = self.password_login
        given = (self.token, self.access_key, self.secret_key, self.security_token)
        yield from (reference for reference in given if reference is not None)
        if login is not None:
            yield login.password


class Tls(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The certificates that an ``https`` gateway is trusted by, beside the system's own store.

    Paths are relative to the plan.
    """

    ca_file: Annotated[
        FilePath | None,
        Meta(
            description="Certificates (PEM) that are trusted beside the system's; a path, relative to the"
            " plan.",
            examples=["corp-ca.pem"],
        ),
    ] = None
    cert_file: Annotated[
        FilePath | None,
        Meta(
            description="Our certificate (PEM), where one is asked for; with its key if key_file is not"
            " given.",
            examples=["me.pem"],
        ),
    ] = None
    key_file: Annotated[
        FilePath | None, Meta(description="The key (PEM) of our certificate.", examples=["me.key"])
    ] = None
    insecure: Annotated[bool, Meta(description="true: believe any certificate.", examples=[True])] = False
    """Every report says so."""


IndexPattern = Annotated[str, Meta(extra={"form": "index"})]
"""The names of indexes, data streams and aliases, with ``*``, separated by commas."""


class StoreAuth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The credential of an Elasticsearch in exactly one form: user and password, an API key, or a token."""

    user: Annotated[
        AccountName | None, Meta(description="The name of a user; with password.", examples=["reader"])
    ] = None
    password: Annotated[
        CredentialReference | None,
        Meta(description="The password, by reference.", examples=[{"env": "ELASTIC_PASSWORD"}]),
    ] = None
    api_key: Annotated[
        CredentialReference | None,
        Meta(
            description="An API key in its encoded form (base64), by reference.",
            examples=[{"env": "ELASTIC_API_KEY"}],
        ),
    ] = None
    token: Annotated[
        CredentialReference | None,
        Meta(description="A bearer token, by reference.", examples=[{"env": "ELASTIC_TOKEN"}]),
    ] = None

    @property
    def references(self) -> Iterator[CredentialReference]:
        """All given references."""
        yield from filter(None, (self.password, self.api_key, self.token))


class ElasticsearchStore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The Elasticsearch that a gateway logs its traffic to: another server, with a credential of its own."""

    url: Annotated[
        Url,
        Meta(
            description="Base address of the Elasticsearch, without user information.",
            examples=["https://elastic.example.com:9200"],
        ),
    ]
    index: Annotated[
        IndexPattern,
        Meta(
            description="The data stream, index or pattern of the traffic log: apinizer-log-apiproxy-*.",
            examples=["apinizer-log-apiproxy-*"],
        ),
    ]
    auth: Annotated[
        StoreAuth | None,
        Meta(
            description="Where the credential is found; none for an Elasticsearch without security.",
            examples=[{"user": "reader", "password": {"env": "ELASTIC_PASSWORD"}}],
        ),
    ] = None
    tls: Annotated[
        Tls,
        Meta(
            description="What an https address is trusted by, and what we show it.",
            examples=[{"ca_file": "corp-ca.pem"}],
        ),
    ] = Tls()
    proxy: Annotated[
        ProxyUrl | None,
        Meta(
            description="The proxy to go through; HTTPS_PROXY, HTTP_PROXY and NO_PROXY if not given.",
            examples=["http://proxy.example.com:3128"],
        ),
    ] = None

    @property
    def references(self) -> Iterator[CredentialReference]:
        """All given references."""
        if self.auth is not None:
            yield from self.auth.references


class UsageSources(Struct, frozen=True, kw_only=True):
    """The places beside the gateway that tell how often its targets are called."""

    elasticsearch: Annotated[
        ElasticsearchStore,
        Meta(
            description="The Elasticsearch that the gateway logs its traffic to.",
            examples=[{"url": "https://elastic.example.com:9200", "index": "apinizer-log-apiproxy-*"}],
        ),
    ]


MOST_IN_FLIGHT = 1000
"""Most requests in flight to one gateway; neither a plan nor an operator's command may exceed it."""


class Limits(Struct, frozen=True, kw_only=True):
    """The load that one gateway may be put under.

    ``concurrency``: most requests in flight; ``None`` is the default of the kind. ``rate``: most undeploys a
    second, and as many looks beside them; with ``None`` only the gateway's refusals slow the lane.
    """

    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_IN_FLIGHT)] | None,
        Meta(description="How many requests may be in flight to this gateway.", examples=[8]),
    ] = None
    rate: Annotated[
        PerSecond | None,
        Meta(
            description="At most so many undeploys, and apart from them so many looks; no fixed rate if not"
            " given.",
            examples=["20/s", "100/m"],
        ),
    ] = None


class Retry(Struct, frozen=True, kw_only=True):
    """The rules for repeating an undeploy of one target.

    At most ``attempts`` undeploy requests a target. The n-th wait is
    ``roll * min(ceiling, first * 2**(n-1))`` seconds with ``roll`` from 0 up to 1 (full jitter). So the five
    attempts of the defaults wait 0.5 + 1 + 2 + 4 = 7.5 s at most. A longer wait asked for by the gateway
    wins.
    """

    attempts: Annotated[
        int,
        Meta(ge=1, le=100, description="Undeploy requests a target at most; 5 if not given.", examples=[5]),
    ] = 5
    first: Annotated[
        Seconds,
        Meta(
            description="The longest first wait; doubles with each further one; 0.5s if not given.",
            examples=["0.5s"],
        ),
    ] = 0.5
    ceiling: Annotated[
        Seconds,
        Meta(
            description="No wait is longer, unless the gateway asks for it; 30s if not given.",
            examples=["30s"],
        ),
    ] = 30.0
