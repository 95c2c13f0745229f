"""One gateway asked how it is: reads only, one after the other, none behind a credential that was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeAlias

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.doctor import findings
from orchestrator.doctor.findings import Finding, FindingState, GatewayDiagnosis, complete_findings
from orchestrator.doctor.route import RouteCheck, check_route
from orchestrator.errors import CredentialError, UsageError
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.exchange import read_answer
from orchestrator.lanes.login import ActiveCredential, Authenticator, LoginDelayed, LoginDenied
from orchestrator.lanes.masking import Mask, list_secrets
from orchestrator.model.credentials import Material
from orchestrator.model.features import HealthFeature
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.reading import HealthCheck, Operation, Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.retry import describe

PATIENCE = 60.0
"""Seconds after which a gateway is given up on, whatever it still owes."""

REPLY_WITHIN = 10.0
"""Seconds that one reply may take; a plan's own timeout holds where it is shorter."""

Reach: TypeAlias = Callable[[], Awaitable[RouteCheck]]


class GatewayProbe(Struct, frozen=True, kw_only=True):
    """A gateway, and what of its plan matters to it."""

    gateway: Gateway
    samples: Sequence[Target]
    total: int
    """How many targets the plan has there."""
    folder: Path
    closes: float | None
    """When the plan's window closes, where that is still to come."""


class _VisitEnded(Exception):  # noqa: N818 - no error: there is nothing more to ask, and the findings say why
    """Nothing more is asked of this gateway."""


async def visit_gateway(
    probe: GatewayProbe, environment: Environment, *, patience: float = PATIENCE
) -> GatewayDiagnosis:
    """Find out all that can be found out about a gateway in ``patience`` seconds.

    What goes wrong is a finding; nothing of it is raised.
    """
    gateway = environment.reach(probe.gateway)
    examination = _GatewayExamination(replace(probe, gateway=gateway), environment)
    with anyio.move_on_after(patience) as scope:
        with suppress(_VisitEnded):
            await examination.run()
    if scope.cancelled_caught:
        text = f"gave up after {patience:g} s"
        examination.found.append(Finding.failure("answer", text, "see whether the gateway is well"))
    return GatewayDiagnosis(
        gateway=gateway.name,
        kind=gateway.KIND,
        url=gateway.url,
        findings=complete_findings(examination.found),
        requests=examination.requests,
    )


