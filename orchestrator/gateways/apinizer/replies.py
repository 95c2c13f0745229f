"""Apinizer's replies: two error envelopes, two shapes of evidence, and the verdict on an undeploy.

After the vendor's pages "Undeploy API Proxy", "Undeploy API Proxy Group" and "Error Handling".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from orchestrator.gateways.apinizer.full_success import count_proven_rows
from orchestrator.gateways.envelope import (
    as_count,
    describe_reply,
    find_text,
    find_wait,
    parse_object,
    parse_seconds,
)
from orchestrator.gateways.naming import OF_ANOTHER, is_same_name, names_another
from orchestrator.gateways.text import NAMED, list_first, show_text
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import Target, TargetId

FULL_EVIDENCE = "deploymentResult"
"""The field whose rows prove an undeploy; reports name the proof so."""

NAMELESS = Target(0, TargetId(""), "", 0, ())
"""Stands in where a reply is about no target, so that no names need to be taken out of its text."""

_TEXTS = ("resultMessage", "error_description")
_WORDS = (*_TEXTS, "error")
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
# The texts of refusals only meet these, so that each is compiled where it is first used: a command would
# start later for them.
_MISSING = r"\bnot\s+(?:be\s+)?found\b|\bnot\s+exists?\b|n't\s+exist\b"
_CLAUSES = r"[!?;,\n]|[.:](?:\s|$)|\b(?:because|since|that|but)\b|\s-\s"
_OURS = (
    r"\s*(?:(?:the|an?|this|such|any|requested|given|specified|target|named)\s+)*"
    r"(?:api[\s_-]?)?(?:proxy|project|environment)\b"
)
"""A clause that is about a project, a proxy or an environment: it begins with one."""
_OTHERS = (
    r"\b(?:pods?|workers?|gateways?|nodes?|hosts?|clusters?|namespaces?|services?|instances?|histor(?:y|ies)|revisions?"
    r"|records?|versions?|routes?|endpoints?|methods?|polic(?:y|ies)|certificates?|keys?|tokens?|users?|roles?"
    r"|licen[cs]es?|class|files?|groups?|definitions?)\b"
)
"""Other things that a manager may miss: with such a word before "not found", our own thing is not missing."""
_THING_NAMED = r"\b(api\s?proxy|project|environment)\s*(?:with\s+name\s*)?\(\s*(?:name\s*:\s*)?"
_THING = {"p": 0, "a": 1, "e": 2}
"""The index of each thing in a target's parts, by the thing's first letter."""
_NAMES = (("projectName",), ("apiProxyName", "proxyName", "apiName"), ("environmentName", "envName"))
"""Under which keys a reply names each part of a target."""
_REJECTED = r"token\s+(?:is\s+not\s+valid|was\s+expired)|invalid\s+token|must\s+be\s+authenticated"


class ErrorEnvelope(Struct, frozen=True):
    """An error in one of the two documented forms. ``plain`` is its text in lower case without the names in
    it: a proxy may well be called "not found"."""

    code: str | None
    plain: str
    of_another: bool
    """The text names a project, a proxy or an environment that is clearly not the target's."""


def find_error(body: dict[str, Any] | None, target: Target) -> ErrorEnvelope | None:
    """Return the vendor's error envelope, ``None`` where a body is none: a web server's own 404, for one."""
    fields = body or {}
    error, text = fields.get("error"), find_text(fields, *_TEXTS)
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else None
    if code is None and text is None and fields.get("status") != "FAILURE":
        return None
    text = (text or "")[:2048]
    plain = text
    for part in target.parts:
        plain = plain.replace(f"({part})", "()").replace(f": {part})", ")")
    return ErrorEnvelope(code, _IN_BRACKETS.sub("()", plain).lower(), _is_about_another(text, target))


def _is_about_another(text: str, target: Target) -> bool:
    """Return whether a text names a thing of another target: ``ApiProxy with name (X)``, ``Project (P)``."""
    at = 0
    while target.parts and (thing := re.compile(_THING_NAMED, re.IGNORECASE).search(text, at)):
        ours = target.parts[_THING[thing[1][:1].lower()]]
        at = thing.end()
        if text.startswith(f"{ours})", at):
            at += len(ours)  # in which there may be brackets, too
        elif names_another(_cut_at_bracket(text, at), ours):
            return True
    return False


