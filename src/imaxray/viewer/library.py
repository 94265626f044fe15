"""Holds what one viewer has open: datasets, opened when they are first asked for, and marks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imaxray.marks import Mark, append_mark, read_marks
from imaxray.viewer.subject import Subject
from imaxray.viewer.viewed import MissingError, ViewedDataset, open_viewed


class Library:
    """The datasets and the marks of one viewer; all methods may be called by several threads.

    Args:
        subject: What is shown.
        marks: File of the user's marks; it is made with the first mark.
    """

    def __init__(self, subject: Subject, marks: Path) -> None:
        self.subject = subject
        self.marks_file = marks
        self._open: dict[str, ViewedDataset] = {}
        self._lock = threading.Lock()
        self._opening = {name: threading.Lock() for name in subject.datasets}
        self._seen: tuple[int, int] | None = None
        self._marks: list[Mark] = []
        self._verdicts: dict[str, frozenset[str]] = {}

    def dataset(self, name: str) -> ViewedDataset:
        """Return a dataset by its name; empty text is the first one.

        Raises:
            MissingError: If there is none of this name.
            ImaxrayError: If the dataset is damaged.
        """
        name = name or next(iter(self.subject.datasets))
        folder = self.subject.datasets.get(name)
        if folder is None:
            raise MissingError(
                f"Expected one of the datasets {', '.join(self.subject.datasets)}, but got another "
                "name; choose one of them."
            )
        with self._opening[name]:
            if name not in self._open:
                self._open[name] = open_viewed(name, folder, self.subject)
            return self._open[name]

    def marks(self) -> list[Mark]:
        """Return the marks that count; the file is read again if it has changed.

        Raises:
            ImaxrayError: If the file is damaged.
        """
        self._refresh()
        return self._marks

    def verdicts(self) -> Mapping[str, frozenset[str]]:
        """Return the verdicts on each marked image and on its annotations."""
        self._refresh()
        return self._verdicts

    def marks_of(self, image_id: str) -> list[dict[str, Any]]:
        """Return the marks of an image and of its annotations."""
        return [m.model_dump(mode="json") for m in self.marks() if m.image_id == image_id]

    def mark(self, mark: Mark) -> Mark:
        """Add a mark to the user's file.

        Raises:
            ImaxrayError: If it cannot be written.
        """
        return append_mark(self.marks_file, mark)

    def _refresh(self) -> None:
        with self._lock:
            try:
                state = self.marks_file.stat()
                now = (state.st_size, state.st_mtime_ns)
            except FileNotFoundError:
                self._seen, self._marks, self._verdicts = None, [], {}
                return
            if now == self._seen:
                return
            found = read_marks(self.marks_file)
            of: dict[str, set[str]] = {}
            for mark in found:
                of.setdefault(mark.image_id, set()).add(mark.verdict)
            self._marks, self._seen = found, now
            self._verdicts = {image: frozenset(verdicts) for image, verdicts in of.items()}
