"""Defines the base class of all sources; a source reads one release."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Executor
from pathlib import Path
from typing import ClassVar, Literal

from imaxray.schema import TaskName
from imaxray.sources._shared.handover import read_elsewhere
from imaxray.sources._shared.records import SourceTables


class Source(ABC):
    """Reads one release.

    A source is one module with one subclass. It reads local files only, knows nothing of other
    sources, and never learns whether the release is real or synthetic.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    collection: ClassVar[str]  # prefix of the ids, shared by all releases about the same images
    tasks: ClassVar[tuple[TaskName, ...]]
    access: ClassVar[Literal["open", "registration", "credentialed"]]
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]

    @abstractmethod
    def check(self, root: Path) -> list[str]:
        """Check the files and their headers only; return the files found, relative to ``root``.

        Raises:
            ImaxrayError: If ``root`` or a file is missing, a header is wrong or a table is empty.
        """

    @abstractmethod
    def read(self, root: Path) -> SourceTables:
        """Check the release, then read all of it.

        Bad rows raise no error; they are returned as rejects with a code.

        Raises:
            ImaxrayError: If :meth:`check` finds a fault.
        """

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """Read the release as :meth:`read` does, but in the processes of ``pool``.

        The result is the same with any pool and without one. By default one process reads the
        whole release; sources with large archives divide the work.
        """
        if pool is None:
            return self.read(root)
        return read_elsewhere(self.read, root, pool)

    def remarks(self, root: Path) -> list[str]:  # noqa: ARG002 - most sources have no remarks
        """Return sentences about inconsistencies of the release; by default there are none."""
        return []
