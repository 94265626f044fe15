"""Members of a zip, or files of the folder it was unpacked to, read one by one with limits."""

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

from imaxray._memory import collector_paused
from imaxray.errors import ImaxrayError
from imaxray.sources._shared.records import ReleaseFile
from imaxray.sources._shared.tables import is_inside, relative, release_file, require_root

MAX_MEMBER_BYTES: Final = 16 * 2**20
"""A larger member is rejected unread."""

MEMBERS_PER_JOB: Final = 2000
"""Members of an archive that a worker takes at a time."""

_ENCRYPTED: Final = 0x1
_PLAIN_NAME: Final = re.compile(r"\w[\w-]*(\.\w+)*(/\w[\w-]*(\.\w+)*)*")
_DAMAGE: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    OSError,
    ValueError,
    OverflowError,
    struct.error,
)  # what zipfile raises over a damaged directory
_LOCAL: Final = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field

T = TypeVar("T")
Member = tuple[int, str, bytes | None]
"""1-based number, name, content; content is None where it cannot be read."""


@dataclass(frozen=True)
class _Stored:
    """Where one member lies in a zip."""

    number: int
    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int


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

    def check(self) -> None:
        """Look whether there is an archive with members, without going through them.

        Raises:
            ImaxrayError: the file is no zip, or no file of the folder has the suffix.
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
        """Apply ``function`` to all members, a few thousand at a time, in ``pool`` if there is one.

        Args:
            function: a function of a module (it travels to another process).
            pool: processes; the parts do not depend on it.
            members_per_job: members of one part.

        Returns:
            Number of members, and the results in the members' order.

        Raises:
            ImaxrayError: the zip itself is damaged, or holds no member with the suffix.
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
        """Describe the archive; a folder's fingerprint covers names and contents."""
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
    # mapped: two system calls a member would cost as much as inflating it
    with (
        Path(path).open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for member in members:
            yield member.number, member.name, _content(data, member)


def _content(data: mmap.mmap, member: _Stored) -> bytes | None:
    """Content of one member; None if it is damaged, encrypted, too large or oddly compressed."""
    if member.size > MAX_MEMBER_BYTES or member.packed > MAX_MEMBER_BYTES:
        return None
    if member.offset < 0 or member.flags & _ENCRYPTED:
        return None
    # the pattern fits nearly all names and spares them the closer look
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
        except IsalError:  # type: ignore[misc] # its stub gives an instance, not the class
            return None
    else:
        return None
    sound = len(content) == member.size and isal_zlib.crc32(content) == member.crc
    return content if sound else None
