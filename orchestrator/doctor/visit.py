"""Visits one gateway: checks its route, its clock, its credential, its version and a few of its targets.

A visit sends only reads, one after the other, and none after the gateway has refused the credential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.doctor import findings
from orchestrator.doctor.findings import Finding, FindingState, GatewayDiagnosis, complete_findings
from orchestrator.doctor.route import check_route
from orchestrator.doctor.sample_looks import SampleLooks
from orchestrator.doctor.store import check_store
from orchestrator.errors import CredentialError, UsageError
from orchestrator.gateways.envelope import parse_time
from orchestrator.lanes.environment import Environment, open_connection
from orchestrator.lanes.exchange import read_answer
from orchestrator.lanes.login import ActiveCredential, Authenticator, LoginDelayed, LoginDenied
from orchestrator.lanes.masking import Mask, list_secrets
from orchestrator.model.credentials import Material
from orchestrator.model.features import HealthFeature
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send, was_sent
from orchestrator.model.reading import Reading, Verdict
from orchestrator.model.target import Target
from orchestrator.rules.retry import describe

PATIENCE = 60.0
"""Seconds after which a visit ends, even if checks are left."""

REPLY_WITHIN = 10.0
"""Seconds that one reply may take; a shorter timeout of the plan takes precedence."""


class GatewayProbe(Struct, frozen=True, kw_only=True):
    """A gateway, and the facts of its plan that a visit needs."""

    gateway: Gateway
    samples: Sequence[Target]
    total: int
    """How many targets the plan has at the gateway."""
    folder: Path
    closes: float | None
    """Unix time when the plan's window closes; None without a window, or where it has closed already."""


async def visit_gateway(
    probe: GatewayProbe, environment: Environment, *, patience: float = PATIENCE
) -> GatewayDiagnosis:
    """Find out as much about a gateway as ``patience`` seconds allow.

    A fault of the gateway is a finding, and is not raised.
    """
    gateway = environment.reach(probe.gateway)
    visit = _GatewayVisit(replace(probe, gateway=gateway), environment)
    with anyio.move_on_after(patience) as scope:
        with suppress(_VisitEnded):
            await visit.run()
    if scope.cancelled_caught:
        text = f"gave up after {patience:g} s"
        visit.found.append(Finding.failure("answer", text, "see whether the gateway is well"))
    # The store is another server, so the gateway's faults say nothing of it, and its faults end no visit.
    store = await check_store(gateway, environment)
    visit.found.extend(store.findings)
    return GatewayDiagnosis(
        gateway=gateway.name,
        kind=gateway.KIND,
        url=gateway.url,
        findings=complete_findings(visit.found),
        requests=visit.requests + store.requests,
    )


class _VisitEnded(Exception):  # noqa: N818 - no error: the findings say why nothing more is asked
    """Nothing more is asked of the gateway."""


