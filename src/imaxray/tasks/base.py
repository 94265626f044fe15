"""What a task is: annotations to entries, answer text to a typed answer, and a list of metrics."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from imaxray.boxes import Box
from imaxray.errors import ImaxrayError
from imaxray.hashing import Hashes, digest, digests, hexadecimal, mixed
from imaxray.metrics import Metric
from imaxray.schema import ENTRIES, Boxes, TaskName, conform

_LEAD: Final = re.compile(r"^(?:the )?answer(?: is)?(?:\s*:\s*|\s+)", re.IGNORECASE)
_EDGES: Final = "\"'` \t\r\n"
_FREQUENT: Final = 20  # gold answers that a constant is searched among
_SCORED: Final = 250  # gold answers that it is scored against

DRAFTS: Final = pl.Schema(
    {
        "image_id": pl.String,
        "subtask": pl.String,  # picks the family of templates, e.g. ctr
        "subject": pl.UInt64,  # hash of what makes the entry unique within image, task and subtask
        "fill": pl.String,  # text put where the template says {}; null where it has no {}
        "target": pl.String,
        "boxes": Boxes,
        "answer": pl.String,  # canonical JSON
        "sources": pl.List(pl.String),
        "quality": pl.String,
    }
)
"""Entries before ids and prompts: what a task module makes."""


@dataclass(frozen=True)
class Gold:
    """A parsed answer in the form that entries hold.

    Attributes:
        target: in the task's own wording, with ``<box>`` placeholders.
        boxes: of the target, pixels of the original image.
        answer: as gold answers of the task are.
    """

    target: str
    boxes: list[list[float]]
    answer: Any


class Task(ABC):
    """One of the seven tasks.

    An answer is a plain JSON value; its form per task is documented in each module. ``metrics[0]``
    is the primary metric, the one that gains are computed from.
    """

    name: ClassVar[TaskName]
    templates: ClassVar[Mapping[str, Sequence[str]]]  # subtask -> prompts; [0] is the evaluation's
    metrics: ClassVar[tuple[Metric, ...]]
    optional: ClassVar[Mapping[str, tuple[Metric, ...]]] = {}  # extra that they need -> metrics

    def metric(self, name: str) -> Metric:
        """The metric of this name, an optional one too.

        Raises:
            ImaxrayError: there is none.
        """
        known = [*self.metrics, *(m for more in self.optional.values() for m in more)]
        for metric in known:
            if metric.name == name:
                return metric
        raise ImaxrayError(
            f"Expected a metric of {self.name}, one of {', '.join(m.name for m in known)}, but got "
            f"{name}."
        )

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

    @abstractmethod
    def as_gold(self, parsed: Any, template: str) -> Gold | None:
        """A parsed answer as an entry would state it, so that its target parses to the same again.

        ``None`` where it can be read but not be stated: it denies labels and names none.
        """

    def same(self, first: Any, second: Any) -> bool:
        """Whether two answers in gold form say the same, to the task's own tolerance.

        Unless a task says otherwise: equal canonical JSON.
        """
        return to_json(first) == to_json(second)

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
        known = images if IMAGE_HASH in images.columns else with_image_hash(images)
        placed = self.drafts(annotations).join(
            known.select("image_id", "patient_id", "split", IMAGE_HASH),
            on="image_id",
            how="inner",
            maintain_order="left",
        )
        keys = mixed(
            placed[IMAGE_HASH].to_numpy(), digest(self.name), digests(placed["subtask"]),
            placed["subject"].to_numpy(),
        )  # fmt: skip
        train = (placed["split"] == "train").fill_null(False).to_numpy()
        number = self._template_numbers(placed["subtask"], keys, train)
        chosen = placed.with_columns(
            pl.concat_str(pl.lit(f"{self.name}-"), hexadecimal(keys)).alias("entry_id"),
            pl.concat_str(pl.lit(f"{self.name}."), "subtask", pl.lit("."), pl.Series(number)).alias(
                "template"
            ),
        )
        wording = {
            f"{self.name}.{subtask}.{k}": text
            for subtask, texts in self.templates.items()
            for k, text in enumerate(texts)
        }
        prompt = pl.col("template").replace_strict(wording, return_dtype=pl.String)
        # literal: phrases may hold braces and dollars
        filled = prompt.str.replace("{}", pl.col("fill"), literal=True)
        frame = chosen.with_columns(
            pl.lit(self.name).alias("task"), pl.coalesce(filled, prompt).alias("prompt")
        ).drop("subtask", "subject", "fill", IMAGE_HASH)
        return (
            conform(frame, ENTRIES)
            .unique("entry_id", keep="first", maintain_order=True)
            .sort("entry_id")
        )

    def train_prompt(
        self, image_id: str, subtask: str, *, subject: int = 0, fill: str | None = None
    ) -> tuple[str, str]:
        """Template id and prompt that a train entry of the image would get from :meth:`entries`.

        Args:
            image_id: the image.
            subtask: one of ``templates``.
            subject: as in DRAFTS.
            fill: put where the template says {}.
        """
        key = mixed(
            digests(pl.Series([image_id])), digest(self.name), digest(subtask), subject
        )  # fmt: skip
        number = int(self._template_numbers(pl.Series([subtask]), key, np.array([True]))[0])
        text = self.templates[subtask][number]
        return f"{self.name}.{subtask}.{number}", text if fill is None else text.replace(
            "{}", fill, 1
        )

    def fill_of(self, template: str, prompt: str) -> str | None:
        """What stands in a prompt where its template says {}; ``None`` where it says none."""
        _, subtask, number = template.split(".")
        before, found, after = self.templates[subtask][int(number)].partition("{}")
        return prompt[len(before) : len(prompt) - len(after)] if found else None

    def _template_numbers(
        self, subtasks: pl.Series, keys: Hashes, train: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        counts = {subtask: len(texts) for subtask, texts in self.templates.items()}
        choices = subtasks.replace_strict(counts, return_dtype=pl.UInt64).to_numpy()
        drawn = (keys >> np.uint64(32)) % np.maximum(choices, np.uint64(1))
        return np.where(train, drawn, 0).astype(np.int64)


IMAGE_HASH: Final = "_image_hash"


def with_image_hash(images: pl.DataFrame) -> pl.DataFrame:
    """Images with the hash of their ids, which every task's entry ids are made of."""
    return images.with_columns(pl.Series(IMAGE_HASH, digests(images["image_id"])))


