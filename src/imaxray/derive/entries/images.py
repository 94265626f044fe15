"""Reads the entries of a dataset as facts about images, and derives chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl

from imaxray.curation import Exclusions
from imaxray.derive.applying.engine import Derivation, Outcome, check_rules, derive_facts
from imaxray.derive.applying.measure import Tally
from imaxray.derive.entries.render import Rendered, annotations_of, rendered
from imaxray.derive.facts.fact import Fact, facts_of_entry
from imaxray.derive.facts.masks import from_masks
from imaxray.derive.facts.questions import understood
from imaxray.derive.rules.rule import About, DerivationRule, Habits
from imaxray.hashing import digest
from imaxray.schema import DERIVED_SOURCE, FRONTAL
from imaxray.tasks import Question, from_json, get_task

_OF_STUDY: Final = ("report", "findings", "grading")
"""Tasks whose entries hold for all frontal images of a study."""

Stated = list[tuple[Fact, str]]
"""Facts with the ids of the entries that state them."""


@dataclass(frozen=True)
class Chunk:
    """Images with the entries from which is derived.

    Attributes:
        images: Images (schema IMAGES).
        entries: Real entries of these images (schema ENTRIES).
        siblings: Entries of other frontal images of the study (schema ENTRIES), with the ids of
            these images as ``image_id``.
        truth: True entries of these images (schema ENTRIES); ``None`` if only the entries of the
            chunk itself can tell whether a conclusion is right.
    """

    images: pl.DataFrame
    entries: pl.DataFrame
    siblings: pl.DataFrame
    truth: pl.DataFrame | None = None


@dataclass
class Derived:
    """What was derived from a chunk.

    Attributes:
        rendered: Annotations, entries and their provenance.
        contradicted: Rule → number of facts that contradict an entry.
        disputed: Rule → number of facts that contradict another derived fact.
        over: Number of questions beyond the most of an image.
        refused: Annotations that a user marked, each with the verdict, as rows of rejects.
    """

    rendered: Rendered
    contradicted: Counter[str] = field(default_factory=Counter)
    disputed: Counter[str] = field(default_factory=Counter)
    over: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


def stated_by(entries: pl.DataFrame) -> dict[str, Stated]:
    """Return what entries state, by image."""
    found: dict[str, Stated] = {}
    columns = ["entry_id", "image_id", "task", "prompt", "target", "boxes", "answer", "template",
               "quality"]  # fmt: skip
    for row in entries.select(columns).iter_rows(named=True):
        stated = get_task(row["task"]).facts(Question.of(row), from_json(row["answer"]))
        facts = facts_of_entry(row["task"], stated, row["quality"])
        found.setdefault(row["image_id"], []).extend((fact, row["entry_id"]) for fact in facts)
    return found


def sibling_entries(entries: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return the entries that hold for a whole study, once for each other image of the study.

    Reports, lists of findings and grades of a frontal image hold for the other frontal images of
    its study in the same split.

    Args:
        entries: Entries (schema ENTRIES).
        images: Images (schema IMAGES).

    Returns:
        Schema ENTRIES, with the id of the other image as ``image_id`` and the id of the entry.
    """
    frontal = images.filter(
        pl.col("view").is_in(FRONTAL) & pl.col("study_id").is_not_null()
    ).select("image_id", "patient_id", "study_id", "split")
    # the patient too, because some releases count studies anew for each patient
    same = ["patient_id", "study_id", "split"]
    several = frontal.filter(pl.len().over(same) > 1)
    pairs = several.join(several, on=same, suffix="_other").filter(
        pl.col("image_id") != pl.col("image_id_other")
    )
    found = entries.filter(pl.col("task").is_in(_OF_STUDY)).join(
        pairs.select("image_id", "image_id_other"), on="image_id", how="inner"
    )
    moved = found.with_columns(pl.col("image_id_other").alias("image_id"))
    return moved.select(entries.columns).sort("image_id", "entry_id")


