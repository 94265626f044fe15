"""Options of a command that are the fields of a config: name, type, default, bounds and help.

A default and a description stand once, in the config. The config's module may be slow to import
(Polars, torch), so it is imported only when the command itself is asked for: ``imaxray --help``
needs none of them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
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

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Config = TypeVar("Config", bound="BaseModel")

_VALUES: Final[ContextVar[dict[str, Any]]] = ContextVar("values of generated options")
"""Of the running command, by field."""


def options_of(
    config: str,
    *,
    flags: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    unset: bool = False,
) -> type[TyperCommand]:
    """A class of commands that have an option for each field of a config.

    A command takes it as ``cls``, and gets the values by :func:`chosen`.

    Args:
        config: where the config is, as ``module:Class``.
        flags: field → its flag, where that is not ``--field-name``.
        only: the fields that are options, in the order of the help; default: all of them.
        leave_out: fields that are no options.
        unset: options have no default, since a file gives the values that are not named.
    """

    class Command(_ConfigCommand):
        home = config
        names = flags or {}
        fields = tuple(only)
        hidden_fields = tuple(leave_out)
        without_defaults = unset

    return Command


def chosen(config: type[Config], **changes: Any) -> Config:
    """The config that the user asked for by the options of the running command.

    Args:
        config: the config of :func:`options_of`.
        changes: fields that the command decides by itself.

    Raises:
        ImaxrayError: values that do not fit together.
    """
    from imaxray._config import validated

    return validated(config, {**given(), **changes})


def given() -> dict[str, Any]:
    """Values of the generated options that were given or have a default, by field."""
    values = _VALUES.get()
    return {name: value for name, value in values.items() if value not in (None, [], ())}


class _ConfigCommand(TyperCommand):
    """A command whose further options are made from a config when they are first needed."""

    home: str
    names: Mapping[str, str]
    fields: tuple[str, ...]
    hidden_fields: tuple[str, ...]
    without_defaults: bool

    @cached_property
    def generated(self) -> Any:
        """A command with the generated options only; calling it gives their values."""
        app = typer.Typer(add_completion=False)
        app.command(add_help_option=False)(self._collector())
        return typer.main.get_command(app)

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own parameters, and then those of the config."""
        own = super().get_params(ctx)
        helps = [param for param in own if "--help" in param.opts]
        return [*(p for p in own if p not in helps), *self.generated.params, *helps]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; :func:`chosen` finds the values of the generated options."""
        names = [param.name for param in self.generated.params]
        values = {name: ctx.params.pop(name) for name in names}
        _VALUES.set(self.generated.callback(**values))
        return super().invoke(ctx)

    def option_fields(self) -> dict[str, FieldInfo]:
        """The fields of the config that are options, a subclass's own before inherited ones."""
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
    """What typer makes an option of."""
    plain = _plain(field.annotation)
    usual = f"--{name.replace('_', '-')}"
    if plain is bool and flag is None:
        flag = f"{usual}/--no-{usual[2:]}"
    bounds: dict[str, Any] = {}
    for rule in field.metadata:  # open bounds of real numbers are the config's to check
        for attribute, bound in (("ge", "min"), ("le", "max")):
            if hasattr(rule, attribute) and plain in (int, float):
                bounds[bound] = getattr(rule, attribute)
    option = typer.Option(
        flag or usual, help=field.description, show_default=default is not None, **bounds
    )
    kind: Any = plain
    if _many(field.annotation):
        if get_origin(plain) is Literal:  # typer has no lists of these, but of enumerations
            kind = enumerated(name, {value: value for value in get_args(plain)})
        kind = GenericAlias(list, (kind,))
    return Annotated[kind if default is not None else kind | None, option]


def enumerated(name: str, members: dict[str, str]) -> Any:
    """An enumeration of texts that are known only now."""
    return StrEnum(name, members)


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Members of a union without ``None``."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(part for part in get_args(annotation) if part is not NoneType)
    return (annotation,)


def _many(annotation: Any) -> bool:
    """Whether an option can be given more than once."""
    return get_origin(_parts(annotation)[0]) in (tuple, dict)


def _plain(annotation: Any) -> Any:
    """The type of one value: int, float, bool, str, Path or a Literal."""
    first = _parts(annotation)[0]
    if get_origin(first) in (Annotated, tuple):
        return _plain(get_args(first)[0])
    if first in (int, float, bool, str, Path) or get_origin(first) is Literal:
        return first
    return str  # such as TASK=SHARE, which the command reads
