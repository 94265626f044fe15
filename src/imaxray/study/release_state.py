"""Computes the state of release folders from names, sizes and times, without reading any file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imaxray.sources import release_paths


def release_states(releases: Mapping[str, Path]) -> dict[str, str]:
    """Return a digest of the state of each release; it changes if any file changes, comes or goes.

    A release that is copied or touched gets another state although its content is the same: the
    datasets are then built again, to the same bytes.

    Args:
        releases: Folder of each release, by the name of its source; for a release of your own, its
            ``source.yaml``.
    """
    return {
        name: _state([part.resolve() for part in release_paths(name, path)])
        for name, path in sorted(releases.items())
    }


def _state(parts: Sequence[Path]) -> str:
    # datasets record where their releases are
    digest = hashlib.sha256(b"\0".join(os.fsencode(part) for part in parts))
    for name, size, changed in sorted(_files(parts)):
        digest.update(os.fsencode(f"{name}\0{size}\0{changed}\0"))
    return digest.hexdigest()


def _files(parts: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    """Yield path, size in bytes and time in nanoseconds of each file, through links to folders."""
    seen: set[tuple[int, int]] = set()
    waiting = [part for part in parts if part.is_dir()]
    for part in parts:
        if part.is_file():
            file = part.stat()
            yield str(part), file.st_size, file.st_mtime_ns
    while waiting:
        folder = waiting.pop()
        try:
            about = folder.stat()
            entries = list(os.scandir(folder))
        except OSError:
            continue  # the readers say what is missing
        if (about.st_dev, about.st_ino) in seen:
            continue  # a link that leads back
        seen.add((about.st_dev, about.st_ino))
        for entry in entries:
            if entry.is_dir():
                waiting.append(Path(entry.path))
                continue
            try:
                file = entry.stat()
                yield entry.path, file.st_size, file.st_mtime_ns
            except OSError:
                yield entry.path, -1, -1  # a link that leads nowhere
