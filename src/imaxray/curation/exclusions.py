"""Leaves out of a catalog what a user marked as wrong while viewing a dataset.

A mark takes out exactly what it names. Nothing else comes in for it: what the catalog had already
settled against the marked fact (a weaker source, another reader) stays out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.marks import Mark, content_of_marks, fact_digest
from imaxray.schema import REJECTS, conform

Excluding = Literal["wrong", "doubtful"]
"""Verdicts by which a build can leave something out; a note never does."""

EXCLUDING: Final[tuple[Excluding, ...]] = ("wrong",)
"""Verdicts that count unless others are named."""

_Key = tuple[str | None, ...]


class ExcludeConfig(BaseModel):
    """Names the marks of a user that a build honours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    marks: Path = Field(
        description="File of marks that `imaxray view` wrote, relative to the current folder."
    )
    verdicts: tuple[Excluding, ...] = Field(
        default=EXCLUDING,
        min_length=1,
        description="Marks that leave something out: wrong, or wrong and doubtful.",
    )

    @property
    def verdicts_in_order(self) -> list[str]:
        """The verdicts that count, each once, as a dataset records them."""
        return sorted(set(self.verdicts), reverse=True)

    def read(self) -> Exclusions:
        """Read the file of marks.

        Raises:
            ImaxrayError: The file is missing, or a line is no mark.
        """
        return read_exclusions(self.marks, self.verdicts)


