"""Selects DMAX: the decentralized control with IMAX's entries spread over the most images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from imaxray.curation.selecting.densities import Density, density_of
from imaxray.curation.selecting.imax import TaskMean, subset
from imaxray.curation.selecting.spread import Counts, spread
from imaxray.curation.selecting.strata import with_strata
from imaxray.curation.tables import Tables, of_split
from imaxray.errors import ImaxrayError
from imaxray.hashing import digests, from_hexadecimal, mixed


class DmaxConfig(BaseModel):
    """Sets how far DMAX is spread and the seed of the match."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks_per_image: TaskMean | None = Field(
        default=None,
        ge=1,
        description="Mean number of tasks per image to aim at; default: as few as possible.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        description="Random seed that decides among equally good images; default: the build's.",
    )


@dataclass(frozen=True)
class MatchReport:
    """Describes how well DMAX was matched to IMAX.

    Attributes:
        imax: Density of IMAX's train split.
        dmax: Density of DMAX's train split.
        volume: Number of train entries per task, equal in both arms.
        distance: Total variation distance between the arms' answer strata per task, in [0, 1].
        shared_images: Number of train images that both arms use.
        pool_images: Number of train images of the catalog with an entry of a needed stratum.
        limit: Sentence that says what prevented a wider spread.
    """

    imax: Density
    dmax: Density
    volume: Mapping[str, int]
    distance: Mapping[str, float]
    shared_images: int
    pool_images: int
    limit: str

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that can be written as JSON."""
        return asdict(self)


def match_dmax(
    catalog: Tables, imax: Tables, config: DmaxConfig | None = None, *, seed: int = 0
) -> tuple[Tables, MatchReport]:
    """Match DMAX to ``imax``: equally many train entries per answer stratum, on the most images.

    DMAX has the same validation and test entries as IMAX. Every stratum can be filled, because the
    catalog also contains the entries of IMAX. If neither has entries to train on, DMAX is IMAX.

    Args:
        catalog: Catalog from which IMAX was selected.
        imax: Selection to match.
        config: Dose and seed; the default is the widest spread.
        seed: Seed that decides among equally good images and among the entries of an image, unless
            the config names a seed.

    Raises:
        ImaxrayError: If ``imax`` has no train entries or was not selected from ``catalog``.
    """
    entries, report = choose_dmax(catalog.entries, imax.entries, config, seed=seed)
    return subset(catalog, entries), report


def choose_dmax(
    catalog: pl.DataFrame,
    imax: pl.DataFrame,
    config: DmaxConfig | None = None,
    *,
    seed: int = 0,
) -> tuple[pl.DataFrame, MatchReport]:
    """Select the entries of DMAX from those of the catalog, see :func:`match_dmax`.

    Args:
        catalog: Entries of the catalog, schema ENTRIES.
        imax: Entries of IMAX, selected from those of the catalog.
        config: Dose and seed.
        seed: Seed, unless the config names one.

    Returns:
        The selected rows of ``catalog``, in their order, and the report.
    """
    config = config or DmaxConfig()
    seed = seed if config.seed is None else config.seed
    wanted, offered = _train(imax), _train(catalog)
    if wanted.is_empty() and offered.is_empty() and imax.height:
        return imax, _report(wanted, wanted, wanted)
    if wanted.is_empty():
        raise ImaxrayError("Expected train entries in IMAX, but there are none; select it again.")
    needed = wanted["stratum"].unique()
    pool = offered.filter(pl.col("stratum").is_in(needed.implode()))
    demand = wanted.group_by("stratum").len().sort("stratum")
    order = pool.group_by("image_id").agg(pl.col("task").n_unique().alias("tasks"))
    order = order.with_columns(pl.Series("mix", mixed(digests(order["image_id"]), seed)))
    if config.tasks_per_image is None:
        chosen = _take(pool, order.sort("mix"), demand, seed)
    else:
        # the images of IMAX first: they hold every stratum, so that any dose up to its own is met
        own = wanted["image_id"].unique().implode()
        dense_first = order.with_columns(pl.col("image_id").is_in(own).alias("own")).sort(
            "own", "tasks", "mix", descending=[True, True, False]
        )
        chosen = _dose(pool, dense_first, demand, config.tasks_per_image, seed)
    held_out = imax.filter(pl.col("split") != "train")["entry_id"]
    if chosen is None or not held_out.is_in(catalog["entry_id"].implode()).all():
        raise ImaxrayError(
            "Expected IMAX to be selected from this catalog, but the catalog lacks entries like "
            "its own; match it with the catalog it came from."
        )
    ids = pl.concat([chosen["entry_id"], held_out])
    entries = catalog.filter(pl.col("entry_id").is_in(ids.implode()))
    return entries, _report(wanted, _train(entries), pool)


def _train(entries: pl.DataFrame) -> pl.DataFrame:
    """Return the train entries with their strata, without prompts, answers and boxes."""
    train = with_strata(of_split(entries, "train"))
    return train.select("entry_id", "image_id", "patient_id", "task", "stratum")


def _take(
    pool: pl.DataFrame, order: pl.DataFrame, demand: pl.DataFrame, seed: int
) -> pl.DataFrame | None:
    """Return the entries of the widest spread over ``order``, or None if they do not suffice."""
    numbered = order.select("image_id").with_row_index("image")
    strata = demand.select("stratum").with_row_index("number")
    offered = pool.join(numbered, on="image_id").join(strata, on="stratum")
    drawn = mixed(from_hexadecimal(offered["entry_id"]), seed)
    offered = offered.with_columns(pl.Series("mix", drawn)).sort("image", "number", "mix")
    offers = offered.group_by("image", "number", maintain_order=True).len()
    taken = spread(
        _counts(offers["image"]),
        _counts(offers["number"]),
        _counts(offers["len"]),
        _counts(demand["len"]),
    )
    if taken is None:
        return None
    quota = offers.select("image", "number").with_columns(pl.Series("quota", taken))
    return offered.join(quota, on=["image", "number"], maintain_order="left").filter(
        pl.int_range(pl.len()).over("image", "number") < pl.col("quota")
    )


def _dose(
    pool: pl.DataFrame, dense_first: pl.DataFrame, demand: pl.DataFrame, dose: float, seed: int
) -> pl.DataFrame | None:
    """Return the widest spread over a number of first images that gives ``dose`` tasks per image.

    The number of images is found by bisection; the more images, the fewer tasks per image.
    """
    low, high = 1, dense_first.height
    best: tuple[float, pl.DataFrame] | None = None
    while low <= high:
        middle = (low + high) // 2
        head = dense_first.head(middle)
        chosen = _take(pool.join(head, on="image_id", how="semi"), head, demand, seed)
        if chosen is None:
            low = middle + 1
            continue
        tasks = chosen.group_by("image_id").agg(pl.col("task").n_unique())["task"].mean()
        reached = float(tasks)  # type: ignore[arg-type]
        if best is None or abs(reached - dose) < best[0]:
            best = (abs(reached - dose), chosen)
        if reached > dose:
            low = middle + 1
        else:
            high = middle - 1
    return None if best is None else best[1]


def _report(ours: pl.DataFrame, theirs: pl.DataFrame, pool: pl.DataFrame) -> MatchReport:
    """Compare the train entries of IMAX and of DMAX, both with their strata."""
    volume = dict(ours.group_by("task").len().sort("task").iter_rows())
    distance = {}
    for task in volume:
        a, b = (
            frame.filter(pl.col("task") == task).group_by("stratum").len()
            for frame in (ours, theirs)
        )
        both = a.join(b, on="stratum", how="full", coalesce=True).fill_null(0)
        gap = (both["len"].cast(pl.Int64) - both["len_right"].cast(pl.Int64)).abs().sum()
        distance[task] = gap / (2 * volume[task])
    spread_wide = density_of(theirs)
    images = pool["image_id"].n_unique()
    limit = (
        "the catalog has no train entries"
        if not spread_wide.entries
        else "every entry has an image of its own"
        if spread_wide.images == spread_wide.entries
        else f"{spread_wide.entries:,} entries must share {images:,} images, and scarce answers "
        "lie on few of them"
    )
    common = (
        ours.select("image_id").unique().join(theirs.select("image_id").unique(), on="image_id")
    )
    return MatchReport(
        imax=density_of(ours),
        dmax=spread_wide,
        volume=volume,
        distance=distance,
        shared_images=common.height,
        pool_images=images,
        limit=limit,
    )


def _counts(series: pl.Series) -> Counts:
    return series.to_numpy().astype(np.int32)
