"""Lets a package export names that are imported only when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package whose names are imported on first use.

    Code that only builds datasets then never loads torch, and the command line starts at once.
    Type checkers do not see these names, so each package repeats them as ordinary imports under
    ``if TYPE_CHECKING``; ``tests/test_public_api.py`` checks that both lists agree.

    Args:
        package: ``__name__`` of the package.
        homes: Names that each module defines. A module is given relative to the package (``plan``
            for ``imaxray.cache``) or in full (``imaxray.cache.plan``).

    Example:
        >>> getattribute, _ = lazily("imaxray.cache", {"plan": ["make_plan"]})
        >>> getattribute("make_plan").__module__
        'imaxray.cache.plan'
    """
    of = {
        name: module if module.startswith("imaxray.") else f"{package}.{module}"
        for module, names in homes.items()
        for name in names
    }

    def attribute(name: str) -> Any:
        if name not in of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(of[name]), name)

    def listing() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return attribute, listing
