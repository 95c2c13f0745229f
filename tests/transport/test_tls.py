"""Which certificates are believed, which are shown, and what a person is told of those that are not."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from orchestrator.errors import CredentialError
from orchestrator.model.http import Lost, Reply, Request
from orchestrator.model.settings import (
    Auth,
    CredentialReference,
    ElasticsearchStore,
    IamLogin,
    StoreAuth,
    Tls,
    UsageSources,
)
from orchestrator.transport import exchange, session_client
from orchestrator.transport.client import connect
from orchestrator.transport.tls import check_trust, explain_tls_error
from orchestrator.transport.warnings import list_store_warnings, list_warnings
from tests.support.peer import (
    CREDENTIAL,
    NO_CONTENT,
    SHORT,
    Peer,
    ask,
    gateway,
    listening,
    reset,
    saying,
    serving,
    unsent,
)
from tests.support.recorded import gateway as recorded

PASSWORD = CredentialReference(env="P")
PASSPHRASE = b"a-passphrase-that-nobody-may-see"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def other_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory, ca: trustme.CA, other_ca: trustme.CA) -> Path:
    """A folder of certificates and keys, right ones and wrong ones."""
    folder = tmp_path_factory.mktemp("papers")
    mine, foreign = ca.issue_cert("me@example.com"), other_ca.issue_cert("me@example.com")
    key = load_pem_private_key(mine.private_key_pem.bytes(), None)
    texts = {
        "ca.pem": ca.cert_pem.bytes(),
        "other-ca.pem": other_ca.cert_pem.bytes(),
        "me.pem": mine.cert_chain_pems[0].bytes(),
        "me.key": mine.private_key_pem.bytes(),
        "both.pem": mine.private_key_and_cert_chain_pem.bytes(),
        "foreign.pem": foreign.private_key_and_cert_chain_pem.bytes(),
        "foreign.key": foreign.private_key_pem.bytes(),
        "locked.key": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
        ),
        "junk": b"this is no certificate",
        "empty": b"",
        "cut.pem": ca.cert_pem.bytes()[:300],
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    (folder / "folder").mkdir()
    return folder


def server_of(certificate: trustme.LeafCert, *, asks: trustme.CA | None = None) -> ssl.SSLContext:
    """What a server shows; it takes in only whom ``asks`` vouches for, if given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if asks is not None:
        asks.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def secured(certificate: trustme.LeafCert, **options: Any) -> AsyncIterator[Peer]:
    async with serving(saying(NO_CONTENT), tls=server_of(certificate), **options) as peer:
        yield peer


# What is believed.


async def test_a_private_authority_is_believed_where_the_plan_names_it(ca: trustme.CA, papers: Path) -> None:
    async with secured(ca.issue_cert("127.0.0.1")) as peer:
        reply = await ask(f"{peer.url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
    assert isinstance(reply, Reply)
    assert reply.status == 204
    assert peer.headers["x-auth-token"] == CREDENTIAL


def issue_old_style(folder: Path) -> ssl.SSLContext:
    """Return what a server shows whose private authority leaves out extensions of RFC 5280, as old ones do.

    The authority's certificate is in ``folder``, as ``old-ca.pem``.
    """
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])

    def issue(name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> bytes:
        made = (
            x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(YESTERDAY)
            .not_valid_after(YESTERDAY + timedelta(days=30))
            .add_extension(extension, critical=False)
        )
        return made.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM)

    text = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "old-ca.pem").write_bytes(issue(issuer, authority, x509.BasicConstraints(True, None)))
    (folder / "gateway.pem").write_bytes(text + issue(subject, own, address))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "gateway.pem")
    return context


async def test_a_private_authority_of_old_is_believed_under_each_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 made its default context stricter than those before, and than curl's."""
    make = ssl.create_default_context

    def make_strict() -> ssl.SSLContext:
        context = make()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", make_strict)
    async with serving(saying(NO_CONTENT), tls=issue_old_style(tmp_path)) as peer:
        reply = await ask(f"{peer.url}/a", folder=tmp_path, tls=Tls(ca_file="old-ca.pem"))
    assert isinstance(reply, Reply), reply


async def test_one_context_serves_the_whole_lane(ca: trustme.CA, papers: Path, tmp_path: Path) -> None:
    """What is on disk is read once, before anything is sent."""
    (tmp_path / "ca.pem").write_bytes((papers / "ca.pem").read_bytes())
    lane = gateway(tls=Tls(ca_file="ca.pem"))
    async with secured(ca.issue_cert("127.0.0.1")) as peer, connect(lane, tmp_path, {}) as send:
        (tmp_path / "ca.pem").unlink()
        replies = [await send(Request("POST", f"{peer.url}/a", {})) for _ in range(2)]
    assert all(isinstance(reply, Reply) for reply in replies)
    assert (len(peer.requests), peer.connections) == (2, 1)


