"""Members of a zip, or files of the folder it was unpacked to, read one by one with limits."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.sources._base import ReleaseFile
from imaxray.sources._tables import is_inside, relative, release_file, require_root

MAX_MEMBER_BYTES: Final = 16 * 2**20
"""A larger member is rejected unread."""


class Archive:
    """A zip of a release, or its unpacked folder; members sorted by name.

    Args:
        root: release root.
        zips: candidate zip files.
        folders: candidate folders, should it be unpacked.
        suffix: which members count.
        source: for errors.

    Raises:
        ImaxrayError: neither exists, or the zip is damaged.
    """

    def __init__(
        self, root: Path, zips: Sequence[str], folders: Sequence[str], suffix: str, source: str
    ) -> None:
        require_root(root, source)
        self._root, self._source, self._suffix = root, source, suffix
        archive = next((root / name for name in zips if (root / name).is_file()), None)
        folder = next((root / name for name in folders if (root / name).is_dir()), None)
        if archive is None and folder is None:
            raise ImaxrayError(
                f"Expected {' or '.join([*zips, *folders])} in the {source} release at {root}, but "
                "found none of them; download the file or correct the path."
            )
        self.path: Path = archive if archive is not None else folder  # type: ignore[assignment]
        self.zipped = archive is not None

    @property
    def file(self) -> str:
        """Path inside the release."""
        return relative(self.path, self._root)

    def members(self) -> Iterator[tuple[int, str, bytes | None]]:
        """Yield (1-based number, name, content); content is None where it cannot be read.

        Raises:
            ImaxrayError: the zip itself is damaged, or holds no member with the suffix.
        """
        if not self.zipped:
            paths = sorted(self.path.rglob(f"*{self._suffix}"))
            self._require(len(paths))
            for number, path in enumerate(paths, start=1):
                big = path.stat().st_size > MAX_MEMBER_BYTES
                yield (
                    number,
                    path.relative_to(self.path).as_posix(),
                    None if big else path.read_bytes(),
                )
            return
        try:
            with zipfile.ZipFile(self.path) as archive:
                infos = sorted(
                    (i for i in archive.infolist() if i.filename.endswith(self._suffix)),
                    key=lambda i: i.filename,
                )
                self._require(len(infos))
                for number, info in enumerate(infos, start=1):
                    yield number, info.filename, self._content(archive, info)
        except zipfile.BadZipFile as error:
            raise ImaxrayError(
                f"Expected a readable zip at {self.path}, but it is damaged; compare its checksum "
                "with the release's SHA256SUMS.txt and download it again."
            ) from error

    def release_file(self, rows: int) -> ReleaseFile:
        """Describe the archive; a folder's fingerprint covers names and contents."""
        if self.zipped:
            return release_file(self.path, self._root, self._source, rows)
        digest = hashlib.sha256()
        for path in sorted(self.path.rglob(f"*{self._suffix}")):
            digest.update(path.relative_to(self.path).as_posix().encode())
            digest.update(path.read_bytes())
        return ReleaseFile(self._source, self.file, rows, digest.hexdigest())

    def _content(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
        if info.file_size > MAX_MEMBER_BYTES or not is_inside(info.filename):
            return None
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
            return None  # one damaged, encrypted or oddly compressed member

    def _require(self, count: int) -> None:
        if count == 0:
            raise ImaxrayError(
                f"Expected members that end in {self._suffix} in {self.path}, but there is none; "
                f"check that it is the file of the {self._source} release."
            )
