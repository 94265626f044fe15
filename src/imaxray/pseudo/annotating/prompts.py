"""Makes the prompts for the tasks that an image lacks, in three passes.

1. Tasks that ask about the image alone (calculation, report, grading, findings) use a template
   unchanged.
2. VQA uses questions about similar images, and REC uses phrases; both may depend on the answers of
   pass 1.
3. REG uses boxes of real entries of the image, or boxes from the answers of pass 2.

A prompt whose answer the image's own entries hold is left out, and the next one takes its place
(:mod:`imaxray.pseudo.annotating.known`). A task that an image has only by derived entries still
counts as lacking, because these answer only some of its questions.

Templates are chosen by the same hash as for real train entries. Only entries of the train split are
used. Annotations of tasks that an image lacks are ignored, although the dataset folder may contain
them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import polars as pl

from imaxray.boxes import Box
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import Tables
from imaxray.hashing import digest
from imaxray.labeller import image_labels, shown
from imaxray.pseudo.annotating.known import KnownFacts, Reason, without_derived
from imaxray.pseudo.annotating.phrases import (
    Phrases,
    Said,
    count_phrases,
    said_by_labels,
    said_in_report,
)
from imaxray.pseudo.annotating.similar_questions import (
    Profile,
    SimilarQuestions,
    profile,
    seen_in_answers,
)
from imaxray.schema import FRONTAL, TaskName, entry_is_anatomy
from imaxray.tasks import (
    AnswerContent,
    Question,
    Task,
    all_tasks,
    from_json,
    get_task,
    subtask_of,
    to_json,
)

PROMPTS_VERSION: Final = "2"
"""Version of the prompts, a part of the identity of annotations; it rises when other questions are
asked about the same data. Since 2 nothing is asked that is known."""

_NOTHING: Final = AnswerContent()


class LeftOut(Counter[tuple[str, Reason]]):
    """Number of prompts that were left out because the answer is known, by task and reason."""


@dataclass(frozen=True)
class Prompt:
    """One prompt for the model; the fields are columns of PSEUDO."""

    pseudo_id: str
    image_id: str
    patient_id: str
    task: str
    template: str
    prompt: str
    boxes: tuple[Box, ...]
    prompt_from: str

    def question(self) -> Question:
        """Return the prompt as a question of its task."""
        return Question(self.template, self.prompt, [list(box) for box in self.boxes])


@dataclass
class Given:
    """Holds what the answers of a model have stated about one image so far."""

    content: AnswerContent = _NOTHING

    def take(self, task: str, answer: Any) -> None:
        """Add the content of an answer for later prompts.

        Args:
            task: Name of the task.
            answer: Answer in gold form.
        """
        self.content = self.content.then(get_task(task).content(answer))


class PromptBook:
    """Makes the prompts for the images of one dataset from its train entries.

    Args:
        tables: Tables of the dataset; only train entries and train images are used.
        tasks: Names of the tasks that the model is prompted for.
        vqa_per_image: Number of questions for an image that lacks VQA.
        rec_per_image: Number of phrases for an image that lacks REC.
        reg_per_image: Number of boxes for an image that lacks REG.
        clinical: Clinical rules with which the dataset was built.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        tasks: Collection[TaskName],
        vqa_per_image: int,
        rec_per_image: int,
        reg_per_image: int,
        clinical: ClinicalRules = DEFAULT_RULES,
    ) -> None:
        self._tasks = frozenset(tasks)
        self._vqa, self._rec, self._reg = vqa_per_image, rec_per_image, reg_per_image
        train = tables.split("train")
        self._images = {
            row["image_id"]: row
            for row in tables.images.filter(pl.col("split") == "train")
            .select("image_id", "patient_id", "view", "sex", "age")
            .iter_rows(named=True)
        }
        self._known = KnownFacts(train, clinical)
        pairs = without_derived(train).select("image_id", "task").unique().iter_rows()
        self._has: dict[str, set[str]] = {}
        for image, task in pairs:
            self._has.setdefault(image, set()).add(task)
        # prompts of other tasks need questions, phrases or boxes, which passes 2 and 3 choose
        alone = [task for task in all_tasks() if task.asks_image_alone]
        self._subtasks = {task.name: _subtasks(train, task) for task in alone}
        self._contents = _contents(train)
        phrases, anatomy = _phrases(train)
        self._phrases = Phrases(phrases)
        self._anatomy = sorted(anatomy)
        self._anatomy_weights = [anatomy[phrase] for phrase in self._anatomy]
        self._questions, self._seen = self._asked(train)

    def images(
        self, limit: int | None = None, tasks: Collection[str] | None = None
    ) -> tuple[list[str], dict[str, int]]:
        """Return the images that lack a task, sorted, and the number left out per reason.

        Only frontal radiographs and radiographs without a stated view are used, because no ratio
        can be measured on a lateral view, and the facts of a study describe its frontal images.

        Args:
            limit: Maximum number of images; ``None`` for all.
            tasks: Tasks of which an image must lack one; ``None`` for the tasks of the book.
        """
        among = self._tasks if tasks is None else frozenset(tasks)
        frontal = [
            image
            for image, row in sorted(self._images.items())
            if row["view"] is None or row["view"] in FRONTAL
        ]
        lacking = [image for image in frontal if among - self._has.get(image, set())]
        some = lacking[:limit] if limit is not None else lacking
        return some, {
            "not-frontal": len(self._images) - len(frontal),
            "lacks-nothing": len(frontal) - len(lacking),
            "over-limit": len(lacking) - len(some),
        }

    def lacks(self, image: str) -> frozenset[str]:
        """Return the tasks to prompt for of which the image has no train entry but derived ones."""
        return self._tasks - self._has.get(image, set())

    def first(self, image: str, left_out: LeftOut | None = None) -> list[Prompt]:
        """Return the prompts of pass 1, which ask about the image alone.

        Args:
            image: Id of the image.
            left_out: Counter to which the prompts with known answers are added.
        """
        lacks = self.lacks(image)
        proposed = (
            self._prompt(image, task, subtask, "template")
            for task, subtasks in self._subtasks.items()
            if task in lacks
            for subtask in subtasks
        )
        return list(self._unknown(proposed, left_out))

    def second(self, image: str, given: Given, left_out: LeftOut | None = None) -> list[Prompt]:
        """Return the prompts of pass 2: questions about similar images, and phrases.

        Args:
            image: Id of the image.
            given: What the answers of pass 1 state.
            left_out: Counter to which the prompts with known answers are added.
        """
        lacks = self.lacks(image)
        prompts: list[Prompt] = []
        if "vqa" in lacks:
            proposed = self._unknown(self._questions_for(image, given), left_out)
            prompts += islice(proposed, self._vqa)
        if "rec" in lacks:
            proposed = self._unknown(self._phrases_for(image, given, left_out), left_out)
            prompts += islice(proposed, self._rec)
        return prompts

    def third(self, image: str, given: Given, left_out: LeftOut | None = None) -> list[Prompt]:
        """Return the prompts of pass 3, which ask what a box shows.

        Args:
            image: Id of the image.
            given: What the answers of passes 1 and 2 state.
            left_out: Counter to which the prompts with known answers are added.
        """
        if "reg" not in self.lacks(image):
            return []
        seen: dict[Box, str] = dict.fromkeys(sorted({*self._of(image).boxes}), "real")
        for box in given.content.boxes:
            seen.setdefault(box, "model")
        proposed = (
            self._prompt(image, "reg", "phrase", origin, box=box) for box, origin in seen.items()
        )
        return list(islice(self._unknown(proposed, left_out), self._reg))

    def _unknown(self, proposed: Iterable[Prompt], left_out: LeftOut | None) -> Iterator[Prompt]:
        """Yield the prompts that the image's own entries do not answer; count the others."""
        for prompt in proposed:
            reason = self._known.reason(prompt.image_id, prompt.task, prompt.question())
            if reason is None:
                yield prompt
            elif left_out is not None:
                left_out[prompt.task, reason] += 1

    def _questions_for(self, image: str, given: Given) -> Iterator[Prompt]:
        ranked = self._questions.ranked(image, self._profile(image, given))
        for text, closed, similar in ranked:
            origin = "similar" if similar else "template"
            subtask = "closed" if closed else "open"
            yield self._prompt(image, "vqa", subtask, origin, fill=text)

    def _phrases_for(self, image: str, given: Given, left_out: LeftOut | None) -> Iterator[Prompt]:
        seen: set[str] = set()
        for origin, phrase in self._proposed_phrases(image, given, left_out):
            if phrase not in seen:
                seen.add(phrase)
                yield self._prompt(image, "rec", "phrase", origin, fill=phrase)

    def _proposed_phrases(
        self, image: str, given: Given, left_out: LeftOut | None
    ) -> Iterator[tuple[str, str]]:
        """Yield origins and phrases, the best first; each kind is made when it is needed."""
        yield from (("real", phrase) for phrase in sorted({*self._of(image).phrases}))
        yield from (("real", phrase) for phrase in self._phrases.for_all(self._said(image)))
        just_said = self._just_said(image, given, left_out)
        yield from (("model", phrase) for phrase in self._phrases.for_all(just_said))
        yield from (("template", phrase) for phrase in self._drawn_anatomy(image))

    def _prompt(
        self,
        image: str,
        task: str,
        subtask: str,
        origin: str,
        *,
        fill: str | None = None,
        box: Box | None = None,
    ) -> Prompt:
        subject = digest(fill) if fill is not None else 0
        if box is not None:
            subject = digest(to_json([round(100 * value) for value in box]))
        template, prompt = get_task(task).train_prompt(image, subtask, subject=subject, fill=fill)
        boxes = () if box is None else (box,)
        return Prompt(
            pseudo_id(image, task, template, prompt, boxes), image,
            self._images[image]["patient_id"], task, template, prompt, boxes, origin,
        )  # fmt: skip

    def _of(self, image: str) -> AnswerContent:
        """Return what the real entries of the image state."""
        return self._contents.get(image, _NOTHING)

    def _profile(self, image: str, given: Given) -> Profile:
        row, content = self._images[image], given.content
        findings = self._present(image)
        if self._of(image).labels is None and content.labels:
            findings = findings | _positive(content.labels)
        if not findings and content.text:
            findings = _positive(image_labels(shown(content.text)))
        return profile(row["view"], row["sex"], row["age"], findings)

    def _present(self, image: str) -> frozenset[str]:
        """Return the findings that real entries of the image state as present."""
        found, content = self._seen.get(image, frozenset()), self._of(image)
        if content.labels is not None:
            found = found | _positive(content.labels)
        if content.text is not None:
            found = found | _positive(image_labels(shown(content.text)))
        return found - ({"No Finding"} if len(found) > 1 else frozenset())

    def _said(self, image: str) -> list[Said]:
        """Return what real entries affirm; sentences, which name the side, precede labels."""
        content = self._of(image)
        labels = _positive(content.labels or {}) | self._seen.get(image, frozenset())
        return [*said_in_report(content.text or ""), *said_by_labels(sorted(labels))]

    def _just_said(self, image: str, given: Given, left_out: LeftOut | None) -> list[Said]:
        """Return what the model's answers affirm, except what entries of the image deny."""
        content = given.content
        said = [
            *said_in_report(content.text or ""),
            *said_by_labels(sorted(_positive(content.labels or {}))),
        ]
        denied = {
            label
            for label in sorted({thing.label for thing in said})
            if self._known.denies(image, label)
        }
        if denied and left_out is not None:
            left_out["rec", "denied"] += len(denied)
        return [thing for thing in said if thing.label not in denied]

    def _drawn_anatomy(self, image: str) -> list[str]:
        """Draw names of anatomy for this image, weighted by how often train entries locate them."""
        keyed = [
            # the smallest of exponentials with these rates are a weighted draw without replacement
            (-_log_uniform(digest(f"{image}\n{phrase}")) / weight, phrase)
            for phrase, weight in zip(self._anatomy, self._anatomy_weights, strict=True)
        ]
        return [phrase for _, phrase in sorted(keyed)]

    def _asked(self, train: pl.DataFrame) -> tuple[SimilarQuestions, dict[str, frozenset[str]]]:
        task = get_task("vqa")
        by_image: dict[str, list[tuple[str, bool, Mapping[str, Any]]]] = {}
        rows = train.filter(pl.col("task") == "vqa").select(
            "image_id", "prompt", "template", "answer"
        )
        for image, prompt, template, answer in rows.iter_rows():
            text = task.fill_of(template, prompt)
            closed = subtask_of(template) == "closed"
            by_image.setdefault(image, []).append((text or prompt, closed, from_json(answer)))
        seen = {image: seen_in_answers(asked) for image, asked in by_image.items()}
        self._seen = seen
        empty = Given()
        return SimilarQuestions(
            (text, closed, self._profile(image, empty))
            for image, asked in by_image.items()
            if image in self._images
            for text, closed, _ in asked
        ), seen