class _GatewayExamination:
    """What was found so far, and the steps by which more is found; the last step raises _End."""

    def __init__(self, probe: GatewayProbe, environment: Environment) -> None:
        self.found: list[Finding] = []
        self.requests = 0
        self._patient = probe
        self._gateway = probe.gateway
        self._environment = environment
        self._seconds: list[float] = []
        self._looks: dict[str, bool] = {}
        self._answered: frozenset[str] = frozenset()
        self._refused: Reading | None = None
        """The first check that was refused as not being there."""

    async def run(self) -> None:
        # Both are told, even if one is enough to fail: whoever mends one need not come back for the other.
        material = await self._material()
        await self._reach()
        bounded = min(REPLY_WITHIN, self._gateway.reply_timeout)
        try:
            async with open_connection(self._environment, replace(self._gateway, timeout=bounded)) as send:
                try:
                    await self._ask(self._counted(send), material)
                finally:
                    self.found.append(findings.judge_latency(self._seconds))
        except (CredentialError, UsageError) as error:
            self._last(Finding.failure("answer", str(error), "set the plan right"))

    def _last(self, finding: Finding) -> None:
        self.found.append(finding)
        raise _VisitEnded

    async def _material(self) -> Material | None:
        try:
            return await self._environment.credential(self._gateway)
        except CredentialError as error:
            self.found.append(Finding.failure("credential", str(error), "set what the reference points to"))
            return None

    async def _reach(self) -> None:
        probe = self._patient
        now = self._environment.now()
        reached = await check_route(self._gateway, probe.folder, now=now, closes=probe.closes)
        self.found.extend(reached.findings)
        if not reached.whole:
            raise _VisitEnded

    def _counted(self, send: Send) -> Send:
        async def counted(request: Request) -> Reply | Lost:
            self.requests += 1
            began = self._environment.monotonic()
            answer = await send(request)
            if isinstance(answer, Reply):
                self._seconds.append(self._environment.monotonic() - began)
            return answer

        return counted

    async def _ask(self, send: Send, material: Material | None) -> None:
        await self._greet(send, self._mask(material))
        if material is None:
            raise _VisitEnded
        authenticator = Authenticator(self._gateway, material, self._environment, send)
        active = await self._enter(authenticator)
        await self._check(send, authenticator, active)
        seen = await self._look(send, authenticator, active)
        self.found.append(
            findings.judge_looks(self._looks, [operation.via for operation in self._gateway.LOOKS])
        )
        self.found.append(findings.judge_targets(seen, self._patient.total))
        if self._gateway.health is not None:
            self._tell_version(self._gateway.health)

    def _mask(self, material: Material | None) -> Mask:
        known = () if material is None else list_secrets(material)
        self._environment.known.add(
            (*known, *(each.reveal() for each in self._environment.passwords(self._gateway)))
        )
        return self._environment.known.mask

    async def _greet(self, send: Send, mask: Mask) -> None:
        """Ask without a credential first: whoever is not the gateway should not be shown one."""
        health = self._gateway.health
        if health is None:
            return
        check = health.build_greeting()
        answer = await send(check.request)
        if isinstance(answer, Lost):
            self._last(
                Finding.failure("answer", mask.clean_value(answer.detail), "see whether the gateway is well")
            )
            return
        self._tell_clock(answer)
        read = check.read(answer)
        if isinstance(read, Reading):
            self._last(findings.judge_fault("answer", mask.clean_reading(read)))
            return
        self.found.append(Finding.ok("answer", mask.clean_text(read)))
        if any(found.check == "clock" and found.state is FindingState.FAIL for found in self.found):
            raise _VisitEnded  # a signature would be refused, and five of those lock the key

    def _tell_clock(self, reply: Reply) -> None:
        try:
            date = parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            self.found.append(Finding.unknown("clock", "the gateway does not say its time"))
            return
        # It was written at some moment between the request and the reply, and cut to the second.
        difference = date + 0.5 - (reply.at - self._seconds[-1] / 2)
        signs = self._gateway.auth.access_key is not None
        self.found.append(findings.judge_clock(difference, signs=signs))

    async def _enter(self, authenticator: Authenticator) -> ActiveCredential:
        """Return what lets requests in, after one login at most."""
        match await authenticator.authenticate():
            case ActiveCredential() as active:
                self._tell_life(active)
                return active
            case LoginDenied(reason):
                advice = "set the right password; each further try may lock the account"
                self.found.append(Finding.failure("credential", reason, advice))
            case LoginDelayed(reason):
                advice = "see whether the place of the login is well and can be reached"
                self.found.append(Finding.failure("credential", reason, advice))
        raise _VisitEnded

    def _tell_fault(self, fault: Reading, *, works: bool) -> None:
        """Where another read was answered the credential works, if not for all."""
        found = findings.judge_fault("credential", fault)
        if not works:
            self._last(found)
        self.found.append(replace(found, state=FindingState.WARN))

    def _tell_life(self, active: ActiveCredential) -> None:
        auth, closes = self._gateway.auth, self._patient.closes
        self.found.append(
            findings.judge_lifetime(active.until, auth, now=self._environment.now(), closes=closes)
        )

    async def _check(self, send: Send, authenticator: Authenticator, active: ActiveCredential) -> None:
        """Tell what the gateway makes of the credential, and which version of its API answers."""
        faults: list[Reading] = []
        answered: list[str] = []
        health = self._gateway.health
        if health is None:
            return
        for check in health.build_checks(active.access, now=self._environment.now()):
            read = await _ask_check(check, send, authenticator)
            if isinstance(read, str):
                answered.append(check.name)
                self.found.append(Finding.ok("credential", f"accepted; {read}"))
            elif read.verdict in _LACKING:
                self._refused = self._refused or read
            else:
                faults.append(read)
                if read.verdict is Verdict.DENIED:
                    break
        self._answered = frozenset(answered)
        if authenticator.warning and answered:
            self.found.append(Finding.warning("credential", "accepted", authenticator.warning))
        if faults:
            self._tell_fault(faults[0], works=bool(answered))
        if not self._tell_version(health):
            raise _VisitEnded

    def _tell_version(self, health: HealthFeature) -> bool:
        """Tell which version answers; return whether the plan's version is among them."""
        version = health.describe_version(self._answered, self._looks)
        good = Finding.ok("version", version.text)
        said = f": {describe(self._refused)}" if self._refused and not self._answered else ""
        self.found.append(
            good if version.served else Finding.failure("version", f"{version.text}{said}", version.hint)
        )
        return version.served

    async def _look(
        self, send: Send, authenticator: Authenticator, active: ActiveCredential
    ) -> list[Reading]:
        """Return what a look at each sample amounts to; the first of them is read in every way there is."""
        seen: list[Reading] = []
        for target in self._patient.samples:
            readings: dict[str, Reading] = {}
            operation: Operation | Reading | None = None
            left = list(self._gateway.LOOKS) if target is self._patient.samples[0] else []
            while not isinstance(operation, Reading):
                lacking = frozenset(via for via, offered in self._looks.items() if not offered)
                operation = left.pop(0) if left else self._gateway.next_look(target, readings, lacking, None)
                if isinstance(operation, Operation):
                    reading = await self._read(operation, target, send, authenticator, active)
                    readings[operation.via] = reading
                    if reading.verdict in {Verdict.BUSY, Verdict.DENIED}:
                        return [*seen, reading]
            seen.append(operation)
        return seen

    async def _read(
        self,
        operation: Operation,
        target: Target,
        send: Send,
        authenticator: Authenticator,
        active: ActiveCredential,
    ) -> Reading:
        now = self._environment.now()
        answer = await send(self._gateway.build_request(operation, target, active.access, note=None, now=now))
        reading = read_answer(
            authenticator.mask, answer, lambda reply: self._gateway.read(operation, target, reply)
        )
        if reading.verdict not in {Verdict.BUSY, Verdict.DENIED, Verdict.UNCLEAR}:
            self._looks[operation.via] = reading.verdict is not Verdict.NOT_OFFERED
        return reading


_LACKING = frozenset({Verdict.NOT_OFFERED, Verdict.ELSEWHERE})
"""This read is not there, which another version may explain."""


async def _ask_check(check: HealthCheck, send: Send, authenticator: Authenticator) -> str | Reading:
    answer = await send(check.request)
    read = read_answer(authenticator.mask, answer, check.read)
    return read if isinstance(read, Reading) else authenticator.mask.clean_text(read)
