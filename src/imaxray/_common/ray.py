"""Imports Ray, which is an optional package, and connects to a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imaxray.errors import ImaxrayError


def require_ray() -> Any:
    """Return the package ``ray``.

    Raises:
        ImaxrayError: Ray is not installed.
    """
    try:
        import ray  # imported late, because it is optional
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package ray for the engine ray, but it is not installed; run pip install "
            "'imaxray[ray]' or use the engine local."
        ) from error
    return ray


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """Connect to a Ray cluster for the duration of the block and yield the package ``ray``.

    If this process is connected to a cluster, that cluster is used. Otherwise the process connects
    to the cluster that ``RAY_ADDRESS`` or Ray itself names, or starts one on this machine, and the
    connection is closed at the end.

    Raises:
        ImaxrayError: Ray is not installed, or a cluster cannot be reached.
    """
    ray = require_ray()
    connected = ray.is_initialized()
    if not connected:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports over the network
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise ImaxrayError(
                f"Expected a Ray cluster, but Ray says: {str(error).splitlines()[0]}; start a "
                "cluster or use the engine local."
            ) from error
    try:
        yield ray
    finally:
        if not connected:
            ray.shutdown()
