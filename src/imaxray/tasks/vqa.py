"""VQA, visual question answering, asks a free question about the image.

The gold answer is ``{"closed": bool, "answers": [str]}``; an empty list means "none". The parsed
answer is the text in lower case, without wrapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.clinical import answered
from imaxray.labeller import asked, mentions
from imaxray.metrics import (
    NORMALISATION,
    Metric,
    Normalisation,
    invalid_rate,
    mean_metric,
    normalise,
    ratio,
    token_f1,
    token_recall,
)
from imaxray.schema import Boxes
from imaxray.tasks._shared.answers import Gold, strip_wrapping, subtask_of
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import json_of, one_each, text_subject
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.objects import parse_object, text_of
from imaxray.tasks._shared.reading.options import choice, options_of
from imaxray.tasks._shared.reading.phrases import joined_lines, phrase_of
from imaxray.tasks._shared.reading.verdicts import alternatives, is_yes_no, verdict
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances
from imaxray.tasks._shared.wording import asks_for_width, is_nowhere, sets_aside, sides

CTR_ABOVE: Final = "CTR above 0.5"
"""Name of the fact that the heart is wider than half of the chest, which questions ask for."""

_NONE: Final = "none"
_PLAIN_COMMA: Final = re.compile(",")
_COMMA: Final = re.compile(r"(?<![0-9]),|,(?![0-9])")
_SHORT: Final = 3  # words; a longer answer is a sentence
_YES_NO: Final = re.compile(r"\b(yes|no)\b")
_WHERE: Final = re.compile(r"^where (?:is|are) ", re.IGNORECASE)
_WHAT: Final = re.compile(r"^(?:what|which) (?:abnormalit\w+|findings?|diseases?)\b", re.IGNORECASE)
_PLACE_ONLY: Final = re.compile(r"\b(?:left|right|upper|lower|lungs?|zones?|lobes?|heart)\b")
_ANSWER: Final = pl.Struct({"closed": pl.Boolean, "answers": pl.List(pl.String)})


def gold_text(gold: Mapping[str, Any]) -> str:
    """Return the gold answers as one text."""
    return ", ".join(gold["answers"]) or _NONE


def closed_correct(
    gold: Mapping[str, Any], answer: str, normalisation: Normalisation = NORMALISATION
) -> float:
    """Score an answer to a closed question: 1 if it is right, else 0.

    If the gold answer is yes or no, the first *word* yes or no of the answer decides, so the "no"
    in "normal" does not count. Otherwise the normalised answers must be equal; several answers,
    separated by commas, may come in any order. A comma between digits separates none, except under
    SQuAD's normalisation, which knows no decimal comma.
    """
    wanted = normalise(gold_text(gold), "closed", normalisation)
    if wanted in ("yes", "no"):
        found = _YES_NO.search(answer)
        return float(found is not None and found.group(1) == wanted)
    separator = _PLAIN_COMMA if normalisation == "squad" else _COMMA

    def parts(text: str) -> list[str]:
        return sorted(normalise(part, "closed", normalisation) for part in separator.split(text))

    return float(parts(answer) == parts(gold_text(gold)))


def _score(
    gold: Mapping[str, Any], answer: str | None, normalisation: Normalisation = NORMALISATION
) -> float:
    if answer is None:
        return 0.0
    if gold["closed"]:
        return closed_correct(gold, answer, normalisation)
    return _open_f1(gold, answer, normalisation)


def _open_f1(gold: Mapping[str, Any], answer: str, normalisation: Normalisation) -> float:
    return token_f1(gold_text(gold), answer, normalisation)


def _open_recall(gold: Mapping[str, Any], answer: str, normalisation: Normalisation) -> float:
    return token_recall(gold_text(gold), answer, normalisation)


def _where(
    name: str, closed: bool, score: Callable[[Mapping[str, Any], str, Normalisation], float]
) -> Metric:
    """Return the metric that averages ``score`` over only the closed or only the open questions."""

    def statistics(
        gold: Mapping[str, Any], answer: str | None, normalisation: Normalisation = NORMALISATION
    ) -> tuple[float, float]:
        if gold["closed"] is not closed:
            return (0.0, 0.0)
        return (0.0 if answer is None else score(gold, answer, normalisation), 1.0)

    squad = partial(statistics, normalisation="squad")
    return Metric(name, True, 0.0, 1.0, "", statistics, ratio, squad=squad)


class Vqa(RuledTask):
    """The task to answer a question."""

    name = "vqa"
    templates = {"closed": ("{}", "{} Answer briefly."), "open": ("{}", "{} Answer briefly.")}
    metrics = (
        # correctness if closed, token F1 if open
        mean_metric("score", _score, squad=partial(_score, normalisation="squad")),
        _where("closed accuracy", True, closed_correct),
        _where("open F1", False, _open_f1),
        _where("open recall", False, _open_recall),
        invalid_rate(),
    )

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make one draft per image and question, see :meth:`Task.drafts`."""
        facts = annotations.filter(pl.col("kind") == "qa", pl.col("text").is_not_null()).sort(
            "origin", maintain_order=True
        )
        given, value = pl.col("answers"), pl.col("value")
        frame = one_each(
            facts, ["image_id", "text"], [given, value], [given.first(), value.first()]
        )
        frame = frame.with_columns(
            pl.col("answers").fill_null([]),
            (pl.col("value") == 1.0).fill_null(False).alias("closed"),
        )
        text = pl.col("answers").list.join(", ")
        return frame.select(
            "image_id",
            pl.when("closed").then(pl.lit("closed")).otherwise(pl.lit("open")).alias("subtask"),
            text_subject(frame["text"]),
            pl.col("text").alias("fill"),
            pl.when(text == "").then(pl.lit(_NONE)).otherwise(text).alias("target"),
            pl.lit([], dtype=Boxes).alias("boxes"),
            json_of("answers", "closed"),
            "sources",
            "quality",
        )  # fmt: skip

    def read(self, text: str, boxes: Sequence[Box], template: str, reading: Reading) -> str | None:
        """Read the unwrapped text in lower case; ``None`` if nothing is left.

        If the prompt lists options, the answer is the text of one of them. If it is a closed yes/no
        question, the answer is ``yes`` or ``no``, or ``None`` if the text does not decide it.
        """
        found = parse_object(reading.source or text)
        stated = reading.use("json", text_of, found) if found is not None else None
        bare = strip_wrapping(stated or text)
        if not bare or (found is not None and stated is None and reading.has("json")):
            return None
        options = options_of(reading.prompt)
        if options and reading.has("options"):
            chosen = choice(bare, options)
            if chosen is not None and normalise(chosen) != normalise(bare):
                reading.note("options")
            return None if chosen is None else chosen.lower()
        closed = subtask_of(template) == "closed"
        if closed and is_yes_no(reading.prompt) and reading.has("verdict"):
            decided = verdict(bare, reading.prompt)
            if decided is not None and not bare.lower().startswith(decided):
                reading.note("verdict")
            return decided
        pair = alternatives(reading.prompt) if closed else None
        if pair is not None and reading.has("options"):
            named = [word for word in pair if re.search(rf"\b{word}\b", bare, re.IGNORECASE)]
            if len(named) == 1 and len(bare.split()) > _SHORT:
                reading.note("options")
                return named[0]
        question = self.fill_of(template, reading.prompt) if reading.prompt else None
        shorter = partial(phrase_of, question=question or reading.prompt)
        phrase = reading.change("phrases", shorter, joined_lines(bare))
        return strip_wrapping(phrase).lower() or None

    def gold_of_options(self, gold: Mapping[str, Any], prompt: str) -> Mapping[str, Any]:
        """Return the text of options that are named by letter, as :meth:`read` does for answers.

        Example:
            >>> asked = "Which view is it? A. PA B. AP"
            >>> Vqa().gold_of_options({"closed": True, "answers": ["B"]}, asked)
            {'closed': True, 'answers': ['AP']}
        """
        options = options_of(prompt)
        texts = {text.lower() for text in options.values()}
        answers = [
            answer if answer.lower() in texts else options.get(_letter(answer), answer)
            for answer in gold["answers"]
        ]
        return gold if answers == gold["answers"] else {**gold, "answers": answers}

    def as_gold(self, parsed: str, template: str) -> Gold:
        """State the answers, which commas separate, see :meth:`Task.as_gold`.

        A closed answer that begins with yes or no is reduced to this word.
        """
        closed = subtask_of(template) == "closed"
        verdict = _YES_NO.match(parsed) if closed else None
        text = verdict.group() if verdict else parsed
        parts = [part.strip() for part in text.split(",")]
        answers = [part for part in parts if part and part != _NONE]
        return Gold(", ".join(answers) or _NONE, [], {"answers": answers, "closed": closed})

    def same(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
        """Return whether two answers have the same set of normalised answers."""
        texts = [
            {
                normalise(answer, "closed" if gold.get("closed") else "open")
                for answer in gold["answers"]
            }
            for gold in (first, second)
        ]
        return texts[0] == texts[1]

    def given(self, gold: Mapping[str, Any]) -> str:
        """Return the gold answers as one text."""
        return gold_text(gold)

    def stratum(self) -> pl.Expr:
        """Return the stratum of an entry, see :meth:`TaskKnowledge.stratum`.

        Closed questions are divided by yes, no and other; open questions are divided by the number
        of answers, up to three.
        """
        answer = pl.col("answer").str.json_decode(_ANSWER)
        texts = answer.struct.field("answers")
        first = texts.list.first().fill_null(_NONE)
        closed = pl.when(first.is_in(["yes", "no"])).then(first).otherwise(pl.lit("other"))
        several = texts.list.len().clip(upper_bound=3).cast(pl.String)
        opened = pl.concat_str(several, pl.lit(" answers"))
        return pl.when(answer.struct.field("closed")).then(closed).otherwise(opened)

    def secrets(self, prompt: str, target: str, gold: Mapping[str, Any] | None) -> list[str]:
        """Return the target and the answers, or nothing if the question is closed."""
        if gold is None:
            return [target]
        return [] if gold["closed"] else [target, *gold["answers"]]

    def read_target(self, text: str, template: str) -> dict[str, Any]:
        """Read the target as one answer, which is closed if it is yes or no."""
        answer = text.strip().lower().removesuffix(".")
        return {"closed": answer in ("yes", "no"), "answers": [answer]}

    def same_question(self, first: Question, second: Question) -> float:
        """Return 1 if the normalised questions are the same, else 0."""
        texts = [normalise(self.asked_text(question)) for question in (first, second)]
        return float(texts[0] == texts[1])

    def is_correct(
        self,
        answer: Mapping[str, Any],
        gold: Mapping[str, Any],
        tolerances: Tolerances = DEFAULT,
    ) -> bool:
        """Return whether an answer is right, both in gold form.

        An answer to a closed question must be equal: yes or no, or the set of answers. An answer to
        an open question must name the same sides and have a token F1 of at least
        ``tolerances.words``.
        """
        given = self.given(answer)
        if gold["closed"]:
            return bool(closed_correct(gold, given))
        wanted = gold_text(gold)
        return sides(wanted) == sides(given) and token_f1(wanted, given) >= tolerances.words - HAIR

    def statements(
        self,
        question: Question,
        gold: Mapping[str, Any],
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield the labels that the answer to the question affirms or denies."""
        text = self.asked_text(question)
        for label, value in labels_answered(text, gold_text(gold).lower()).items():
            yield Statement("asked", label, value)

    def certain_statements(
        self, question: Question, gold: Mapping[str, Any]
    ) -> Iterator[Statement]:
        """Yield what the only answer, yes or no, to a closed question states about one finding."""
        if not gold["closed"] or len(gold["answers"]) != 1:
            return
        said = answered(question.prompt.removesuffix("Answer briefly."), gold["answers"][0])
        if said is not None:
            yield Statement("asked", *said)

    def facts(self, question: Question, gold: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one question with its answers, see :meth:`TaskKnowledge.facts`."""
        text = self.asked_text(question)
        value = float(gold["closed"])
        about = {"kind": "qa", "name": "pseudo", "text": text}
        return [{**about, "answers": gold["answers"], "value": value}]


def _letter(answer: str) -> str:
    """Return the letter of an answer like ``B``, ``(b)`` or ``b.``, which may be no letter."""
    return answer.strip().removeprefix("(").rstrip(").:").strip().upper()


@lru_cache(maxsize=100_000)
def labels_answered(question: str, answer: str) -> Mapping[str, int]:
    """Return the labels that an answer to a question affirms (1) or denies (0)."""
    if asks_for_width(question):
        found = _YES_NO.search(answer)
        return {CTR_ABOVE: int(found.group(1) == "yes")} if found else {}
    if _WHERE.search(question):
        labels = {mention.label for mention in mentions(question)}
        nowhere = is_nowhere([answer])
        if nowhere is None or len(labels) != 1:
            return {}
        return {label: int(not nowhere) for label in labels}
    if _WHAT.search(question) and not _PLACE_ONLY.search(question.lower()):
        if sets_aside(question):
            return {}
        said = {mention.label for mention in mentions(answer) if mention.value == 1}
        return dict.fromkeys(sorted(said), 1)
    label = asked(question)
    found = _YES_NO.search(answer)
    if label is None or found is None:
        return {}
    if found.group(1) == "yes":
        return {label[0]: 1}
    # "no" about the left lung says nothing about the right one
    return {label[0]: 0} if label[1] else {}
