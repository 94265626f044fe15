"""Holds what one viewer has open: datasets, opened when they are first asked for, and marks.

Of a large dataset, the table of images is read first and the rest in the background, so that the
first page does not wait for it. A dataset that was built anew is opened again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from imaxray.curation.dataset import MANIFEST
from imaxray.errors import ImaxrayError
from imaxray.marks import Mark, append_mark, read_marks
from imaxray.viewer.opening.subject import Subject
from imaxray.viewer.viewed import (
    LARGE,
    MissingError,
    ViewedDataset,
    complete,
    open_at_once,
)

_log: Final = logging.getLogger("imaxray.viewer")
_FIRST_PAGE: Final = 1.0  # seconds in which the first page has the processor to itself


class _Opened:
    """A dataset, of which a thread reads what is not known yet."""

    def __init__(self, data: ViewedDataset, subject: Subject, stamp: tuple[Any, ...]) -> None:
        self.data, self.stamp = data, stamp
        self.problem: ImaxrayError | None = None
        self._subject = subject
        self._share = 0.0
        self._start = time.monotonic()
        self._done = threading.Event()
        if data.whole:
            self._done.set()
        if not data.whole or data.index.table.height >= LARGE:
            threading.Thread(target=self._read, name="imaxray-view-reading", daemon=True).start()

    def wait(self) -> ViewedDataset:
        """Return the dataset when its tables were read.

        Raises:
            ImaxrayError: If a table is damaged.
        """
        self._done.wait()
        if self.problem is not None:
            raise self.problem
        return self.data

    def reading(self) -> dict[str, float | None] | None:
        """Return the share of the tables that was read and the seconds left; None at the end."""
        if self._done.is_set():
            return None
        share, passed = self._share, time.monotonic() - self._start
        return {"share": share, "seconds_left": passed * (1 - share) / share if share else None}

    def _read(self) -> None:
        try:
            self.data = complete(self.data, self._subject, self._told)
            self._done.set()
            # after the first page, so that the first image is shown soon, too
            time.sleep(_FIRST_PAGE)
            self.data.prepare()
            for module in ("details", "pixels"):
                import_module(f"imaxray.viewer.image.{module}")
        except (ImaxrayError, OSError) as error:
            self._fail(error if isinstance(error, ImaxrayError) else ImaxrayError(str(error)))
        except BaseException as error:
            # whoever waits must learn of it; the message may hold text of a report
            _log.error("reading the tables: %s", type(error).__name__)
            self._fail(
                ImaxrayError(
                    "Expected to read the tables of the dataset, but the viewer met a fault "
                    f"({type(error).__name__}); please report it."
                )
            )

    def _told(self, share: float) -> None:
        self._share = share

    def _fail(self, problem: ImaxrayError) -> None:
        if not self._done.is_set():  # else a question meets the same error and says it
            self.problem = problem
            self._done.set()


class Library:
    """The datasets and the marks of one viewer; all methods may be called by several threads.

    Args:
        subject: What is shown.
        marks: File of the user's marks; it is made with the first mark.
    """

    def __init__(self, subject: Subject, marks: Path) -> None:
        self.subject = subject
        self.marks_file = marks
        self._open: dict[str, _Opened] = {}
        self._lock = threading.Lock()
        self._opening = {name: threading.Lock() for name in subject.datasets}
        self._seen: tuple[int, int] | None = None
        self._marks: list[Mark] = []
        self._verdicts: dict[str, frozenset[str]] = {}

    def dataset(self, name: str, *, whole: bool = False) -> ViewedDataset:
        """Return a dataset by its name; empty text is the first one.

        Args:
            name: Its name.
            whole: Whether to wait until its tables were read; else it may not be ``whole``.

        Raises:
            MissingError: If there is none of this name.
            ImaxrayError: If the dataset is damaged.
        """
        opened = self._opened(name)
        return opened.wait() if whole else opened.data

    def reading(self, name: str) -> dict[str, float | None] | None:
        """Return how far the reading of a dataset's tables is; None if they were read.

        Raises:
            MissingError: If there is none of this name.
            ImaxrayError: If the dataset is damaged.
        """
        opened = self._opened(name)
        if opened.problem is not None:
            raise opened.problem
        return opened.reading()

    def _opened(self, name: str) -> _Opened:
        name = name or next(iter(self.subject.datasets))
        folder = self.subject.datasets.get(name)
        if folder is None:
            raise MissingError(
                f"Expected one of the datasets {', '.join(self.subject.datasets)}, but got another "
                "name; choose one of them."
            )
        with self._opening[name]:
            found, stamp = self._open.get(name), _stamp(folder)
            if found is None or found.stamp != stamp:
                self._open.pop(name, None)  # frees the memory of a dataset that was replaced
                found = _Opened(open_at_once(name, folder, self.subject), self.subject, stamp)
                self._open[name] = found
            return found

    def marks(self) -> list[Mark]:
        """Return the marks that count; the file is read again if it has changed.

        Raises:
            ImaxrayError: If the file is damaged.
        """
        self._refresh()
        return self._marks

    def verdicts(self) -> Mapping[str, frozenset[str]]:
        """Return the verdicts on each marked image and on its annotations.

        Raises:
            ImaxrayError: If the file is damaged.
        """
        self._refresh()
        return self._verdicts

    def marks_problem(self) -> str | None:
        """Return why the marks cannot be read now; images can be looked at all the same."""
        try:
            self._refresh()
        except ImaxrayError as error:
            return str(error)
        return None

    def marks_of(self, image_id: str) -> list[dict[str, Any]]:
        """Return the marks of an image and of its annotations.

        Raises:
            ImaxrayError: If the file is damaged.
        """
        return [m.model_dump(mode="json") for m in self.marks() if m.image_id == image_id]

    def mark(self, mark: Mark) -> Mark:
        """Add a mark to the user's file.

        Raises:
            ImaxrayError: If it cannot be written or the file is damaged; the mark is not kept.
        """
        self._refresh()
        return append_mark(self.marks_file, mark)

    def _refresh(self) -> None:
        with self._lock:
            try:
                state = self.marks_file.stat()
                now = (state.st_size, state.st_mtime_ns)
            except FileNotFoundError:
                self._seen, self._marks, self._verdicts = None, [], {}
                return
            except OSError as error:
                raise ImaxrayError(
                    f"Expected a file of marks at {self.marks_file}, but the system says: "
                    f"{error.strerror}; make it readable again."
                ) from error
            if now == self._seen:
                return
            found = read_marks(self.marks_file)
            of: dict[str, set[str]] = {}
            for mark in found:
                of.setdefault(mark.image_id, set()).add(mark.verdict)
            self._marks, self._seen = found, now
            self._verdicts = {image: frozenset(verdicts) for image, verdicts in of.items()}


def _stamp(folder: Path) -> tuple[Any, ...]:
    """Return what changes when a dataset is built anew or a table of it is edited."""
    found: list[Any] = []
    for path in (
        folder / MANIFEST,
        *sorted(folder.glob("*.parquet")),
        *sorted(folder.glob("entries/*.parquet")),
    ):
        try:
            state = path.stat()
        except OSError:
            continue
        found.append((path.name, state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
