"""Reads the members of a zip, or the files of its unpacked folder, one by one with size limits."""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from isal import isal_zlib
from isal.igzip_lib import IsalError

from imaxray._common.memory import collector_paused
from imaxray.errors import ImaxrayError
from imaxray.sources._shared.files.paths import (
    is_inside,
    relative,
    release_file,
    require_root,
)
from imaxray.sources._shared.records import ReleaseFile

MAX_MEMBER_BYTES: Final = 16 * 2**20
"""A member that is larger than this is rejected and not read."""

MEMBERS_PER_JOB: Final = 2000
"""Number of members of an archive per job of a worker."""

_ENCRYPTED: Final = 0x1
_PLAIN_NAME: Final = re.compile(r"\w[\w-]*(\.\w+)*(/\w[\w-]*(\.\w+)*)*")
_DAMAGE: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    OSError,
    ValueError,
    OverflowError,
    struct.error,
)  # what zipfile raises when the central directory is damaged
_LOCAL: Final = struct.Struct("<4s22xHH")  # signature, lengths of the name and of the extra field

T = TypeVar("T")
Member = tuple[int, str, bytes | None]
"""Number (from 1), name and content of a member; the content is None if it cannot be read."""


@dataclass(frozen=True)
class _Stored:
    """Says where one member lies in a zip and how it is stored there."""

    number: int
    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int


class Archive:
    """Reads a zip of a release, or its unpacked folder, whose members are sorted by name.

    Args:
        root: Folder of the release.
        zips: Zip files that may exist, as paths inside the release; the first that exists is read.
        folders: Folders that the zip may have been unpacked to; used if no zip exists.
        suffix: Ending of the names of the members that are read.
        source: Name of the source, used in error messages.

    Raises:
        ImaxrayError: If neither a zip nor a folder exists.
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
        """Return the path of the zip or folder inside the release."""
        return relative(self.path, self._root)

    def check(self) -> None:
        """Check quickly that the archive can be read, without going through its members.

        Raises:
            ImaxrayError: If the file is no zip, or if no file of the folder has the suffix.
        """
        if self.zipped:
            if not zipfile.is_zipfile(self.path):
                raise self._damaged()
        else:
            self._require(sum(1 for _ in islice(self._files(), 1)))

    def map(
        self,
        function: Callable[[Iterator[Member]], T],
        pool: Executor | None,
        *,
        members_per_job: int = MEMBERS_PER_JOB,
    ) -> tuple[int, list[T]]:
        """Apply ``function`` to all members, a few thousand at a time, in ``pool`` if one is given.

        Args:
            function: Function that takes an iterator of members. It must be defined at the top
                level of a module, because it is sent to another process.
            pool: Pool of processes; the members are divided in the same way without one.
            members_per_job: Number of members per call of ``function``.

        Returns:
            The number of members, and the results in the order of the members.

        Raises:
            ImaxrayError: If the zip itself is damaged or holds no member with the suffix.
        """
        step = members_per_job
        if not self.zipped:
            names = sorted(self._files())
            self._require(len(names))
            work: list[Any] = [
                [(k + 1, str(names[k])) for k in range(start, min(start + step, len(names)))]
                for start in range(0, len(names), step)
            ]
            count, task = len(names), cast(Any, _map_files)
        else:
            stored = self._stored()
            count, task = len(stored), _map_stored
            work = [stored[k : k + step] for k in range(0, count, step)]
        if pool is None or len(work) < 2:
            return count, [task(function, str(self.path), part) for part in work]
        jobs: list[Future[T]] = [pool.submit(task, function, str(self.path), p) for p in work]
        return count, [job.result() for job in jobs]

    def _files(self) -> Iterator[Path]:
        return (path for path in self.path.rglob(f"*{self._suffix}") if path.is_file())

    def _stored(self) -> list[_Stored]:
        try:
            with collector_paused(), zipfile.ZipFile(self.path) as archive:
                infos = sorted(
                    (i for i in archive.infolist() if i.filename.endswith(self._suffix)),
                    key=lambda i: i.filename,
                )
        except _DAMAGE as error:
            raise self._damaged() from error
        self._require(len(infos))
        with collector_paused():
            return [
                _Stored(number, i.filename, i.header_offset, i.compress_size, i.file_size, i.CRC,
                        i.compress_type, i.flag_bits)
                for number, i in enumerate(infos, start=1)
            ]  # fmt: skip

    def release_file(self, rows: int) -> ReleaseFile:
        """Describe the archive; the fingerprint of a folder covers file names and contents."""
        if self.zipped:
            return release_file(self.path, self._root, self._source, rows)
        digest = hashlib.sha256()
        for path in sorted(self._files()):
            digest.update(path.relative_to(self.path).as_posix().encode())
            digest.update(path.read_bytes())
        return ReleaseFile(self._source, self.file, rows, digest.hexdigest())

    def _damaged(self) -> ImaxrayError:
        return ImaxrayError(
            f"Expected a readable zip at {self.path}, but it is damaged; compare its checksum "
            "with the release's SHA256SUMS.txt and download it again."
        )

    def _require(self, count: int) -> None:
        if count == 0:
            raise ImaxrayError(
                f"Expected members that end in {self._suffix} in {self.path}, but there is none; "
                f"check that it is the file of the {self._source} release."
            )


def _map_stored(
    function: Callable[[Iterator[Member]], T], path: str, members: Sequence[_Stored]
) -> T:
    with collector_paused():
        return function(_read_stored(path, members))


def _map_files(
    function: Callable[[Iterator[Member]], T], path: str, members: Sequence[tuple[int, str]]
) -> T:
    root = Path(path)

    def read() -> Iterator[Member]:
        for number, name in members:
            file = Path(name)
            big = file.stat().st_size > MAX_MEMBER_BYTES
            yield number, file.relative_to(root).as_posix(), None if big else file.read_bytes()

    with collector_paused():
        return function(read())


def _read_stored(path: str, members: Sequence[_Stored]) -> Iterator[Member]:
    # The file is memory-mapped, because two system calls per member would cost as much time as
    # decompressing the member.
    with (
        Path(path).open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for member in members:
            yield member.number, member.name, _content(data, member)


def _content(data: mmap.mmap, member: _Stored) -> bytes | None:
    """Return the content of a member, or None if it is damaged, encrypted or too large.

    None is also returned for a compression other than deflate and for an unsafe name.
    """
    if member.size > MAX_MEMBER_BYTES or member.packed > MAX_MEMBER_BYTES:
        return None
    if member.offset < 0 or member.flags & _ENCRYPTED:
        return None
    # Nearly all names match the pattern, which is faster than the full check.
    if not _PLAIN_NAME.fullmatch(member.name) and not is_inside(member.name):
        return None
    head = data[member.offset : member.offset + _LOCAL.size]
    if len(head) < _LOCAL.size:
        return None
    signature, name, extra = _LOCAL.unpack(head)
    if signature != b"PK\x03\x04":
        return None
    start = member.offset + _LOCAL.size + name + extra
    packed = data[start : start + member.packed]
    if member.method == zipfile.ZIP_STORED:
        content = packed
    elif member.method == zipfile.ZIP_DEFLATED:
        inflater = isal_zlib.decompressobj(-15)
        try:
            content = inflater.decompress(packed, member.size + 1)
        except IsalError:  # type: ignore[misc] # the stub declares an instance, not the class
            return None
    else:
        return None
    sound = len(content) == member.size and isal_zlib.crc32(content) == member.crc
    return content if sound else None
