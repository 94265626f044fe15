"""Shows the progress of long steps on stderr, with rate and time left.

A terminal shows bars. A log file or CI gets a line when a step begins, and one every half a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, Final, TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from imaxray._common.printing import printable

T = TypeVar("T")

_EVERY: Final = 30.0
"""Seconds between two lines of a step where stderr is no terminal."""


class SafeConsole(Console):
    """Prints text and tables of rich as they are: no markup, no emoji, no control characters."""

    def __init__(self, *, width: int | None = None, file: TextIO | None = None) -> None:
        super().__init__(width=width, file=file, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a string, cells of tables included."""
        return super().render_str(printable(text), **options)


def rate_text(rate: float) -> str:
    """Return a rate with two digits that matter.

    Example:
        >>> rate_text(1234.0), rate_text(4.21), rate_text(0.05)
        ('1,234/s', '4.2/s', '3.0/min')
    """
    if rate >= 10:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 0.2 else f"{60 * rate:.1f}/min"


def time_text(seconds: float) -> str:
    """Return a duration in the unit in which a person would say it.

    Example:
        >>> time_text(42), time_text(150), time_text(9000)
        ('42 s', '2 min 30 s', '2 h 30 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class _Rate(ProgressColumn):
    """Shows how many items a second are done."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else rate_text(speed), style="progress.data.speed")


class Bar:
    """Advances the bar of one step, or writes its lines where there is no terminal."""

    def __init__(self, label: str, total: int | None, console: Console, bars: Progress) -> None:
        self._label, self._total = label, total
        self._console, self._bars = console, bars
        self._task = bars.add_task(printable(label), total=total)
        self._done = 0
        self._first: int | None = None  # what an earlier run had done does not count for the rate
        self._began = self._last = time.monotonic()
        if not console.is_terminal:
            self._say(f"{label} …" if total is None else f"{label} … ({total:,})")

    def advance(self, steps: int = 1) -> None:
        """Move the bar by ``steps``."""
        self._done += steps
        self._bars.advance(self._task, steps)
        self._tell()

    def reach(self, count: int, total: int | None = None) -> None:
        """Set the bar to a count; ``total`` sets its end if that was not known before."""
        if total is not None:
            self._total = total
        if self._first is None:
            self._first = count
        self._done = count
        self._bars.update(self._task, completed=count, total=self._total)
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._console.is_terminal or now - self._last < _EVERY:
            return
        self._last = now
        rate = (self._done - (self._first or 0)) / (now - self._began)
        told = f"{self._label}: {self._done:,}"
        if self._total:
            told += f" of {self._total:,} ({self._done / self._total:.0%})"
        if rate > 0:
            told += f", {rate_text(rate)}"
            if self._total and self._total > self._done:
                told += f", about {time_text((self._total - self._done) / rate)} left"
        self._say(told)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def _bars() -> Iterator[tuple[Console, Progress]]:
    console = SafeConsole(file=sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        yield console, bars


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Bar]:
    """Show a bar labelled ``label``, with rate and time left, while the block runs.

    The bar is written to stderr, so that tables on stdout stay clean. If stderr is not a terminal
    (a log file, CI), a line says that the step began, and one every half a minute how far it is.
    """
    with _bars() as (console, bars):
        yield Bar(label, total, console, bars)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield from ``items`` under a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(label, total) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def multi_bar(
    totals: Mapping[str, int],
) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show one bar per label for steps that run side by side.

    Yields:
        A function that sets the bar of a label to a count. A label that is new gets a bar, whose
        end is the third argument; None if it is not known.
    """
    with _bars() as (console, bars):
        shown = {label: Bar(label, total, console, bars) for label, total in totals.items()}

        def reach(label: str, count: int, total: int | None = None) -> None:
            if label not in shown:
                shown[label] = Bar(label, total, console, bars)
            shown[label].reach(count, total)

        yield reach
