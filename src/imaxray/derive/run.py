"""Derives a dataset folder in one call, and writes it with its provenance and its measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from imaxray._common.files import csv_text, read_parquet
from imaxray._common.folders import require_other_folder
from imaxray._common.lock import sole_writer
from imaxray._common.state import state_text
from imaxray._common.workers import worker_pool
from imaxray.curation import Dataset, Exclusions, Tables, open_dataset, write_dataset
from imaxray.curation.dataset import require_dataset_place
from imaxray.curation.tables import ACCOUNT
from imaxray.derive.applying.measure import Tally, measured_rules, proven, switched_off
from imaxray.derive.config import DeriveConfig
from imaxray.derive.entries.habits import habits_of
from imaxray.derive.entries.images import (
    Chunk,
    Derived,
    derive_chunk,
    measure_chunk,
    sibling_entries,
)
from imaxray.derive.entries.render import FILE, Rendered
from imaxray.derive.entries.replacing import without_replaced
from imaxray.derive.entries.verdicts import judged_entries
from imaxray.derive.facts.masks import require_masks
from imaxray.derive.rules.chosen import chosen_rules, rules_content
from imaxray.derive.rules.rule import DerivationRule, Habits
from imaxray.hashing import digests
from imaxray.progress import progress_bar
from imaxray.schema import (
    DERIVED_SOURCE,
    IS_DERIVED,
    IS_PSEUDO,
    REJECTS,
    SOFT_FILE,
    conform,
    empty,
    mark_derived,
    task_names,
)

ROLE: Final = "derived"
REPORT: Final = "derive.json"
"""Name of the file in the dataset folder with the measures of the rules and the counts."""
RULES: Final = "rules.csv"
"""Name of the file in the dataset folder with the table of rules."""
_CHUNK: Final = 2_000  # images a job; this limits memory and never decides the result
_MEASURED: Final = 4_000  # images on which rules are measured, drawn by a hash of their ids

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class DerivedDataset:
    """The result of :func:`derive_dataset`.

    Attributes:
        dataset: The dataset with real and derived entries.
        rules: Precision of each rule and whether it was used (schema MEASURED).
        yields: Columns rule, task, entries, and, where the truth is known, judged, right,
            precision, patients, clean, low and high.
        counts: Numbers of real and derived entries by task, of facts that contradict others, of
            questions beyond the most of an image, and of pseudo entries that derived ones replaced.
    """

    dataset: Dataset
    rules: pl.DataFrame
    yields: pl.DataFrame
    counts: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the report that ``derive.json`` contains."""
        return _report(self.rules, self.yields, self.counts)


@dataclass(frozen=True)
class DerivedTables:
    """What follows from the entries of a dataset.

    Attributes:
        rendered: Derived annotations and entries with their derivations.
        rules: As in :class:`DerivedDataset`.
        contradicted: Rule → number of facts that contradict an entry.
        disputed: Rule → number of facts that contradict another derived fact.
        over: Number of questions beyond the most of an image.
        rejects: Annotations that a user marked and that were therefore not derived (schema
            REJECTS).
    """

    rendered: Rendered
    rules: pl.DataFrame
    contradicted: Mapping[str, int]
    disputed: Mapping[str, int]
    over: int
    rejects: pl.DataFrame = field(default_factory=lambda: empty(REJECTS))


def derive_dataset(
    data: Path,
    out: Path,
    config: DeriveConfig | None = None,
    *,
    truth: Path | None = None,
    workers: int = 1,
) -> DerivedDataset:
    """Derive what follows from the train entries of a dataset, and write both as a dataset.

    Rules conclude from real entries only, and entries that an earlier derivation made are made
    anew. A pseudo entry is kept unless a derived one answers the same or a derived fact contradicts
    it; those that go are rejects. The annotations of the folder are not read, because those
    of DMAX hold facts that the dataset is supposed to lack.

    Args:
        data: Dataset folder.
        out: Dataset folder to write.
        config: The rules that are used and their limits.
        truth: Dataset folder (a catalog) whose train entries show which conclusions are right.
        workers: Number of processes; the result does not depend on it.

    Raises:
        ImaxrayError: A folder is missing or damaged, a rule is unknown or wrong, or ``out`` exists
            and is not a dataset folder.
    """
    config = config or DeriveConfig()
    require_other_folder(out, data, *([] if truth is None else [truth]))
    with sole_writer(out, beside=True):
        require_dataset_place(out)
        source = open_dataset(data)
        known = None if truth is None else open_dataset(truth).tables.split("train")
        made = derive_tables(
            source.tables, config, clinical=source.clinical, truth=known, workers=workers
        )
        return _written(source, made, config, known, out)


