"""No spelling of a credential gets past a mask, and what is none stays as it is."""

import base64
import html
import json
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.lanes.masking import BLOT, Mask
from orchestrator.lanes.secret_search import PIECE_LENGTH, lower
from orchestrator.lanes.spellings import MOST_LAYERS
from orchestrator.model.credentials import SHORTEST_SECRET
from orchestrator.model.reading import Act, FrontEnd, LookFacts, Operation, Reading, Snapshot, Verdict
from tests.support.costs import count_calls
from tests.support.spelling import SPELLINGS, json_all

SECRETS = (
    "M4rk3r-roma/+=.tok~en",
    'M4rk3r"apinizer\\tok&en',
    "zwölf<Ünder>%41&amp;'x'",
    "Geçit-İSTANBUL-ığ-Şifresi",
    "ge\u0327c\u0327it-S\u0327ifresi",
    "\u652f\u4ed8\u7f51\u5173\u5bc6\u7801\U00020000\U00020bb7",
    "p@ss w0rd with spaces",
    "12345678",
    "words of a phrase",
    "😀emoji-pass😀",
    "MIIatAYJKoZIhvcNAQcC" + "A" * 9_100,
)
BEFORE, AFTER = "it said: <", "> and no more"
LONG = 1_000
"""Characters of a secret that is tried in few surroundings only: to mask it takes a hundred times as long."""


@cache
def make_mask(secret: str) -> Mask:
    """Return the mask of a secret; to make that of a long one takes as long as to use it."""
    return Mask([secret])


@pytest.mark.promise(9)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_credential_is_blotted_out_in_every_spelling(spelling: str) -> None:
    for secret in SECRETS:
        text = f"{BEFORE}{SPELLINGS[spelling](secret)}{AFTER}"
        assert make_mask(secret).clean_text(text) == f"{BEFORE}{BLOT}{AFTER}", secret


@pytest.mark.promise(9)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_credential_read_in_another_character_set_is_blotted_out(secret: str) -> None:
    """What is left may be a control character, which is the end of a letter there."""
    masked = Mask([secret]).clean_text(f"{BEFORE}{secret.encode().decode('latin-1')}{AFTER}")

    assert masked.startswith(f"{BEFORE}{BLOT}")
    left = masked.removeprefix(f"{BEFORE}{BLOT}").removesuffix(AFTER)
    assert not any(letter.isprintable() for letter in left)


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "beside", ["\u0130stek reddedildi: ", "\u03a3\u03a3: ", "\u1e9e\u00df: ", "\u652f\u4ed8: "]
)
def test_no_letter_beside_a_credential_hides_it(beside: str) -> None:
    """The small form of a dotted capital I is two characters long."""
    for secret in (secret for secret in SECRETS if len(secret) < LONG):
        assert Mask([secret]).clean_text(f"{beside}{secret} {beside}") == f"{beside}{BLOT} {beside}"


@pytest.mark.promise(9)
def test_the_search_takes_each_letter_for_one_small_letter() -> None:
    letters = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)

    small = lower(letters)

    assert len(small) == len(letters)
    assert all(lower(each) == one for each, one in zip(letters, small, strict=True) if each.isalpha())


@pytest.mark.promise(9)
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "encode",
    [
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.b64encode(data).decode().rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.encodebytes(data).decode(),
        lambda data: json.dumps(base64.b64encode(data).decode()).replace("/", "\\/"),
        lambda data: quote(base64.b64encode(data).decode(), safe=""),
        lambda data: data.hex(),
        lambda data: data.hex().upper(),
        lambda data: f"0x{data.hex()}",
    ],
    ids=["base64", "unpadded", "safe", "lines", "JSON", "URL", "hex", "HEX", "0x"],
)
def test_a_credential_is_found_in_digits(secret: str, encode: Callable[[bytes], str]) -> None:
    """Whatever stands around it: base64 makes other digits of a text that begins elsewhere."""
    mask = make_mask(secret)
    surroundings = list(product(["", "u", "us", "user:"], ["", ":1", '", "realm": "x"}']))
    for before, after in surroundings[::5] if len(secret) > LONG else surroundings:
        digits = encode(f"{before}{secret}{after}".encode())
        masked = mask.clean_text(f"Authorization: Basic {digits} was refused")
        assert BLOT in masked, (before, after)
        assert masked.startswith("Authorization: Basic"), (before, after)
        assert masked.endswith("was refused"), (before, after)
        assert len(masked) < 60 + len(encode(before.encode())) + len(encode(after.encode())), (before, after)


