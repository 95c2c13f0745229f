"""What Apinizer's replies say: two error envelopes, two shapes of evidence, and an undeploy's verdict.

After the vendor's pages "Undeploy API Proxy", "Undeploy API Proxy Group" and "Error Handling".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.gateways.envelope import first_text, json_object, nature, seconds, wait_asked
from orchestrator.gateways.naming import OF_ANOTHER, is_named, names_another
from orchestrator.gateways.text import NAMED, shown, some_of
from orchestrator.model.http import Reply
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import Target

FULL_EVIDENCE = "deploymentResult"
"""The field whose rows prove an undeploy; reports name the proof so."""

_TEXTS = ("resultMessage", "error_description")
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_MISSING = re.compile(r"\bnot\s+(?:be\s+)?found\b|\bnot\s+exists?\b|n't\s+exist\b")
_CLAUSES = re.compile(r"[!?;,\n]|[.:](?:\s|$)|\b(?:because|since|that|but)\b|\s-\s")
_OURS = re.compile(
    r"\s*(?:(?:the|an?|this|such|any|requested|given|specified|target|named)\s+)*"
    r"(?:api[\s_-]?)?(?:proxy|project|environment)\b"
)
"""A clause that is about a project, a proxy or an environment: it begins with one."""
_OTHERS = re.compile(
    r"\b(?:pods?|workers?|gateways?|nodes?|hosts?|clusters?|namespaces?|services?|instances?|histor(?:y|ies)|revisions?"
    r"|records?|versions?|routes?|endpoints?|methods?|polic(?:y|ies)|certificates?|keys?|tokens?|users?|roles?"
    r"|licen[cs]es?|class|files?|groups?|definitions?)\b"
)
"""What else a manager may miss: such a word between our thing and its "not found" makes it another thing."""
_THING_NAMED = re.compile(
    r"\b(api\s?proxy|project|environment)\s*(?:with\s+name\s*)?\(\s*(?:name\s*:\s*)?", re.IGNORECASE
)
_THING = {"p": 0, "a": 1, "e": 2}
"""Which part of a target each thing is, by its first letter."""
_NAMES = (("projectName",), ("apiProxyName", "proxyName", "apiName"), ("environmentName", "envName"))
"""Under which keys a reply names each part of a target."""
_REJECTED = re.compile(
    r"token\s+(?:is\s+not\s+valid|was\s+expired)|invalid\s+token|must\s+be\s+authenticated"
)


class Envelope(Struct, frozen=True):
    """An error in one of the two documented forms. ``plain`` is its text in lower case without the names in
    it: a proxy may well be called "not found"."""

    code: str | None
    plain: str
    of_another: bool = False
    """It names a project, a proxy or an environment that is clearly not the target's."""


def envelope(body: dict[str, Any] | None, target: Target) -> Envelope | None:
    """Return the vendor's error envelope, ``None`` where a body is none: a web server's own 404, for one."""
    fields = body or {}
    error, text = fields.get("error"), first_text(fields, *_TEXTS)
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else None
    if code is None and text is None and fields.get("status") != "FAILURE":
        return None
    text = (text or "")[:2048]
    plain = text
    for part in target.parts:
        plain = plain.replace(f"({part})", "()").replace(f": {part})", ")")
    return Envelope(code, _IN_BRACKETS.sub("()", plain).lower(), _is_about_another(text, target))


def _is_about_another(text: str, target: Target) -> bool:
    """Say whether a text names a thing of another target: ``ApiProxy with name (X)``, ``Project (P)``."""
    at = 0
    while target.parts and (thing := _THING_NAMED.search(text, at)):
        ours = target.parts[_THING[thing[1][:1].lower()]]
        at = thing.end()
        if text.startswith(f"{ours})", at):
            at += len(ours)  # in which there may be brackets, too
        elif names_another(_bracketed(text, at), ours):
            return True
    return False


def _bracketed(text: str, start: int) -> str:
    """Return what stands between an open bracket and the one that closes it."""
    depth = 1
    for end in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if not depth:
            return text[start:end]
    return text[start:] + "…"


def said(error: Envelope | None) -> Verdict | None:
    """Return what the vendor's own words mean, where they leave no choice: ABSENT, REFUSED or DENIED.

    The texts differ from page to page, so key words are matched. A right that is missing is not a thing that
    is missing; a text that leaves both open is ABSENT, and ``hides`` then says so. Nor is a pod or a record
    that is missing a proxy that is.
    """
    if error is None:
        return None
    if "required permission" in error.plain:
        return Verdict.REFUSED
    if _REJECTED.search(error.plain):
        return Verdict.DENIED
    if error.code == "not_found" or _misses_ours(error.plain):
        return Verdict.ABSENT
    return Verdict.REFUSED if "privilege" in error.plain else None