def _cut_at_bracket(text: str, start: int) -> str:
    """Return the text between an open bracket and the one that closes it."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if not depth:
            return text[start:end]
    return text[start:] + "…"


def judge_error(error: ErrorEnvelope | None) -> Verdict | None:
    """Return the meaning of the vendor's own words, where they leave no choice: ABSENT, REFUSED or DENIED.

    The texts differ from page to page, so key words are matched. A missing right is not a missing thing: a
    text that leaves both open is ABSENT, and ``may_be_hidden`` is true then. A missing pod or record is not a
    missing proxy either.
    """
    if error is None:
        return None
    if "required permission" in error.plain:
        return Verdict.REFUSED
    if re.search(_REJECTED, error.plain):
        return Verdict.DENIED
    if error.code == "not_found" or _misses_our_thing(error.plain):
        return Verdict.ABSENT
    return Verdict.REFUSED if "privilege" in error.plain else None


def _misses_our_thing(plain: str) -> bool:
    """Return whether a text says that a project, a proxy or an environment is not there.

    Only the clause with the "not found" counts, and the thing that this clause begins with: "Gateway pod was
    not found, ApiProxy still active" does not say that a proxy is gone. "It" stands for the first subject of
    the text.
    """
    clauses = [clause for clause in re.split(_CLAUSES, plain) if clause.strip()]
    for at, clause in enumerate(clauses):
        missing = re.search(_MISSING, clause)
        if missing is None:
            continue
        subject = clause[: missing.start()]
        if subject.strip() in {"it", "it is", "it was", "it does", "it could"}:
            subject = clauses[0]
        elif not subject.strip() and not clause[missing.end() :].strip() and at + 1 < len(clauses):
            subject = clauses[at + 1]  # "Not found: ApiProxy (x)"
        if re.match(_OURS, subject) and not re.search(_OTHERS, subject):
            return True
    return False


def may_be_hidden(error: ErrorEnvelope | None) -> bool:
    """Return whether "does not exist" may as well mean "may not be seen", or something else altogether.

    The vendor documents a bare ``not_found`` so. With words that do not say that a part of the target is
    missing, the code may be that of a server in front, about a route or a file.
    """
    if error is None:
        return False
    return "privilege" in error.plain or not _misses_our_thing(error.plain)


class ResultRow(Struct, frozen=True):
    """One row of a ``deploymentResult``; ``success`` is None where it is not a JSON boolean."""

    success: bool | None
    name: str
    fields: Mapping[str, Any]
    text: str | None
    leaf: bool

    @property
    def is_placed(self) -> bool:
        """Whether the row names its place: an environment, or a pod."""
        return find_text(self.fields, "environmentName", "envName", "podName", "podIp") is not None


def list_rows(body: dict[str, Any] | None) -> tuple[ResultRow, ...]:
    """Return the rows of ``deploymentResult`` in either shape, itself first, however deep; () without one."""
    result = (body or {}).get(FULL_EVIDENCE)
    return tuple(_walk_rows(result)) if isinstance(result, dict) else ()


def _walk_rows(result: object) -> Iterator[ResultRow]:
    # A loop and no recursion, since the server decides how deep the rows are nested.
    left = [result]
    while left:
        fields = left.pop()
        if not isinstance(fields, dict):
            yield ResultRow(None, "unnamed", {}, None, leaf=True)
            continue
        below = [*_list_below(fields.get("deploymentResults")), *_list_below(fields.get("detailList"))]
        yield _make_row(fields, leaf=not below)
        left.extend(reversed(below))


def _list_below(value: object) -> Iterable[object]:
    """Return the rows in ``value``; what is neither a list nor absent is one row that cannot be read."""
    return value if isinstance(value, list) else () if value is None else (None,)


def _make_row(fields: dict[str, Any], *, leaf: bool) -> ResultRow:
    success = fields.get("success")
    contradicted = success is True and bool(fields.get("error") or fields.get("status") == "FAILURE")
    name = find_text(fields, "podName", "podIp", "environmentName", "envName") or "unnamed"
    return ResultRow(
        success=success if isinstance(success, bool) and not contradicted else None,
        name=name,
        fields=fields,
        text=find_text(fields, "detail", "message"),
        leaf=leaf,
    )


def is_success(body: dict[str, Any] | None) -> bool:
    """Return whether the outer part of a reply says success in either form, and nowhere the opposite."""
    fields = body or {}
    success, status = fields.get("success", True), fields.get("status")
    if success is not True or status not in (None, "SUCCESS") or fields.get("error"):
        return False
    return status == "SUCCESS" or "success" in fields


def is_cut(body: Mapping[str, Any] | None, listed: Sequence[object]) -> bool:
    """Return whether a list has fewer entries than the reply itself counts: some were not sent."""
    count = as_count((body or {}).get("resultCount"))
    return count is not None and count > len(listed)


def names_another_target(target: Target, *levels: Mapping[str, Any]) -> bool:
    """Return whether a reply, on any of its levels, names a thing that is clearly not the target's."""
    return any(
        names_another(fields[key], ours)
        for fields in levels
        for keys, ours in zip(_NAMES, target.parts, strict=False)
        for key in keys
        if key in fields
    )


