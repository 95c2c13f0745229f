"""The live picture on a real terminal, below a shell: it leaves no rubble, and the terminal as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.emulator import TerminalEmulator
from tests.support.terminal import ShellSession

pytestmark = pytest.mark.long("rehearsals on a terminal are processes of their own")

EXAMPLE = Path(__file__).parents[2] / "plans/example.yaml"
# Long enough for all that is typed meanwhile.
SLOW = "100%:slow@2"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ShellSession]:
    with ShellSession(90, 24, tmp_path) as session:
        session.undeploy("rehearse", str(EXAMPLE), "--storm", SLOW, "--state", str(tmp_path / "state"))
        session.wait_for(lambda shown: shown.is_alternate and "RUNNING" in "\n".join(shown.lines))
        yield session


def test_what_is_typed_and_another_size_leave_no_rubble(session: ShellSession) -> None:
    session.type("\r\r\rrm -r something\r")
    session.wait(1.0)
    typed = session.shown.lines
    session.resize(60, 15)
    session.wait_for(lambda shown: any("% ended" in line for line in shown.lines))
    session.wait(0.5)
    small = session.shown.lines

    assert typed[0].startswith(" REHEARSAL  summer-clean-up")
    assert "something" not in "\n".join(typed)
    assert sum("REHEARSAL" in line for line in small) == 1
    assert small[0].startswith(" REHEARSAL  summer-clean-up")
    assert not session.echoes


def test_ctrl_z_gives_the_shell_its_terminal_back_and_fg_draws_again(session: ShellSession) -> None:
    session.type("\x1a")
    session.wait_for(has_prompt_again)
    stopped = session.echoes, session.shown.shows_cursor
    session.type("echo still here\r")
    session.wait_for(lambda shown: "still here" in shown.lines)
    session.type("fg\r")
    session.wait_for(lambda shown: shown.is_alternate and "RUNNING" in "\n".join(shown.lines))

    assert stopped == (True, True)
    assert not session.echoes


def test_two_interrupts_leave_the_terminal_as_it_was_and_run_nothing_that_was_typed(
    session: ShellSession,
) -> None:
    session.type("\x03")
    session.wait_for(lambda shown: "interrupt again to leave at once" in shown.lines)
    session.type("echo typed && echo un''seen\r")
    session.wait(0.3)
    session.type("\x03")
    session.wait_for(lambda shown: not shown.is_alternate, 10)
    session.wait_for(lambda shown: shown.lines_written[-1] == "$", 30)

    assert session.echoes
    assert session.shown.shows_cursor
    assert "unseen" not in "\n".join(session.shown.lines)


def has_prompt_again(shown: TerminalEmulator) -> bool:
    return not shown.is_alternate and shown.lines_written[-1] == "$" and len(shown.lines_written) > 1