def _misses_ours(plain: str) -> bool:
    """Tell whether a text says that a project, a proxy or an environment is not there.

    It is the clause with the "not found" that counts, and what that clause begins with: "Gateway pod was not
    found, ApiProxy still active" says nothing about a proxy that is gone. "It" is what the text began with.
    """
    clauses = [clause for clause in _CLAUSES.split(plain) if clause.strip()]
    for at, clause in enumerate(clauses):
        missing = _MISSING.search(clause)
        if missing is None:
            continue
        subject = clause[: missing.start()]
        if subject.strip() in {"it", "it is", "it was", "it does", "it could"}:
            subject = clauses[0]
        elif not subject.strip() and not clause[missing.end() :].strip() and at + 1 < len(clauses):
            subject = clauses[at + 1]  # "Not found: ApiProxy (x)"
        if _OURS.match(subject) and not _OTHERS.search(subject):
            return True
    return False


def hides(error: Envelope | None) -> bool:
    """True where "does not exist" may as well be "may not be seen". A bare ``not_found`` is documented so.

    So is one whose words miss something else than the target: its code says that nothing was met, its words
    that something of it is there.
    """
    if error is None:
        return False
    misses_another = _MISSING.search(error.plain) is not None and not _misses_ours(error.plain)
    return "privilege" in error.plain or not error.plain or misses_another


class Row(Struct, frozen=True):
    """One row of a ``deploymentResult``; ``success`` is None where it is not a JSON boolean."""

    success: bool | None
    name: str
    fields: Mapping[str, Any]
    text: str | None
    leaf: bool

    @property
    def placed(self) -> bool:
        """Whether it says where it was done: in an environment, or on a pod."""
        return first_text(self.fields, "environmentName", "envName", "podName", "podIp") is not None


def rows(body: dict[str, Any] | None) -> tuple[Row, ...]:
    """Return the rows of ``deploymentResult`` in either shape, itself first, however deep; () without one."""
    result = (body or {}).get(FULL_EVIDENCE)
    return tuple(_walk(result)) if isinstance(result, dict) else ()


def _walk(result: object) -> Iterator[Row]:
    left = [result]
    while left:
        fields = left.pop()
        if not isinstance(fields, dict):
            yield Row(None, "unnamed", {}, None, leaf=True)
            continue
        below = [*_listed(fields.get("deploymentResults")), *_listed(fields.get("detailList"))]
        yield _row(fields, leaf=not below)
        left.extend(reversed(below))


def _listed(value: object) -> Iterable[object]:
    """Return the rows in ``value``; what is neither a list nor absent is one row that cannot be read."""
    return value if isinstance(value, list) else () if value is None else (None,)


def _row(fields: dict[str, Any], *, leaf: bool) -> Row:
    success = fields.get("success")
    contradicted = success is True and bool(fields.get("error") or fields.get("status") == "FAILURE")
    name = first_text(fields, "podName", "podIp", "environmentName", "envName") or "unnamed"
    return Row(
        success=success if isinstance(success, bool) and not contradicted else None,
        name=name,
        fields=fields,
        text=first_text(fields, "detail", "message"),
        leaf=leaf,
    )


def accepted(body: dict[str, Any] | None) -> bool:
    """True where the outer part of a reply says success in either form, and nothing in it says otherwise."""
    fields = body or {}
    success, status = fields.get("success", True), fields.get("status")
    if success is not True or status not in (None, "SUCCESS") or fields.get("error"):
        return False
    return status == "SUCCESS" or "success" in fields


def is_of_another(target: Target, *levels: Mapping[str, Any]) -> bool:
    """True where a reply, on any of its levels, names a thing that is clearly not the target's."""
    return any(
        names_another(fields.get(key), ours)
        for fields in levels
        for keys, ours in zip(_NAMES, target.parts, strict=False)
        for key in keys
    )


def rejection(reply: Reply, body: dict[str, Any] | None) -> Verdict | None:
    """Return DENIED or BUSY, which undeploys and looks read alike; ``None`` if it is neither."""
    if 200 <= reply.status < 300:
        return None
    limited = (body or {}).get("error") == "rate_limit_exceeded"  # documented without a status of its own
    if limited or reply.status == 429 or (reply.status == 503 and "retry-after" in reply.headers):
        return Verdict.BUSY
    return Verdict.DENIED if reply.status == 401 else None


def reading(verdict: Verdict, reply: Reply, body: dict[str, Any] | None, **more: Any) -> Reading:
    """Return a reading with the vendor's code and text, for BUSY its wait; ``more`` are further fields."""
    fields = body or {}
    error = fields.get("error")
    text = first_text(fields, "resultMessage", "error_description", "error")
    if verdict is Verdict.BUSY:
        more["wait"] = seconds(fields.get("retry_after")) or wait_asked(reply)
    return Reading(
        verdict=verdict,
        code=shown(error) if isinstance(error, str) and _CODE.fullmatch(error) else None,
        message=more.pop("message", None) or (shown(text) if text else nature(reply)),
        **more,
    )


