"""Report asks for the findings and the impression of a radiology report.

The gold answer and the parsed answer are ``{"findings": str, "impression": str}``; a missing
section has no key. Metrics compare the joined sections, so that an answer without
headings is scored too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.labeller import label_report, measured_agreement, stated
from imaxray.metrics import (
    Floats,
    caption_metrics,
    corpus_bleu,
    invalid_rate,
    mean_metric,
    radiology_metrics,
    rouge_l,
    set_f1,
)
from imaxray.schema import CHEXPERT, Boxes
from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold, subtask_of
from imaxray.tasks._shared.base import RuledTask
from imaxray.tasks._shared.drafts import NO_SUBJECT, json_of, one_each
from imaxray.tasks._shared.knowledge import words_bin
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.reading.objects import parse_object
from imaxray.tasks._shared.reading.sections import sections_of, sections_of_json
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, HAIR, Tolerances, f1

_SECTIONS: Final = ("findings", "impression")
# a heading is in capitals, or starts a line in any case; "other findings: none" is no heading
_HEAD: Final = re.compile(
    r"\b(?:FINDINGS|IMPRESSION):\s*|^[ \t]*(?i:findings|impression):\s*", re.MULTILINE
)


def joined(sections: Mapping[str, str]) -> str:
    """Return the text of all sections, findings first."""
    return " ".join(sections[name] for name in _SECTIONS if name in sections)


def _golds(gold: Mapping[str, str]) -> list[str]:
    return [joined(gold)]


@lru_cache(maxsize=100_000)
def _present(text: str) -> frozenset[str]:
    """Return the CheXpert labels of a text; uncertain labels count as present (as in CheXbert)."""
    return frozenset(label for label, value in label_report(text).items() if value != 0)


@lru_cache(maxsize=100_000)
def _said(text: str) -> Mapping[str, int]:
    return stated(text)


def _labels(sections: Mapping[str, str] | None) -> frozenset[str]:
    return frozenset() if sections is None else _present(joined(sections))


def _rouge(gold: Mapping[str, str], answer: Mapping[str, str] | None) -> float:
    return 0.0 if answer is None else rouge_l(joined(gold), joined(answer))


def _plain_sections(text: str, asked: str) -> dict[str, str] | None:
    """Divide a text at headings as targets have them."""
    heads = list(_HEAD.finditer(text))
    names = [asked, *(head.group().strip(" \t\r\n:").lower() for head in heads)]
    starts = [0, *(head.end() for head in heads)]
    ends = [*(head.start() for head in heads), len(text)]
    parts: dict[str, list[str]] = {}
    for name, start, end in zip(names, starts, ends, strict=True):
        if body := text[start:end].strip():
            parts.setdefault(name, []).append(body)
    return {name: " ".join(bodies) for name, bodies in parts.items()} or None


class Report(RuledTask):
    """The task to write the report."""

    name = "report"
    templates = {
        "both": (
            "Write the findings and the impression.",
            "Write a radiology report with findings and impression.",
            "Report this radiograph.",
        ),
        "findings": ("Write the findings.", "Describe the findings of this radiograph."),
        "impression": ("Write the impression.", "Summarise this radiograph in an impression."),
    }
    metrics = (
        mean_metric("ROUGE-L", _rouge),
        *(corpus_bleu(order, _golds, joined) for order in (4, 3, 2, 1)),
        *set_f1("clinical", CHEXPERT, _labels, _labels),
        invalid_rate(),
    )
    optional = {
        "captions": caption_metrics(_golds, joined),
        "radiology": radiology_metrics(joined),
    }

    def details(self, statistics: Mapping[str, Floats]) -> Mapping[str, Any]:
        """Return how well the labeller behind the clinical scores was measured to agree."""
        return {"labeller": {**asdict(measured_agreement())}}

    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make one draft per image, see :meth:`Task.drafts`."""
        facts = annotations.filter(
            pl.col("kind") == "report", pl.col("name").is_in(_SECTIONS)
        ).sort("origin", maintain_order=True)
        text, name = pl.col("text"), pl.col("name")
        frame = one_each(
            facts,
            ["image_id"],
            [pl.when(name == s).then(text).alias(s) for s in _SECTIONS],
            [text.filter(name == s).first().alias(s) for s in _SECTIONS],
        )
        return frame.select(
            "image_id",
            pl.when(pl.all_horizontal(pl.col(_SECTIONS).is_not_null()))
            .then(pl.lit("both"))
            .when(pl.col("findings").is_not_null())
            .then(pl.lit("findings"))
            .otherwise(pl.lit("impression"))
            .alias("subtask"),
            NO_SUBJECT,
            pl.lit(None, dtype=pl.String).alias("fill"),
            pl.concat_str(
                [pl.concat_str(pl.lit(f"{s.upper()}: "), s) for s in _SECTIONS],
                separator=" ",
                ignore_nulls=True,
            ).alias("target"),
            pl.lit([], dtype=Boxes).alias("boxes"),
            pl.when(pl.all_horizontal(pl.col(_SECTIONS).is_not_null()))
            .then(json_of(*_SECTIONS))
            .when(pl.col("findings").is_not_null())
            .then(json_of("findings"))
            .otherwise(json_of("impression"))
            .alias("answer"),
            "sources",
            "quality",
        )

    def read(
        self, text: str, boxes: Sequence[Box], template: str, reading: Reading
    ) -> dict[str, str] | None:
        """Divide the text into sections at its headings.

        A heading is in capitals or at the start of a line. Text before the first heading, or text
        without headings, belongs to the section that the prompt asks for, which is the findings
        unless it is the impression alone. If a section occurs twice, its parts are joined.
        """
        asked = "impression" if subtask_of(template) == "impression" else "findings"
        found = parse_object(text)
        if found is not None and (sections := reading.use("headings", sections_of_json, found)):
            return sections
        plain = _plain_sections(text.strip(), asked)
        if not reading.has("headings"):
            return plain
        read = sections_of(text, asked)
        if read is None:
            return None
        sections, dropped = read
        if dropped and not reading.has("other-sections"):
            return plain
        if dropped:
            reading.note("other-sections")
        elif sections != plain:
            reading.note("headings")
        return sections

    def as_gold(self, parsed: Mapping[str, str], template: str) -> Gold:
        """State the sections with headings in capitals, see :meth:`Task.as_gold`."""
        sections = {name: parsed[name] for name in _SECTIONS if name in parsed}
        target = " ".join(f"{name.upper()}: {text}" for name, text in sections.items())
        return Gold(target, [], sections)

    def same(self, first: Mapping[str, str], second: Mapping[str, str]) -> bool:
        """Return whether the labeller reads the same labels; free texts are rarely identical."""
        return _labels(first) == _labels(second)

    def stratum(self) -> pl.Expr:
        """Use the length in steps of 20 words, see :meth:`TaskKnowledge.stratum`."""
        return words_bin(pl.col("target").str.count_matches(r"\S+").cast(pl.Int64))

    def secrets(self, prompt: str, target: str, gold: Mapping[str, str] | None) -> list[str]:
        """Return the target and each section, see :meth:`TaskKnowledge.secrets`."""
        return [target] if gold is None else [target, *gold.values()]

    def content(self, gold: Mapping[str, str]) -> AnswerContent:
        """Return the text of the report, see :meth:`TaskKnowledge.content`."""
        return AnswerContent(text=joined(gold))

    def same_question(self, first: Question, second: Question) -> float:
        """Return 1, because questions for any sections count as the same question."""
        return 1.0

    def is_correct(
        self,
        answer: Mapping[str, str],
        gold: Mapping[str, str],
        tolerances: Tolerances = DEFAULT,
    ) -> bool:
        """Return whether the rule-based labeller reads nearly the same labels from both reports.

        The F1 of the labels must be at least ``tolerances.report``. Uncertain labels count as
        present, as in CheXbert's F1, and two reports without any label agree.
        """
        return f1(_labels(gold), _labels(answer)) >= tolerances.report - HAIR

    def statements(
        self,
        question: Question,
        gold: Mapping[str, str],
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield the findings that the report plainly affirms or denies."""
        for label, value in _said(joined(gold)).items():
            yield Statement("said", label, value)

    def certain_statements(
        self, question: Question, gold: Mapping[str, str]
    ) -> Iterator[Statement]:
        """Yield what the report plainly says; a sentence never runs on into the next section."""
        for label, value in _said("\n".join(gold.values())).items():
            yield Statement("said", label, value)

    def facts(self, question: Question, gold: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return one annotation per section, see :meth:`TaskKnowledge.facts`."""
        return [{"kind": "report", "name": name, "text": text} for name, text in gold.items()]
