"""What a task is: annotations to entries, answer text to a typed answer, and a list of metrics."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import orjson
import polars as pl

from imaxray.boxes import Box
from imaxray.metrics import Metric
from imaxray.schema import ENTRIES, Boxes, TaskName, conform

_FENCE: Final = re.compile(r"^```\w*\n?(.*?)\n?```$", re.DOTALL)
_LEAD: Final = re.compile(r"^(?:the )?answer(?: is)?(?:\s*:\s*|\s+)", re.IGNORECASE)
_EDGES: Final = "\"'` \t\r\n"
_FREQUENT: Final = 20  # gold answers that a constant is searched among
_SCORED: Final = 250  # gold answers that it is scored against

DRAFTS: Final = pl.Schema(
    {
        "image_id": pl.String,
        "subtask": pl.String,  # picks the family of templates, e.g. ctr
        "subject": pl.String,  # what makes the entry unique within image, task and subtask
        "fill": pl.String,  # text put where the template says {}; null where it has no {}
        "target": pl.String,
        "boxes": Boxes,
        "answer": pl.String,  # canonical JSON
        "sources": pl.List(pl.String),
        "quality": pl.String,
    }
)
"""Entries before ids and prompts: what a task module makes."""


class Task(ABC):
    """One of the seven tasks.

    An answer is a plain JSON value; its form per task is documented in each module. ``metrics[0]``
    is the primary metric, the one that gains are computed from.
    """

    name: ClassVar[TaskName]
    templates: ClassVar[Mapping[str, Sequence[str]]]  # subtask -> prompts; [0] is the evaluation's
    metrics: ClassVar[tuple[Metric, ...]]

    @property
    def primary(self) -> Metric:
        """The metric that comparisons use."""
        return self.metrics[0]

    @abstractmethod
    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make this task's drafts (schema DRAFTS) from catalog annotations of any kind."""

    @abstractmethod
    def parse(self, text: str, boxes: Sequence[Box], template: str) -> Any | None:
        """Read a model's answer; ``None`` where it cannot be read.

        ``text`` has ``<box>`` where the model wrote a box and ``boxes`` holds those, in pixels of
        the original image: the model's box convention is undone before a task sees the answer.
        ``template`` is the entry's, which tells the subtask.
        """

    def given(self, gold: Any) -> Any:
        """The gold answer in the form that :meth:`parse` returns: a perfect answer."""
        return gold

    def constant(self, golds: Sequence[Any]) -> Any:
        """The one answer, in parsed form, that does best on the primary metric over ``golds``.

        Tried are 20 gold answers (those given more than once come first, by how often; answers
        given once, as boxes and reports mostly are, fill up and are taken evenly) and what
        :meth:`candidates` adds. This is the constant (majority) baseline. At most 250 golds,
        evenly taken, are scored against.
        """
        counted = Counter(to_json(self.given(gold)) for gold in golds)
        ranked = sorted(counted, key=lambda key: (-counted[key], key))
        repeated = [key for key in ranked if counted[key] > 1][:_FREQUENT]
        once = [key for key in ranked if counted[key] == 1]
        tried = repeated + _evenly(once, _FREQUENT - len(repeated))
        options = [from_json(key) for key in tried] + list(self.candidates(golds))
        sample = _evenly(golds, _SCORED)
        sign = 1 if self.primary.higher_is_better else -1
        scores = [sign * self.primary(sample, [option] * len(sample)) for option in options]
        return options[scores.index(max(scores))]

    def candidates(self, golds: Sequence[Any]) -> Sequence[Any]:
        """Further constant answers worth trying, e.g. a median."""
        return ()

    def entries(self, annotations: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
        """Make this task's entries (schema ENTRIES), sorted by ``entry_id``.

        Train entries draw their prompt template by a hash of the entry id; validation and test
        always use the first one.
        """
        drafts = self.drafts(annotations)
        placed = drafts.join(
            images.select("image_id", "patient_id", "split"),
            on="image_id",
            how="inner",
            maintain_order="left",
        )
        ids, prompts, templates = [], [], []
        rows = placed.select("image_id", "subtask", "subject", "fill", "split").iter_rows()
        for image_id, subtask, subject, fill, split in rows:
            key = f"{image_id}\x1f{self.name}\x1f{subtask}\x1f{subject}"
            digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
            choices = self.templates[subtask]
            number = int(digest[:8], 16) % len(choices) if split == "train" else 0
            ids.append(f"{self.name}-{digest}")
            prompt = choices[number]
            # str.replace, not str.format: phrases may hold braces
            prompts.append(prompt if fill is None else prompt.replace("{}", fill))
            templates.append(f"{self.name}.{subtask}.{number}")
        columns = {"entry_id": ids, "prompt": prompts, "template": templates}
        frame = placed.drop("subtask", "subject", "fill").with_columns(
            pl.lit(self.name).alias("task"),
            *(pl.Series(name, values, dtype=pl.String) for name, values in columns.items()),
        )
        return (
            conform(frame, ENTRIES)
            .unique("entry_id", keep="first", maintain_order=True)
            .sort("entry_id")
        )


def subtask_of(template: str) -> str:
    """The subtask in a template id ``<task>.<subtask>.<number>``."""
    return template.split(".")[1]


def to_json(answer: Any) -> str:
    """Canonical JSON of an answer: sorted keys, no spaces."""
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS).decode()


def json_series(answers: Iterable[Any]) -> pl.Series:
    """Answers as a column of canonical JSON."""
    return pl.Series("answer", [to_json(answer) for answer in answers], dtype=pl.String)


def provenance() -> tuple[pl.Expr, pl.Expr]:
    """``sources`` and ``quality`` of a group of annotations: distinct values, sorted."""
    quality = pl.col("origin") + pl.lit("/") + pl.col("quality").fill_null("-")
    return (
        pl.col("source").unique().sort().alias("sources"),
        quality.unique().sort().str.join("+").alias("quality"),
    )


def strip_wrapping(text: str) -> str:
    """Take code fences, quotes, a leading ``Answer:`` and a final full stop off an answer."""
    bare = _FENCE.sub(r"\1", text.strip()).strip(_EDGES)
    # the full stop may stand inside or outside the quotes
    return _LEAD.sub("", bare).strip(_EDGES).removesuffix(".").strip(_EDGES)


def _evenly(values: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the values, at even distances, in their order."""
    if most <= 0:
        return []
    return list(values[:: max(1, -(-len(values) // most))])


def from_json(answer: str) -> Any:
    """Read :func:`to_json` back."""
    return orjson.loads(answer)
