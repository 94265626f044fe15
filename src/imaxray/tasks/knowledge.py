"""What the stages after `tasks` must know of a task, each with a default that fits any task.

A task overrides what it knows better. Arguments and results are plain values: tasks import none of
the stages that ask them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import polars as pl

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.metrics import Floats, normalise
from imaxray.tasks.answer_content import AnswerContent
from imaxray.tasks.answers import Gold, subtask_of, to_json
from imaxray.tasks.questions import Question
from imaxray.tasks.statements import Statement
from imaxray.tasks.tolerances import DEFAULT, Tolerances
from imaxray.tasks.truth import Truth

_SHORT = 3  # words; a target of no more is an answer stratum of its own


class TaskKnowledge(ABC):
    """What curation, audit, evaluation and pseudo-annotation ask a task.

    *Gold form* is the form of ``answer`` in entries; *parsed form* is what :meth:`parse` returns.
    """

    templates: ClassVar[Mapping[str, Sequence[str]]]
    strata_are_answers: ClassVar[bool] = True
    """Whether :meth:`stratum` tells answers apart, so that pseudo answers can keep their shares."""

    @abstractmethod
    def parse(self, text: str, boxes: Sequence[Box], template: str) -> Any | None:
        """Read a model's answer; ``None`` where it cannot be read.

        Args:
            text: with ``<box>`` where the model wrote a box.
            boxes: those boxes, in pixels of the original image: the model's box convention is
                undone before a task sees the answer.
            template: the entry's, which tells the subtask.
        """

    @abstractmethod
    def fill_of(self, template: str, prompt: str) -> str | None:
        """What stands in a prompt where its template says {}; ``None`` where it says none."""

    def given(self, gold: Any) -> Any:
        """The gold answer in the form that :meth:`parse` returns: a perfect answer."""
        return gold

    def same(self, first: Any, second: Any) -> bool:
        """Whether two answers in gold form say the same, to the task's own tolerance.

        Default: equal canonical JSON.
        """
        return to_json(first) == to_json(second)

    # Curation

    def stratum(self) -> pl.Expr:
        """The answer bin of an entry, from its columns; two arms hold the same number of each.

        Default: the target itself where it has at most three words, else its length in steps of 20
        words, up to 200.
        """
        words = pl.col("target").str.count_matches(r"\S+").cast(pl.Int64)
        return (
            pl.when(words <= _SHORT).then(pl.col("target").str.to_lowercase())
            .otherwise(words_bin(words))
        )  # fmt: skip

    # Audit

    def secrets(self, prompt: str, target: str, gold: Any | None) -> list[str]:
        """Texts that give the answer away where they stand in the prompt.

        Args:
            prompt: of the entry.
            target: of the entry.
            gold: answer in gold form; ``None``: the target could not be read.

        Default: the target.
        """
        return [target]

    def secret_boxes(self, gold: Any | None) -> list[list[float]]:
        """Boxes that give the answer away where the prompt shows them. Default: none."""
        return []

    def subtask_for(self, prompt: str) -> str:
        """The subtask of a prompt that another project wrote. Default: the task's first."""
        return next(iter(self.templates))

    def read_target(self, text: str, template: str) -> Any | None:
        """The answer that a target of another project states; ``None``: it cannot be read.

        The convention of its boxes is not known, so none is read. Default: as a model's answer.
        """
        return self.parse(text, (), template)

    # Evaluation

    def true_answer(self, question: Question, truth: Truth) -> Any | None:
        """The answer, in parsed form, that is exactly true of a synthetic image.

        Default: ``None``, the truth does not decide the question.
        """
        return None

    def in_shares(self, gold: Any, size: tuple[int, int]) -> Any:
        """A gold answer with boxes in shares of the image, so that answers of images compare.

        Args:
            gold: in gold form.
            size: width and height in pixels.

        Default: the answer as it is.
        """
        return gold

    def in_pixels(self, answer: Any, size: tuple[int, int]) -> Any:
        """An answer in parsed form with its boxes back in pixels, see :meth:`in_shares`."""
        return answer

    def details(self, statistics: Mapping[str, Floats]) -> Mapping[str, Any]:
        """Further numbers for ``result.json``, from the statistics (n, k) of each metric.

        Default: none.
        """
        return {}

    # Pseudo-annotation

    @property
    def asks_image_alone(self) -> bool:
        """Whether every prompt is a template as it is, with neither a text nor a box put in."""
        texts = [text for some in self.templates.values() for text in some]
        return not any("{}" in text or PLACEHOLDER in text for text in texts)

    def asked_subtasks(self, counts: Mapping[str, int]) -> list[str]:
        """The subtasks that an image without the task is asked.

        Args:
            counts: subtask → number of train entries, in the order of ``templates``.

        Default: the one that train entries have most.
        """
        return [max(counts, key=lambda name: counts[name])]

    def content(self, gold: Any) -> AnswerContent:
        """What an answer tells of the image for later prompts about it. Default: nothing."""
        return AnswerContent()

    def asked_text(self, question: Question) -> str:
        """What fills the template of the prompt (a phrase, a question), else the whole prompt."""
        return self.fill_of(question.template, question.prompt) or question.prompt

    def same_question(self, first: Question, second: Question) -> float:
        """How well two questions about one image agree: 0 are different ones, 1 are the same.

        Default: 1 where the subtask, the boxes and the normalised text put in are the same.
        """
        texts = [normalise(self.fill_of(q.template, q.prompt) or "") for q in (first, second)]
        same = subtask_of(first.template) == subtask_of(second.template)
        return float(same and texts[0] == texts[1] and first.boxes == second.boxes)

    def decides(self, gold: Any) -> bool:
        """Whether a gold answer decides if another answer is right. Default: always."""
        return True

    def is_correct(self, answer: Any, gold: Any, tolerances: Tolerances = DEFAULT) -> bool:
        """Whether an answer is right, both in gold form. Default: :meth:`same`."""
        return self.same(answer, gold)

    def statements(
        self,
        question: Question,
        gold: Any,
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """What an answer states about the image, for rules that compare answers of all tasks.

        Args:
            question: what was asked.
            gold: the answer in gold form.
            size: width and height of a frontal image in pixels; ``None`` for other views.
            usual: what the answer denies by not naming it, see :meth:`usual_labels`.

        Default: nothing.
        """
        yield from ()

    def usual_labels(self, golds: Sequence[Any]) -> frozenset[str]:
        """Labels that the gold answers usually state, so that a model's silence denies them.

        Default: none.
        """
        return frozenset()

    def without(self, gold: Any, labels: Collection[str]) -> Gold | None:
        """An answer less some labels that it states as present.

        ``None`` where it does not state them all, or where nothing would be left. Default:
        ``None``, there are no labels to take.
        """
        return None

    def facts(self, question: Question, gold: Any) -> list[dict[str, Any]]:
        """The annotations that an answer states: value columns of ``ANNOTATIONS`` by name.

        Default: none; the entry then has no annotation beside it.
        """
        return []


def words_bin(words: pl.Expr) -> pl.Expr:
    """A number of words in steps of 20, up to 200, e.g. ``20 words``."""
    steps = (words // 20 * 20).clip(upper_bound=200)
    return pl.concat_str(steps.cast(pl.String), pl.lit(" words"))