def judge_rejection(reply: Reply, body: dict[str, Any] | None) -> Verdict | None:
    """Return DENIED or BUSY, which undeploys and looks read alike; ``None`` if it is neither."""
    if 200 <= reply.status < 300:
        return None
    limited = (body or {}).get("error") == "rate_limit_exceeded"  # documented without a status of its own
    if limited or reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
        return Verdict.BUSY
    return Verdict.DENIED if reply.status == 401 else None


def make_reading(verdict: Verdict, reply: Reply, body: dict[str, Any] | None, **more: Any) -> Reading:
    """Return a reading with the vendor's code and text, for BUSY its wait; ``more`` are further fields."""
    fields = body or {}
    error = fields.get("error")
    text = find_text(fields, *_WORDS)
    if verdict is Verdict.BUSY:
        more["wait"] = parse_seconds(fields.get("retry_after")) or find_wait(reply)
    return Reading(
        verdict=verdict,
        code=show_text(error) if isinstance(error, str) and _CODE.fullmatch(error) else None,
        message=more.pop("message", None) or (show_text(text) if text else describe_reply(reply)),
        **more,
    )


def read_undeploy(target: Target, reply: Reply) -> Reading:
    """Return the meaning of a reply to an undeploy. A deploymentResult counts with every status."""
    if rows := count_proven_rows(target, reply):
        return Reading(verdict=Verdict.REMOVED, evidence=FULL_EVIDENCE, pod_count=rows)
    return read_undeploy_with_care(target, reply)


def read_undeploy_with_care(target: Target, reply: Reply) -> Reading:
    """Return the same by taking the body apart, whatever stands in it."""
    body = parse_object(reply)
    verdict = judge_rejection(reply, body)
    if verdict is not None:
        return make_reading(verdict, reply, body)
    found = list_rows(body)
    if names_another_target(target, body or {}, *(row.fields for row in found)):
        return make_reading(Verdict.STRANGE, reply, body, message=OF_ANOTHER)
    if _is_partial(body, found):
        named = {"pod_count": _count_leaves(found), **_name_failed(found)}
        return make_reading(Verdict.PARTIAL, reply, body, message=_describe_failures(found), **named)
    if reply.status == 200 and is_success(body) and _is_proven(found, target):
        return Reading(verdict=Verdict.REMOVED, evidence=FULL_EVIDENCE, pod_count=_count_leaves(found))
    return _read_fault(target, reply, body, found)


def read_rollback(target: Target, reply: Reply) -> Reading:
    """Return the meaning of a reply to a rollback with a deploy.

    A 200 proves nothing: the vendor sends it where the deploy has failed, too, and only its text says so. A
    revision that is gone is no proxy that is gone.
    """
    found = read_undeploy(target, reply)
    if reply.status == 200 and found.verdict in (Verdict.REMOVED, Verdict.PARTIAL):
        return make_reading(Verdict.STRANGE, reply, parse_object(reply), is_answer=True)
    error = find_error(parse_object(reply), target)
    if found.verdict in (Verdict.ABSENT, Verdict.CONTESTED) and error is not None and _misses_revision(error):
        return make_reading(Verdict.REFUSED, reply, parse_object(reply))
    return found


def _misses_revision(error: ErrorEnvelope) -> bool:
    return "revision" in error.plain and re.search(_MISSING, error.plain) is not None


def _read_foreign_error(reply: Reply, body: dict[str, Any] | None, error: ErrorEnvelope) -> Reading:
    """Read a "not found" whose words name something else. The code alone still says that this request met
    nothing, so its target fails; but no such reply makes it "gone as wanted"."""
    message = quote_foreign_error(body)
    if error.code == "not_found":
        return make_reading(Verdict.ABSENT, reply, body, message=message, hidden=True, evidence="code")
    return make_reading(Verdict.CONTESTED, reply, body, message=message)


def quote_foreign_error(body: dict[str, Any] | None) -> str | None:
    """Return the words of an error that is about another target, as such."""
    return show_text(f"{OF_ANOTHER}: {find_text(body or {}, *_TEXTS)}")