def abouts(images: pl.DataFrame, masks: Path | None) -> Iterator[tuple[About, str]]:
    """Yield each image with the id of its patient, in the order of their ids.

    Args:
        images: Images (schema IMAGES).
        masks: Folder of masks; ``None`` without masks.
    """
    columns = images.sort("image_id").select(
        "image_id", "view", "width", "height", "path", "patient_id"
    )
    for image, view, width, height, path, patient in columns.iter_rows():
        size = (width, height)
        organs, ratios = ({}, {}) if masks is None else from_masks(masks, path, size)
        yield About(image, view, size, organs, ratios), patient


def measure_chunk(
    chunk: Chunk, rules: Sequence[DerivationRule], habits: Habits, masks: Path | None = None
) -> Tally:
    """Compare conclusions of the rules with what entries of the same images state."""
    tally, stated, near = Tally(), stated_by(chunk.entries), stated_by(chunk.siblings)
    truth = None if chunk.truth is None else stated_by(chunk.truth)
    for about, patient in abouts(chunk.images, masks):
        here = stated.get(about.image_id, [])
        known = here if truth is None else [*here, *truth.get(about.image_id, [])]
        others = near.get(about.image_id, [])
        for check in check_rules(about, here, rules, habits, known=known, siblings=others):
            tally.add(check, patient)
    return tally


def derive_chunk(
    chunk: Chunk,
    rules: Sequence[DerivationRule],
    habits: Habits,
    off: frozenset[str],
    questions_per_image: int,
    masks: Path | None = None,
    excluded: Exclusions | None = None,
) -> Derived:
    """Derive what follows from the entries of a chunk of images.

    What a user marked is not derived, nor what follows from it alone.
    """
    stated, near = stated_by(chunk.entries), stated_by(chunk.siblings)
    made: list[tuple[str, Derivation]] = []
    result = Derived(Rendered.empty())
    for about, _ in abouts(chunk.images, masks):
        derive = partial(
            derive_facts, about, stated.get(about.image_id, []), rules, habits, off=off,
            siblings=near.get(about.image_id, []),
        )  # fmt: skip
        outcome, refused = _unmarked(about.image_id, derive, excluded)
        result.refused += refused
        result.contradicted.update(outcome.contradicted)
        result.disputed.update(outcome.disputed)
        kept, over = capped(about.image_id, outcome.derived, questions_per_image)
        result.over += over
        made += [(about.image_id, derivation) for derivation in kept]
    result.rendered = rendered(made, chunk.images, chunk.entries)
    return result


def _unmarked(
    image_id: str, derive: Callable[..., Outcome], excluded: Exclusions | None
) -> tuple[Outcome, list[dict[str, Any]]]:
    """Derive without what a user marked of an image; return what was left out as rejects, too."""
    outcome = derive()
    if excluded is None or not excluded.concerns(image_id, DERIVED_SOURCE):
        return outcome, []
    rejects: dict[str, dict[str, Any]] = {}
    blocked: set[object] = set()
    while True:
        found = len(blocked)
        for derivation in outcome.derived:
            for row in annotations_of(image_id, derivation).iter_rows(named=True):
                if (reject := excluded.reject_of(row)) is not None:
                    rejects.setdefault(reject["message"], reject)
                    blocked.add(derivation.fact.order)
        if len(blocked) == found:
            return outcome, list(rejects.values())
        # what goes may make way for another fact, which is compared in turn
        outcome = derive(blocked=frozenset(blocked))


def capped(image: str, derived: Sequence[Derivation], most: int) -> tuple[list[Derivation], int]:
    """Return the derivations with at most ``most`` questions, and the number left out.

    Questions about a place, a list, a size or a view come first, then findings that are present,
    then absent ones; a hash of image and question decides among equal ones.
    """
    asked = [d for d in derived if d.fact.kind == "qa"]
    if len(asked) <= most:
        return list(derived), 0
    ranked = sorted(asked, key=lambda d: _rank(image, d.fact))
    gone = {id(d) for d in ranked[most:]}
    return [d for d in derived if id(d) not in gone], len(asked) - most


def _rank(image: str, fact: Fact) -> tuple[Any, ...]:
    asks = understood(fact.text)
    kind = "presence" if asks is None else asks.kind
    denied = fact.answers == ("no",)
    first = {"what": 0, "where": 0, "wider": 0, "view": 0, "sided": 2, "presence": 1}[kind]
    return (4 if denied and kind in ("presence", "sided") else first,
            digest(f"{image}\n{fact.text}"))  # fmt: skip