def pseudo_id(image: str, task: str, template: str, prompt: str, boxes: Sequence[Box]) -> str:
    """Return the id of a candidate: a digest of its prompt that never equals the id of an entry."""
    asked = to_json(["pseudo", image, task, template, prompt, [list(box) for box in boxes]])
    return f"{task}-{hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()}"


def _positive(labels: Mapping[str, int]) -> frozenset[str]:
    return frozenset(label for label, value in labels.items() if value == 1)


def _subtasks(train: pl.DataFrame, task: Task) -> list[str]:
    counts = dict.fromkeys(task.templates, 0)
    for template in train.filter(pl.col("task") == task.name)["template"]:
        counts[subtask_of(template)] += 1
    return task.asked_subtasks(counts)


def _contents(train: pl.DataFrame) -> dict[str, AnswerContent]:
    """Return what the train entries of each image state."""
    found: dict[str, AnswerContent] = {}
    for task in all_tasks():
        rows = train.filter(pl.col("task") == task.name).sort("entry_id")
        for image, answer in rows.select("image_id", "answer").iter_rows():
            content = task.content(from_json(answer))
            found[image] = found.get(image, _NOTHING).then(content)
    return found


def _phrases(train: pl.DataFrame) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return the phrases of findings and of anatomy in REC and REG entries, with counts."""
    rec, anatomy = get_task("rec"), entry_is_anatomy()
    # REG entries of several releases have several qualities; their phrases count as findings
    of_rec = train.filter(pl.col("task") == "rec")

    def named(entries: pl.DataFrame) -> Iterable[str]:
        for template, prompt in entries.select("template", "prompt").iter_rows():
            if phrase := rec.fill_of(template, prompt):
                yield phrase

    of_reg = train.filter(pl.col("task") == "reg")
    body = count_phrases([*named(of_rec.filter(anatomy)), *of_reg.filter(anatomy)["target"]])
    rest = count_phrases([*named(of_rec.filter(~anatomy)), *of_reg.filter(~anatomy)["target"]])
    return {phrase: n for phrase, n in rest.items() if phrase not in body}, body


def _log_uniform(number: int) -> float:
    return math.log((number % 2**53 + 1) / (2**53 + 1))