def _is_proven(found: tuple[ResultRow, ...], target: Target) -> bool:
    """Return whether every row is a typed success in our environment, with a row below the overall one."""
    if len(found) < 2 or not all(row.is_placed for row in found if row.leaf):
        return False
    named = ((row.fields.get(key), target.parts[-1]) for row in found for key in _NAMES[-1])
    return all(row.success is True for row in found) and all(
        told is None or is_same_name(told, ours) for told, ours in named
    )


def _is_partial(body: dict[str, Any] | None, found: tuple[ResultRow, ...]) -> bool:
    """Return whether an undeploy was accepted, and something has not obeyed.

    Where the outer part says no success, a row that has obeyed shows that it was accepted all the same.
    """
    if is_success(body):
        return any(row.success is False for row in found)
    return _has_obeyed(found) and any(row.success is False for row in found[1:])


def _has_obeyed(found: tuple[ResultRow, ...]) -> bool:
    return any(row.success for row in found[1:] if row.leaf)


def _name_failed(found: tuple[ResultRow, ...]) -> dict[str, Any]:
    """Return the rows that say false as fields of a reading; nothing without such rows."""
    failed = [row for row in found[1:] if row.success is False]
    if not failed:
        return {}
    pods, more = list_first([row.name for row in failed if row.leaf] or [row.name for row in failed])
    return {"pods": pods, "more_pods": more, "pod_count": _count_leaves(found)}


def _count_leaves(found: tuple[ResultRow, ...]) -> int:
    """Return how many pods a result names; where its rows are environments, how many of those."""
    return sum(row.leaf for row in found[1:])


def _describe_failures(found: tuple[ResultRow, ...]) -> str | None:
    """Name the places that failed, and how, in the vendor's words."""
    failed = [row for row in found[1:] if row.success is False and row.leaf]
    if not failed:
        return found[0].text and show_text(found[0].text)
    many = f"{len(failed):,} of {_count_leaves(found):,} failed: " if len(failed) > NAMED else ""
    texts = (f"{row.name}: {row.text}" if row.text else row.name for row in failed[:NAMED])
    return show_text(many + "; ".join(texts))


def _describe_lack(reply: Reply, body: dict[str, Any] | None, found: tuple[ResultRow, ...]) -> str | None:
    """Say why a 200 without any text of the vendor proves nothing; None for every other reply."""
    if reply.status != 200 or body is None or find_text(body, *_WORDS):
        return None
    if is_success(body):
        return f"HTTP 200, success without {'full evidence' if found else 'a deploymentResult'}"
    return "HTTP 200, success is false" if body.get("success") is False else None


def _read_fault(
    target: Target, reply: Reply, body: dict[str, Any] | None, found: tuple[ResultRow, ...]
) -> Reading:
    status = reply.status
    if status < 400:
        # One page of the vendor types the success of an undeploy without a result, as that of a rollback is.
        is_answer, message = status == 200 and is_success(body), _describe_lack(reply, body, found)
        return make_reading(
            Verdict.STRANGE, reply, body, message=message, is_answer=is_answer, **_name_failed(found)
        )
    if status == 408 or status >= 500:
        return make_reading(Verdict.DOUBT, reply, body, **_name_failed(found))
    if len(found) > 1 and (status in {400, 404} or _has_obeyed(found)):
        # An undeploy was tried, so a "not found" in its text is about a worker. Whether the manager took it
        # down all the same, only a look can tell; where a row says that it obeyed, it was this request.
        if _has_obeyed(found):
            return make_reading(Verdict.STRANGE, reply, body, is_answer=True)
        text = _describe_failures(found)
        return make_reading(Verdict.CONTESTED, reply, body, message=text, **_name_failed(found))
    error = find_error(body, target)
    if status == 404 and error is None:
        hint = "check url: it is the manager's address, without /apiops"
        return make_reading(Verdict.ELSEWHERE, reply, body, hint=hint)
    # The vendor's older pages answer 404 for an unknown project, the newer ones 400.
    verdict = judge_error(error) if status in {400, 404} else None
    if verdict is Verdict.ABSENT and error is not None and error.of_another:
        return _read_foreign_error(reply, body, error)
    if verdict is Verdict.ABSENT:
        return make_reading(verdict, reply, body, hidden=may_be_hidden(error), evidence="code")
    # "Not deployed" is one of the causes of a 400 and has no code of its own, so a look decides.
    other = Verdict.CONTESTED if status == 400 else Verdict.REFUSED
    return make_reading(verdict or other, reply, body)