CREDENTIALS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Z"]),
    min_size=SHORTEST_SECRET,
    max_size=40,
)
WAYS = {
    "JSON": st.sampled_from([json_all, lambda sign: json.dumps(sign)[1:-1]]),
    "URL": st.sampled_from([SPELLINGS["URL, all of it"], lambda sign: quote(sign, safe="/~")]),
    "HTML": st.sampled_from([html.escape, lambda sign: f"&#{ord(sign)};", lambda sign: f"&#x{ord(sign):x};"]),
}
"""The ways to write one character, for each of the forms that a text may have."""


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, str]:
    """A credential, and a spelling of it in which each character is written in a way of its own."""
    secret = draw(CREDENTIALS)
    way = WAYS[draw(st.sampled_from(["JSON", "URL", "HTML"]))]
    return secret, "".join(draw(way)(sign) for sign in secret)


@pytest.mark.promise(9)
@given(spelled())
def test_each_character_may_be_spelled_in_its_own_way(case: tuple[str, str]) -> None:
    secret, text = case
    assert Mask([secret]).clean_text(f"{BEFORE}{text}{AFTER}") == f"{BEFORE}{BLOT}{AFTER}"


@given(text=st.text(), secrets=st.lists(st.text(max_size=30), max_size=3))
def test_a_mask_never_fails_and_leaves_no_credential(text: str, secrets: list[str]) -> None:
    masked = Mask(secrets).clean_text(text)
    assert not any(secret in masked.replace(BLOT, "") for secret in secrets if len(secret) >= SHORTEST_SECRET)


@given(st.text(st.sampled_from("abc%&=+\\u003d/;#x \n41"), max_size=200))
def test_what_repeats_no_credential_stays_as_it_is(text: str) -> None:
    assert Mask(["another-credential", "z9"]).clean_text(text) == text


def test_a_piece_of_a_long_credential_is_blotted_out() -> None:
    token = "".join(chr(97 + at * 7 % 26) + str(at) for at in range(40))
    assert Mask([token]).clean_text(f"begins {token[: PIECE_LENGTH + 4]}… and") == f"begins {BLOT}… and"
    assert Mask([token]).clean_text(f"[{token[:30]!r}, {token[30:]!r}]") == f"['{BLOT}', '{BLOT}']"


@pytest.mark.promise(9)
@pytest.mark.parametrize("cut", ["…", "...", "…)"])
@pytest.mark.parametrize("size", [4, 9, 15])
def test_what_is_left_of_a_credential_where_a_text_was_cut_is_blotted_out(size: int, cut: str) -> None:
    secret = "pass-phrase/of+words"
    assert Mask([secret]).clean_text(f"it was {secret[:size]}{cut}") in {
        f"it was {BLOT}{cut}",
        f"it was {BLOT} {cut}",
    }
    assert Mask([secret]).clean_text(f"a pass, {secret[:3]}{cut}") == f"a pass, {secret[:3]}{cut}"


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("1", "Error 1 in APIG.1005 (21 bytes)", f"Error {BLOT} in APIG.1005 (21 bytes)"),
        ("test", "the password test is wrong; testing", f"the password {BLOT} is wrong; testing"),
        ("deploy", "undeploy, deployed: deploy", f"undeploy, deployed: {BLOT}"),
        ("test", "password=%74est&x", f"password={BLOT}&x"),
        ("te/t", r'"te\/t"', f'"{BLOT}"'),
        ("test", "Basic " + base64.b64encode(b"user:test").decode(), f"Basic {BLOT}"),
    ],
)
def test_a_short_credential_is_a_word_of_its_own(secret: str, text: str, masked: str) -> None:
    assert Mask([secret]).clean_text(text) == masked


def test_what_a_program_goes_by_loses_long_credentials_only() -> None:
    snapshot = Snapshot(
        verdict=Verdict.UP,
        facts=LookFacts(name="test M4rk3r-roma", revision="1", serving=("pod-1", "M4rk3r%2Droma")),
        fronts=(FrontEnd(id="M4rk3r-roma"),),
        deploy='{"name": "test", "x": "M4rk3r\\u002droma"}',
    )
    masked = Mask(["test", "1", "M4rk3r-roma"]).clean_value(snapshot)
    assert masked.facts == LookFacts(name=f"test {BLOT}", revision="1", serving=("pod-1", BLOT))
    assert masked.fronts[0].id == BLOT
    assert masked.deploy == f'{{"name": "test", "x": "{BLOT}"}}'
    assert Mask(["test", "1"]).clean_value(snapshot) is snapshot
    kept = Mask(["M4rk3r-roma"]).clean_snapshot(snapshot)
    assert (kept.deploy, kept.message) == (None, "what brings it back repeats the credential")
    assert Mask(["test"]).clean_snapshot(snapshot).deploy == snapshot.deploy


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "fields", [{"code": "E-{}"}, {"message": "no: {}"}, {"pods": ("pod-1", "pod-{}")}], ids=str
)
def test_each_text_of_a_reading_loses_the_credential(fields: dict[str, Any]) -> None:
    def write(word: str) -> Reading:
        texts = {
            name: text.format(word) if isinstance(text, str) else tuple(each.format(word) for each in text)
            for name, text in fields.items()
        }
        return Reading(verdict=Verdict.REFUSED, **texts)

    assert Mask(["M4rk3r-roma"]).clean_reading(write("M4rk3r-roma")) == write(BLOT)
    assert Mask(["M4rk3r-roma"]).clean_reading(write("other")) == write("other")


