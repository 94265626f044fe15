"""What a task is: annotations to entries, answer text to a typed answer, and a list of metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray.errors import ImaxrayError
from imaxray.hashing import Hashes, digest, digests, hexadecimal, mixed
from imaxray.metrics import Metric, extras_from_outside
from imaxray.schema import ENTRIES, conform
from imaxray.tasks.answers import Gold, from_json, to_json
from imaxray.tasks.knowledge import TaskKnowledge

_FREQUENT: Final = 20  # gold answers that a constant is searched among
_SCORED: Final = 250  # gold answers that it is scored against


class Task(TaskKnowledge):
    """One task.

    An answer is a plain JSON value; its form per task is documented in each module. ``metrics[0]``
    is the primary metric, the one that gains are computed from. What other stages ask a task has
    defaults in :class:`~imaxray.tasks.knowledge.TaskKnowledge`.
    """

    name: ClassVar[str]  # letters, digits and hyphens
    templates: ClassVar[Mapping[str, Sequence[str]]]  # subtask -> prompts; [0] is the evaluation's
    metrics: ClassVar[tuple[Metric, ...]]
    optional: ClassVar[Mapping[str, tuple[Metric, ...]]] = {}  # extra that they need -> metrics

    def metric(self, name: str) -> Metric:
        """The metric of this name, an optional one too.

        Raises:
            ImaxrayError: there is none.
        """
        extras = self.optional.keys() | extras_from_outside().keys()
        known = [*self.metrics, *(m for extra in sorted(extras) for m in self.extra_metrics(extra))]
        for metric in known:
            if metric.name == name:
                return metric
        raise ImaxrayError(
            f"Expected a metric of {self.name}, one of {', '.join(m.name for m in known)}, but got "
            f"{name}."
        )

    def extra_metrics(self, extra: str) -> tuple[Metric, ...]:
        """The metrics that an extra adds to this task: its own, or those of another package.

        Raises:
            ImaxrayError: a package's metric has the name of another metric of the task.
        """
        outside = extras_from_outside()
        if extra in self.optional or extra not in outside:
            return self.optional.get(extra, ())
        added = outside[extra].metrics.get(self.name, ())
        own = [*self.metrics, *(m for more in self.optional.values() for m in more)]
        names = [metric.name for metric in (*own, *added)]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ImaxrayError(
                f"Expected metrics of {self.name} with names of their own from the extra {extra}, "
                f"but {', '.join(doubles)} comes twice; ask its author for a corrected release, or "
                "remove the package."
            )
        return added

    @property
    def primary(self) -> Metric:
        """The metric that comparisons use."""
        return self.metrics[0]

    @abstractmethod
    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make this task's drafts (schema DRAFTS) from catalog annotations of any kind."""

    @abstractmethod
    def as_gold(self, parsed: Any, template: str) -> Gold | None:
        """A parsed answer as an entry would state it, so that its target parses to the same again.

        ``None`` where it can be read but not be stated: it denies labels and names none.
        """

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


def _evenly(values: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the values, at even distances, in their order."""
    if most <= 0:
        return []
    return list(values[:: max(1, -(-len(values) // most))])
