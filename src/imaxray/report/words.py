"""Explains the words of a report, in one line each, to readers who do not know them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_TASKS: Final[Mapping[str, str]] = {
    "calculation": "measure a ratio, e.g. the width of the heart over that of the chest (CTR)",
    "report": "write the findings and the impression of the radiologist's report",
    "grading": "grade pulmonary edema from none to alveolar",
    "findings": "list the findings that are present",
    "rec": "locate what a phrase names, by a box (referring expression comprehension)",
    "reg": "describe what is in a box (referring expression generation)",
    "vqa": "answer a question about the image (visual question answering)",
}

COMPARED: Final[Mapping[str, str]] = {
    "entry": "A question about an image together with its answer.",
    "relative gain": "How much better the score of an arm is than that of the reference, divided "
    "by the score of the reference. Above 0 the arm is better, also where a low score is good.",
    "interval": "The range of gains that the test patients allow. An arm is ahead only if 0 lies "
    "outside of it; otherwise the comparison decides nothing.",
}
"""Words of every report that compares arms or stages."""

LEAD: Final = (
    "IMAX has few images with many tasks each. DMAX, its control, has as many entries of every "
    "task, spread over as many images as possible."
)
"""What the two datasets are that every report names."""

STUDY: Final[Mapping[str, str]] = {
    "IMAX": "Image-centric data: few images, and many tasks on each of them.",
    "DMAX": "Decentralized data: the same number of entries of each task and answer, on as many "
    "images as possible.",
    "arm": "A model that was trained on one of the datasets in one way; all start from the same "
    "weights and answer the same test questions.",
    "equal entries": "The arms were trained on the same number of entries.",
    "equal compute": "The arms were trained with the same amount of computing, so an arm whose "
    "entries cost less sees more of them.",
    **COMPARED,
}
"""Words of the report of a study."""

STRATEGY: Final[Mapping[str, str]] = {
    "DMAX": "Decentralized data: many images, each with one or a few tasks.",
    "derived entries": "Entries that follow from the annotations of an image by rules.",
    "pseudo IMAX": "DMAX with answers of a model on the tasks that its images lack.",
    "stage": "A training that continues from the weights of an earlier one.",
    **COMPARED,
}
"""Words of the reports of a strategy and of an ablation."""


def explained(words: Mapping[str, str], tasks: Iterable[str]) -> dict[str, str]:
    """Return words with their explanations, and after them those tasks that are built in.

    Example:
        >>> explained({"entry": "A question."}, ["vqa", "my-task"])
        {'entry': 'A question.', 'task vqa': 'The model must answer a question about the image \
(visual question answering).'}
    """
    known = {name: _TASKS[name] for name in tasks if name in _TASKS}
    return {**words, **{f"task {name}": f"The model must {text}." for name, text in known.items()}}
