"""Parses the fields of MIMIC-Ext-CXR-QBA's archives that questions and regions need.

As in :mod:`imaxray.sources._shared.scene_graphs`, typed decoding skips most of a member. A member
that does not have exactly the documented types is read item by item, so that one malformed question
or observation is rejected alone and the rest of the study is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

GRADES: Final = ("A++", "A+", "A", "B", "C", "D")
"""The publisher's grades, from best to worst."""

UNRATED: Final = "unrated"
"""Grade of an item that the publisher failed to rate; it says nothing about the quality."""

_STUDY: Final = re.compile(r"s?(5\d{7})(?:\.0)?")
_PREFIX: Final = re.compile(r"^[A-Z]\d*_")  # the publisher's table writes D02_has_finding

T = TypeVar("T", bound=msgspec.Struct)


class Rating(msgspec.Struct, gc=False):
    """Holds the overall rating of a quality object, whose other fields are not read."""

    rating: str | int | float | None = None


Quality = Rating | str | int | float | None


class Place(msgspec.Struct, gc=False):
    """Holds the boxes on one image (xyxy, pixels of the original) and how they were found."""

    bboxes: list[tuple[float, float, float, float]] | None = None
    missing_localization: list[str] | bool | None = None
    is_fallback: bool | None = None


class Observation(msgspec.Struct, gc=False):
    """Holds one observation of a scene graph; ``positiveness`` is pos, neg or another value."""

    name: str | None = None
    summary_sentence: str | None = None
    positiveness: str | None = None
    obs_entities: list[str] | None = None
    localization: dict[str, Place] | None = None
    obs_quality: Quality = None


class StudyAnswer(msgspec.Struct, gc=False):
    """Holds one top-level answer; its sub-answers only add details and are not read."""

    text: str | None = None
    answer_type: str | None = None


class StudyQuestion(msgspec.Struct, gc=False):
    """Holds a question and all parts of its answer."""

    question: str
    answers: list[StudyAnswer]
    question_type: str | None = None
    question_quality: Quality = None


class StudyQuestions(msgspec.Struct, gc=False):
    """Holds the questions of one study; None replaces a question with undocumented types."""

    study_id: str | int
    questions: list[StudyQuestion | None]


class Graph(msgspec.Struct, gc=False):
    """Holds the scene graph of a study; None replaces an observation with undocumented types."""

    study_id: str | int
    observations: dict[str, Observation | None]


_QUESTIONS: Final = msgspec.json.Decoder(StudyQuestions)
_GRAPH: Final = msgspec.json.Decoder(Graph)
_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_questions(content: bytes) -> StudyQuestions | None:
    """Parse the questions of a member; return None if it is no JSON object with questions."""
    try:
        return _QUESTIONS.decode(content)
    except _ERRORS:
        member = _object(content)
    items = member.get("questions")
    if not isinstance(items, list):
        return None
    return StudyQuestions(str(member.get("study_id")), [_as(item, StudyQuestion) for item in items])


def parse_graph(content: bytes) -> Graph | None:
    """Parse the graph of a member; return None if it is no JSON object with observations."""
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
    """Return eight digits from ``s5…``, ``5…`` or an integer, or None if it is no MIMIC study."""
    match = _STUDY.fullmatch(str(study_id))
    return None if match is None else match.group(1)


def question_type(item: StudyQuestion) -> str:
    """Return the name of the question's template without the publisher's leading number."""
    return _PREFIX.sub("", (item.question_type or "").strip()) or "question"


def main_answer(item: StudyQuestion) -> str:
    """Return the texts of the main answer, without details and related information."""
    main = [a for a in item.answers if a.answer_type == "main_answer"]
    texts = [" ".join((a.text or "").split()) for a in main or item.answers]
    return " ".join(text for text in texts if text)


def grade_of(quality: Quality, legend: Mapping[str, str]) -> str:
    """Return the grade; a code that ``legend`` does not explain becomes ``rating <code>``."""
    value = quality.rating if isinstance(quality, Rating) else quality
    if value is None or value == "":
        return UNRATED
    code = f"{value:g}" if isinstance(value, (int, float)) else value.strip()
    return legend.get(code, code if code in GRADES else f"rating {code[:16]}")


def place_grade(place: Place, observation: str) -> str:
    """Return the worse of two grades: how a box was found, and the grade of its observation.

    Args:
        place: Boxes on one image. Boxes that replace a region without a box (fallback) have grade
            B, incomplete boxes A and all others A++.
        observation: Grade of the observation, as :func:`grade_of` returns it.
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
