"""Selects images so that two means are met with the least change of the images' mixture.

Every image is selected with a probability of the logistic form ``1 / (1 + exp(-(a + b·tasks +
c·entries)))``. Of all distributions with the wanted number of images, tasks and entries, this one
has the greatest entropy, so it prefers nothing else about the images. Images with the same numbers
of tasks and entries share one probability. The number of selected images among them is rounded so
that the totals are met, and a hash decides which of them are selected.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from imaxray.errors import ImaxrayError

Floats = NDArray[np.float64]


def nearest_means(
    images: pl.DataFrame, *, entries: int, tasks_per_image: float, entries_per_image: float
) -> pl.DataFrame:
    """Select the images whose means are nearest to the wanted means.

    Args:
        images: Columns image_id, tasks, entries and mix (a hash that orders equal images).
        entries: Number of entries to reach; at least this number is selected.
        tasks_per_image: Mean number of tasks per image to meet.
        entries_per_image: Mean number of entries per image to meet.

    Returns:
        The selected rows of ``images``, in their order.

    Raises:
        ImaxrayError: If no selection comes near the means; the message states the nearest one.
    """
    cells = images.group_by("tasks", "entries").len().sort("tasks", "entries")
    tasks = cells["tasks"].to_numpy().astype(float)
    load = cells["entries"].to_numpy().astype(float)
    size = cells["len"].to_numpy().astype(float)
    number = entries / entries_per_image
    wanted = np.array([number, number * tasks_per_image, float(entries)])
    shares = _shares(tasks, load, size, wanted)
    reached = np.array([(size * shares * x).sum() for x in (np.ones_like(tasks), tasks, load)])
    if not np.allclose(reached, wanted, rtol=0.005):
        raise ImaxrayError(
            f"Expected images that can average {tasks_per_image:.2f} tasks and "
            f"{entries_per_image:.2f} entries over {entries:,} entries, but the nearest is "
            f"{reached[1] / reached[0]:.2f} and {reached[2] / reached[0]:.2f} over "
            f"{reached[2]:,.0f}; change the means, the caps or min_tasks."
        )
    take = _rounded(size * shares, size, load, entries)
    quota = cells.select("tasks", "entries").with_columns(pl.Series("quota", take))
    chosen = (
        images.sort("mix", "image_id")
        .join(quota, on=["tasks", "entries"], maintain_order="left")
        .filter(pl.int_range(pl.len()).over("tasks", "entries") < pl.col("quota"))
    )
    return images.join(chosen.select("image_id"), on="image_id", how="semi", maintain_order="left")


def _shares(tasks: Floats, load: Floats, size: Floats, wanted: Floats) -> Floats:
    """Return the share of each cell to select: the logistic tilt whose totals are ``wanted``."""
    features = np.stack([np.ones_like(tasks), tasks, load])
    # Features are centred and scaled, because they would be nearly collinear otherwise.
    centre = np.average(features, axis=1, weights=size)
    centre[0] = 0.0
    scale = np.maximum(np.sqrt(np.average((features - centre[:, None]) ** 2, axis=1, weights=size)),
                       1e-9)  # fmt: skip
    scale[0] = 1.0
    design = (features - centre[:, None]) / scale[:, None]
    target = (wanted - centre * wanted[0]) / scale
    target[0] = wanted[0]
    total = size.sum()

    def dual(theta: Floats) -> tuple[float, Floats]:
        score = theta @ design
        value = float((size * np.logaddexp(0, score)).sum() - theta @ target) / total
        gradient = ((size * expit(score)) @ design.T - target) / total
        return value, np.asarray(gradient)

    found = minimize(dual, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-10})
    return np.asarray(expit(found.x @ design))


def _rounded(count: Floats, size: Floats, load: Floats, entries: int) -> NDArray[np.int64]:
    """Round to whole images per cell, largest remainders first, until the entries are reached."""
    whole = np.floor(count + 1e-9)
    order = np.argsort(-(count - whole), kind="stable")
    have = float(whole @ load)
    for cell in order:
        if have >= entries:
            break
        if whole[cell] < size[cell]:
            whole[cell] += 1
            have += load[cell]
    # After all cells were rounded down, one more image per cell may not be enough.
    for cell in np.argsort(-size, kind="stable"):
        more = min(np.ceil(max(0.0, entries - have) / load[cell]), size[cell] - whole[cell])
        whole[cell] += more
        have += more * load[cell]
    return whole.astype(np.int64)
