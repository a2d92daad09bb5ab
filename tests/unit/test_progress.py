from __future__ import annotations

import io

import pytest

from escalometer.runtime.progress import Meter, progress, spell_duration


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_of_the_interface() -> None:
    clock = Clock()
    meter = Meter("querying movielens", 120, "dialogues", io.StringIO(), clock)
    clock.now += 29
    meter.advance(32)
    assert meter.line() == ("querying movielens: 32/120 dialogues, 27%, about 1 min 20 s left")


def test_items_from_the_store_do_not_shorten_the_rest() -> None:
    clock = Clock()
    meter = Meter("querying", 100, "dialogues", io.StringIO(), clock)
    meter.advance(80, free=True)
    assert meter.remaining_s() is None
    assert "left" not in meter.line()
    clock.now += 10
    meter.advance(10)
    assert meter.remaining_s() == pytest.approx(10)


def test_time_passes_between_two_items() -> None:
    clock = Clock()
    meter = Meter("querying", 10, "dialogues", io.StringIO(), clock)
    clock.now += 4
    meter.advance(2)
    clock.now += 3
    assert meter.remaining_s() == pytest.approx(16 - 3)
    clock.now += 100
    assert meter.remaining_s() == 0


def test_plain_lines_come_every_ten_seconds_and_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    with progress("querying", 40, "dialogues", stream=stream, clock=clock) as meter:
        for _ in range(40):
            clock.now += 1
            meter.advance()
    lines = stream.getvalue().splitlines()
    assert lines == [
        "querying: 10/40 dialogues, 25%, about 30 s left",
        "querying: 20/40 dialogues, 50%, about 20 s left",
        "querying: 30/40 dialogues, 75%, about 10 s left",
        "querying: 40/40 dialogues, 40 s",
    ]


def test_the_last_line_says_what_came_from_the_store_and_where_it_stopped() -> None:
    clock, stream = Clock(), io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        progress("querying", 40, "dialogues", stream=stream, clock=clock) as meter,
    ):
        meter.advance(7, free=True)
        raise KeyboardInterrupt
    assert stream.getvalue() == "querying: stopped at 7/40 dialogues (7 without a call), 0 s\n"


def test_steps_of_a_training_that_goes_on_are_earlier_ones() -> None:
    stream = io.StringIO()
    with progress("training", 22, "steps", stream=stream, clock=Clock()) as meter:
        meter.advance(11, free=True)
        meter.advance(11)
    assert stream.getvalue() == "training: 22/22 steps (11 earlier), 0 s\n"


def test_nothing_to_do_is_done() -> None:
    stream = io.StringIO()
    with progress("querying", 0, "dialogues", stream=stream) as meter:
        assert meter.line() == "querying: 0/0 dialogues, 100%"
    assert stream.getvalue() == "querying: 0/0 dialogues, 0 s\n"


def test_notes_and_bytes() -> None:
    stream = io.StringIO()
    with progress("fetching", 98_362_432, "bytes", stream=stream) as meter:
        meter.note("a note with [brackets]")
        meter.advance(98_362_432)
    assert stream.getvalue().splitlines() == [
        "a note with [brackets]",
        "fetching: 98.4/98.4 MB, 0 s",
    ]


def test_bytes_show_how_fast_they_come_and_that_they_stopped_coming() -> None:
    clock = Clock()
    meter = Meter("downloading f.csv", 40_000_000, "bytes", io.StringIO(), clock)
    meter.advance(8_000_000, free=True)
    assert meter.line() == "downloading f.csv: 8.0/40.0 MB, 20%"
    clock.now += 4
    meter.advance(12_000_000)
    assert meter.line() == "downloading f.csv: 20.0/40.0 MB, 50%, 3.0 MB/s, about 7 s left"
    clock.now += 8
    assert meter.rate() == "1.0 MB/s"
    meter.advance(20_000_000)
    clock.now += 100
    assert meter.line() == "downloading f.csv: 40.0/40.0 MB, 100%, 2.7 MB/s"
    assert meter.summary() == "downloading f.csv: 40.0/40.0 MB (8.0 MB of it earlier), 1 min 52 s"


def test_nobody_knows_how_much_there_is() -> None:
    clock, stream = Clock(), io.StringIO()
    with progress("downloading", None, "bytes", stream=stream, clock=clock) as meter:
        clock.now += 10
        meter.advance(5_000_000)
        meter.total = meter.done
    with (
        pytest.raises(KeyboardInterrupt),
        progress("counting", None, "rows", stream=stream, clock=clock) as meter,
    ):
        meter.advance(3)
        raise KeyboardInterrupt
    assert stream.getvalue().splitlines() == [
        "downloading: 5.0 MB, 0.5 MB/s",
        "downloading: 5.0/5.0 MB, 10 s",
        "counting: stopped at 3 rows, 0 s",
    ]


def test_counting_from_nothing_again() -> None:
    clock = Clock()
    meter = Meter("downloading", 10, "items", io.StringIO(), clock)
    meter.advance(4, free=True)
    clock.now += 50
    meter.advance(4)
    meter.restart()
    assert meter.line() == "downloading: 0/10 items, 0%"
    clock.now += 5
    meter.advance(5)
    assert meter.remaining_s() == pytest.approx(5)
    assert meter.summary() == "downloading: stopped at 5/10 items, 55 s"


def test_a_bar_of_bytes_whose_number_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    clock, stream = Clock(), Terminal()
    with progress("downloading", None, "bytes", stream=stream, clock=clock) as meter:
        clock.now += 2
        meter.advance(1_000_000)
        meter.total = 4_000_000
        clock.now += 2
        meter.advance(3_000_000)
    shown = stream.getvalue()
    assert "4.0/4.0 MB  1.0 MB/s" in shown
    assert "100%" in shown


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with progress("querying", 4, "dialogues", stream=stream) as meter:
        meter.advance(2, free=True)
        meter.note("note [bold]")
        meter.advance(2)
    shown = stream.getvalue()
    assert "note [bold]" in shown
    assert "4/4 dialogues" in shown
    assert "100%" in shown


def test_plain_lines_on_a_terminal_that_cannot_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress("querying", 1, "dialogues", stream=stream) as meter:
        meter.advance()
    assert stream.getvalue() == "querying: 1/1 dialogues, 0 s\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (8.4, "8 s"), (80, "1 min 20 s"), (7500, "2 h 5 min")],
)
def test_spell_duration(seconds: float, words: str) -> None:
    assert spell_duration(seconds) == words