def derive_tables(
    tables: Tables,
    config: DeriveConfig,
    *,
    clinical: Any,
    truth: pl.DataFrame | None = None,
    workers: int = 1,
    excluded: Exclusions | None = None,
) -> DerivedTables:
    """Derive what follows from the real train entries of ``tables``.

    Args:
        tables: Tables of a dataset; their annotations are not read.
        config: The rules that are used and their limits.
        clinical: Clinical rules with which the dataset was built.
        truth: True train entries (schema ENTRIES), by which rules are measured too.
        workers: Number of processes.
        excluded: What a user marked; it is not derived, nor what follows from it alone.
    """
    rules = chosen_rules(config)
    if config.masks is not None:
        require_masks(config.masks)
    entries = real_entries(tables.entries)
    habits = habits_of(entries.filter(pl.col("split") == "train"), tables.images, clinical)
    measured = _measured(tables.images, entries, truth, rules, habits, config, workers)
    off_rules, off = switched_off(measured)
    used = [proven(rule, measured) for rule in rules if rule.name not in off_rules]
    train = tables.images.filter(pl.col("split") == "train")
    job = partial(
        derive_chunk, rules=used, habits=habits, off=off,
        questions_per_image=config.questions_per_image, masks=config.masks, excluded=excluded,
    )  # fmt: skip
    own = entries.filter(pl.col("split") == "train")
    near = sibling_entries(own, train)
    parts = list(_over(_chunks(train, own, near, None), job, workers, "Deriving", train.height))
    return DerivedTables(
        rendered=_joined(parts),
        rules=measured,
        contradicted=_summed(part.contradicted for part in parts),
        disputed=_summed(part.disputed for part in parts),
        over=sum(part.over for part in parts),
        rejects=_rejects([row for part in parts for row in part.refused]),
    )


def real_entries(entries: pl.DataFrame) -> pl.DataFrame:
    """Return the entries that neither a rule nor a model made."""
    return real_and_pseudo(entries).filter(~pl.col(IS_PSEUDO))


def _measured(
    images: pl.DataFrame,
    entries: pl.DataFrame,
    truth: pl.DataFrame | None,
    rules: Sequence[DerivationRule],
    habits: Habits,
    config: DeriveConfig,
    workers: int,
) -> pl.DataFrame:
    """Measure the rules on train and validation images; test images stay unseen."""
    seen = images.filter(pl.col("split").is_in(["train", "val"]))
    own = entries.filter(pl.col("split").is_in(["train", "val"]))
    # only an image with several entries, or with a known truth, can compare anything
    several = own.group_by("image_id").len().filter(pl.col("len") > 1)["image_id"]
    if truth is not None:
        several = pl.concat([several, truth["image_id"].unique()]).unique()
    seen = seen.filter(pl.col("image_id").is_in(several.implode()))
    drawn = seen.with_columns(pl.Series("_drawn", digests(seen["image_id"])))
    seen = drawn.sort("_drawn", "image_id").head(_MEASURED).drop("_drawn")
    job = partial(measure_chunk, rules=rules, habits=habits, masks=config.masks)
    tally, near = Tally(), sibling_entries(own, images)
    for part in _over(
        _chunks(seen, own, near, truth), job, workers, "Measuring rules", seen.height
    ):
        tally.merge(part)
    return measured_rules(
        tally, rules, precision=config.precision, judged=config.judged, chosen=config.only,
        without=config.without,
    )  # fmt: skip


def _chunks(
    images: pl.DataFrame,
    entries: pl.DataFrame,
    siblings: pl.DataFrame,
    truth: pl.DataFrame | None,
) -> Iterator[Chunk]:
    images = images.sort("image_id")
    entries = entries.sort("image_id", maintain_order=True)
    truth = None if truth is None else truth.sort("image_id", maintain_order=True)
    for first in range(0, images.height, _CHUNK):
        some = images[first : first + _CHUNK]
        yield Chunk(
            some, _within(entries, some), _within(siblings, some),
            None if truth is None else _within(truth, some),
        )  # fmt: skip


