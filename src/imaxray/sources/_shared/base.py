"""The base class of all sources: a source reads one release."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Executor
from pathlib import Path
from typing import ClassVar, Literal

from imaxray.schema import TaskName
from imaxray.sources._shared.handover import read_elsewhere
from imaxray.sources._shared.records import SourceTables


class Source(ABC):
    """A reader for one release.

    A source is one module with one subclass. It reads local files only, knows nothing of other
    sources, and never learns whether the release is real or synthetic.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    collection: ClassVar[str]  # prefix of ids; releases about the same images share it
    tasks: ClassVar[tuple[TaskName, ...]]
    access: ClassVar[Literal["open", "registration", "credentialed"]]
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]

    @abstractmethod
    def check(self, root: Path) -> list[str]:
        """Look at the files and headers only; return the files found, relative to ``root``.

        Raises:
            ImaxrayError: a missing root or file, a wrong header, an empty table.
        """

    @abstractmethod
    def read(self, root: Path) -> SourceTables:
        """Check, then read the whole release.

        Raises:
            ImaxrayError: as :meth:`check`. Bad rows are not errors but rejects with a code.
        """

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read as :meth:`read` does, with the help of ``pool``.

        The result is the same with any pool and with none. Here the whole reading is one piece of
        work; sources with large archives share theirs out.
        """
        if pool is None:
            return self.read(root)
        return read_elsewhere(self.read, root, pool)

    def remarks(self, root: Path) -> list[str]:  # noqa: ARG002 - most sources have none
        """Sentences about how well the release agrees with itself; none by default."""
        return []
