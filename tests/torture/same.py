"""Compares what two runs of a command left; says in one place what may differ, and nothing else.

Clocks differ between two runs, and so does what shows them. Everything else is compared byte by
byte, and the names of all files and folders must be the same, so that nothing temporary stays.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any, Final

CLOCKS: Final = frozenset(
    {
        "seconds", "cpu_seconds", "train_seconds", "train_cpu_seconds", "build_seconds",
        "entries_per_second", "tokens_per_second",
        "content_sha256",  # a digest of them, among others
        "states",  # digests of the times of the files of a release
        "file_sha256",  # digests of results that show times
    }
)  # fmt: skip
"""Keys of JSON files whose values are times."""

SHOWN: Final = frozenset({"report.html", "results.png", "clock.csv"})
"""Files that show times; only their existence is compared."""

MEMORY: Final = ".imaxray-digests.json"
"""Remembers times of files; it is no content and may be missing."""


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, by its path; of a folder ``folder``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        elif path.name != MEMORY:
            found[name] = "shown" if path.name in SHOWN else _digest(path)
    return found


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Return what differs between two trees, in words."""
    said = [f"{name} is left over" for name in sorted(found.keys() - wanted.keys())]
    said += [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    both = sorted(found.keys() & wanted.keys())
    return said + [f"{name} differs" for name in both if found[name] != wanted[name]]


def tells(page: Path, name: str) -> bool:
    """Tell whether a report says what it does not show, and names a file or folder there.

    A report of a folder that lacks a part is still written; the part's place says what is missing.
    """
    if not page.is_file():
        return False
    said = re.findall(r'<p class="missing">.*?</p>', page.read_text(), re.DOTALL)
    return any(name in html.unescape(re.sub(r"<[^>]*>", "", one)) for one in said)


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        try:
            texts = content.splitlines() if path.suffix == ".jsonl" else [content]
            content = json.dumps([_timeless(json.loads(text)) for text in texts]).encode()
        except ValueError:
            pass  # it is compared as it lies
    return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in CLOCKS}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def lying(folder: Path) -> list[str]:
    """Return the files that a manifest describes otherwise than they lie there.

    A killed command leaves manifests only of what is whole, so that nobody takes a part of it for
    the whole. Folders under temporary names are not looked at.
    """
    said = []
    for path in sorted(folder.rglob("*.json")):
        if any(part.endswith((".part", ".old")) for part in path.relative_to(folder).parts):
            continue
        if path.name == "dataset-manifest.json":
            continue  # a copy in a shared folder, whose files lie elsewhere
        try:
            files = json.loads(path.read_text())["files"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        for name, digest in files:
            file = path.parent / name
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
                said.append(f"{path.name} of {path.parent.name} lists {name}, which is not so")
    return said
