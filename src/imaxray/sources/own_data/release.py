"""Reads a release that a `source.yaml` describes: your own tables and images."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from imaxray.errors import ImaxrayError
from imaxray.schema import TASKS
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.files.paths import require_root
from imaxray.sources._shared.records import SourceTables
from imaxray.sources.own_data.facts import require_fields
from imaxray.sources.own_data.gathering import Gathering
from imaxray.sources.own_data.image_index import ImageIndex
from imaxray.sources.own_data.mapping import Mapping
from imaxray.sources.own_data.reading import check_table


class OwnData(Source):
    """Reads the tables and images that a `source.yaml` names.

    A row belongs to the image that its column of images names, or to the images that `join` finds.
    What rows of a joined table state about several images is taken for those that are not lateral.
    Without a column of patients each image counts as a patient.
    """

    version = "own"
    tasks = TASKS
    access = "own"
    licence = "your own"
    citation = ""
    url = ""

    def __init__(self, name: str, mapping: Mapping | None = None) -> None:
        """Take the name of the release, and what its tables mean; without it, nothing is read."""
        self.name = self.collection = name
        self.title = (mapping.title if mapping else "") or name
        self._mapping = mapping
        if mapping is not None:
            self.encoding = mapping.encoding

    @property
    def mapping(self) -> Mapping:
        """What the tables mean.

        Raises:
            ImaxrayError: If the release is only described by a dataset that was built from it.
        """
        if self._mapping is None:
            raise ImaxrayError(
                f"Expected the source.yaml of the release {self.name}, but only its name is known; "
                "give the path of the file."
            )
        return self._mapping

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        require_root(root, self.name)
        if self.mapping.questions:
            count = len(self.mapping.questions)
            raise ImaxrayError(
                f"Expected a source.yaml of {self.name} without open questions, but it has "
                f"{count}: {self.mapping.questions[0]}; answer "
                f"{'it' if count == 1 else 'them'} there and remove "
                f"{'the line' if count == 1 else 'the lines'} under questions."
            )
        for table in self.mapping.tables:
            require_fields(table)
            check_table(root, table)
        ImageIndex.of(root, self.mapping.images)
        return [table.file for table in self.mapping.tables]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        self.check(root)
        return Gathering(self.name, self.mapping, root).tables()

    def read_with(self, root: Path, pool: Executor | None) -> SourceTables:
        """See :meth:`Source.read_with`; headers of images are read in ``pool``."""
        self.check(root)
        return Gathering(self.name, self.mapping, root, pool).tables()

    def remarks(self, root: Path) -> list[str]:
        """Say which images no table names, and which ids of patients differ in spelling only."""
        if self._mapping is None:
            return []
        reading = Gathering(self.name, self.mapping, root)
        reading.read_all()
        return reading.remarks()