def read_undeploy(target: Target, reply: Reply) -> Reading:
    """Return what a reply to an undeploy means. A deploymentResult is heard with every status."""
    body = json_object(reply)
    verdict = rejection(reply, body)
    if verdict is not None:
        return reading(verdict, reply, body)
    found = rows(body)
    if is_of_another(target, body or {}, *(row.fields for row in found)):
        return reading(Verdict.STRANGE, reply, body, message=OF_ANOTHER)
    if accepted(body) and any(row.success is False for row in found):
        return _partial(reply, body, found)
    if reply.status == 200 and accepted(body) and _proves(found, target):
        return Reading(verdict=Verdict.REMOVED, evidence=FULL_EVIDENCE)
    return _fault(target, reply, body, found)


def read_rollback(target: Target, reply: Reply) -> Reading:
    """Return what a reply to a rollback with a deploy means.

    A 200 proves nothing: the vendor sends it where the deploy has failed, too, and only its text says so. A
    revision that is gone is no proxy that is gone.
    """
    found = read_undeploy(target, reply)
    if reply.status == 200 and found.verdict in (Verdict.REMOVED, Verdict.PARTIAL):
        return reading(Verdict.STRANGE, reply, json_object(reply))
    error = envelope(json_object(reply), target)
    if found.verdict in (Verdict.ABSENT, Verdict.CONTESTED) and error is not None and _misses_revision(error):
        return reading(Verdict.REFUSED, reply, json_object(reply))
    return found


def _misses_revision(error: Envelope) -> bool:
    return "revision" in error.plain and _MISSING.search(error.plain) is not None


def _of_another(reply: Reply, body: dict[str, Any] | None, error: Envelope) -> Reading:
    """Read a "not found" whose words name something else. The code alone still says that this request met
    nothing, so its target fails; but no such reply makes it "gone as wanted"."""
    message = said_of_another(body)
    if error.code == "not_found":
        return reading(Verdict.ABSENT, reply, body, message=message, hidden=True, evidence="code")
    return reading(Verdict.CONTESTED, reply, body, message=message)


def said_of_another(body: dict[str, Any] | None) -> str | None:
    """Return the words of an error that is about another target, as such."""
    return shown(f"{OF_ANOTHER}: {first_text(body or {}, *_TEXTS)}")


def _proves(found: tuple[Row, ...], target: Target) -> bool:
    """True where every row is a typed success, one at least below the overall one, all of our environment."""
    if len(found) < 2 or not all(row.placed for row in found if row.leaf):
        return False
    named = ((row.fields.get(key), target.parts[-1]) for row in found for key in _NAMES[-1])
    return all(row.success is True for row in found) and all(
        told is None or is_named(told, ours) for told, ours in named
    )


def _partial(reply: Reply, body: dict[str, Any] | None, found: tuple[Row, ...]) -> Reading:
    below = found[1:]
    failed = [row for row in below if row.success is False]
    named = [row.name for row in failed if row.leaf] or [row.name for row in failed]
    pods, more = some_of(named)
    count = sum(row.leaf for row in below)
    return reading(
        Verdict.PARTIAL, reply, body, message=_failures(found), pods=pods, more_pods=more, pod_count=count
    )


def _failures(found: tuple[Row, ...]) -> str | None:
    """Name what failed, and how, in the vendor's words."""
    failed = [row for row in found[1:] if row.success is False and row.leaf]
    if not failed:
        return found[0].text and shown(found[0].text)
    many = (
        f"{len(failed):,} of {sum(row.leaf for row in found[1:]):,} failed: " if len(failed) > NAMED else ""
    )
    texts = (f"{row.name}: {row.text}" if row.text else row.name for row in failed[:NAMED])
    return shown(many + "; ".join(texts))


def _fault(target: Target, reply: Reply, body: dict[str, Any] | None, found: tuple[Row, ...]) -> Reading:
    status = reply.status
    if status < 400:
        return reading(Verdict.STRANGE, reply, body)
    if status == 408 or status >= 500:
        return reading(Verdict.DOUBT, reply, body)
    if status in {400, 404} and len(found) > 1:
        # An undeploy was tried, so a "not found" in its text is about a worker. Nothing outside says success,
        # so it is no PARTIAL; whether the manager took it down all the same, only a look can tell.
        return reading(Verdict.CONTESTED, reply, body, message=_failures(found))
    error = envelope(body, target)
    if status == 404 and error is None:
        hint = "check url: it is the manager's address, without /apiops"
        return reading(Verdict.ELSEWHERE, reply, body, hint=hint)
    verdict = said(error) if status in {400, 404} else None
    if verdict is Verdict.ABSENT and error is not None and error.of_another:
        return _of_another(reply, body, error)
    if verdict is Verdict.ABSENT:
        return reading(verdict, reply, body, hidden=hides(error), evidence="code")
    other = Verdict.CONTESTED if status == 400 else Verdict.REFUSED
    return reading(verdict or other, reply, body)
