"""The initial state of a simulated Apinizer manager, of its proxies and of its traffic log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orchestrator.simulator.apinizer_login import ExpiresIn
from orchestrator.simulator.exchange import SimulatedPlatform
from orchestrator.simulator.gateway_fixture import GatewayFixture


class ProxyFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The differences of one proxy from all others; a ``path`` of None is made up.

    ``callers``: the names of the credentials that may call it, and ``sharing`` with whom it is shared: the
    access report names those alone that are shared outside.
    """

    type: str = "REST"
    path: str | None = None
    callers: tuple[str, ...] = ()
    sharing: Literal["INTERNAL", "EXTERNAL", "BOTH"] = "EXTERNAL"


class GroupFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of proxies: the names of its members, and where it is deployed; None: all, and everywhere."""

    members: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None


class TrafficLogFixture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The Elasticsearch to which a manager logs its traffic.

    It stands at the manager's address, behind the same rate and latency, and knows none of its tokens.

    ``calls``: how many hours before the start a proxy was called, and how often, by
    ``project/proxy/environment``. ``others``: whether a proxy that is no target is called in each
    environment: first ``begins`` hours before the start, last ``quiet`` hours ago. ``index``: the name of the
    only index; none: every name and pattern fits. ``authorization``: the only value of that header which is
    let in; None: the store has no security.
    """

    calls: Mapping[str, tuple[tuple[Annotated[float, Meta(gt=0)], Annotated[int, Meta(ge=1)]], ...]] = {}
    others: bool = True
    begins: Annotated[float, Meta(ge=0)] = 366 * 24.0
    quiet: Annotated[float, Meta(ge=0)] = 0.0
    index: str = ""
    authorization: str | None = None


class ApinizerFixture(GatewayFixture, frozen=True, kw_only=True, omit_defaults=True, tag="apinizer"):
    """An Apinizer manager; targets are (project, proxy, environment).

    ``shape``: one of the two documented success bodies. ``rows``: those of shape b are pods, or the
    environment alone, or pods within the environment. ``errors``: ``old`` is error/error_description, ``new``
    is status/resultMessage. ``looks`` and ``histories``: whether this version has deploy-status with
    route-health, and deploy-histories. ``body``: the treatment of an undeploy's body. ``unknown_project``:
    the status for one. ``record_flips``: whether the manager calls a target undeployed when a pod did not
    obey; ``orphans``: the answer to an undeploy of one that it calls undeployed while a pod still serves it.
    ``token_life`` is announced nowhere: a login tells it as ``expires_in``, in one of the documented ways,
    none of which is the truth in seconds. ``not_loaded``: after an undeploy the pods answer a route-health
    with an error instead of "not active"; ``tells_record``: whether a route-health says what the manager has
    on record.

    ``kept``: how many records of a proxy's history stay beside the persistent ones; ``oldest_first``: their
    order. ``charset``: of its JSON, as a server in front of it may recode it, and say so. ``lists``: the key
    of a list's success. ``bare_proxy``: the page of a proxy has no list around it.
    ``denied``: the status for a token that is not valid, by the table or by the page that knows of 400 alone.
    ``limit_status`` and ``limit_header``: the status of a refusal to take more (old errors alone have other
    ones than 429), and whether its seconds stand in a header as well as in its body.

    ``about``: the differences of single proxies, by ``project/proxy``. ``types``: those of environments.
    ``deployed``: Unix times of last deployments, by ``project/proxy/environment``. ``closed``: projects that
    are listed and may not be looked into; ``hidden``: those that are not even listed. ``withheld``: how many
    more than it sends each list's ``resultCount`` says. ``deployments``: whether the page of a proxy has
    them.

    ``report``: whether the token may read the administrator's report, or this version has none. ``groups``:
    the groups of proxies (project, name) that it lists too, and ``about_groups`` (by ``project/name``) what
    they are made of. ``access``: the same for the report of those who may call. ``tells_ids``: whether
    answers name the ids of proxies, which the vendor documents only as members of a group. ``unreported``:
    the proxies (``project/proxy``) that it leaves out; ``disputed``: those of which it says one thing as a
    whole and the opposite of their environments. ``report_lag``: seconds after a change in which it still
    tells the state before. ``report_padding``: bytes of each entry's description. ``traffic_log``: the log of
    its calls; None: there is none.
    """

    targets: tuple[tuple[str, str, str], ...] = ()
    down: tuple[tuple[str, str, str], ...] = ()
    edited: tuple[tuple[str, str, str], ...] = ()
    shape: Literal["a", "b"] = "a"
    rows: Literal["pods", "environment", "nested"] = "pods"
    errors: Literal["old", "new"] = "old"
    looks: bool = True
    histories: bool = True
    body: Literal["accept", "ignore", "reject"] = "accept"
    pods: Annotated[int, Meta(ge=1, le=1000)] = 2
    unknown_project: Literal[400, 404] = 404
    record_flips: bool = True
    orphans: Literal["accept", "refuse"] = "accept"
    not_loaded: bool = False
    tells_record: bool = True
    kept: Annotated[int, Meta(ge=0)] = 6
    oldest_first: bool = False
    charset: Literal["UTF-8", "ISO-8859-9"] = "UTF-8"
    lists: Literal["status", "success"] = "status"
    bare_proxy: bool = False
    denied: Literal[400, 401] = 401
    limit_status: Literal[400, 403, 429, 500] = 429
    limit_header: bool = True
    expires_in: ExpiresIn = "3600"
    about: Mapping[str, ProxyFixture] = {}
    types: Mapping[str, Literal["PRODUCTION", "SANDBOX", "TEST"]] = {}
    deployed: Mapping[str, float] = {}
    report: Literal["allowed", "forbidden", "absent"] = "forbidden"
    groups: tuple[tuple[str, str], ...] = ()
    about_groups: Mapping[str, GroupFixture] = {}
    access: Literal["allowed", "forbidden", "absent"] = "forbidden"
    tells_ids: bool = False
    unreported: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    report_lag: Annotated[float, Meta(ge=0)] = 0.0
    report_padding: Annotated[int, Meta(ge=0)] = 0
    closed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    withheld: Annotated[int, Meta(ge=0)] = 0
    deployments: bool = True
    not_deployed_text: str = "ApiProxy ({proxy}) is currently undeployed in Environment ({environment})!"
    traffic_log: TrafficLogFixture | None = TrafficLogFixture()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that opens this gateway, or its traffic log."""
        log = None if self.traffic_log is None else self.traffic_log.authorization
        return (*self.tokens, *(user.password for user in self.users), *([log] if log else []))

    def make_platform(self, now: float) -> SimulatedPlatform:
        """Return the manager with its pods and its traffic log."""
        from orchestrator.simulator.apinizer import SimulatedApinizer  # noqa: PLC0415 - it imports this module

        return SimulatedApinizer(self, now)
