"""Reads MIMIC-Ext-MIMIC-CXR-VQA 1.0.0: questions about single images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from imaxray._common.strict_json import BadItem, parse_item
from imaxray.errors import ImaxrayError
from imaxray.schema import SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.collections import mimic
from imaxray.sources._shared.files.columns import reject, stated_by
from imaxray.sources._shared.files.json_items import check_items, read_items, text_of
from imaxray.sources._shared.files.paths import relative, release_file, require_root
from imaxray.sources._shared.records import SourceTables

_FOLDERS: Final = ("MIMIC-Ext-MIMIC-CXR-VQA/dataset", "dataset", "mimiccxrvqa/dataset", ".")
_SPLITS: Final = ("train", "valid", "test")
_PART: Final = 50_000  # items converted at a time, which limits memory, not the result
_KEYS: Final = ("image_id", "question", "answer", "semantic_type")
_QUOTED: Final = [f'"{key}"'.encode() for key in (*_KEYS, "content_type")]

_COLUMNS: Final[dict[str, Any]] = {
    "image": pl.String,
    "question": pl.String,
    "answers": pl.List(pl.String),
    "semantic": pl.String,
    "content": pl.String,
}
_FAULTS: Final = {
    "bad-json": "the item is no object, or is no strict JSON",
    "bad-encoding": "the item is not text in the encoding of the release",
    "empty-text": "the question is empty",
    "bad-value: answer": "the answer must be a list",
    "bad-value: semantic_type": "semantic_type is none of the release's",
    "not-in-image": "gender is answered from hospital records",
}
"""Maps each reason to reject an item (the code, and the key at fault) to the reject message."""


class MimicCxrVqa(Source):
    """Reads questions with closed (verify, choose) and open (query) answers; ``[]`` means none.

    A program made the train and valid questions from scene graphs and the test questions from the
    gold set. Questions about gender are rejects, because they are answered from hospital records
    and not from the image.
    """

    name = "mimic-cxr-vqa"
    title = "MIMIC-Ext-MIMIC-CXR-VQA"
    version = "1.0.0"
    collection = mimic.COLLECTION
    tasks = ("vqa",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Bae et al., EHRXQA, NeurIPS 2023, arXiv:2310.18652"
    url = "https://physionet.org/content/mimic-ext-mimic-cxr-vqa/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for path in paths.values():
            check_items(path, _KEYS)
        return [relative(path, root) for path in paths.values()]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        annotations, hints, rejects, files = [], [], [], []
        for split, path in self._paths(root).items():
            file = relative(path, root)
            items = _questions(path)
            good = items.filter(pl.col("fault").is_null())
            frame = good.select(
                mimic.image_id("image").alias("image_id"),
                pl.lit("qa").alias("kind"),
                pl.col("semantic").alias("name"),
                (pl.col("semantic") != "query").cast(pl.Float64).alias("value"),
                pl.col("question").alias("text"),
                "answers",
                "row",
                *stated_by(
                    "human" if split == "test" else "silver",
                    "gold" if split == "test" else "scene-graph",
                ),
                pl.lit(self.name).alias("source"),
                pl.lit(file).alias("file"),
            )
            where = {"source": self.name, "file": file, "key": "image"}
            for fault, message in _FAULTS.items():
                rows = items.filter(pl.col("fault") == fault)
                code = fault.partition(":")[0]
                rejects.append(reject(rows, **where, code=code, message=message))
            unknown = frame.filter(pl.col("image_id").is_null())
            rejects.append(reject(unknown, **{**where, "key": "image_id"}, code="bad-id",
                                  message="image_id is none of MIMIC's"))  # fmt: skip
            known = frame.filter(pl.col("image_id").is_not_null())
            annotations.append(conform(known, SOURCE_ANNOTATIONS))
            if split == "test":
                hint = known.select(
                    "image_id", pl.lit("test").alias("split"), "source", "file", "row"
                )
                hints.append(conform(hint, SPLIT_HINTS))
            files.append(release_file(path, root, self.name, items.height))
        return SourceTables(
            annotations=pl.concat(annotations),
            hints=pl.concat(hints) if hints else SourceTables().hints,
            rejects=pl.concat(rejects),
            files=tuple(files),
        )

    def _paths(self, root: Path) -> dict[str, Path]:
        require_root(root, self.name)
        for folder in _FOLDERS:
            found = {s: root / folder / f"{s}.json" for s in _SPLITS}
            present = {split: path for split, path in found.items() if path.is_file()}
            if present:
                return present
        blank = [path for folder in _FOLDERS for path in (root / folder).glob("_*.json")]
        if blank:
            raise ImaxrayError(
                f"Expected train.json, valid.json or test.json in the {self.name} release at "
                f"{root}, but found only files without answers ({blank[0].name}); run the "
                "release's build_dataset.sh first."
            )
        raise ImaxrayError(
            f"Expected train.json, valid.json or test.json in the {self.name} release at {root} or "
            f"its {_FOLDERS[0]}, but found none of them; download them or correct the path."
        )


def _questions(path: Path) -> pl.DataFrame:
    """Read the items into columns: row, fault, image, question, answers, semantic, content."""
    frame = pl.concat([_columns(items) for items in _parts(path)])
    fault = (
        pl.when(pl.col("semantic").is_null()).then(pl.col("question"))
        .when(pl.col("question") == "").then(pl.lit("empty-text"))
        .when(pl.col("answers").is_null()).then(pl.lit("bad-value: answer"))
        .when(~pl.col("semantic").is_in(["verify", "choose", "query"]))
        .then(pl.lit("bad-value: semantic_type"))
        .when(pl.col("content") == "gender").then(pl.lit("not-in-image"))
    )  # fmt: skip
    return frame.with_columns(fault.alias("fault")).with_row_index("row", offset=1)


def _columns(items: list[_Item]) -> pl.DataFrame:
    columns = {
        "image": [item.image_id for item in items],
        "question": [item.question for item in items],
        "answers": [item.answer for item in items],
        "semantic": [item.semantic_type for item in items],
        "content": [item.content_type for item in items],
    }
    return pl.DataFrame(columns, schema=_COLUMNS).with_columns(
        pl.col("image", "question", "semantic").str.strip_chars(),
        pl.col("answers").list.eval(pl.element().str.strip_chars().str.to_lowercase()),
    )


class _Item(msgspec.Struct, gc=False):
    """Holds the fields of an item that are read.

    ``answer`` is None if it is no list. ``semantic_type`` is None if the item cannot be read;
    ``question`` then holds the code of the reject.
    """

    image_id: str
    question: str
    answer: list[str] | None
    semantic_type: str | None
    content_type: str | None = None


def _parts(path: Path) -> Iterator[list[_Item]]:
    """Yield the items in lists of at most ``_PART``, because all at once would take gigabytes."""
    try:
        raws = msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raws = []
    if not raws:  # read_items raises an error that says what is wrong with the file
        yield [_key_by_key(item) for item in read_items(path, _KEYS)]
    for start in range(0, len(raws), _PART):
        yield [_item(raw) for raw in raws[start : start + _PART]]


def _item(raw: msgspec.Raw) -> _Item:
    """Decode one item, typed if it has the documented types, else key by key.

    Typed decoding is twice as fast as making a dict, but takes the last of two equal keys.
    """
    content = bytes(raw)
    if all(content.count(key) < 2 for key in _QUOTED):
        try:
            item = _DECODER.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        else:
            if item.semantic_type is not None:  # null would say that the item cannot be read
                return item
    return _key_by_key(parse_item(content))


_DECODER: Final = msgspec.json.Decoder(_Item)


def _key_by_key(item: Any) -> _Item:
    if isinstance(item, BadItem):
        return _Item("", item.code, None, None)
    if not isinstance(item, dict):
        return _Item("", "bad-json", None, None)
    answer = item.get("answer")
    content = item.get("content_type")
    return _Item(
        text_of(item.get("image_id")),
        text_of(item.get("question")),
        [text_of(a) for a in answer] if isinstance(answer, list) else None,
        text_of(item.get("semantic_type")),
        content if isinstance(content, str) else None,
    )
