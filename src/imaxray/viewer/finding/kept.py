"""Keeps the summary of a large dataset in the user's cache, so that the next start is quick.

A summary is kept under the digest of the dataset's content, so that another content never gets it;
a kept file is compared with its own digest before it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

import polars as pl

from imaxray._common.files import utf8_path, whole_file
from imaxray._common.state import known_state, write_state
from imaxray._version import __version__
from imaxray.schema import task_names
from imaxray.viewer.finding.summary import Summary, Values

CACHE: Final = "IMAXRAY_CACHE"
"""Environment variable that names another folder for the cache; empty text keeps nothing."""

_LAYOUT: Final = 1  # of the kept table
_OURS: Final = re.compile(r"[0-9a-f]{64}\.arrow")  # other files in the folder are the user's
_KEPT_FILES: Final = 8  # summaries of about 100 bytes per image


def kept_summary(digest: str) -> Summary | None:
    """Return the summary of a dataset that an earlier start kept; None if there is none.

    Args:
        digest: Digest of the dataset's content.
    """
    path = _place(digest)
    return None if path is None else _kept(path)


def keep_summary(made: Summary, digest: str) -> None:
    """Keep a summary for the next start; without a cache, the next start takes longer."""
    path = _place(digest)
    if path is not None:
        with suppress(OSError):
            _keep(made, path)


def _place(digest: str) -> Path | None:
    folder = _cache_folder()
    if folder is None:
        return None
    # tasks can be added by plug-ins; another version may summarise in another way
    told = [digest, __version__, _LAYOUT, pl.__version__, *task_names()]
    return folder / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()}.arrow"


def _cache_folder() -> Path | None:
    """Return the folder of kept summaries; None if there is none."""
    named = os.environ.get(CACHE)
    if named == "":
        return None
    if named is not None:
        return Path(named) / "viewer"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imaxray" / "viewer"


def _kept(path: Path) -> Summary | None:
    """Return a kept summary; None if it is missing or damaged."""
    about = known_state(path.with_suffix(".json"))
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != about.get("sha256"):
        return None
    values = about.get("values")
    names = [field.name for field in fields(Values)]
    if not isinstance(values, dict) or any(type(values.get(name)) is not list for name in names):
        return None
    with suppress(OSError):
        os.utime(path)  # the least recently used are removed first
    table = pl.read_ipc(io.BytesIO(content))
    return Summary(table, Values(**{name: tuple(map(str, values[name])) for name in names}))


def _keep(made: Summary, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole_file(path) as part:
        # readable by this user only: the ids of images may be credentialed
        part.touch(0o600)
        made.table.write_ipc(utf8_path(part), compression="lz4")
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
    write_state(path.with_suffix(".json"), {"sha256": digest, "values": asdict(made.values)})
    ours = [file for file in path.parent.glob("*.arrow") if _OURS.fullmatch(file.name)]
    files = sorted(ours, key=lambda file: file.stat().st_mtime, reverse=True)
    for old in files[_KEPT_FILES:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".json").unlink(missing_ok=True)
