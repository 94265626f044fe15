"""MIMIC-Ext-MIMIC-CXR-VQA 1.0.0: questions about single images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray.errors import ImaxrayError
from imaxray.schema import REJECTS, SOURCE_ANNOTATIONS, SPLIT_HINTS, conform
from imaxray.sources import _mimic
from imaxray.sources._base import Source, SourceTables
from imaxray.sources._json import read_items, text_of
from imaxray.sources._tables import relative, release_file, require_root

_FOLDERS: Final = ("MIMIC-Ext-MIMIC-CXR-VQA/dataset", "dataset", "mimiccxrvqa/dataset", ".")
_SPLITS: Final = ("train", "valid", "test")
_KEYS: Final = ("image_id", "question", "answer", "semantic_type")


class MimicCxrVqa(Source):
    """Questions with closed (verify, choose) and open (query) answers; ``[]`` means none.

    Train and valid were made by a program from scene graphs, test from the gold set. Gender is
    answered from hospital records, not from the image: those questions are rejects.
    """

    name = "mimic-cxr-vqa"
    title = "MIMIC-Ext-MIMIC-CXR-VQA"
    version = "1.0.0"
    collection = _mimic.COLLECTION
    tasks = ("vqa",)
    access = "credentialed"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    citation = "Bae et al., EHRXQA, NeurIPS 2023, arXiv:2310.18652"
    url = "https://physionet.org/content/mimic-ext-mimic-cxr-vqa/1.0.0/"

    def check(self, root: Path) -> list[str]:
        """See :meth:`Source.check`."""
        paths = self._paths(root)
        for path in paths.values():
            read_items(path, _KEYS)
        return [relative(path, root) for path in paths.values()]

    def read(self, root: Path) -> SourceTables:
        """See :meth:`Source.read`."""
        annotations, hints, rejects, files = [], [], [], []
        for split, path in self._paths(root).items():
            items = read_items(path, _KEYS)
            file = relative(path, root)
            rows, bad = _questions(items)
            frame = _frame(rows).with_columns(
                pl.lit("human" if split == "test" else "silver").alias("origin"),
                pl.lit("gold" if split == "test" else "scene-graph").alias("quality"),
                pl.lit(self.name).alias("source"),
                pl.lit(file).alias("file"),
            )
            unknown = frame.filter(pl.col("image_id").is_null())
            bad += [(row, "", "bad-id", "image_id is none of MIMIC's") for row in unknown["row"]]
            known = frame.filter(pl.col("image_id").is_not_null())
            annotations.append(conform(known, SOURCE_ANNOTATIONS))
            if split == "test":
                hint = known.select(
                    "image_id", pl.lit("test").alias("split"), "source", "file", "row"
                )
                hints.append(conform(hint, SPLIT_HINTS))
            rejects += [(self.name, file, *item) for item in bad]
            files.append(release_file(path, root, self.name, len(items)))
        return SourceTables(
            annotations=pl.concat(annotations),
            hints=pl.concat(hints) if hints else SourceTables().hints,
            rejects=pl.DataFrame(rejects, schema=REJECTS, orient="row"),
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


def _questions(items: list[Any]) -> tuple[list[tuple[Any, ...]], list[tuple[int, str, str, str]]]:
    rows: list[tuple[Any, ...]] = []
    bad: list[tuple[int, str, str, str]] = []
    for row, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            bad.append((row, "", "bad-json", "the item is no object"))
            continue
        image, question = text_of(item.get("image_id")), text_of(item.get("question"))
        answer, semantic = item.get("answer"), text_of(item.get("semantic_type"))
        if not question:
            bad.append((row, image, "empty-text", "the question is empty"))
        elif not isinstance(answer, list):
            bad.append((row, image, "bad-value", "the answer must be a list"))
        elif semantic not in ("verify", "choose", "query"):
            bad.append((row, image, "bad-value", "semantic_type is none of the release's"))
        elif item.get("content_type") == "gender":
            bad.append((row, image, "not-in-image", "gender is answered from hospital records"))
        else:
            closed = float(semantic != "query")
            answers = [text_of(a).lower() for a in answer]
            rows.append((image, semantic, closed, question, answers, row))
    return rows, bad


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"image": pl.String, "name": pl.String, "value": pl.Float64, "text": pl.String,
                "answers": pl.List(pl.String), "row": pl.Int64},
        orient="row",
    ).select(_mimic.image_id("image").alias("image_id"), pl.lit("qa").alias("kind"),
             pl.exclude("image"))  # fmt: skip