def subtask_of(template: str) -> str:
    """The subtask in a template id ``<task>.<subtask>.<number>``.

    Example:
        >>> subtask_of("calculation.ctr.0")
        'ctr'
    """
    return template.split(".")[1]


def to_json(answer: Any) -> str:
    """Canonical JSON of an answer: sorted keys, no spaces."""
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS).decode()


def json_series(answers: Iterable[Any]) -> pl.Series:
    """Answers as a column of canonical JSON."""
    return pl.Series("answer", [to_json(answer) for answer in answers], dtype=pl.String)


def json_of(*columns: str) -> pl.Expr:
    """Columns as a column ``answer`` of canonical JSON objects, for what needs no Python.

    Raises:
        ValueError: the columns are not in the order of their names.
    """
    if list(columns) != sorted(columns):
        raise ValueError("canonical JSON has its keys sorted")
    return pl.struct(*columns).struct.json_encode().alias("answer")


def one_each(
    frame: pl.DataFrame, keys: Sequence[str], alone: Sequence[pl.Expr], together: Sequence[pl.Expr]
) -> pl.DataFrame:
    """One row a group of equal ``keys``, with its provenance.

    Most groups of a catalog have one row; those take the plain expressions ``alone`` instead of
    the aggregations ``together``, which say the same of several rows and cost far more.
    """
    counted = frame.with_columns(pl.len().over(list(keys)).alias("_rows"))
    single = counted.filter(pl.col("_rows") == 1).select(
        *keys,
        *alone,
        pl.concat_list(pl.col("source").cast(pl.String)).alias("sources"),
        _PROVENANCE.alias("quality"),
    )
    several = (
        counted.filter(pl.col("_rows") > 1)
        .group_by(list(keys), maintain_order=True)
        .agg(
            *together,
            pl.col("source").cast(pl.String).unique().sort().alias("sources"),
            _PROVENANCE.unique().sort().str.join("+").alias("quality"),
        )
    )
    return pl.concat([single, several])


def text_subject(texts: pl.Series) -> pl.Series:
    """Texts as subjects of drafts."""
    return pl.Series("subject", digests(texts), dtype=pl.UInt64)


def box_subject(boxes: pl.Series) -> pl.Series:
    """Lists of exactly one box as subjects of drafts, to a hundredth of a pixel."""
    corners = boxes.list.first()
    parts = [
        (corners.list.get(k) * 100).round().cast(pl.Int64).to_numpy().astype(np.uint64)
        for k in range(4)
    ]
    return pl.Series("subject", mixed(*parts), dtype=pl.UInt64)


NO_SUBJECT: Final = pl.lit(0, dtype=pl.UInt64).alias("subject")
"""For tasks with one entry an image and subtask."""

_PROVENANCE: Final = pl.concat_str(
    pl.col("origin").cast(pl.String),
    pl.lit("/"),
    pl.col("quality").cast(pl.String).fill_null("-"),
)


def strip_wrapping(text: str) -> str:
    """Take quotes, backticks, a leading ``Answer:`` and a final full stop off an answer."""
    bare = text.strip(_EDGES)
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
