"""Makes options of a command from the fields of a config: name, type, default, bounds and help.

Each default and each description is therefore written only once, in the config. The module of a
config may be slow to import (Polars, torch), so it is imported only when its command is used;
``imaxray --help`` imports none of them.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import typer
from typer.core import TyperCommand

from imaxray._common.defaults import LARGEST
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Config = TypeVar("Config", bound="BaseModel")

_VALUES: Final[ContextVar[dict[str, Any]]] = ContextVar("values of generated options")
"""Values of the generated options of the running command, by field."""

_FLAGS: Final[ContextVar[dict[str, str]]] = ContextVar("flags of generated options")
"""Flags of the generated options of the running command, by field."""


def options_of(
    config: str,
    *,
    flags: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    unset: bool = False,
    several: Sequence[str] = (),
) -> type[TyperCommand]:
    """Return a class of commands that have one option per field of a config.

    A command receives the class as ``cls`` and gets the values from :func:`chosen`.

    Args:
        config: Location of the config, as ``module:Class``.
        flags: Field → its flag, for flags other than ``--field-name``.
        only: Fields that become options, in the order of the help; default: all fields.
        leave_out: Fields that do not become options.
        unset: Whether the options have no default, because a file gives the missing values.
        several: Flags of own options that take all values up to the next flag, as in
            ``RUN RUN --against RUN RUN``.
    """

    class Command(_ConfigCommand):
        home = config
        names = flags or {}
        fields = tuple(only)
        hidden_fields = tuple(leave_out)
        without_defaults = unset
        flags_of_several = tuple(several)

    return Command


def chosen(config: type[Config], **changes: Any) -> Config:
    """Return the config with the values of the running command's options.

    Args:
        config: Config class that was named in :func:`options_of`.
        changes: Values of fields that the command itself sets.

    Raises:
        ImaxrayError: If a value is not valid, or values contradict each other.
    """
    from imaxray._common.config import validated

    return validated(config, {**given(), **changes}, names=_FLAGS.get())


def given() -> dict[str, Any]:
    """Return the values of the generated options that were given or have a default, by field."""
    values = _VALUES.get()
    return {name: value for name, value in values.items() if value not in (None, [], ())}


class _ConfigCommand(TyperCommand):
    """A command that makes further options from a config when they are first needed."""

    home: str
    names: Mapping[str, str]
    fields: tuple[str, ...]
    hidden_fields: tuple[str, ...]
    without_defaults: bool
    flags_of_several: tuple[str, ...]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; see ``several`` of :func:`options_of`."""
        return super().parse_args(ctx, repeated(args, self.flags_of_several))

    @cached_property
    def generated(self) -> Any:
        """A command that has only the generated options; calling it returns their values."""
        app = typer.Typer(add_completion=False)
        app.command(add_help_option=False)(self._collector())
        return typer.main.get_command(app)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's own parameters, followed by those of the config."""
        own = super().get_params(ctx)
        helps = [param for param in own if "--help" in param.opts]
        return [*(p for p in own if p not in helps), *self.generated.params, *helps]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; :func:`chosen` returns the values of the generated options."""
        names = [param.name for param in self.generated.params]
        values = self.generated.callback(**{name: ctx.params.pop(name) for name in names})
        for name, field in self.option_fields().items():
            _require_valid(self._flag(name), field, values[name])
        _VALUES.set(values)
        _FLAGS.set({name: self._flag(name) for name in names})
        return super().invoke(ctx)

    def _flag(self, name: str) -> str:
        return self.names.get(name, _usual(name))

    def option_fields(self) -> dict[str, FieldInfo]:
        """Return the fields that become options; own fields come before inherited ones."""
        module, _, name = self.home.partition(":")
        model: type[BaseModel] = getattr(importlib.import_module(module), name)
        known = model.model_fields
        mine = [n for base in model.__mro__ for n in inspect.get_annotations(base) if n in known]
        order = self.fields or dict.fromkeys(mine)
        return {n: known[n] for n in order if n not in self.hidden_fields}

    def _collector(self) -> Any:
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=self._default(field),
                annotation=_annotation(name, field, self.names.get(name), self._default(field)),
            )
            for name, field in self.option_fields().items()
        ]

        def collect(**values: Any) -> dict[str, Any]:
            return {
                name: [str(item) for item in value] if isinstance(value, list) else value
                for name, value in values.items()
            }

        collect.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        collect.__annotations__ = {p.name: p.annotation for p in parameters}
        return collect

    def _default(self, field: FieldInfo) -> Any:
        if self.without_defaults or field.is_required() or _many(field.annotation):
            return None
        return field.get_default(call_default_factory=True)


def _annotation(name: str, field: FieldInfo, flag: str | None, default: Any) -> Any:
    """Return the annotation from which typer makes the option of a field."""
    plain = _plain(field.annotation)
    usual = _usual(name)
    if plain is bool and flag is None:
        flag = f"{usual}/--no-{usual[2:]}"
    bounds: dict[str, Any] = {}
    for rule in field.metadata:  # the config checks open bounds, which typer does not know
        for attribute, bound in (("ge", "min"), ("le", "max")):
            if hasattr(rule, attribute) and plain in (int, float):
                bounds[bound] = getattr(rule, attribute)
    option = typer.Option(
        flag or usual, help=field.description, show_default=default is not None, **bounds
    )
    kind: Any = plain
    if _many(field.annotation):
        if get_origin(plain) is Literal:  # typer knows lists of enumerations, not of Literals
            kind = enumerated(name, {value: value for value in get_args(plain)})
        kind = GenericAlias(list, (kind,))
    return Annotated[kind if default is not None else kind | None, option]


def _usual(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_valid(flag: str, field: FieldInfo, value: Any) -> None:
    """Check the value of an option by its field alone, so that the message names the option.

    Otherwise a recipe, whose other values come from a file, would name the file. An option whose
    text the command itself parses (TASK=SHARE) is left to the config.

    Raises:
        ImaxrayError: The value is out of the bounds of the field.
    """
    if value in (None, [], ()) or get_origin(_parts(field.annotation)[0]) is dict:
        return
    if isinstance(value, int) and value > LARGEST:
        raise ImaxrayError(
            f"Expected a valid value for {flag}, but got {value}: it should be at most "
            f"{LARGEST}; correct it."
        )
    from pydantic import TypeAdapter, ValidationError

    from imaxray._common.config import FINITE, said_of

    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[(kind, *field.metadata)]
    try:
        TypeAdapter(kind, config=FINITE).validate_python(value)
    except ValidationError as error:
        raise ImaxrayError(
            f"Expected a valid value for {flag}, but got {value}: {said_of(error)}; correct it."
        ) from error


def repeated(args: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Repeat a flag before each of the values that follow it, up to the next flag.

    Without this, the second value would be taken for an argument of the command.

    Args:
        args: Command line.
        flags: Flags that take several values.

    Example:
        >>> repeated(["a", "--against", "b", "c", "--out", "d"], ["--against"])
        ['a', '--against', 'b', '--against', 'c', '--out', 'd']
    """
    found: list[str] = []
    flag: str | None = None
    for place, arg in enumerate(args):
        if arg == "--":
            return [*found, *args[place:]]
        if arg.startswith("-") and arg != "-":
            flag = arg if arg in flags else None
            if flag is None or not _has_value(args, place):
                found.append(arg)
        else:
            found += [arg] if flag is None else [flag, arg]
    return found