class _GatewayVisit:
    """The steps of a visit, and their findings. A step may end the visit by ``_VisitEnded``."""

    def __init__(self, probe: GatewayProbe, environment: Environment) -> None:
        self.found: list[Finding] = []
        self.requests = 0
        self._probe = probe
        self._gateway = probe.gateway
        self._environment = environment
        self._seconds: list[float] = []
        """How long each reply took."""
        self._answered: frozenset[str] = frozenset()
        """The names of the health checks that the gateway answered."""
        self._refused: Reading | None = None
        """The first health check that the gateway does not offer."""

    async def run(self) -> None:
        """Make all steps, in the order in which each depends on those before."""
        # The route is checked even without a credential: so the operator sees both faults, and mends both.
        material = await self._resolve_credential()
        await self._check_route()
        bounded = min(REPLY_WITHIN, self._gateway.reply_timeout)
        try:
            async with open_connection(self._environment, replace(self._gateway, timeout=bounded)) as send:
                try:
                    await self._ask(self._count_requests(send), material)
                finally:
                    self.found.append(findings.judge_latency(self._seconds))
        except (CredentialError, UsageError) as error:
            raise self._end_with(Finding.failure("answer", str(error), "set the plan right")) from error

    def _end_with(self, finding: Finding) -> _VisitEnded:
        """Keep the last finding, and return the exception that ends the visit."""
        self.found.append(finding)
        return _VisitEnded()

    async def _resolve_credential(self) -> Material | None:
        try:
            return await self._environment.credential(self._gateway)
        except CredentialError as error:
            self.found.append(Finding.failure("credential", str(error), "set what the reference points to"))
            return None

    async def _check_route(self) -> None:
        now, closes = self._environment.now(), self._probe.closes
        route = await check_route(self._gateway, self._probe.folder, now=now, closes=closes)
        self.found.extend(route.findings)
        if not route.whole:
            raise _VisitEnded

    def _count_requests(self, send: Send) -> Send:
        async def send_counted(request: Request) -> Reply | Lost:
            began, answer = self._environment.monotonic(), None
            try:
                answer = await send(request)
            finally:
                # One that the end of the visit cuts off is counted: it may have arrived.
                self.requests += answer is None or was_sent(answer)
            if isinstance(answer, Reply):
                self._seconds.append(self._environment.monotonic() - began)
            return answer

        return send_counted

    async def _ask(self, send: Send, material: Material | None) -> None:
        await self._greet(send, self._make_mask(material))
        if material is None:
            raise _VisitEnded
        authenticator = Authenticator(self._gateway, material, self._environment, send)
        active = await self._log_in(authenticator)
        await self._check_credential(send, authenticator, active)
        looks = SampleLooks(self._gateway, self._environment, send, active.access)
        readings = await looks.read_all(self._probe.samples)
        offered = looks.offered
        self.found.append(findings.judge_looks(offered, [look.via for look in self._gateway.LOOKS]))
        self.found.append(findings.judge_targets(readings, self._probe.total))
        # Once more after the looks, which may tell the version apart; the last finding of a check counts.
        if self._gateway.health is not None:
            self._judge_version(self._gateway.health, offered)

    def _make_mask(self, material: Material | None) -> Mask:
        known = () if material is None else list_secrets(material)
        passwords = (password.reveal() for password in self._environment.passwords(self._gateway))
        self._environment.known.add((*known, *passwords))
        return self._environment.known.mask

    async def _greet(self, send: Send, mask: Mask) -> None:
        """Ask without a credential first: an address that is not the gateway's should not be shown one."""
        health = self._gateway.health
        if health is None:
            return
        check = health.build_greeting()
        answer = await send(check.request)
        if isinstance(answer, Lost):
            text = mask.clean_value(answer.detail)
            raise self._end_with(Finding.failure("answer", text, "see whether the gateway is well"))
        clock = self._judge_clock(answer)
        self.found.append(clock)
        read = check.read(answer)
        if isinstance(read, Reading):
            raise self._end_with(findings.judge_greeting(mask.clean_reading(read)))
        self.found.append(Finding.ok("answer", mask.clean_text(read)))
        if clock.state is FindingState.FAIL:
            raise _VisitEnded  # the gateway would refuse a signature, and five refusals lock the key

    def _judge_clock(self, reply: Reply) -> Finding:
        date = parse_time(reply.headers.get("date", ""))
        if date is None:
            return Finding.unknown("clock", "the gateway does not say its time")
        # The gateway wrote its time somewhen between the request and the reply, and cut it to the second.
        difference = date + 0.5 - (reply.at - self._seconds[-1] / 2)
        return findings.judge_clock(difference, signs=self._gateway.auth.access_key is not None)

    async def _log_in(self, authenticator: Authenticator) -> ActiveCredential:
        """Return the credential that requests carry, after one login at most."""
        match await authenticator.authenticate():
            case ActiveCredential() as active:
                auth, now, closes = self._gateway.auth, self._environment.now(), self._probe.closes
                self.found.append(findings.judge_lifetime(active.until, auth, now=now, closes=closes))
                return active
            case LoginDenied(reason):
                advice = "set the right password; each further try may lock the account"
                raise self._end_with(Finding.failure("credential", reason, advice))
            case LoginDelayed(reason):
                advice = "see whether the place of the login is well and can be reached"
                raise self._end_with(Finding.failure("credential", reason, advice))

    async def _check_credential(
        self, send: Send, authenticator: Authenticator, active: ActiveCredential
    ) -> None:
        """Find out whether the gateway accepts the credential, and which version of its API answers."""
        health = self._gateway.health
        if health is None:
            return
        faults: list[Reading] = []
        answered: list[str] = []
        for check in health.build_checks(active.access, now=self._environment.now()):
            read = read_answer(authenticator.mask, await send(check.request), check.read)
            if not isinstance(read, Reading):
                answered.append(check.name)
                self.found.append(
                    Finding.ok("credential", f"accepted; {authenticator.mask.clean_text(read)}")
                )
            elif read.verdict in _NOT_OFFERED:
                self._refused = self._refused or read
            else:
                faults.append(read)
                # A further try with a refused credential may lock the account, and one after a 429 is rude.
                if read.verdict in (Verdict.DENIED, Verdict.BUSY):
                    break
        self._answered = frozenset(answered)
        if authenticator.warning and answered:
            self.found.append(Finding.warning("credential", "accepted", authenticator.warning))
        if faults:
            self._judge_fault(faults[0], works=bool(answered))
        if faults and faults[-1].verdict is Verdict.BUSY:
            raise _VisitEnded
        if not self._judge_version(health, {}):
            raise _VisitEnded

    def _judge_fault(self, fault: Reading, *, works: bool) -> None:
        """Find a fault of the credential: a mere warning where the credential ``works`` for another read."""
        finding = findings.judge_fault("credential", fault)
        if not works:
            raise self._end_with(finding)
        self.found.append(replace(finding, state=FindingState.WARN))

    def _judge_version(self, health: HealthFeature, offered: Mapping[str, bool]) -> bool:
        """Find which version answers; return whether the plan's version is among them."""
        version = health.describe_version(self._answered, offered)
        if version.served:
            self.found.append(Finding.ok("version", version.text))
        else:
            why = f": {describe(self._refused)}" if self._refused and not self._answered else ""
            self.found.append(Finding.failure("version", f"{version.text}{why}", version.hint))
        return version.served


_NOT_OFFERED = frozenset({Verdict.NOT_OFFERED, Verdict.ELSEWHERE})
"""The gateway lacks this read, which its version may explain."""
