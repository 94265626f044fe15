"""Reads the members of a ``.tgz`` of a release in one pass, with limits on their size."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.sources._shared.files.archives import MAX_MEMBER_BYTES, Member

_MAX_BYTES: Final = 2 * 2**30
"""A tar that unpacks to more than this in all is refused; it is a gzip bomb and no release."""


def tar_members(path: Path, suffix: str) -> list[Member]:
    """Return all regular files of a tar that end in ``suffix``, sorted by name.

    The tar may have any compression. The content of a member that exceeds the size limit is None.
    Links, folders and devices are left out.

    Raises:
        ImaxrayError: If the file is no tar, is truncated, unpacks to too many bytes or holds no
            file that ends in ``suffix``.
    """
    found: list[tuple[str, bytes | None]] = []
    total = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                total += info.size  # a member that is skipped is unpacked too
                if total > _MAX_BYTES:
                    raise _damaged(path)
                if not info.isreg() or not info.name.endswith(suffix):
                    continue
                stream = archive.extractfile(info) if info.size <= MAX_MEMBER_BYTES else None
                found.append((info.name, None if stream is None else stream.read()))
            rest = archive.fileobj
            while rest is not None and (block := rest.read(2**20)):
                total += len(block)  # only the end of a compressed file shows that it is whole
                if total > _MAX_BYTES:
                    raise _damaged(path)
    # The error of lzma is not listed: it is a plain Exception, and releases are gzipped.
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
    """Return whether ``path`` starts like a tar, compressed or not."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error, ValueError):
        return False


def _damaged(path: Path) -> ImaxrayError:
    return ImaxrayError(
        f"Expected a readable tar at {path}, but it is damaged; compare its size with the "
        "release's and download it again."
    )
