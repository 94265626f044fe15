"""Finds the sources, tasks, metrics, families and formats that other installed packages add."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from imaxray.errors import ImaxrayError

SOURCES: Final = "imaxray.sources"
TASKS: Final = "imaxray.tasks"
METRICS: Final = "imaxray.metrics"
FAMILIES: Final = "imaxray.families"
FORMATS: Final = "imaxray.formats"

_NOUNS: Final = {
    SOURCES: "source",
    TASKS: "task",
    METRICS: "metric",
    FAMILIES: "model family",
    FORMATS: "export format",
}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Plugin:
    """Describes an entry point of another package, which is not imported before :meth:`load`.

    Attributes:
        group: Group of entry points, e.g. ``imaxray.sources``.
        point: The entry point.
    """

    group: str
    point: EntryPoint

    @property
    def _where(self) -> str:
        package = self.point.dist.name if self.point.dist is not None else self.point.module
        return (
            f"the {_NOUNS[self.group]} {self.point.name} at {self.point.value} of the package "
            f"{package}"
        )

    def load(self) -> Any:
        """Import the object that the entry point names.

        Raises:
            ImaxrayError: The import fails.
        """
        try:
            return self.point.load()
        except Exception as error:  # the import of foreign code may raise anything
            raise ImaxrayError(
                f"Expected {self._where}, but loading it failed ({type(error).__name__}: {error}); "
                "reinstall or remove the package."
            ) from error

    def load_class(self, base: type[_T], home: str, declared: Sequence[str]) -> type[_T]:
        """Import a class and check that it is complete.

        Args:
            base: Class from which it must be derived.
            home: Module in which a user finds ``base``.
            declared: Class attributes that it must set.

        Raises:
            ImaxrayError: The import fails, or the object is not a subclass or is incomplete.
        """
        cls = self.load()
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise self.unfit(f"it is no subclass of {home}.{base.__name__}")
        missing = [name for name in declared if not hasattr(cls, name)]
        missing += sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise self.unfit(f"it does not declare {', '.join(missing)}")
        return cls

    def unfit(self, what: str) -> ImaxrayError:
        """Return the error for a plug-in that can be imported but not used, because of ``what``."""
        return ImaxrayError(
            f"Expected {self._where}, but {what}; ask its author for a corrected release, or "
            "remove the package."
        )


def plugins(group: str) -> Mapping[str, Plugin]:
    """Return the entry points of a group by name, without an import of their packages.

    The installed packages are searched once for each state of ``sys.path``.
    """
    return _plugins(group, search_path())


def search_path() -> tuple[str, ...]:
    """Return ``sys.path`` as a key for caches, because other folders may hold other packages."""
    return tuple(map(str, sys.path))


@lru_cache(maxsize=64)
def _plugins(group: str, path: tuple[str, ...]) -> Mapping[str, Plugin]:  # noqa: ARG001 - the key
    return {point.name: Plugin(group, point) for point in entry_points(group=group)}
