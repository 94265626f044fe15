"""Members of a ``.tgz`` that a release ships: read in one pass, each with a limit."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.sources._shared.archives import MAX_MEMBER_BYTES, Member

_MAX_BYTES: Final = 2 * 2**30
"""Refuse to unpack more than this in all (a gzip bomb, not reports)."""


def tar_members(path: Path, suffix: str) -> list[Member]:
    """All regular files of a tar (any compression) that end in ``suffix``, sorted by name.

    A member beyond the size limit has no content. Links, folders and devices are not members.

    Raises:
        ImaxrayError: the file is no tar, is cut, unpacks to too much, or holds no such member.
    """
    found: list[tuple[str, bytes | None]] = []
    total = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                total += info.size  # skipping a member unpacks it too
                if total > _MAX_BYTES:
                    raise _damaged(path)
                if not info.isreg() or not info.name.endswith(suffix):
                    continue
                stream = archive.extractfile(info) if info.size <= MAX_MEMBER_BYTES else None
                found.append((info.name, None if stream is None else stream.read()))
            rest = archive.fileobj
            while rest is not None and (block := rest.read(2**20)):
                total += len(block)  # to the end: only there a compressed file shows it is whole
                if total > _MAX_BYTES:
                    raise _damaged(path)
    # lzma is not named: its error is a plain Exception, and releases are gzipped
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise _damaged(path) from error
    if not found:
        raise ImaxrayError(
            f"Expected members that end in {suffix} in {path}, but there is none; check that it is "
            "the file of the stated release."
        )
    found.sort(key=lambda member: member[0])
    return [(number, *member) for number, member in enumerate(found, start=1)]


def is_tar(path: Path) -> bool:
    """Whether ``path`` starts as a tar does, compressed or not."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error, ValueError):
        return False


def _damaged(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable tar at {path}, but it is damaged; compare its size with the "
        "release's and download it again."
    )
