"""Reads configurations from YAML into checked models; a mistake raises one clear sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, RootModel, ValidationError

from imaxray.errors import ImaxrayError

Model = TypeVar("Model", bound=BaseModel)

_MERGE: Final = "tag:yaml.org,2002:merge"
_KINDS: Final = {list: "a list", str: "text", type(None): "empty"}
_SHOWN: Final = 40
"""A value longer than this many characters is not repeated in a message."""


def read_yaml(path: Path, *, what: str, advice: str) -> dict[str, Any]:
    """Read the keys and values of a YAML file.

    Args:
        path: YAML file in UTF-8.
        what: Kind of the file with its article (``a recipe``), for messages.
        advice: End of the message, which says what the user should give instead.

    Raises:
        ImaxrayError: The file cannot be read, or :func:`parse_yaml` refuses its text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImaxrayError(
            f"Expected {what} at {path}, but it cannot be read ({error.strerror}); {advice}."
        ) from error
    except UnicodeDecodeError as error:
        raise ImaxrayError(
            f"Expected YAML in UTF-8 in {path}, but byte {error.start} cannot be read as such; "
            "save the file as UTF-8."
        ) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return the keys and values of a YAML text.

    Args:
        text: YAML text.
        where: Name of the file, for messages.

    Raises:
        ImaxrayError: The text is not YAML, does not consist of keys and values, or has a key twice.

    Example:
        >>> parse_yaml("steps: 4", "recipe.yaml")
        {'steps': 4}
    """
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise ImaxrayError(
            f"Expected YAML in {where}, but {f'line {mark.line + 1}' if mark else 'it'} cannot be "
            f"read{f': {_line(problem)}' if problem else ''}; correct it."
        ) from error
    if not isinstance(content, dict):
        kind = _KINDS.get(type(content), "a single value")
        raise ImaxrayError(
            f"Expected keys and values in {where}, but the whole file is {kind}; write lines such "
            "as `key: value`."
        )
    return content


def validated(
    model: type[Model],
    content: Mapping[str, Any],
    *,
    where: str | None = None,
    see: str = "",
    context: Mapping[str, Any] | None = None,
) -> Model:
    """Return a model made from ``content``, or raise one sentence about the first mistake.

    Args:
        model: Pydantic model.
        content: Keys and values.
        where: Name of the file from which the content was read, for messages.
        see: Page that describes the keys, for messages (``docs/study.md``).
        context: Further values for the validators of the model.

    Raises:
        ImaxrayError: A key is unknown or missing, or a value is of the wrong type or out of bounds.

    Example:
        >>> from pydantic import ConfigDict
        >>> class Steps(BaseModel):
        ...     model_config = ConfigDict(extra="forbid")
        ...     steps: int = 1
        >>> validated(Steps, {"step": 4}, where="recipe.yaml")
        Traceback (most recent call last):
        ...
        imaxray.errors.ImaxrayError: Expected a known key in recipe.yaml, but got `step`; did you \
mean `steps`?
    """
    try:
        return model.model_validate(content, context=context)
    except ValidationError as error:
        raise ImaxrayError(_sentence(error, model, content, where, see)) from error


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` most likely misspells, or ``None``.

    Example:
        >>> nearest("phantm", ["phantom", "mimic"])
        'phantom'
    """
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def _sentence(
    error: ValidationError,
    model: type[BaseModel],
    content: Any,
    where: str | None,
    see: str,
) -> str:
    """Describe the first mistake in one sentence; an unknown key comes before a missing one."""
    found = error.errors()
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):  # a validator that checks another model
        return _sentence(inner, model, {}, where, see)
    loc = first["loc"]
    inside = f" in {where}" if where else ""
    pointer = f" ({see} lists all keys)" if see else ""
    name = _name(content, loc)
    if first["type"] == "extra_forbidden":
        known = _keys(model, loc[:-1])
        near = nearest(str(loc[-1]), known)
        if near is not None:
            return (
                f"Expected a known key{inside}, but got `{name}`; did you mean `{near}`?{pointer}"
            )
        return (
            f"Expected a known key{inside}, but got `{name}`; the keys there are "
            f"{', '.join(known)}{pointer}."
        )
    if first["type"] == "missing":
        return f"Expected the key `{name}`{inside}, but it is missing; add it{pointer}."
    message = _line(first["msg"].removeprefix("Value error, "))
    if first["type"] == "value_error":
        what = f"a valid value for {name}" if loc else "values that fit together"
        return f"Expected {what}{inside}, but: {message}; correct it{pointer}."
    value = repr(first["input"])
    came = f"got {value}: " if len(value) <= _SHOWN else ""
    return (
        f"Expected a valid value for {name or 'the whole'}{inside}, but {came}"
        f"{message[:1].lower() + message[1:]}; correct it{pointer}."
    )


def _name(content: Any, loc: Sequence[int | str]) -> str:
    """Return a path such as ``rules.2.effect``; an item of a list with a name shows its name."""
    parts = []
    for part in loc:
        if isinstance(part, int) and isinstance(content, list | tuple) and part < len(content):
            content = content[part]
            own = content.get("name") if isinstance(content, Mapping) else None
            parts.append(own if isinstance(own, str) else str(part))
            continue
        content = content.get(part) if isinstance(content, Mapping) else None
        parts.append(str(part))
    return ".".join(parts)


def _keys(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the keys that are known at a place in a model, sorted."""
    models = _models(model)
    for part in loc:
        fields = [m.model_fields[part] for m in models if part in m.model_fields]
        inner = {found for field in fields for found in _models(field.annotation)}
        # otherwise a number in a list, a key of a mapping, or the name of an option of a union
        models = inner or models
    return sorted({f.alias or name for m in models for name, f in m.model_fields.items()})


def _models(annotation: Any) -> set[type[BaseModel]]:
    """Return the models in an annotation such as ``tuple[StageConfig, ...] | None``.

    A root model has no keys of its own, so the models in its root stand for it.
    """
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _models(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in _models(part)}


def _line(text: str) -> str:
    return " ".join(str(text).split())


class _Loader(yaml.SafeLoader):
    """Loads YAML without tags of Python, and refuses a key that occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None,
                    f"the key `{key.value}` also occurs in line {seen[key.value]}",
                    key.start_mark,
                )  # fmt: skip
            seen[key.value] = line
        return super().construct_mapping(node, deep)
