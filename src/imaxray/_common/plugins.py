"""Finds sources, tasks, metrics, families, formats, rules and annotators of other packages."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, TypeVar

from imaxray._common.printing import say
from imaxray.errors import ImaxrayError

SOURCES: Final = "imaxray.sources"
TASKS: Final = "imaxray.tasks"
METRICS: Final = "imaxray.metrics"
FAMILIES: Final = "imaxray.families"
FORMATS: Final = "imaxray.formats"
DERIVATIONS: Final = "imaxray.derivations"
ANNOTATORS: Final = "imaxray.annotators"

_NOUNS: Final = {
    SOURCES: "source",
    TASKS: "task",
    METRICS: "metric",
    FAMILIES: "model family",
    FORMATS: "export format",
    DERIVATIONS: "derivation rule",
    ANNOTATORS: "annotator",
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

    @property
    def ignored(self) -> str:
        """Return the sentence that says that a built-in of the same name is used instead."""
        return (
            f"The built-in {_NOUNS[self.group]} {self.point.name} is used, and {self._where} is "
            "ignored, because it has the same name."
        )

    def load(self) -> Any:
        """Import the object that the entry point names.

        Raises:
            ImaxrayError: The import fails.
        """
        try:
            return self.point.load()
        # the import of foreign code may raise anything, and may even end the process
        except (Exception, SystemExit) as error:
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

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Turn an exception of the plug-in's code in the block into one sentence.

        Args:
            part: Part of the plug-in that runs, e.g. ``drafts``.

        Raises:
            ImaxrayError: The block raises. An :class:`ImaxrayError` is raised unchanged.
        """
        try:
            yield
        except ImaxrayError:
            raise
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            raise self.unfit(f"its {part} failed ({type(error).__name__}: {error})") from error

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


def plugins_besides(group: str, built_in: Collection[str]) -> Mapping[str, Plugin]:
    """Return the entry points of a group, sorted by name, without those named like a built-in.

    A built-in has precedence. A line on stderr says so, once for each such entry point.
    """
    found = plugins(group)
    for name in sorted(found.keys() & set(built_in)):
        _say_once(found[name].ignored)
    return {name: found[name] for name in sorted(found.keys() - set(built_in))}


@contextmanager
def running(plugin: Plugin | None, part: str) -> Iterator[None]:
    """Run a part of a plug-in as :meth:`Plugin.running` does; ``None`` stands for a built-in."""
    if plugin is None:
        yield
    else:
        with plugin.running(part):
            yield


@cache
def _say_once(sentence: str) -> None:
    say(sentence, file=sys.stderr)


def search_path() -> tuple[str, ...]:
    """Return ``sys.path`` as a key for caches, because other folders may hold other packages."""
    return tuple(map(str, sys.path))


@lru_cache(maxsize=64)
def _plugins(group: str, path: tuple[str, ...]) -> Mapping[str, Plugin]:  # noqa: ARG001 - the key
    return {point.name: Plugin(group, point) for point in entry_points(group=group)}
