"""Learns from the entries of a dataset how it words questions and which labels it states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import polars as pl

from imaxray.clinical import ClinicalRules
from imaxray.derive.facts.questions import Questions
from imaxray.derive.rules.rule import Habits
from imaxray.schema import FRONTAL
from imaxray.tasks import Question, from_json, get_task

_PARENTS: Final = {
    "Lung Opacity": ("Atelectasis", "Consolidation", "Edema", "Lung Lesion", "Pneumonia"),
    "Enlarged Cardiomediastinum": ("Cardiomegaly",),
}
"""Label → labels under it in CheXpert's hierarchy (Irvin et al. 2019, figure 1)."""
_FEWEST: Final = 5  # lists with a label, before its companions are learned
_ALWAYS: Final = 0.9  # share of the lists with a label that name its companion too


def habits_of(entries: pl.DataFrame, images: pl.DataFrame, clinical: ClinicalRules) -> Habits:
    """Learn the habits of a dataset.

    Args:
        entries: Real train entries (schema ENTRIES).
        images: Images of the dataset (schema IMAGES).
        clinical: Clinical rules with which the dataset was built.
    """
    findings = get_task("findings")
    golds = [from_json(a) for a in entries.filter(pl.col("task") == "findings")["answer"]]
    views = images.filter(pl.col("view").is_in(FRONTAL))["view"].unique()
    return Habits(
        questions=Questions.learned(_asked(entries, images)),
        companions=_companions(golds),
        usual=findings.usual_labels(golds),
        views=frozenset(views),
        heart=_heart(entries),
        clinical=clinical,
    )


def _asked(
    entries: pl.DataFrame, images: pl.DataFrame
) -> Iterator[tuple[str, tuple[str, ...], str | None, int]]:
    """Yield each question with its answers, the view of its images and how often it is asked."""
    task = get_task("vqa")
    rows = (
        entries.filter(pl.col("task") == "vqa")
        .join(images.select("image_id", "view"), on="image_id", how="left", maintain_order="left")
        .group_by("prompt", "template", "answer", "view")
        .len()
    )
    for prompt, template, answer, view, count in rows.iter_rows():
        text = task.asked_text(Question(template, prompt, []))
        yield text, tuple(from_json(answer)["answers"]), view, count


def _companions(golds: list[Mapping[str, int]]) -> dict[str, tuple[str, ...]]:
    """Return the labels that lists name wherever they name a label below them."""
    present: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for gold in golds:
        for parent, children in _PARENTS.items():
            for child in children:
                if gold.get(child) == 1:
                    present[child] += 1
                    both[child, parent] += gold.get(parent) == 1
    found: dict[str, tuple[str, ...]] = {}
    for (child, parent), count in sorted(both.items()):
        if present[child] >= _FEWEST and count >= _ALWAYS * present[child]:
            found[child] = (*found.get(child, ()), parent)
    return found


def _heart(entries: pl.DataFrame) -> str:
    """Return the more frequent of the two names of the heart in phrases with boxes."""
    named = entries.filter(pl.col("task").is_in(["rec", "reg"]))
    texts = pl.concat([named["prompt"], named["target"]]).str.to_lowercase()
    silhouette = int(texts.str.contains("cardiac silhouette", literal=True).sum())
    heart = int(texts.str.contains(r"\bheart\b").sum())
    return "cardiac silhouette" if silhouette > heart else "heart"
