"""Rules that read masks, other images of the study, or a report and a region together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from imaxray.derive.facts.fact import Fact, by_content
from imaxray.derive.rules.reports import report_of
from imaxray.derive.rules.rule import Conclusion, DerivationRule, Habits, Known
from imaxray.labeller import mentions

_PLACED: Final = {
    "Cardiomegaly": ("cardiac silhouette", "heart"),
    "Pleural Effusion": ("{side} costophrenic angle",),
    "Pneumothorax": ("{side} lung",),
    "Consolidation": ("{side} {zone} lung zone",),
    "Lung Lesion": ("{side} {zone} lung zone",),
    "Lung Opacity": ("{side} {zone} lung zone",),
    "Atelectasis": ("{side} {zone} lung zone",),
}
"""Label → regions of anatomy in which a report places it, as Chest ImaGenome does."""


def _mask_region(known: Known, habits: Habits) -> Iterator[Conclusion]:
    for organ, box in sorted(known.about.organs.items()):
        phrase = habits.heart if organ == "heart" else organ
        yield Conclusion(Fact("rec", text=phrase, boxes=(box,), anatomy=True), (), (organ,))
        yield Conclusion(Fact("reg", text=phrase, boxes=(box,), anatomy=True), (), (organ,))


def _mask_ratio(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    if not known.about.frontal:
        return  # on a lateral image, neither width nor area is that of the chest
    for name, value in sorted(known.about.ratios.items()):
        yield Conclusion(Fact("measurement", name, value), (), (name,))


def _study_view(known: Known, _habits: Habits) -> Iterator[Conclusion]:
    for fact in known.siblings:
        if fact.kind in ("report", "label", "findings", "grade"):
            made = Fact(fact.kind, fact.name, fact.value, fact.text, labels=fact.labels)
            yield Conclusion(made, (fact,), (fact.kind,))


@lru_cache(maxsize=20_000)
def _places(text: str) -> tuple[tuple[str, str], ...]:
    """Return the findings that a report affirms, each with a region in which it places them."""
    found: list[tuple[str, str]] = []
    for mention in mentions(text):
        for region in _PLACED.get(mention.label, ()) if mention.value == 1 else ():
            if ("{side}" in region and mention.side not in ("left", "right")) or (
                "{zone}" in region and mention.zone is None
            ):
                continue  # the clause of the finding does not say where it is
            found.append((mention.label, region.format(side=mention.side, zone=mention.zone)))
    return tuple(dict.fromkeys(found))


def _report_region(known: Known, habits: Habits) -> Iterator[Conclusion]:
    text, premises = report_of(known)
    if not premises:
        return
    regions: dict[str, list[Fact]] = {}
    for fact in (*known.of("rec"), *known.of("reg")):
        if fact.anatomy and len(fact.boxes) == 1:
            regions.setdefault(fact.text, []).append(fact)
    for label, region in _places(text):
        name = habits.questions.name(label)
        if name is None or region not in regions:
            continue
        place = min(regions[region], key=by_content)
        phrase = name if label == "Cardiomegaly" else f"{name} in the {region}"
        made = Fact("rec", text=phrase, boxes=place.boxes)
        yield Conclusion(made, (*premises, place), (label,))


RULES: Final = (
    DerivationRule(
        name="report-region",
        says="A finding that a report places in a region of anatomy is in the box of this region.",
        reads=("report", "rec", "reg"),
        makes=("rec",),
        kind="calibrated",
        source="Wu et al. 2021, Chest ImaGenome, which places the findings of reports in regions",
        conclude=_report_region,
        scope="releases that name regions as Chest ImaGenome does",
    ),
    DerivationRule(
        name="mask-region",
        says="The tight box of a mask of the heart or of a lung shows the organ.",
        reads=(),
        makes=("rec", "reg"),
        kind="calibrated",
        source="Dong et al. 2018, arXiv:1807.03434",
        conclude=_mask_region,
        scope="images with masks (`--masks`)",
    ),
    DerivationRule(
        name="mask-ratio",
        says="Masks of the heart and both lungs give the cardiothoracic ratio and the ratio of "
        "their areas.",
        reads=(),
        makes=("measurement",),
        kind="calibrated",
        source="Dong et al. 2018, arXiv:1807.03434",
        conclude=_mask_ratio,
        scope="images with masks (`--masks`)",
    ),
    DerivationRule(
        name="study-view",
        says="The report, the labels and the grade of a frontal image hold for the other frontal "
        "images of its study.",
        reads=(),
        makes=("report", "label", "findings", "grade"),
        kind="calibrated",
        source="Johnson et al. 2019, MIMIC-CXR: reports and labels are about studies",
        conclude=_study_view,
        scope="frontal images of one study",
    ),
)
