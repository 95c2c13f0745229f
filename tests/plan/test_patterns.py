"""A pattern matches targets by every name of a place and by its host; some patterns can match none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.gateways.apinizer.gateway import Apinizer
from orchestrator.gateways.roma.gateway import Roma
from orchestrator.model.gateway import Gateway
from orchestrator.model.globs import Globs, make_matcher, match_beginning
from orchestrator.model.settings import Auth, CredentialReference
from orchestrator.plan.pattern_text import canonicalize, find_text_fault
from orchestrator.plan.patterns import Patterns, find_fault, list_named_gateways, name_by_entry
from tests.support.costs import measure_growth

AUTH = Auth(token=CredentialReference(env="T"))


def apim(name: str = "apim", url: str = "https://apim.example.com") -> Apinizer:
    return Apinizer(name=name, url=url, auth=AUTH)


def roma(name: str = "roma", url: str = "https://roma.example.com", instance: str = "i") -> Roma:
    return Roma(name=name, url=url, auth=AUTH, project_id="p", instance_id=instance)


ALIKE = (apim(), apim("again", "HTTPS://APIM.example.com.:443//x/../"), roma(), roma("second", instance="j"))


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        ("apim/Payments/**", "again/Payments/p/e", True),
        ("again/Payments/**", "apim/Payments/p/e", True),
        ("apim.example.com/Payments/**", "again/Payments/p/e", True),
        ("APIM.Example.COM./Payments/**", "apim/Payments/p/e", True),
        ("apim.example.com:443/Payments/**", "apim/Payments/p/e", True),
        ("apim.example.com:80/Payments/**", "apim/Payments/p/e", False),
        ("*.example.com/Payments/**", "again/Payments/p/e", True),
        ("ag*/Payments/**", "apim/Payments/p/e", True),
        ("%2a.example.com/Payments/**", "apim/Payments/p/e", False),  # no sign, and no host
        ("%2A%2A", "apim/Payments/p/e", False),
        ("api%3F.example.com/Payments/**", "apim/Payments/p/e", False),
        ("ap%69m.example.com/Payments/**", "apim/Payments/p/e", True),
        ("APIM/Payments/**", "apim/Payments/p/e", False),
        ("apim/payments/**", "apim/Payments/p/e", False),
        ("roma/a1", "second/a1", False),  # another instance is another installation
        ("roma.example.com/a1", "second/a1", True),
        ("**/e", "apim/Payments/p/e", True),
        ("a**/e", "again/Payments/p/e", True),
        ("**", "roma/a1", True),
        ("roma/?1", "roma/a1", True),
        ("apim/S%C3%A9/**", "apim/Se\u0301/p/e", True),
        ("apim/Se\u0301/**", "apim/S\u00e9/p/e", True),
        ("apim/a%2Cb/**", "apim/a,b/p/e", True),
        ("apim/a%2fb/**", "apim/a%2Fb/p/e", True),
        ("apim/100%25/**", "apim/100%25/p/e", True),
        ("apim/a%2Fb/*/*", "apim/a/b/p/e", False),
        # what an address may turn into on its way
        ("apim/Payments/**", "apim/Pay%256dents/p/e", True),
        ("apim/Payments/**", "again/Pay%25256dents/p/e", True),
        ("apim/Payments/**", "apim/Pay%2525256dents/p/e", False),  # decoded three times
        ("apim/Payments/**", "apim/Payments;v=1/p/e", True),
        ("apim/Payments/**", "apim/Payments%253Bv/p/e", True),
        ("apim/Payments;v/**", "apim/Payments%253Bv/p/e", True),
        ("apim/*/p/e", "apim/P/p/e#x", True),
        ("apim/*/p/e", "apim/P/p%2Fenvironments%2Fe%2F?/x", True),
        ("apim/P/p/e", "apim/P%2FapiProxies%2Fp%2Fenvironments%2Fe%253F/q/r", True),
        ("apim/P/p/e", "apim/P%2FapiProxies%2Fp/q/r", False),
    ],
)
def test_a_pattern_means_an_installation(pattern: str, target: str, expected: bool) -> None:
    assert (Patterns([pattern], ALIKE).find_first(target) == pattern) is expected


def test_a_filter_that_lets_through_goes_by_the_id_as_written() -> None:
    assert Patterns(["apim/Payments/**"], ALIKE, name_by_entry).find_first("apim/Payments;v=1/p/e") is None


@pytest.mark.parametrize("pattern", ["apim/./**", "apim/**/..", "apim/%2e%2e/**", "apim/a%252f/**"])
def test_a_pattern_with_a_part_that_no_name_is_can_match_nothing(pattern: str) -> None:
    assert find_fault(pattern, ALIKE) is not None


@pytest.mark.parametrize(
    ("first", "url"),
    [
        ("b\u00fccher.example", "https://xn--bcher-kva.example/base"),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example."),
        ("B\u00dcCHER.example", "https://xn--bcher-kva.example"),
        ("[::1]", "http://[0:0::1]:8080"),
        ("::1", "http://[::1]"),
        ("[0:0:0:0:0:0:0:1]:8080", "http://[::1%25lo]:8080"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]"),
        ("127.1", "http://2130706433"),
        ("apim", "http://apim:8080"),
    ],
)
def test_a_host_is_known_under_every_spelling(first: str, url: str) -> None:
    gateways = [apim("gw", url)]
    assert Patterns([f"{first}/P/**"], gateways).find_first("gw/P/p/e")
    assert Patterns([f"{first}/P/**"], gateways).find_first("gw/Q/p/e") is None
    assert find_fault(f"{first}/P/**", gateways) is None
    assert find_fault(f"{first}/P/**", [roma()], in_file=True) is None


def test_a_filter_that_lets_through_goes_by_the_gateways_own_name() -> None:
    only = Patterns(["apim/**"], ALIKE, name_by_entry)
    assert only.find_first("apim/P/p/e") == "apim/**"
    assert only.find_first("again/P/p/e") is None
    assert Patterns(["apim.example.com/**"], ALIKE, name_by_entry).find_first("again/P/p/e")


def test_the_first_match_and_the_idle_patterns_are_found() -> None:
    patterns = Patterns(["roma/x", "**/e", "again/P/**", "apim/P/**", "**/e"], ALIKE)
    assert patterns.find_first("apim/P/p/e") == "**/e"
    assert patterns.find_first("apim/P/p/f") == "again/P/**"
    assert patterns.find_idle(["apim/P/p/e", "roma/y"]) == ("roma/x",)
    assert patterns.find_idle([]) == ("roma/x", "**/e", "again/P/**", "apim/P/**")


def test_ids_are_read_until_each_pattern_has_matched_one_and_no_further() -> None:
    patterns = Patterns(["roma/x", "**/e"], ALIKE)
    assert patterns.find_idle(["roma/y", "roma/x", "roma/z", "apim/P/p/e"]) == ()
    targets = iter(["roma/x", "apim/P/p/e", "roma/y"])
    assert patterns.find_idle(targets) == ()
    assert list(targets) == ["roma/y"]


def test_an_id_of_a_gateway_that_the_plan_does_not_have_matches_as_it_is_written() -> None:
    patterns = Patterns(["crm/a;b/**", "crm/a/**"], ALIKE)
    assert patterns.find_first("crm/a;b/p/e") == "crm/a;b/**"
    assert patterns.find_first("crm/a;c/p/e") is None


def test_the_gateways_that_a_pattern_names_are_those_of_its_installation() -> None:
    assert list_named_gateways("apim/P/**", ALIKE) == ("apim", "again")
    assert list_named_gateways("roma.example.com/x", ALIKE) == ("roma", "second")
    assert list_named_gateways("crm/**", ALIKE) == ()


PLAN: tuple[Gateway, ...] = (apim("a"), roma("r"))
TOO_LONG = "crm/P" + 8 * "/p"
"""More parts than the ids of any kind have."""

DEAD = [
    "a",
    "*",
    "a/",
    "/a/Payments/**",
    "a//Payments/**",
    "a/**/",
    "a/Payments",
    "a/Payments/*",
    "a/P/p/e/x",
    "a/P/p/e/**",
    "r/a1/x",
    "r/a1/**",
    "r/bd42841c\u2026",
    "r/a.b",
    "r/[abc]",
    "r/a b*",
    f"r/{'x' * 65}",
    "a/../p/e",
    "a/100%/**",
    "a/%%325/**",
    "a/a%20%ZZ/**",
    "a/%00/**",
    "a/%FF/**",
    "a/%2A/**",
    "a/ Payments/**",
    "a/Payments /**",
    "a /Payments/**",
    "a/Payments/**\t",
    "a/Pay\u200bments/**",
    "a/Payments/**\u00a0",
    "a/Payments/**\ufeff",
    "a/Pay\u3164ments/**",
    "https://apim.example.com/Payments/**",
    "***/",
    "\x00",
    "",
]


@pytest.mark.parametrize("pattern", DEAD)
def test_a_pattern_that_can_match_no_id_is_reported(pattern: str) -> None:
    assert find_fault(pattern, PLAN) is not None
    assert find_fault(pattern, PLAN, in_file=True) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "**",
        "***",
        "*/**",
        "a/**",
        "a/Payments/**",
        "a/*/*/*",
        "a/P/p/e",
        "a/P**",
        "a/P/p/?",
        "a/%7B%2C%23%7D/**",
        "a/My Project/**",
        "a/[Pp]ayments/**",
        "r/*",
        "r/a1",
        "r/a?-_*",
        "*/a1",
        "**/production",
        "apim.example.com/Payments/**",
        "apim.example.com/**",
    ],
)
def test_a_pattern_that_could_match_passes(pattern: str) -> None:
    assert find_fault(pattern, PLAN) is None
    assert find_fault(pattern, PLAN, in_file=True) is None


@pytest.mark.parametrize("sign", list("{},^$\\\"'#"))
def test_a_protect_file_may_not_hold_signs_of_other_tools(sign: str) -> None:
    assert find_fault(f"a/x{sign}y/**", PLAN) is None
    unfit = find_fault(f"a/x{sign}y/**", PLAN, in_file=True)
    assert unfit is not None
    assert f"the character {sign} may not stand" in unfit.message
    encoded = f"a/x%{ord(sign):02X}y/**"
    assert encoded in f"a/x%{unfit.hint.rpartition('%')[2]}y/**"
    assert find_fault(encoded, PLAN, in_file=True) is None
    assert Patterns([encoded], PLAN).find_first(f"a/x{sign}y/p/e") == encoded


@pytest.mark.parametrize(
    ("pattern", "in_plan", "in_file"),
    [
        ("crm/**", False, True),
        ("crm/P/p/e", False, True),
        ("crm/a1", False, True),
        (TOO_LONG, False, False),
        ("crm.example.com:8443/P/**", False, True),
        ("[fd00::1]/P/**", False, True),
        ("- a/P/**", False, False),
        ("!a/P/**", False, False),
        ("<a>/P/**", False, False),
        ("[ab]/P/**", False, False),
        ("b*/P/p/e", False, True),
        ("*/P/p", False, False),
    ],
)
def test_a_file_may_name_gateways_of_other_plans(pattern: str, in_plan: bool, in_file: bool) -> None:
    assert (find_fault(pattern, PLAN) is None) is in_plan
    assert (find_fault(pattern, PLAN, in_file=True) is None) is in_file


@pytest.mark.parametrize(
    ("pattern", "gateways", "told", "hint"),
    [
        ("a", PLAN, '"a" matches no target\'s id', '"a/**" is all of a gateway of that name'),
        ("a/Payments/", PLAN, '"a/Payments/" ends with a /', 'write "a/Payments/**" for all below'),
        ("a/Payments/*", PLAN, "ids there look like a/<project>/<proxy>/<environment>", '"a/Payments/**"'),
        ("r/x/y", PLAN, "ids there look like r/<ld_api_id>", ""),
        ("crm/P/**", PLAN, "the plan has no such gateway", "the gateways are a, r"),
        ("apm/P/**", (apim(),), "the plan has no such gateway", 'did you mean "apim"?'),
        ("APIM/P/**", (apim(), roma()), "the plan has no such gateway", 'did you mean "apim"?'),
        ("http://x/y", PLAN, "is a URL", "begins with a gateway's name or with a host alone"),
    ],
)
def test_a_fault_gives_the_reason_and_a_remedy(
    pattern: str, gateways: Sequence[Gateway], told: str, hint: str
) -> None:
    unfit = find_fault(pattern, gateways)
    assert unfit is not None
    assert told in unfit.message
    assert hint in unfit.hint
    assert bool(hint) is bool(unfit.hint)


def test_without_a_plan_a_line_of_a_file_must_still_look_like_a_pattern() -> None:
    for pattern, in_file in ((TOO_LONG, False), ("- a/P/**", False), ("crm/P/**", True)):
        assert find_fault(pattern) is None
        assert (find_fault(pattern, in_file=True) is None) is in_file


def test_a_fault_shows_the_forms_of_at_most_three_gateways() -> None:
    unfit = find_fault("*/x/y", [roma(name) for name in ("r1", "r2", "r3", "r4")])
    assert unfit is not None
    assert unfit.message.endswith("ids there look like r1/<ld_api_id> or r2/<ld_api_id> or r3/<ld_api_id>")


@pytest.mark.parametrize(("length", "is_proposed"), [(59, True), (60, False)])
def test_no_other_pattern_is_proposed_for_a_long_one(length: int, is_proposed: bool) -> None:
    unfit = find_fault("a/" + "x" * (length - 2), PLAN)
    assert unfit is not None
    assert bool(unfit.hint) is is_proposed


SIGNS = st.text(st.sampled_from("ab/*?"), max_size=9)


@given(SIGNS, st.text(st.sampled_from("ab"), max_size=3), st.text(st.sampled_from("ab/"), max_size=6))
def test_the_rest_of_a_pattern_matches_like_the_whole(pattern: str, name: str, rest: str) -> None:
    whole = make_matcher([pattern])(f"{name}/{rest}") is not None
    assert whole is any(
        make_matcher([each])(rest) is not None for each in match_beginning(pattern, f"{name}/")
    )


@given(st.lists(SIGNS, min_size=9, max_size=30), st.text(st.sampled_from("ab/"), max_size=9))
def test_many_patterns_say_the_same_as_each_alone(patterns: list[str], text: str) -> None:
    globs = Globs(patterns)
    alone = {index for index, each in enumerate(globs.patterns) if make_matcher([each])(text) is not None}
    assert set(globs.find_matches(text)) == alone


@given(st.text(st.sampled_from("a/*?%2FeC39\u0301"), max_size=12))
@example("%%322")
def test_a_canonical_pattern_stays_as_it_is_or_is_refused(pattern: str) -> None:
    again = canonicalize(canonicalize(pattern))
    assert again == canonicalize(pattern) or find_text_fault(pattern) is not None


@pytest.mark.parametrize(
    "shape",
    [
        "apim/Project-{0}/**",
        "*/*/proxy-{0}/production",
        "apim/Project-*/proxy-{0}*/**",
        "**/proxy-{0}/*",
        "apim.example.com/*/*-{0}?/t*",
        "apim/Project-7/proxy-{0}/test",
    ],
)
@pytest.mark.long("measures what a large plan costs")
def test_a_target_costs_the_same_however_many_the_patterns(shape: str) -> None:
    """Both questions of a start are asked. Patterns tried one by one would cost twenty times as much."""

    def ask(count: int) -> None:
        ids = [
            f"again/Project-{n % 500}/proxy-{n}/{'test' if n % 2 else 'production'}"
            for n in range(10 * count)
        ]
        made = Patterns([shape.format(number) for number in range(count)], ALIKE)
        assert [made.find_first(target) for target in ids].count(None) < len(ids)
        made.find_idle(ids)

    assert measure_growth(ask, 50, 1_000) < 5


@pytest.mark.parametrize(
    "pattern",
    [
        "apim/../**",
        "apim/./Payments/**",
        "apim/%2e%2e/**",
        "apim/Payments/**/..",
        "apim/..%2Fx/**",
        "**/..",
        "roma/a b**",
        f"roma/{'a' * 65}**",
        "nowhere/../**",
    ],
)
def test_two_stars_make_no_part_live_that_no_id_has(pattern: str) -> None:
    assert find_fault(pattern, ALIKE, in_file=True) is not None


@pytest.mark.parametrize(
    "pattern",
    ["**", "apim/**", "apim/P/**", "apim/**/e", "apim/..**", "apim/**;x", "roma/a**", "r**", "x/**"],
)
def test_two_stars_may_stand_for_one_part_or_for_many(pattern: str) -> None:
    assert find_fault(pattern, ALIKE, in_file=True) is None


def test_the_pattern_proposed_for_a_regular_expression_can_match() -> None:
    found = find_fault("apim/Payments/.*", ALIKE)
    assert found is not None
    assert found.hint == 'write "apim/Payments/**" for all below'