@pytest.mark.promise(9)
@pytest.mark.parametrize("tls", [Tls(), Tls(ca_file="other-ca.pem")], ids=["none", "another"])
async def test_a_private_authority_is_not_believed_otherwise(ca: trustme.CA, papers: Path, tls: Tls) -> None:
    async with secured(ca.issue_cert("127.0.0.1")) as peer:
        detail = await unsent(f"{peer.url}/a", folder=papers, tls=tls)
    assert detail.endswith(
        ": the certificate of 127.0.0.1 is signed by an authority that is not known here;"
        " name that authority's certificate under tls: ca_file"
    )
    assert not peer.requests


async def test_an_expired_certificate_is_told_as_such(ca: trustme.CA, papers: Path) -> None:
    certificate = ca.issue_cert("127.0.0.1", not_after=YESTERDAY)
    async with secured(certificate) as peer:
        detail = await unsent(f"{peer.url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
    port = peer.url.rpartition(":")[2]
    assert detail == f"no TLS connection to 127.0.0.1:{port}: the certificate of 127.0.0.1 has expired"


async def test_a_certificate_of_the_future_makes_one_think_of_the_clock(ca: trustme.CA, papers: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    async with secured(ca.issue_cert("127.0.0.1", not_before=tomorrow)) as peer:
        detail = await unsent(f"{peer.url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
    assert "is not valid yet; compare its date with this machine's clock" in detail


@pytest.mark.parametrize("asked", ["127.0.0.1", "localhost"])
async def test_a_certificate_for_another_host_is_told_as_such(
    ca: trustme.CA, papers: Path, asked: str
) -> None:
    async with secured(ca.issue_cert("roma.example.com", "127.0.0.9")) as peer:
        url = peer.url.replace("127.0.0.1", asked)
        detail = await unsent(f"{url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
    assert f": the certificate is not for {asked}: it was made for another name" in detail
    assert not peer.requests


async def test_any_certificate_is_believed_where_the_plan_says_so(other_ca: trustme.CA) -> None:
    certificate = other_ca.issue_cert("somebody.example.com", not_after=YESTERDAY)
    async with secured(certificate) as peer:
        reply = await ask(f"{peer.url}/a", tls=Tls(insecure=True))
    assert isinstance(reply, Reply)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
async def test_an_ipv6_address_is_a_host_like_any_other(ca: trustme.CA, papers: Path) -> None:
    async with secured(ca.issue_cert("::1"), host="::1") as peer:
        reply = await ask(f"{peer.url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
        detail = await unsent(f"{peer.url}/a")
    assert isinstance(reply, Reply)
    assert peer.headers["host"] == peer.url.removeprefix("https://")
    assert detail.startswith(f"no TLS connection to {peer.headers['host']}: ")


# What is shown.


@pytest.mark.parametrize(
    "tls",
    [
        Tls(ca_file="ca.pem", cert_file="me.pem", key_file="me.key"),
        Tls(ca_file="ca.pem", cert_file="both.pem"),
        Tls(insecure=True, cert_file="both.pem"),
    ],
    ids=["two files", "one file", "insecure"],
)
async def test_our_certificate_lets_us_in(ca: trustme.CA, papers: Path, tls: Tls) -> None:
    context = server_of(ca.issue_cert("127.0.0.1"), asks=ca)
    async with serving(saying(NO_CONTENT), tls=context) as peer:
        reply = await ask(f"{peer.url}/a", folder=papers, tls=tls)
    assert isinstance(reply, Reply)


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """Serve handshakes as most servers do, alerts included: asyncio's server says nothing when it refuses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
                connection.settimeout(5)
                with contextlib.suppress(OSError):
                    connection.do_handshake()
                raw = socket.socket(fileno=connection.detach())
            with raw, contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(4096):  # a reset would overtake the alert
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("cert_file", "words"),
    [
        (None, "it refused the handshake|it wants a certificate of ours; name one under tls: cert_file"),
        ("foreign.pem", "it does not know the authority that signed our certificate"),
    ],
    ids=["none", "foreign"],
)
async def test_without_the_right_certificate_of_ours_nothing_is_sent(
    ca: trustme.CA, papers: Path, cert_file: str | None, words: str, version: ssl.TLSVersion
) -> None:
    context = server_of(ca.issue_cert("127.0.0.1"), asks=ca)
    context.minimum_version = context.maximum_version = version
    with refusing(context) as port:
        detail = await unsent(
            f"https://127.0.0.1:{port}/a", folder=papers, tls=Tls(ca_file="ca.pem", cert_file=cert_file)
        )
    assert any(each in detail for each in words.split("|")), detail


async def test_a_handshake_that_is_dropped_without_a_word_is_no_request(ca: trustme.CA, papers: Path) -> None:
    context = server_of(ca.issue_cert("127.0.0.1"), asks=ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(saying(NO_CONTENT), tls=context) as peer:
        detail = await unsent(f"{peer.url}/a", folder=papers, tls=Tls(ca_file="ca.pem"))
    assert detail.endswith(": it was closed during the handshake")


@pytest.mark.parametrize("served", [0, 1])
async def test_a_refusal_proves_that_nothing_was_read_only_on_a_new_connection(
    monkeypatch: pytest.MonkeyPatch, served: int
) -> None:
    for module in (exchange, session_client):
        monkeypatch.setattr(module, "refuses_our_certificate", lambda _: True)

    async def answer(peer: Peer, writer: asyncio.StreamWriter) -> None:
        await (saying(NO_CONTENT) if len(peer.requests) <= served else reset)(peer, writer)

    async with serving(answer) as peer, connect(gateway(), Path(), {}) as send:
        replies = [await send(Request("POST", f"{peer.url}/a", {})) for _ in range(served + 1)]
    assert isinstance(replies[-1], Lost)
    assert replies[-1].sent == bool(served)


async def test_a_handshake_that_stalls_sent_nothing(papers: Path) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(handle) as port:
        detail = await unsent(
            f"https://127.0.0.1:{port}/a", folder=papers, tls=Tls(ca_file="ca.pem"), timeout=SHORT
        )
    assert detail == "no connection in time"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "no TLS was answered"),
        (ValueError(), None),
    ],
)
def test_an_error_without_words_of_its_own_is_described_all_the_same(
    error: Exception, words: str | None
) -> None:
    assert explain_tls_error(error, "roma.example.com") == words


# What is refused before anything is sent.


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (Tls(ca_file="none.pem"), "tls.ca_file none.pem cannot be read: No such file or directory"),
        (Tls(ca_file="folder"), "tls.ca_file folder cannot be read: Is a directory"),
        (Tls(ca_file="junk"), "tls.ca_file junk holds no certificate in PEM, or a damaged one"),
        (Tls(ca_file="empty"), "tls.ca_file empty holds no certificate in PEM, or a damaged one"),
        (Tls(ca_file="me.key"), "tls.ca_file me.key holds no certificate in PEM, or a damaged one"),
        (Tls(ca_file="cut.pem"), "tls.ca_file cut.pem holds no certificate in PEM, or a damaged one"),
        (Tls(ca_file="junk", insecure=True), "tls.ca_file junk holds no certificate"),
        (
            Tls(ca_file="~nobody-of-this-name/ca.pem"),
            "begins with the home folder of a user who has none here",
        ),
        (Tls(cert_file="none.pem"), "tls.cert_file none.pem cannot be read: No such file or directory"),
        (Tls(cert_file="me.pem", key_file="none.key"), "tls.key_file none.key cannot be read"),
        (Tls(cert_file="junk", key_file="me.key"), "tls.cert_file junk holds no certificate in PEM"),
        (
            Tls(cert_file="me.pem"),
            "me.pem holds no whole certificate and key in PEM; name the key under key_file",
        ),
        (Tls(cert_file="me.pem", key_file="junk"), "key_file junk is damaged, or the key is not in PEM"),
        (Tls(cert_file="cut.pem", key_file="me.key"), "tls.cert_file cut.pem or key_file me.key is damaged"),
        (
            Tls(cert_file="me.pem", key_file="foreign.key"),
            "tls.key_file foreign.key: the key does not belong to the certificate",
        ),
        (
            Tls(cert_file="me.pem", key_file="locked.key"),
            "tls.key_file locked.key: the key is protected by a passphrase; give one without",
        ),
        (Tls(key_file="me.key"), "tls.key_file is given without cert_file"),
    ],
    ids=str,
)
async def test_an_unusable_file_of_the_plan_is_reported_before_any_request(
    papers: Path, tls: Tls, words: str
) -> None:
    broken = gateway(tls=tls)
    with pytest.raises(CredentialError) as told:
        check_trust(broken, papers)
    assert str(told.value).startswith("gateway roma: tls.")
    assert words in str(told.value)
    assert "PRIVATE KEY" not in str(told.value)
    with pytest.raises(CredentialError):
        async with connect(broken, papers, {}):
            pytest.fail("a lane must not open")


def test_a_path_may_be_absolute_or_in_the_home_folder(papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(papers))
    for name in (str(papers / "ca.pem"), "~/ca.pem"):
        check_trust(gateway(tls=Tls(ca_file=name)), Path("/elsewhere"))


# What a report must say.


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://roma.example.com", 0),
        ("http://roma.example.com", 1),
        ("http://192.0.2.7:8080/base", 1),
        ("http://127.0.0.1:8080", 0),
        ("http://127.8.9.1", 0),
        ("http://[::1]:80", 0),
        ("http://localhost", 0),
        ("http://LOCALHOST.:80", 0),
        ("http://roma.localhost", 0),
        ("http://localhost.example.com", 1),
    ],
)
def test_a_credential_in_clear_is_warned_of_unless_it_stays_on_this_machine(url: str, told: int) -> None:
    assert [text.partition(":")[0] for text in list_warnings(gateway(url=url))] == ["http"] * told


def test_a_password_in_clear_is_warned_of_too() -> None:
    iam = IamLogin(url="http://iam.example.com", user="u", domain="d", password=CredentialReference(env="P"))
    lane = gateway(url="https://roma.example.com", auth=Auth(iam=iam))
    safe = replace(lane, auth=Auth(iam=replace(iam, url="https://iam.example.com")))
    assert [text.partition(" ")[0] for text in list_warnings(lane)] == ["auth.iam.url:"]
    assert list_warnings(safe) == []


@pytest.mark.parametrize(
    ("url", "tls", "auth", "told"),
    [
        ("http://elastic.example.com:9200", Tls(), True, ["usage.elasticsearch.url"]),
        ("http://127.0.0.1:9200", Tls(), True, []),
        ("http://elastic.example.com:9200", Tls(), False, []),
        ("https://elastic.example.com:9200", Tls(), True, []),
        ("https://elastic.example.com:9200", Tls(insecure=True), True, ["usage.elasticsearch.tls"]),
        ("https://elastic.example.com:9200", Tls(insecure=True), False, []),
    ],
)
def test_a_credential_of_the_traffic_log_is_warned_of_likewise(
    url: str, tls: Tls, auth: bool, told: list[str]
) -> None:
    given = StoreAuth(user="reader", password=PASSWORD) if auth else None
    log = ElasticsearchStore(url=url, index="apinizer-log-apiproxy-*", auth=given, tls=tls)
    lane = recorded("apinizer")
    asked = replace(lane, usage=UsageSources(elasticsearch=log))

    assert [text.partition(": ")[0] for text in list_store_warnings(asked)] == told
    assert list_store_warnings(replace(lane, usage=None)) == []


def test_believing_anybody_is_warned_of() -> None:
    (told,) = list_warnings(gateway(url="https://roma.example.com", tls=Tls(insecure=True)))
    assert told.startswith("insecure: any certificate is believed")
    assert told.endswith("; name the gateway's authority under tls: ca_file")


def test_an_authority_beside_insecure_is_not_asked_for_once_more() -> None:
    """The two contradict each other: with ``insecure`` nothing asks the authority."""
    tls = Tls(insecure=True, ca_file="ca.pem")
    (told,) = list_warnings(gateway(url="https://roma.example.com", tls=tls))

    assert told.endswith("; beside it ca_file has no effect: take insecure out")


# Where no TLS is needed.


@pytest.mark.parametrize(
    ("fields", "environment", "wanted"),
    [
        ({}, {}, False),
        ({"url": "HTTPS://roma.example.com"}, {}, True),
        ({"tls": Tls(ca_file="ca.pem")}, {}, True),
        ({"tls": Tls(insecure=True)}, {}, True),
        ({"proxy": "https://proxy.example.com"}, {}, True),
        ({"proxy": "http://proxy.example.com"}, {"HTTPS_PROXY": "https://other.example.com"}, False),
        ({}, {"HTTP_PROXY": "https://proxy.example.com"}, True),
        ({"auth": Auth(iam=IamLogin(url="https://iam", user="u", domain="d", password=PASSWORD))}, {}, True),
        ({"auth": Auth(iam=IamLogin(url="http://iam", user="u", domain="d", password=PASSWORD))}, {}, False),
    ],
)
async def test_a_context_is_made_only_where_an_address_is_https(
    fields: dict[str, Any],
    environment: dict[str, str],
    wanted: bool,
    papers: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[ssl.SSLContext] = []
    real = ssl.create_default_context

    def create() -> ssl.SSLContext:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", create)
    async with connect(gateway(**fields), papers, environment):
        assert len(made) == wanted


async def test_an_https_address_that_was_not_foreseen_is_judged_all_the_same(ca: trustme.CA) -> None:
    async with secured(ca.issue_cert("127.0.0.1")) as peer:
        detail = await unsent(f"{peer.url}/a")
    assert detail.startswith("no TLS connection to 127.0.0.1:")
    assert peer.requests == []
