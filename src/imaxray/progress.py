"""Shows progress bars of long steps on stderr, or one line if stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from imaxray._printing import printable

T = TypeVar("T")


class SafeConsole(Console):
    """Prints text and tables of rich as they are: no markup, no emoji, no control characters."""

    def __init__(self, *, width: int | None = None, file: TextIO | None = None) -> None:
        super().__init__(width=width, file=file, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a string, cells of tables included."""
        return super().render_str(printable(text), **options)


class Bar:
    """Advances one progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1) -> None:
        """Move the bar by ``steps``."""
        self._progress.advance(self._task, steps)


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Bar]:
    """Show a bar labelled ``label`` while the block runs.

    The bar is written to stderr, so that tables on stdout stay clean. If stderr is not a terminal
    (a log file, CI), there is no bar; one line says that the step began.
    """
    console = SafeConsole(file=sys.stderr)
    if not console.is_terminal:
        console.print(f"{label} …" if total is None else f"{label} … ({total:,})", highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        yield Bar(bars, bars.add_task(printable(label), total=total))


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield from ``items`` under a progress bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress_bar(label, total) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def multi_bar(totals: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    """Show one bar per label, and yield a function that sets the bar of a label to a count."""
    console = SafeConsole(file=sys.stderr)
    if not console.is_terminal:
        for label, total in totals.items():
            console.print(f"{label} … ({total:,})", highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        tasks = {
            label: bars.add_task(printable(label), total=total) for label, total in totals.items()
        }
        yield lambda label, count: bars.update(tasks[label], completed=count)
