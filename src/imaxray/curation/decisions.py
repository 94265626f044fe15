"""Says in figures what the options of a build decided about texts, labels and repeated images.

The figures are those of the whole catalog. They stand in the manifest under ``decisions``, and the
dataset card says them in sentences.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from imaxray._common.printing import counted
from imaxray.sources import same_images

if TYPE_CHECKING:
    from imaxray.curation.joining.duplicates import DuplicatesConfig


def notice_same_images(sources: Iterable[str], config: DuplicatesConfig) -> dict[str, Any]:
    """Notice releases that hold the same radiographs under different ids.

    A warning says so if the build does not compare the images: such a radiograph may then be in
    train under one id and in test under another.

    Args:
        sources: Names of the sources of the build.
        config: Whether the build compares the images.

    Returns:
        ``duplicates``, the effect of the comparison; and ``shared``, a sentence per pair.
    """
    shared = same_images(sources)
    if config.effect == "off":
        for pair in shared:
            warnings.warn(
                f"{pair.first} and {pair.second} hold the same images under different ids: "
                f"{pair.fact}. Set curation.duplicates.effect to report or drop, so that they "
                "are found and no image is in two splits.",
                stacklevel=2,
            )
    return {"duplicates": config.effect, "shared": [pair.fact for pair in shared]}


def card_lines(decisions: Mapping[str, Any]) -> list[str]:
    """Return the section of the dataset card that says what the options of the build decided."""
    if not decisions:
        return []
    unsure, text = decisions["uncertain_labels"], decisions["report_text"]
    options = text["options"]
    lines = [
        "## Decisions of the build",
        "",
        "The figures are those of the catalog that the dataset was selected from.",
        "",
        f"- Uncertain labels (`{unsure['policy']}`): {unsure['images']:,} images have one; "
        f"{unsure['without_entry']:,} of them have no findings entry, and the entry of "
        f"{unsure['changed']:,} states it.",
        f"- Report text without a heading (`{options['unknown_section']}`): "
        f"{text['unknown_sections']:,} texts.",
        f"- Gaps that de-identification left (`{options['gaps']}`): {text['texts_with_gaps']:,} "
        f"report texts have one; {text['gaps_closed']:,} gaps are closed, and "
        f"{text['sentences_dropped']:,} sentences are left out because their meaning may hang "
        "on one.",
    ]
    unusual = {how: count for how, count in text["headings"].items() if how != "report"}
    if unusual:
        named = ", ".join(f"{how} {count:,}" for how, count in unusual.items())
        lines.append(f"- How the headings of report texts were read: {named}.")
    if "marks" in decisions:
        lines.append(f"- {sentence_of_marks(decisions['marks'])}")
    same = decisions["same_images"]
    lines += [
        f"- Same images under different ids (`{same['duplicates']}`): {fact}."
        for fact in same["shared"]
    ]
    return [*lines, ""]


def sentence_of_marks(marks: Mapping[str, Any]) -> str:
    """Return what a build left out because a user marked it, in one sentence.

    Args:
        marks: The block ``marks`` of the decisions.

    Example:
        >>> marks = {"verdicts": ["wrong"], "sha256": "5e" * 32, "images": {"a": 2},
        ...          "annotations": {}, "unmatched": 1}
        >>> print(sentence_of_marks(marks))
        Marked as wrong and left out: 2 images (a 2), 0 annotations; marks that name nothing of \
the catalog: 1 (file of marks 5e5e5e5e5e5e).
    """
    parts = []
    for kind in ("images", "annotations"):
        of = marks[kind]
        named = ", ".join(f"{source} {count:,}" for source, count in of.items())
        parts.append(counted(sum(of.values()), kind[:-1]) + (f" ({named})" if named else ""))
    return (
        f"Marked as {' or '.join(marks['verdicts'])} and left out: {', '.join(parts)}; marks that "
        f"name nothing of the catalog: {marks['unmatched']:,} (file of marks "
        f"{marks['sha256'][:12]})."
    )