def _has_value(args: Sequence[str], place: int) -> bool:
    return place + 1 < len(args) and not args[place + 1].startswith("-")


def bounded(
    low: float | None = None, high: float | None = None
) -> Callable[[float | None], float | None]:
    """Return a check for the number of an option that no config describes.

    Args:
        low: Smallest value.
        high: Greatest value.
    """

    def check(value: float | None) -> float | None:
        if value is None:
            return None
        if not math.isfinite(value):
            raise typer.BadParameter(f"got {value}: it should be a finite number")
        if low is not None and value < low:
            raise typer.BadParameter(f"got {value}: it should be at least {low:g}")
        if high is not None and value > high:
            raise typer.BadParameter(f"got {value}: it should be at most {high:g}")
        return value

    return check


def enumerated(name: str, members: dict[str, str]) -> Any:
    """Make an enumeration of texts that are known only at run time."""
    return StrEnum(name, members)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union except ``None``."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(part for part in get_args(annotation) if part is not NoneType)
    return (annotation,)


def _many(annotation: Any) -> bool:
    """Return whether an option can be given more than once."""
    return get_origin(_parts(annotation)[0]) in (tuple, dict)


def _plain(annotation: Any) -> Any:
    """Return the type of one value: int, float, bool, str, Path or a Literal."""
    first = _parts(annotation)[0]
    if get_origin(first) in (Annotated, tuple):
        return _plain(get_args(first)[0])
    if first in (int, float, bool, str, Path) or get_origin(first) is Literal:
        return first
    return str  # for example TASK=SHARE, which the command parses itself
