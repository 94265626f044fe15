"""Ray, where it is asked for: the package, and a cluster to work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imaxray.errors import ImaxrayError


def require_ray() -> Any:
    """The package.

    Raises:
        ImaxrayError: it is not installed.
    """
    try:
        import ray  # late: an extra
    except ImportError as error:
        raise ImaxrayError(
            "Expected the package ray for the engine ray, but it is not installed; run pip install "
            "'imaxray[ray]' or use the engine local."
        ) from error
    return ray


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """Ray, connected.

    A cluster that this process is connected to is used; else the one that ``RAY_ADDRESS`` or Ray
    itself knows; else one is started on this machine, and ended.

    Raises:
        ImaxrayError: Ray is not installed, or a cluster cannot be reached.
    """
    ray = require_ray()
    connected = ray.is_initialized()
    if not connected:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise ImaxrayError(
                f"Expected a Ray cluster, but Ray says: {str(error).splitlines()[0]}; start one or "
                "use the engine local."
            ) from error
    try:
        yield ray
    finally:
        if not connected:
            ray.shutdown()
