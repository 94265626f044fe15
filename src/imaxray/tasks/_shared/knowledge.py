"""Defines the methods of a task that later stages call, each with a default that fits any task.

A task overrides a method if it knows better. Arguments and results are plain values, because tasks
import none of the stages that call them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import polars as pl

from imaxray.boxes import PLACEHOLDER, Box
from imaxray.metrics import Floats, normalise
from imaxray.tasks._shared.answer_content import AnswerContent
from imaxray.tasks._shared.answers import Gold, subtask_of, to_json
from imaxray.tasks._shared.questions import Question
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.statements import Statement
from imaxray.tasks._shared.tolerances import DEFAULT, Tolerances
from imaxray.tasks._shared.truth import Truth

_SHORT = 3  # words; each target of at most this length is a stratum of its own


class TaskKnowledge(ABC):
    """The methods of a task that curation, audit, evaluation and pseudo-annotation call.

    *Gold form* is the form of ``answer`` in entries; *parsed form* is what :meth:`parse` returns.
    """

    templates: ClassVar[Mapping[str, Sequence[str]]]
    strata_are_answers: ClassVar[bool] = True
    """Whether :meth:`stratum` separates answers, so that pseudo answers can keep their shares."""
    reads_boxes: ClassVar[bool] = False
    """Whether answers may hold boxes, so that boxes in other spellings are looked for in them."""

    @abstractmethod
    def parse(self, text: str, boxes: Sequence[Box], template: str) -> Any | None:
        """Read a model's answer; ``None`` if it cannot be read.

        Args:
            text: Text of the answer, with ``<box>`` where the model wrote a box.
            boxes: Boxes of the answer, ``[x1, y1, x2, y2]`` in pixels of the original image; the
                box convention of the model is undone before a task sees the answer.
            template: Template id of the entry, which contains the subtask.
        """

    def read(self, text: str, boxes: Sequence[Box], template: str, reading: Reading) -> Any | None:
        """Read a model's answer by named rules; by default :meth:`parse` reads it without any.

        Args:
            text: Text of the answer, cleaned by the rules of text, with ``<box>`` placeholders.
            boxes: Boxes of the answer, as :meth:`parse` gets them.
            template: Template id of the entry.
            reading: Rules that are on, with the prompt; records the rules that were needed.
        """
        return self.parse(text, boxes, template)

    @abstractmethod
    def fill_of(self, template: str, prompt: str) -> str | None:
        """Return the text in a prompt that replaces ``{}``; ``None`` if the template has no {}."""

    def given(self, gold: Any) -> Any:
        """Return a perfect answer: the gold answer in the form that :meth:`parse` returns."""
        return gold

    def same(self, first: Any, second: Any) -> bool:
        """Return whether two answers in gold form say the same, within the task's tolerance.

        By default they say the same if their canonical JSON is equal.
        """
        return to_json(first) == to_json(second)

    # Curation

    def stratum(self) -> pl.Expr:
        """Return an expression for the stratum (answer bin) of an entry.

        Two matched arms hold the same number of entries of each stratum. By default the stratum is
        the target itself if it has at most three words, else its length in steps of 20 words, up
        to 200.
        """
        words = pl.col("target").str.count_matches(r"\S+").cast(pl.Int64)
        return (
            pl.when(words <= _SHORT).then(pl.col("target").str.to_lowercase())
            .otherwise(words_bin(words))
        )  # fmt: skip

    # Audit

    def secrets(self, prompt: str, target: str, gold: Any | None) -> list[str]:
        """Return the texts that give the answer away if the prompt contains them.

        By default this is the target.

        Args:
            prompt: Prompt of the entry.
            target: Target of the entry.
            gold: Answer in gold form; ``None`` if the target could not be read.
        """
        return [target]

    def secret_boxes(self, gold: Any | None) -> list[list[float]]:
        """Return the boxes that give the answer away if the prompt has them; by default none."""
        return []

    def subtask_for(self, prompt: str) -> str:
        """Return the subtask of a prompt that another project wrote; by default the first one."""
        return next(iter(self.templates))

    def read_target(self, text: str, template: str) -> Any | None:
        """Read the answer that a target of another project states; ``None`` if it is unreadable.

        Boxes are not read, because their convention is not known. By default the target is read
        like a model's answer.
        """
        return self.parse(text, (), template)

    def certain_statements(self, question: Question, gold: Any) -> Iterator[Statement]:
        """Yield what an answer certainly states, for the comparison with the labels of its image.

        By default these are all its :meth:`statements`.

        Args:
            question: Question that was asked.
            gold: Answer in gold form.
        """
        yield from self.statements(question, gold, size=None, usual=())

    # Evaluation

    def true_answer(self, question: Question, truth: Truth) -> Any | None:
        """Return the answer, in parsed form, that is exactly true of a synthetic image.

        By default this is ``None``: the truth does not decide the question.
        """
        return None

    def gold_of_options(self, gold: Any, prompt: str) -> Any:
        """Return the gold answer with the text of an option where it names one by its letter.

        Args:
            gold: Answer in gold form.
            prompt: Prompt of the entry, which may list options.
        """
        return gold

    def in_shares(self, gold: Any, size: tuple[int, int]) -> Any:
        """Return a gold answer with its boxes as shares of the image sides.

        Answers about images of different sizes can then be compared. By default the answer is
        returned unchanged.

        Args:
            gold: Answer in gold form.
            size: Width and height of the image in pixels.
        """
        return gold

    def in_pixels(self, answer: Any, size: tuple[int, int]) -> Any:
        """Return a parsed answer with its boxes in pixels again; this undoes :meth:`in_shares`."""
        return answer

    def details(self, statistics: Mapping[str, Floats]) -> Mapping[str, Any]:
        """Return further numbers for ``result.json``; by default none.

        Args:
            statistics: Name of a metric → its statistics, float64 of shape (n, k) for n entries.
        """
        return {}

    # Pseudo-annotation

    @property
    def asks_image_alone(self) -> bool:
        """Whether every prompt is an unchanged template, without an inserted text or box."""
        texts = [text for some in self.templates.values() for text in some]
        return not any("{}" in text or PLACEHOLDER in text for text in texts)

    def asked_subtasks(self, counts: Mapping[str, int]) -> list[str]:
        """Return the subtasks for which a model is prompted on an image that lacks the task.

        By default this is the subtask of most train entries.

        Args:
            counts: Subtask → number of its train entries, in the order of ``templates``.
        """
        return [max(counts, key=lambda name: counts[name])]

    def content(self, gold: Any) -> AnswerContent:
        """Return what an answer in gold form states about its image; by default nothing."""
        return AnswerContent()

    def asked_text(self, question: Question) -> str:
        """Return the phrase or question that fills the template, or else the whole prompt."""
        return self.fill_of(question.template, question.prompt) or question.prompt

    def same_question(self, first: Question, second: Question) -> float:
        """Return how well two questions about one image agree, from 0 (different) to 1 (the same).

        By default this is 1 if the subtask, the boxes and the normalised inserted text are the
        same, else 0.
        """
        texts = [normalise(self.fill_of(q.template, q.prompt) or "") for q in (first, second)]
        same = subtask_of(first.template) == subtask_of(second.template)
        return float(same and texts[0] == texts[1] and first.boxes == second.boxes)

    def decides(self, gold: Any) -> bool:
        """Return whether a gold answer decides if another answer is right; by default it does."""
        return True

    def is_correct(self, answer: Any, gold: Any, tolerances: Tolerances = DEFAULT) -> bool:
        """Return whether an answer is right, both in gold form; by default :meth:`same` decides."""
        return self.same(answer, gold)

    def statements(
        self,
        question: Question,
        gold: Any,
        *,
        size: tuple[int, int] | None,
        usual: Collection[str],
    ) -> Iterator[Statement]:
        """Yield what an answer states about its image, for rules that compare all tasks.

        By default an answer states nothing.

        Args:
            question: Question that was asked.
            gold: Answer in gold form.
            size: Width and height of a frontal image in pixels; ``None`` for other views.
            usual: Labels that the answer denies if it does not name them, see
                :meth:`usual_labels`.
        """
        yield from ()

    def usual_labels(self, golds: Sequence[Any]) -> frozenset[str]:
        """Return the labels that gold answers usually state; by default none.

        If a model's answer does not name such a label, it denies it.
        """
        return frozenset()

    def without(self, gold: Any, labels: Collection[str]) -> Gold | None:
        """Return an answer without some labels that it states as present.

        Returns:
            ``None`` if the answer does not state all of these labels, or if no label would be
            left. The default is ``None``, because an answer of any task need not have labels.
        """
        return None

    def facts(self, question: Question, gold: Any) -> list[dict[str, Any]]:
        """Return the annotations that an answer states, as value columns of ``ANNOTATIONS``.

        By default there are none, and the entry is then written without an annotation.
        """
        return []


def words_bin(words: pl.Expr) -> pl.Expr:
    """Return the bin of a number of words, in steps of 20 up to 200, e.g. ``20 words``."""
    steps = (words // 20 * 20).clip(upper_bound=200)
    return pl.concat_str(steps.cast(pl.String), pl.lit(" words"))
