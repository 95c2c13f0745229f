"""Whether a text came twice, told by hashes."""

from orchestrator.journal.repeats import RepeatDetector


def test_no_text_of_many_came_twice() -> None:
    detector = RepeatDetector()
    detector.add(f"roma/{number}" for number in range(10_000))

    assert not detector.may_repeat()


def test_one_text_of_many_came_twice() -> None:
    detector = RepeatDetector()
    detector.add(f"roma/{number}" for number in range(10_000))
    detector.add(["roma/77"])

    assert detector.may_repeat()


def test_nothing_has_no_repeats() -> None:
    assert not RepeatDetector().may_repeat()
