"""Members of MIMIC-Ext-CXR-QBA's archives, parsed to what questions and regions need.

As in :mod:`imaxray.sources._shared.scene_graphs`, typed decoding skips most of a member. A member
that does not have exactly the documented types is read item by item, so that one odd question or
observation is rejected alone and the rest of the study is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

GRADES: Final = ("A++", "A+", "A", "B", "C", "D")
"""The publisher's grades, the best first."""

UNRATED: Final = "unrated"
"""The publisher's own rating failed, which says nothing about the quality."""

_STUDY: Final = re.compile(r"s?(5\d{7})(?:\.0)?")
_PREFIX: Final = re.compile(r"^[A-Z]\d*_")  # the publisher's table writes D02_has_finding

T = TypeVar("T", bound=msgspec.Struct)


class Rating(msgspec.Struct, gc=False):
    """Of the quality object only the overall rating is read."""

    rating: str | int | float | None = None


Quality = Rating | str | int | float | None


class Place(msgspec.Struct, gc=False):
    """Boxes on one image, xyxy in pixels of the original; how they were found."""

    bboxes: list[tuple[float, float, float, float]] | None = None
    missing_localization: list[str] | bool | None = None
    is_fallback: bool | None = None


class Observation(msgspec.Struct, gc=False):
    """One node of a scene graph; ``positiveness`` is pos, neg or neither."""

    name: str | None = None
    summary_sentence: str | None = None
    positiveness: str | None = None
    obs_entities: list[str] | None = None
    localization: dict[str, Place] | None = None
    obs_quality: Quality = None


class StudyAnswer(msgspec.Struct, gc=False):
    """One top-level answer; its sub-answers only say more of the same."""

    text: str | None = None
    answer_type: str | None = None


class StudyQuestion(msgspec.Struct, gc=False):
    """A question, and all parts of its answer."""

    question: str
    answers: list[StudyAnswer]
    question_type: str | None = None
    question_quality: Quality = None


class StudyQuestions(msgspec.Struct, gc=False):
    """One study's; None stands for a question that is not of the documented types."""

    study_id: str | int
    questions: list[StudyQuestion | None]


class Graph(msgspec.Struct, gc=False):
    """One study's scene graph; None stands for an observation of other types."""

    study_id: str | int
    observations: dict[str, Observation | None]


_QUESTIONS: Final = msgspec.json.Decoder(StudyQuestions)
_GRAPH: Final = msgspec.json.Decoder(Graph)
_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_questions(content: bytes) -> StudyQuestions | None:
    """The questions in ``content``; None if it is no JSON object with study_id and questions."""
    try:
        return _QUESTIONS.decode(content)
    except _ERRORS:
        member = _object(content)
    items = member.get("questions")
    if not isinstance(items, list):
        return None
    return StudyQuestions(str(member.get("study_id")), [_as(item, StudyQuestion) for item in items])


def parse_graph(content: bytes) -> Graph | None:
    """The graph in ``content``; None if it is no JSON object with study_id and observations."""
    try:
        return _GRAPH.decode(content)
    except _ERRORS:
        member = _object(content)
    items = member.get("observations")
    if not isinstance(items, dict):
        return None
    observations = {key: _as(item, Observation) for key, item in items.items()}
    return Graph(str(member.get("study_id")), observations)


def study_number(study_id: str | int) -> str | None:
    """Eight digits from ``s5…``, ``5…`` or an int; None if it is none of MIMIC's."""
    match = _STUDY.fullmatch(str(study_id))
    return None if match is None else match.group(1)


def question_type(item: StudyQuestion) -> str:
    """The template's name without the number that the publisher's table puts before it."""
    return _PREFIX.sub("", (item.question_type or "").strip()) or "question"


def main_answer(item: StudyQuestion) -> str:
    """The texts that answer the question, details and related information left out."""
    main = [a for a in item.answers if a.answer_type == "main_answer"]
    texts = [" ".join((a.text or "").split()) for a in main or item.answers]
    return " ".join(text for text in texts if text)


def grade_of(quality: Quality, legend: Mapping[str, str]) -> str:
    """The grade; a code that ``legend`` does not explain stays visible as ``rating <code>``."""
    value = quality.rating if isinstance(quality, Rating) else quality
    if value is None or value == "":
        return UNRATED
    code = f"{value:g}" if isinstance(value, (int, float)) else value.strip()
    return legend.get(code, code if code in GRADES else f"rating {code[:16]}")


def place_grade(place: Place, observation: str) -> str:
    """Grade of a box: the publisher's for how it was found, or the observation's if that is worse.

    Args:
        place: boxes that stand in for a region without one are B, incomplete ones A.
        observation: as :func:`grade_of` gives it.
    """
    found = "B" if place.is_fallback else "A" if place.missing_localization else "A++"
    if observation == UNRATED:
        return found
    if observation not in GRADES:
        return observation
    return max(found, observation, key=GRADES.index)


def _object(content: bytes) -> dict[str, Any]:
    try:
        member = msgspec.json.decode(content)
    except _ERRORS:
        return {}
    return member if isinstance(member, dict) else {}


def _as(item: Any, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(item, kind)
    except _ERRORS:
        return None