@pytest.mark.promise(9)
def test_a_snapshot_keeps_the_deploy_that_repeats_no_credential() -> None:
    snapshot = Snapshot(
        verdict=Verdict.UP,
        facts=LookFacts(name="M4rk3r-roma"),
        deploy='{"name": "orders"}',
        message="as read",
    )
    kept = Mask(["M4rk3r-roma"]).clean_snapshot(snapshot)

    assert kept == replace(snapshot, facts=LookFacts(name=BLOT))


@pytest.mark.promise(9)
def test_the_name_of_a_read_loses_the_credential_in_its_id() -> None:
    mask = Mask(["M4rk3r-roma"])
    vias = ["fronts/M4rk3r-roma", "fronts/M4rk3r-roma/x", "fronts/other", "show"]

    assert [mask.clean_operation(Operation(Act.LOOK, via)).via for via in vias] == [
        f"fronts/{BLOT}",
        f"fronts/{BLOT}/x",
        "fronts/other",
        "show",
    ]


@pytest.mark.promise(9)
@pytest.mark.parametrize(("secret", "is_word"), [("x" * SHORTEST_SECRET, False), ("x" * 7, True)])
def test_a_credential_of_eight_characters_is_blotted_out_within_a_word(secret: str, is_word: bool) -> None:
    assert Mask([secret]).clean_text(f"a{secret}b") == (f"a{secret}b" if is_word else f"a{BLOT}b")
    assert SHORTEST_SECRET == 8


def test_a_mask_shows_no_credential_and_takes_in_more() -> None:
    mask = Mask(["first-credential"]).extend(["second-credential", ""])
    assert repr(mask) == "Mask(2 credentials)"
    assert mask.clean_text("first-credential second-credential") == f"{BLOT} {BLOT}"
    assert Mask().clean_text("first-credential") == "first-credential"


def test_a_text_that_repeats_nothing_costs_little() -> None:
    """A run masks the snapshot of each of its targets."""
    mask = Mask([SECRETS[-1], "a-token-of-a-usual-length-0123456789"])
    snapshot = Snapshot(
        verdict=Verdict.UP,
        facts=LookFacts(name="Orders and returns", revision="2026-03-01T09:30:00Z", path="/orders/v1"),
        fronts=(FrontEnd(id="5f918d104dc84480a75166ba99efff21", name="orders", path="/orders"),),
        deploy='{"deploy_front_api": true, "group_id": "c77f5e81d9cb4424bf704ef2b0ac7600"}' * 3,
    )
    assert mask.clean_snapshot(snapshot) == snapshot
    # A search of each text in all of its spellings takes some 2,800.
    assert count_calls(lambda: mask.clean_snapshot(snapshot)) < 500


def test_many_credentials_cost_a_text_no_more_than_one() -> None:
    """A long run logs in again and again, and each of its tokens stays sought."""
    tokens = [f"token-{number}-of-some-length" for number in range(100)]
    one, many = Mask(tokens[:1]), Mask(tokens[:1])
    for token in tokens[1:]:
        many = many.extend([token])
    text = "a reply that repeats none of them"
    assert count_calls(lambda: many.clean_text(text)) == count_calls(lambda: one.clean_text(text))
    assert many.clean_text(f"{tokens[0]} {tokens[-1]} {text}") == f"{BLOT} {BLOT} {text}"


def test_nothing_that_a_vendor_writes_makes_a_mask_slow() -> None:
    nested = "%25" * 80 + "&amp;" * 50
    mask = Mask([SECRETS[-1], "password"])
    began = time.process_time()
    for text in (nested[:256], "\\" * 256, "A" * 256, "&#65;" * 50, json_all("a" * 40), "=41" * 80):
        mask.clean_text(text)
    for dots in ("." * 5000, "…" * 5000, "." * 5000 + "a", "…" * 5000 + "a", "….- " * 1000 + "a"):
        mask.clean_text(dots)
    mask.clean_value("A%41" * 10_000)
    assert time.process_time() - began < 2
    assert MOST_LAYERS < 5