@dataclass(frozen=True)
class Exclusions:
    """Names the images and annotations that a build leaves out because a user marked them.

    Attributes:
        sha256: Digest of the file of marks.
        verdicts: Verdicts that count.
        images: Id of an image → verdict of its mark.
        annotations: What names an annotation (:attr:`imaxray.marks.Mark.identity`) → verdict.
    """

    sha256: str
    verdicts: tuple[str, ...]
    images: Mapping[str, str]
    annotations: Mapping[_Key, str]

    @property
    def state(self) -> dict[str, Any]:
        """What a dataset records of the file, by which a later build notices a change."""
        return {"sha256": self.sha256, "verdicts": list(self.verdicts)}

    @cached_property
    def _concerned(self) -> frozenset[tuple[str | None, str | None]]:
        return frozenset((key[0], key[3]) for key in self.annotations)

    def concerns(self, image_id: str, source: str) -> bool:
        """Tell whether a mark is on an annotation of this image and source."""
        return (image_id, source) in self._concerned

    def reject_of(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the reject of an annotation (schema ANNOTATIONS); None if no mark is on it."""
        fact = fact_digest(row)
        key = (row["image_id"], row["kind"], row["name"], row["source"], row["reader"], fact)
        verdict = self.annotations.get(key)
        if verdict is None:
            return None
        about = " ".join(filter(None, [row["kind"], row["name"]]))
        return {
            "source": row["source"], "file": row["file"], "row": row["row"],
            "key": row["image_id"], "code": f"annotation-marked-{verdict}",
            # the digest tells several statements of one row apart
            "message": f"a user marked it as {verdict}: {about} ({fact})",
        }  # fmt: skip


def read_exclusions(path: str | Path, verdicts: Sequence[Excluding] = EXCLUDING) -> Exclusions:
    """Read which images and annotations a build leaves out.

    Args:
        path: File of marks that the viewer wrote.
        verdicts: Verdicts that count.

    Raises:
        ImaxrayError: The file is missing, or a line is no mark.
    """
    marks, digest = content_of_marks(Path(path))
    return exclusions(marks, verdicts, sha256=digest)


def exclusions(
    marks: Sequence[Mark], verdicts: Sequence[str] = EXCLUDING, *, sha256: str = ""
) -> Exclusions:
    """Return what a build leaves out because of marks.

    Args:
        marks: The marks that count.
        verdicts: Verdicts that count.
        sha256: Digest of the file that the marks stand in.

    Example:
        >>> found = exclusions([Mark(image_id="a/1", verdict="wrong")])
        >>> dict(found.images), dict(found.annotations)
        ({'a/1': 'wrong'}, {})
    """
    chosen = [mark for mark in marks if mark.verdict in verdicts]
    return Exclusions(
        sha256=sha256,
        verdicts=tuple(sorted(set(verdicts), reverse=True)),
        images={m.image_id: m.verdict for m in chosen if m.annotation is None},
        annotations={m.identity: m.verdict for m in chosen if m.annotation is not None},
    )


def without_images(
    images: pl.DataFrame, excluded: Exclusions | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images that no mark takes out, and rejects ``image-marked-VERDICT``.

    Args:
        images: Images (schema IMAGES).
        excluded: What the user marked; None takes nothing out.
    """
    if excluded is None or not excluded.images:
        return images, conform(images.head(0).select("source", "file", "row"), REJECTS)
    named = pl.col("image_id").is_in(list(excluded.images))
    gone = images.filter(named).with_columns(
        pl.col("image_id").replace_strict(excluded.images, default="").alias("_verdict")
    )
    rejects = gone.select(
        "source", "file", "row", pl.col("image_id").alias("key"),
        pl.format("image-marked-{}", "_verdict").alias("code"),
        pl.format("a user marked the image as {}", "_verdict").alias("message"),
    )  # fmt: skip
    return images.filter(~named), conform(rejects, REJECTS)


def without_annotations(
    annotations: pl.DataFrame, excluded: Exclusions | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the annotations that no mark takes out, and rejects ``annotation-marked-VERDICT``.

    Args:
        annotations: Annotations (schema ANNOTATIONS).
        excluded: What the user marked; None takes nothing out.
    """
    none = conform(annotations.head(0).select("source", "file", "row"), REJECTS)
    if excluded is None or not excluded.annotations:
        return annotations, none
    images = sorted({str(key[0]) for key in excluded.annotations})
    numbered = annotations.with_row_index("_number")
    gone, rejects = [], []
    for row in numbered.filter(pl.col("image_id").is_in(images)).iter_rows(named=True):
        reject = excluded.reject_of(row)
        if reject is not None:
            gone.append(row["_number"])
            rejects.append(reject)
    if not rejects:
        return annotations, none
    kept = numbered.filter(~pl.col("_number").is_in(gone)).drop("_number")
    return kept, conform(pl.DataFrame(rejects), REJECTS)


def account_of_marks(
    excluded: Exclusions | None, images: pl.DataFrame, annotations: pl.DataFrame
) -> dict[str, Any] | None:
    """Return what the manifest says of the marks that a build honoured; None without marks.

    Args:
        excluded: What the user marked.
        images: Rejects of images.
        annotations: Rejects of annotations.

    Returns:
        ``sha256`` and ``verdicts``; ``images`` and ``annotations``, source → number that was left
        out; ``unmatched``, the number of marks that name nothing of the catalog; and
        ``unmatched_images``, the ids of their images.
    """
    if excluded is None:
        return None
    gone = set(images["key"])
    lost = [image for image in excluded.images if image not in gone]
    # an annotation of an image that is left out as a whole is gone, too
    of_facts = Counter(str(key[0]) for key in excluded.annotations if key[0] not in gone)
    of_facts.subtract(Counter(annotations["key"]))
    left = [image for image, number in of_facts.items() if number > 0]
    return {
        **excluded.state,
        "images": _by_source(images),
        "annotations": _by_source(annotations),
        "unmatched": len(lost) + sum(of_facts[image] for image in left),
        "unmatched_images": sorted({*lost, *left}),
    }


def marks_after_deriving(excluded: Exclusions | None, rejects: pl.DataFrame) -> dict[str, Any]:
    """Return the decisions of a build about marks, when derived annotations are known, too.

    Args:
        excluded: What the user marked.
        rejects: All rejects of the catalog (schema REJECTS).
    """
    code = pl.col("code").cast(pl.String)
    account = account_of_marks(
        excluded,
        rejects.filter(code.str.starts_with("image-marked-")),
        rejects.filter(code.str.starts_with("annotation-marked-")),
    )
    return {} if account is None else {"marks": account}


def _by_source(rejects: pl.DataFrame) -> dict[str, int]:
    counts = rejects.select(pl.col("source").cast(pl.String)).to_series().to_list()
    return dict(sorted(Counter(counts).items()))
