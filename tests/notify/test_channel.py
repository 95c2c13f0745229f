"""A channel never holds the run, tells what is too much in one message, and warns of what was not sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from orchestrator.errors import CredentialError, UsageError
from orchestrator.model.credentials import Secret
from orchestrator.model.events import LaneChanged
from orchestrator.model.plan import MOST_NOTIFICATIONS, PlannedNotification
from orchestrator.model.settings import CredentialReference
from orchestrator.notify.channel import MOST_WAITING, SPACING, NotificationChannel, open_service
from orchestrator.notify.messages import RunMessage
from orchestrator.notify.sending import Notifier, list_specs, open_notifications
from tests.notify.test_messages import started
from tests.support.told import SECRET, ToldService, serve_told

LAST = RunMessage(kind="ended", title="the end", body="all is down", markdown=True)


def note(number: int) -> RunMessage:
    return RunMessage(kind="wave_ended", title=f"message {number}", body="text")


class Recorder:
    """A service in memory; it answers once it is released."""

    def __init__(self) -> None:
        self.messages: list[RunMessage] = []
        self.released = threading.Event()
        self.released.set()

    def __call__(self, message: RunMessage) -> bool:
        self.messages.append(message)
        return self.released.wait(30)


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_the_first_message_goes_at_once_and_a_thousand_more_make_one() -> None:
    """A lane that is parked again and again must not write to people again and again."""
    recorder = Recorder()
    channel = NotificationChannel("env:HOOK", recorder, monotonic=lambda: 100.0)
    channel.post(note(0))
    wait_for(lambda: len(recorder.messages) == 1)
    for number in range(1, 1001):
        channel.post(note(number))
    channel.end(LAST)

    assert channel.join(10) is None
    first, rest = recorder.messages
    assert first == note(0)
    assert rest.title == "the end"
    assert f"and {1000 - MOST_WAITING:,} messages more" in rest.body


def test_the_next_message_goes_after_the_spacing() -> None:
    recorder, now = Recorder(), [0.0]
    channel = NotificationChannel("env:HOOK", recorder, monotonic=lambda: now[0])
    channel.post(note(1))
    wait_for(lambda: len(recorder.messages) == 1)
    channel.post(note(2))
    time.sleep(0.05)
    assert len(recorder.messages) == 1
    now[0] = SPACING
    channel.post(note(3))
    wait_for(lambda: len(recorder.messages) == 2)
    assert recorder.messages[1].title == "message 3"
    channel.end(None)
    assert channel.join(10) is None


@pytest.mark.promise(10)
def test_a_service_that_hangs_holds_nothing() -> None:
    recorder = Recorder()
    recorder.released.clear()
    channel = NotificationChannel("env:HOOK", recorder)
    channel.post(note(1))
    wait_for(lambda: len(recorder.messages) == 1)
    began = time.monotonic()
    channel.post(note(2))
    channel.end(LAST)
    told = channel.join(0.1)

    assert time.monotonic() - began < 5
    assert told == "notifications to env:HOOK: the service did not take the last message in time"
    recorder.released.set()


def test_what_a_service_refuses_is_counted() -> None:
    def refuse(message: RunMessage) -> bool:
        if message is LAST:
            return True
        raise ValueError(f"https://{SECRET}@hook")

    channel = NotificationChannel("env:HOOK", refuse, monotonic=lambda: 0.0)
    channel.post(note(1))
    channel.end(None)

    told = channel.join(10)
    assert told == "notifications to env:HOOK: the service did not take 1 of 1 message"


def test_apprise_tells_a_service() -> None:
    with serve_told() as service:
        send = open_service(Secret(service.url), "env:HOOK")
        assert send(
            RunMessage(
                kind="wave_ended",
                title="wave canary has ended",
                body="3 of 10 targets are down",
                tone="warning",
            )
        )

    (told,) = service.told
    assert (told["title"], told["message"], told["type"]) == (
        "wave canary has ended",
        "3 of 10 targets are down",
        "warning",
    )


@pytest.mark.promise(9)
def test_a_redirect_is_not_followed() -> None:
    with serve_told() as other:

        def move(service: ToldService) -> None:
            service.status = 307
            service.location = other.url.replace(f"json://hook:{SECRET}@", "http://")

        with serve_told(move) as service:
            assert not open_service(Secret(f"{service.url}?redirect=yes"), "env:HOOK")(note(1))
    assert (len(service.told), other.told) == (1, [])


@pytest.mark.promise(9)
def test_a_service_without_a_credential_gets_none_of_another_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password of-another-program\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serve_told() as service:
        url = service.url.replace(f"hook:{SECRET}@", "")
        assert open_service(Secret(url), "env:HOOK")(note(1))
    assert service.authorizations == [None]


@pytest.mark.promise(9)
@pytest.mark.parametrize("status", [500, 401, 404])
def test_a_refusal_says_nothing_of_the_address(
    status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    with serve_told(lambda service: setattr(service, "status", status)) as service:
        assert not open_service(Secret(service.url), "env:HOOK")(note(1))

    out, err = capfd.readouterr()
    assert SECRET not in out + err + caplog.text


@pytest.mark.promise(9)
@pytest.mark.parametrize("url", [f"nosuch://{SECRET}", SECRET, f"json://:{SECRET}:x:y", f"file:///{SECRET}"])
def test_what_is_no_address_is_refused_without_being_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK", url)

    with pytest.raises(UsageError, match="notify: env:HOOK holds no URL") as refused, open_(["env:HOOK"]):
        pass

    out, err = capfd.readouterr()
    assert SECRET not in str(refused.value) + out + err


def open_(
    references: Sequence[str],
    tell: Callable[[str], None] = lambda _: None,
    planned: Sequence[PlannedNotification] = (),
) -> AbstractContextManager[Notifier | None]:
    return open_notifications(list_specs(references, planned, Path()), tell)


def test_references_that_cannot_be_meant_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(CredentialError, match="is not set"), open_(["env:HOOK"]):
        pass
    with pytest.raises(UsageError, match="neither env:NAME nor file:PATH") as refused, open_([SECRET]):
        pass
    assert SECRET not in str(refused.value)
    with pytest.raises(UsageError, match="11 places"), open_(["env:HOOK"] * (MOST_NOTIFICATIONS + 1)):
        pass


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'undeploy-orchestrator\[notify\]'"):
        open_service(Secret("json://localhost"), "env:HOOK")


def test_a_run_without_references_has_no_listener() -> None:
    with open_([]) as notifier:
        assert notifier is None


def test_a_listener_tells_all_channels_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    with serve_told() as well, serve_told(lambda service: setattr(service, "status", 500)) as ill:
        monkeypatch.setenv("WELL", well.url)
        monkeypatch.setenv("ILL", ill.url)
        with open_(["env:WELL", "env:ILL"], warnings.append) as notifier:
            assert notifier is not None
            notifier(started())
            notifier(LaneChanged(at=1.0, gateway="roma-eu", state="parked", reason="parked: HTTP 503"))
            notifier.finish(LAST, interrupted=False)

    assert well.titles[-1] == "the end"
    assert warnings[0].startswith("warning: notifications to env:ILL: the service did not take")


def test_a_place_is_told_what_its_plan_asks_for_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_told() as service:
        monkeypatch.setenv("HOOK", service.url)
        reference = CredentialReference(env="HOOK")
        for kinds in (("parked",), ("stopped",), ("started", "ended")):
            planned = PlannedNotification(url=reference, on=kinds)  # type: ignore[arg-type]
            with open_((), planned=[planned]) as notifier:
                assert notifier is not None
                notifier(started())
                notifier(LaneChanged(at=1.0, gateway="roma-eu", state="parked", reason="parked: HTTP 503"))
                notifier.finish(LAST, interrupted=False)

    assert service.titles[0] == "spring: gateway roma-eu is parked"
    assert service.titles[-1] == "the end"
    assert len(service.titles) in (2, 3)  # the beginning may have gone alone, or with the end


def test_an_error_that_ends_the_command_is_told_to_who_heard_of_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An approval may expire while the run waits for its window."""

    def run(*, has_begun: bool) -> None:
        with open_(["env:HOOK"]) as notifier:
            assert notifier is not None
            if has_begun:
                notifier(started())
            raise UsageError("the approval expired at 22:00")

    with serve_told() as service:
        monkeypatch.setenv("HOOK", service.url)
        for has_begun in (False, True):
            with pytest.raises(UsageError):
                run(has_begun=has_begun)
            assert bool(service.told) is has_begun

    assert service.titles[-1] == "spring: ended with an error"
    assert "the approval expired at 22:00" in str(service.told[-1])


def test_a_run_that_had_reached_its_end_tells_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_told() as service:
        monkeypatch.setenv("HOOK", service.url)
        with open_(["env:HOOK"]) as notifier:
            assert notifier is not None
            notifier.finish(LAST, interrupted=False)
    assert service.told == []