def _within(entries: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return the entries of images; both are sorted by image."""
    ids = entries["image_id"].set_sorted()
    start = int(ids.search_sorted(images["image_id"][0], side="left"))
    end = int(ids.search_sorted(images["image_id"][-1], side="right"))
    found = entries[start:end]
    return found.filter(pl.col("image_id").is_in(images["image_id"].implode()))


def _over(
    chunks: Iterator[Chunk], job: Callable[[Chunk], _Result], workers: int, what: str, total: int
) -> Iterator[_Result]:
    """Yield the result of each chunk in order, computed by several processes."""
    with progress_bar(what, total=total) as bar:
        if workers <= 1 or total <= _CHUNK:
            for chunk in chunks:
                yield job(chunk)
                bar.advance(chunk.images.height)
            return
        with worker_pool(workers) as pool:
            waiting: list[Any] = []
            for chunk in chunks:
                waiting.append((pool.submit(job, chunk), chunk.images.height))
                if len(waiting) > 2 * workers:  # chunks are made as they are needed
                    future, height = waiting.pop(0)
                    yield future.result()
                    bar.advance(height)
            for future, height in waiting:
                yield future.result()
                bar.advance(height)


def _joined(parts: Sequence[Derived]) -> Rendered:
    made = [Rendered.empty(), *(part.rendered for part in parts)]
    return Rendered(
        pl.concat([part.annotations for part in made]),
        pl.concat([part.entries for part in made]),
        pl.concat([part.derivations for part in made]).sort("entry_id"),
    )


def _rejects(rows: list[dict[str, Any]]) -> pl.DataFrame:
    if not rows:
        return empty(REJECTS)
    return conform(pl.DataFrame(rows, schema_overrides={"row": pl.Int64}), REJECTS)


def _summed(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(sorted(total.items()))


def _written(
    source: Dataset,
    made: DerivedTables,
    config: DeriveConfig,
    truth: pl.DataFrame | None,
    out: Path,
) -> DerivedDataset:
    new = made.rendered
    replaced = without_replaced(source.tables, new, source.clinical)
    tables = with_derived(replaced.tables, made)
    kept = real_entries(source.tables.entries)
    yields = judged_entries(new, truth)
    counts = {
        "real": _by_task(kept.filter(pl.col("split") == "train")),
        "derived": _by_task(new.entries),
        "contradicted": dict(made.contradicted),
        "disputed": dict(made.disputed),
        "over": made.over,
        # without pseudo entries nothing is said of them
        **({"replaced": dict(replaced.counts)} if replaced.counts else {}),
    }
    report = _report(made.rules, yields, counts)
    again = source.manifest["role"] == ROLE
    content = {
        # a derivation of a derived dataset starts from the same real entries as the first one
        "base": source.manifest["config"]["base"] if again else _identity(source),
        "base_config": source.manifest["config"]["base_config" if again else "base"]
        if again
        else source.manifest["config"],
        # the rules of a file, and not its path, decide the content
        "derive": config.model_dump(mode="json", exclude={"rules", "masks"}),
        "own_rules": rules_content(config),
        "rules": made.rules.to_dicts(),
    }
    write_dataset(
        tables, out, config=content, seed=int(source.manifest["seed"]), role=ROLE,
        beside={REPORT: state_text(report), RULES: csv_text(made.rules)},
        tables_beside={FILE: new.derivations, **_distributions(source, tables)},
    )  # fmt: skip
    return DerivedDataset(open_dataset(out), made.rules, yields, counts)


def _distributions(source: Dataset, tables: Tables) -> dict[str, pl.DataFrame]:
    """Return the table of soft targets of the pseudo entries that stay, if there is one."""
    path = source.folder / SOFT_FILE
    if not path.is_file():
        return {}
    kept = tables.entries.filter(pl.col(IS_PSEUDO)).select("entry_id")
    return {SOFT_FILE: read_parquet(path).join(kept, on="entry_id", how="semi")}


def with_derived(base: Tables, made: DerivedTables) -> Tables:
    """Return tables with the derived annotations and entries, in place of earlier derived ones."""
    new = made.rendered
    entries = new.entries.with_columns(pl.lit(False).alias(IS_PSEUDO))
    annotations = base.annotations.filter(pl.col("source") != DERIVED_SOURCE)
    account = base.account.filter(pl.col("source") != DERIVED_SOURCE)
    kept, refused = new.annotations.height, made.rejects.height
    line = (DERIVED_SOURCE, FILE, kept + refused, kept, refused)
    return replace(
        base,
        annotations=pl.concat([annotations, new.annotations]).sort("image_id", maintain_order=True),
        entries=pl.concat([real_and_pseudo(base.entries), entries]).sort(
            "split", "task", "entry_id"
        ),
        rejects=pl.concat([base.rejects.filter(pl.col("source") != DERIVED_SOURCE), made.rejects]),
        account=pl.concat([account, pl.DataFrame([line], schema=ACCOUNT, orient="row")]),
    )


def real_and_pseudo(entries: pl.DataFrame) -> pl.DataFrame:
    """Return the entries that no rule made."""
    return mark_derived(entries).filter(~pl.col(IS_DERIVED)).drop(IS_DERIVED)


def _identity(source: Dataset) -> dict[str, Any]:
    return {"sha256": source.sha256, "role": source.manifest["role"]}


def _by_task(entries: pl.DataFrame) -> dict[str, int]:
    counts = dict(entries.group_by("task").len().iter_rows())
    return {task: counts[task] for task in task_names() if task in counts}


def _report(rules: pl.DataFrame, yields: pl.DataFrame, counts: Mapping[str, Any]) -> dict[str, Any]:
    return {"counts": dict(counts), "yields": yields.to_dicts(), "rules": rules.to_dicts()}


__all__ = ["DerivedDataset", "DerivedTables", "derive_dataset", "derive_tables", "with_derived"]
