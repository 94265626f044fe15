"""Tests what long steps say where stderr is no terminal: the begin, then rate and time left."""

import sys

import pytest

from imaxray import progress
from imaxray.progress import multi_bar, progress_bar, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests move."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def forward(seconds):
        now[0] += seconds

    return forward


def test_a_log_gets_a_line_at_the_begin_and_every_half_minute(clock, capfd):
    with progress_bar("Reading", 400) as bar:
        for _ in range(70):
            clock(1)
            bar.advance(2)
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "Reading … (400)",
        "Reading: 60 of 400 (15%), 2.0/s, about 2 min 50 s left",
        "Reading: 120 of 400 (30%), 2.0/s, about 2 min 20 s left",
    ]


def test_a_short_step_says_only_that_it_began(clock, capfd):
    assert list(track(range(3), "Short")) == [0, 1, 2]
    assert capfd.readouterr().err == "Short … (3)\n"


def test_what_an_earlier_run_had_done_does_not_count_for_the_rate(clock, capfd):
    with multi_bar({}) as reach:
        reach("Training a", 1000, 4000)
        clock(40)
        reach("Training a", 1200, 4000)
    assert capfd.readouterr().err.splitlines()[-1] == (
        "Training a: 1,200 of 4,000 (30%), 5.0/s, about 9 min 20 s left"
    )


def test_a_step_of_unknown_length_tells_its_rate(clock, capfd):
    with progress_bar("Scanning", None) as bar:
        clock(31)
        bar.advance(93)
    assert capfd.readouterr().err.splitlines() == ["Scanning …", "Scanning: 93, 3.0/s"]


def test_a_terminal_shows_rate_and_time_left(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("Reading", 10) as bar:
        bar.advance(4)
        shown = bar._bars.columns
    names = [type(column).__name__ for column in shown]  # type: ignore[union-attr]
    assert {"_Rate", "TimeElapsedColumn", "TimeRemainingColumn"} <= set(names)
    assert "Reading" in capsys.readouterr().err
