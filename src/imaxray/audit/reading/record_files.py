"""Finds the files of a folder that hold records, and reads the records of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from imaxray._common.files import require_file
from imaxray._common.strict_json import NO_JSON, BadItem, parse_item, parse_items
from imaxray.audit.pixels import parquet_records
from imaxray.errors import ImaxrayError

_SUFFIXES: Final = (".json", ".jsonl", ".parquet")
SPLITS: Final = {
    "train": "train", "training": "train", "trainset": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "testset": "test",
}  # fmt: skip
"""Word in the name of a file, a folder or a field → split."""

_WHOLE: Final = frozenset({"annotation.json", "annotations.json", "samples.json"})
"""Names of files that hold all splits: those of R2Gen, and that of FiftyOne."""

_EXPORT: Final = "export.json"
_NO_DATA: Final = frozenset({"dataset_info.json", "export.json", "left_out.jsonl"})
_DATA: Final = "data"  # folder of the Parquet files of a dataset on the Hugging Face Hub
_WORDS: Final = re.compile(r"[^A-Za-z]+")
_SHARD: Final = re.compile(r"-\d+-of-\d+$")


def data_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are named after a split, or that hold all splits.

    Raises:
        ImaxrayError: The folder has no such file.
    """
    inner = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() in (*SPLITS, _DATA)]
    files = [
        path
        for place in (folder, *sorted(inner))
        for path in sorted(place.iterdir())
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    ]
    named = [
        path
        for path in files
        if path.name in _WHOLE
        or split_of_name(path.stem) is not None
        or (path.parent.name.lower() in SPLITS and path.parent != folder
            and path.name not in _NO_DATA)
    ]  # fmt: skip
    if not named:
        raise ImaxrayError(
            f"Expected a dataset folder, or .json, .jsonl and .parquet files named train, val or "
            f"test (or in folders of these names) in {folder}, but found none; pass the paths of "
            "the files."
        )
    return named


def split_of_name(stem: str) -> str | None:
    """Return the split that the name of a file states, if it states one."""
    found = {SPLITS[word] for word in _WORDS.split(stem.lower()) if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def split_of_file(path: Path) -> str | None:
    """Return the split that the name of a file or of its folder states."""
    return split_of_name(path.stem) or SPLITS.get(path.parent.name.lower())


def source_of_file(path: Path) -> str | None:
    """Return the name of a file without its split, e.g. ``vqa`` for ``vqa_train.json``."""
    words = _WORDS.split(_SHARD.sub("", path.stem))
    return " ".join(word for word in words if word and word.lower() not in SPLITS) or None


def root_of_file(path: Path) -> Path:
    """Return the folder to which the paths in a file are relative.

    It is the folder above ``train/data.jsonl`` and ``data/train.parquet``, else the file's folder.
    """
    folder = path.parent
    of_split = split_of_name(path.stem) is None and folder.name.lower() in SPLITS
    of_hub = folder.name == _DATA and path.suffix.lower() == ".parquet"
    return folder.parent if of_split or of_hub else folder


def is_own_export(path: Path) -> bool:
    """Return whether imaxray wrote the file, so that whole paths of images are followed."""
    return (path.parent / _EXPORT).is_file()


def records_of(path: Path) -> Iterator[Any]:
    """Yield the records of a file; a :class:`BadItem` stands for an unreadable one.

    The file is Parquet, a JSON list, one JSON object per line, one JSON object of lists by split
    (R2Gen), or the samples of a FiftyOne dataset.

    Raises:
        ImaxrayError: The file is missing, damaged or of another form.
    """
    require_file(path)
    if path.suffix.lower() == ".parquet":
        yield from _rows_of(path)
        return
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").strip()
    except OSError as error:
        raise ImaxrayError(
            f"Expected a .json, .jsonl or .parquet file at {path}, but it cannot be read; correct "
            "the path."
        ) from error
    if content.startswith(b"["):
        items = parse_items(content)
        if items is None:
            raise ImaxrayError(
                f"Expected a JSON list in {path}, but it is damaged; write the file again."
            )
        yield from items
        return
    if not content.startswith(b"{"):
        raise ImaxrayError(
            f"Expected a JSON list or one JSON object per line in {path}, but it holds neither; "
            "export the data as LLaVA JSON or messages JSONL."
        )
    whole = parse_item(content)  # bad for several lines
    if isinstance(whole, BadItem) and whole.message != NO_JSON:
        yield whole
    elif isinstance(whole, dict) and isinstance(whole.get("samples"), list):
        yield from whole["samples"]
    elif isinstance(whole, dict) and whole.keys() <= SPLITS.keys():
        yield from _by_split(whole)
    else:
        yield from (parse_item(line) for line in content.split(b"\n") if line.strip())


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from parquet_records(path)
    except (OSError, pa.ArrowException) as error:
        raise ImaxrayError(
            f"Expected a Parquet file at {path}, but it cannot be read or is damaged; correct the "
            "path or write the file again."
        ) from error


def _by_split(whole: dict[str, Any]) -> Iterator[Any]:
    """Yield the records of lists by split, as R2Gen writes them."""
    for name, records in whole.items():
        for record in records if isinstance(records, list) else [records]:
            yield {"split": name, **record} if isinstance(record, dict) else record
