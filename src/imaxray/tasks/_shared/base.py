"""A task turns annotations into entries and answer text into a typed answer, and has metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from imaxray._common.plugins import Plugin, running
from imaxray.boxes import Box
from imaxray.errors import ImaxrayError
from imaxray.hashing import Hashes, digest, digests, hexadecimal, mixed
from imaxray.metrics import Metric, get_extra, names_from_outside
from imaxray.schema import ENTRIES, conform
from imaxray.tasks._shared.answers import Gold, from_json, to_json
from imaxray.tasks._shared.drafts import DRAFTS
from imaxray.tasks._shared.knowledge import TaskKnowledge
from imaxray.tasks._shared.reading import Reading
from imaxray.tasks._shared.uncertain import Uncertain

_FREQUENT: Final = 20  # number of gold answers that are tried as the constant answer
_SCORED: Final = 250  # number of gold answers that each constant answer is scored against


class Task(TaskKnowledge):
    """A task makes entries, reads answers and scores them.

    An answer is a plain JSON value; the module of each task documents its form. ``metrics[0]`` is
    the primary metric, from which gains are computed. The methods that other stages call have
    defaults in :class:`~imaxray.tasks._shared.knowledge.TaskKnowledge`.
    """

    name: ClassVar[str]  # letters, digits and hyphens
    templates: ClassVar[Mapping[str, Sequence[str]]]  # subtask -> prompts; [0] evaluates
    metrics: ClassVar[tuple[Metric, ...]]
    optional: ClassVar[Mapping[str, tuple[Metric, ...]]] = {}  # required extra -> metrics
    plugin: Plugin | None = None  # entry point that the task was loaded from; None: built-in

    def metric(self, name: str) -> Metric:
        """Return the metric of this name; optional metrics are found too.

        Extras of other packages are loaded only if the task itself has no metric of this name.

        Raises:
            ImaxrayError: The task has no metric of this name.
        """
        known = [
            *self.metrics,
            *(m for extra in sorted(self.optional) for m in self.optional[extra]),
        ]
        for metric in known:
            if metric.name == name:
                return metric
        broken: ImaxrayError | None = None
        for extra in names_from_outside():
            try:
                added = self.extra_metrics(extra)
            except ImaxrayError as error:  # the metric may be one of another extra
                broken = broken or error
                continue
            for metric in added:
                if metric.name == name:
                    return metric
            known += added
        if broken is not None:
            raise broken
        raise ImaxrayError(
            f"Expected a metric of {self.name}, but got {name}; choose from "
            f"{', '.join(m.name for m in known)}."
        )

    def extra_metrics(self, extra: str) -> tuple[Metric, ...]:
        """Return the metrics that an extra of this or of another package adds to the task.

        Raises:
            ImaxrayError: A metric of the package has the name of another metric of the task.
        """
        if extra in self.optional or extra not in names_from_outside():
            return self.optional.get(extra, ())
        added = get_extra(extra).metrics.get(self.name, ())
        own = [*self.metrics, *(m for more in self.optional.values() for m in more)]
        names = [metric.name for metric in (*own, *added)]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise ImaxrayError(
                f"Expected the extra {extra} to add metrics of {self.name} with new names, but "
                f"{', '.join(doubles)} comes twice; ask the author of its package for a corrected "
                "release, or remove the package."
            )
        return added

    @property
    def primary(self) -> Metric:
        """Return the metric that comparisons use."""
        return self.metrics[0]

    @abstractmethod
    def drafts(self, annotations: pl.DataFrame) -> pl.DataFrame:
        """Make the drafts of this task (schema DRAFTS) from catalog annotations of all kinds."""

    def under(self, uncertain: Uncertain) -> Task:
        """Return the task that treats uncertain labels by a policy; by default the task itself."""
        return self

    @abstractmethod
    def as_gold(self, parsed: Any, template: str) -> Gold | None:
        """State a parsed answer as an entry would; its target parses to the same answer again.

        Returns:
            ``None`` if the answer can be read but no entry can state it, e.g. if it denies labels
            and names none.
        """

    def constant(self, golds: Sequence[Any]) -> Any:
        """Return the constant answer, in parsed form, that scores best on the primary metric.

        This is the constant (majority) baseline. It tries 20 gold answers and the answers that
        :meth:`candidates` adds. Gold answers that occur more than once are tried first, the most
        frequent first; answers that occur once, as most boxes and reports do, fill the rest and are
        taken at even distances. Each answer is scored against at most 250 gold answers, also taken
        at even distances.

        Args:
            golds: Gold answers, in gold form.
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
        """Return further constant answers that are worth trying, e.g. a median."""
        return ()

    def entries(self, annotations: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
        """Make the entries of this task (schema ENTRIES), sorted by ``entry_id``.

        The prompt template of a train entry is drawn by a hash of the entry id; validation and
        test entries always use the first template.

        Args:
            annotations: Annotations of a catalog (schema ANNOTATIONS).
            images: Images of the catalog (schema IMAGES), with their ``split`` assigned.
        """
        known = images if IMAGE_HASH in images.columns else with_image_hash(images)
        with running(self.plugin, "drafts"):
            return self._entries(self._checked(self.drafts(annotations)), known)

    def _checked(self, drafts: pl.DataFrame) -> pl.DataFrame:
        """Return the drafts if they have the columns of DRAFTS; a built-in task always has them."""
        if self.plugin is None:
            return drafts
        if not isinstance(drafts, pl.DataFrame):
            raise self.plugin.unfit(
                f"its drafts are of type {type(drafts).__name__} and no Polars frame"
            )
        wrong = [
            f"{name} {drafts.schema.get(name, 'missing')}"
            for name, dtype in DRAFTS.items()
            if drafts.schema.get(name) != dtype
        ]
        if wrong:
            raise self.plugin.unfit(
                f"its drafts do not have the schema imaxray.tasks.DRAFTS ({', '.join(wrong)})"
            )
        return drafts

    def _entries(self, drafts: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        placed = drafts.join(
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
        # literal, because phrases may hold braces and dollar signs
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
        """Return the template id and prompt that :meth:`entries` would give a train entry.

        Args:
            image_id: Id of the image.
            subtask: Subtask, a key of ``templates``.
            subject: Hash that tells entries of one image and subtask apart, as in DRAFTS.
            fill: Text that replaces ``{}`` in the template.
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
        """Return the text in a prompt that replaces ``{}``; ``None`` if the template has no {}."""
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


class RuledTask(Task):
    """A task that reads answers by the named rules of :data:`imaxray.tasks.RULES`."""

    def parse(self, text: str, boxes: Sequence[Box], template: str) -> Any | None:
        """Read an answer with all rules on and without its prompt, see :meth:`Task.parse`."""
        return self.read(text, boxes, template, Reading())

    @abstractmethod
    def read(self, text: str, boxes: Sequence[Box], template: str, reading: Reading) -> Any | None:
        """Read a model's answer by named rules, see :meth:`TaskKnowledge.read`."""


IMAGE_HASH: Final = "_image_hash"


def with_image_hash(images: pl.DataFrame) -> pl.DataFrame:
    """Add the hash of each image id; the entry ids of every task are made from it."""
    return images.with_columns(pl.Series(IMAGE_HASH, digests(images["image_id"])))


def _evenly(values: Sequence[Any], most: int) -> list[Any]:
    """Return at most ``most`` of the values, taken at even distances, in their order."""
    if most <= 0:
        return []
    return list(values[:: max(1, -(-len(values) // most))])
