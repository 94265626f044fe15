"""Rules that read regions: phrases with their boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from imaxray.derive.facts.fact import Fact, by_content, question
from imaxray.derive.rules.reports import PLACES
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known
from imaxray.labeller import mentions
from imaxray.tasks._shared.wording import sides

_HEARTS: Final = ("heart", "cardiac silhouette")
_LUNGS: Final = ("left lung", "right lung")
_WIDEST: Final = 0.75  # ratio of a heart that reaches beyond the lungs
_BEYOND: Final = 0.05  # share of the width of the chest
_SEVERAL: Final = re.compile(
    r"\b(?:multiple|several|numerous|scattered|multifocal|two|three|both)\b"
)


def _rec_reg(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in known.of("rec"):
        for box in fact.boxes:
            made = Fact("reg", text=fact.text, boxes=(box,), anatomy=fact.anatomy)
            yield Conclusion(made, (fact,))


def _reg_rec(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    by_phrase: dict[str, list[Fact]] = {}
    for fact in known.of("reg"):
        by_phrase.setdefault(fact.text, []).append(fact)
    for phrase, facts in sorted(by_phrase.items()):
        boxes = tuple(sorted({box for fact in facts for box in fact.boxes}))
        several = len(sides(phrase)) == 2 or _SEVERAL.search(phrase) is not None
        if several and len(boxes) == 1:
            continue  # a bilateral finding has another box, which nobody gave
        premises = tuple(sorted(facts, key=by_content))
        made = Fact("rec", text=phrase, boxes=boxes, anatomy=any(f.anatomy for f in facts))
        yield Conclusion(made, premises)


@lru_cache(maxsize=100_000)
def _located(phrase: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the labels that a phrase affirms, each with the lungs in which it places them."""
    found: dict[str, set[str]] = {}
    for mention in mentions(phrase):
        if mention.value == 1:
            places = () if mention.side is None else PLACES[mention.side]
            found.setdefault(mention.label, set()).update(places)
    return tuple((label, tuple(sorted(places))) for label, places in sorted(found.items()))


def _region_label(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in (*known.of("rec"), *known.of("reg")):
        for label, _ in _located(fact.text):
            yield Conclusion(Fact("label", label, 1.0), (fact,), (label,))


def _region_side(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for fact in (*known.of("rec"), *known.of("reg")):
        for label, places in _located(fact.text):
            for place in places:
                asked = habits.questions.sided(known.about.image_id, label, place)
                if asked is not None:
                    yield Conclusion(question(asked, ("yes",)), (fact,), (label,))


def _region_where(known: Known, habits: Habits) -> Iterator[Conclusion]:
    found: dict[str, set[str]] = {}
    premises: dict[str, list[Fact]] = {}
    open_side: set[str] = set()  # labels with a box of which no side is named
    for fact in (*known.of("rec"), *known.of("reg")):
        for label, places in _located(fact.text):
            if not places:
                open_side.add(label)
            found.setdefault(label, set()).update(places)
            premises.setdefault(label, []).append(fact)
    for label, all_places in sorted(found.items()):
        asked = habits.questions.where(known.about.image_id, label)
        if asked is not None and label not in open_side:
            read = tuple(sorted(premises[label], key=by_content))
            answers = question(asked, tuple(sorted(all_places)), closed=False)
            yield Conclusion(answers, read, (label,))


def _boxes_ratio(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    if not known.about.frontal:
        return  # on a lateral image, no width is that of the chest
    named: dict[str, list[Fact]] = {}
    for fact in (*known.of("rec"), *known.of("reg")):
        if len(fact.boxes) == 1:
            named.setdefault(fact.text, []).append(fact)
    heart = next((name for name in _HEARTS if name in named), None)
    if heart is None or any(name not in named for name in _LUNGS):
        return
    chosen = [min(named[name], key=by_content) for name in (heart, *_LUNGS)]
    (hx1, _, hx2, _), *lungs = (fact.boxes[0] for fact in chosen)
    left, right = min(box[0] for box in lungs), max(box[2] for box in lungs)
    ratio = (hx2 - hx1) / (right - left) if right > left else 0.0
    # An enlarged heart may reach a little beyond the lungs; one that does and fills nearly the
    # whole width, or that reaches far beyond, shows that a box is of something else.
    beyond = max(left - hx1, hx2 - right) / (right - left) if right > left else 1.0
    if 0 < ratio < (1.0 if beyond <= 0 else _WIDEST) and beyond <= _BEYOND:
        yield Conclusion(Fact("measurement", "ctr", ratio), tuple(chosen))


_REGIONS: Final = "Convention: a box and its phrase describe each other"

RULES: Final = (
    DerivationRule(
        name="rec-reg",
        says="The box of a phrase is described by the phrase.",
        reads=("rec",),
        makes=("reg",),
        kind="exact",
        source=_REGIONS,
        conclude=_rec_reg,
    ),
    DerivationRule(
        name="reg-rec",
        says="The phrase of a box is located by the box.",
        reads=("reg",),
        makes=("rec",),
        kind="exact",
        source=_REGIONS,
        conclude=_reg_rec,
        scope="all releases; phrases of both sides with one box are left out",
    ),
    DerivationRule(
        name="region-label",
        says="A finding that has a box is present.",
        reads=("rec", "reg"),
        makes=("label",),
        kind="exact",
        source="Convention: a finding that somebody located is present",
        conclude=_region_label,
        clinical="region-label",
    ),
    DerivationRule(
        name="region-side",
        says="A finding that has a box is on the side that its phrase names.",
        reads=("rec", "reg"),
        makes=("qa",),
        kind="exact",
        source="Convention: a finding that somebody located is present",
        conclude=_region_side,
    ),
    DerivationRule(
        name="region-where",
        says="The sides that phrases of a finding name are the answer to where it is.",
        reads=("rec", "reg"),
        makes=("qa",),
        kind="calibrated",
        source="Convention: a release that locates findings locates all of them",
        conclude=_region_where,
        scope="releases that locate all findings of an image",
    ),
    DerivationRule(
        name="boxes-ratio",
        says="The width of the box of the heart over the width of the boxes of both lungs is the "
        "cardiothoracic ratio.",
        reads=("rec", "reg"),
        makes=("measurement",),
        kind="calibrated",
        source="Danzer 1919, Am J Med Sci 157:513",
        conclude=_boxes_ratio,
    ),
)
