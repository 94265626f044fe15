"""Reads configurations from YAML into checked models; a mistake raises one clear sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from imaxray._common.defaults import LARGEST
from imaxray._common.files import require_file
from imaxray._common.names import nearest
from imaxray._common.numbers import mistaken_number
from imaxray.errors import ImaxrayError

Model = TypeVar("Model", bound=BaseModel)

_MERGE: Final = "tag:yaml.org,2002:merge"
_KINDS: Final = {list: "a list", str: "text", type(None): "empty"}
FINITE: Final = ConfigDict(allow_inf_nan=False)
"""Settings of a check of one value: numbers are finite, as in all configs."""

_DEPTH: Final = 50
_VALUES: Final = 100_000
"""Bounds of a YAML file: levels of values, and number of values; ours have fewer than a hundred."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Halves of characters, which an escape can write and no file can hold."""

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
    require_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a mark of the encoding
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
    except RecursionError as error:
        raise ImaxrayError(
            f"Expected YAML in {where}, but it is nested too deeply; correct it."
        ) from error
    except (ValueError, KeyError, AttributeError, OverflowError) as error:
        # a date such as 2024-02-30, a number of thousands of digits, or a value that its tag
        # (!!bool x) does not fit
        fits = isinstance(error, ValueError | OverflowError)
        said = _line(error) if fits else "it does not fit its tag"
        raise ImaxrayError(
            f"Expected YAML in {where}, but a value cannot be read: {said}; correct it, or put "
            "it in quotes."
        ) from error
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
    names: Mapping[str, str] | None = None,
) -> Model:
    """Return a model made from ``content``, or raise one sentence about the first mistake.

    Args:
        model: Pydantic model.
        content: Keys and values.
        where: Name of the file from which the content was read, for messages.
        see: Page that describes the keys, for messages (``docs/study.md``).
        context: Further values for the validators of the model.
        names: What the user knows keys as (``--learning-rate``), for messages.

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
        made = model.model_validate(content, context=context)
    except ValidationError as error:
        raise ImaxrayError(_sentence(error, model, content, where, see, names or {})) from error
    taken = mistaken_number(content, made)
    if taken is not None:
        keys, given, said = taken
        name = _name(content, keys)
        raise ImaxrayError(
            f"Expected a valid value for {(names or {}).get(name, name)}"
            f"{f' in {where}' if where else ''}, but got {given}: {said}; correct it"
            f"{f' ({see} lists all keys)' if see else ''}."
        )
    return made


def said_of(error: ValidationError) -> str:
    """Return what is wrong with a single value, in one line and without words of pydantic."""
    return _message(error.errors()[0])


def _sentence(
    error: ValidationError,
    model: type[BaseModel],
    content: Any,
    where: str | None,
    see: str,
    names: Mapping[str, str],
) -> str:
    """Describe the first mistake in one sentence; an unknown key comes before a missing one."""
    found = error.errors()
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValidationError):  # a validator that checks another model
        return _sentence(inner, model, {}, where, see, names)
    loc = first["loc"]
    inside = f" in {where}" if where else ""
    pointer = f" ({see} lists all keys)" if see else ""
    name = _name(content, loc, missing=first["type"] == "missing")
    name = names.get(name, name)
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
    message = _message(first)
    if first["type"] == "value_error":
        what = f"a valid value for {name}" if loc else "values that fit together"
        return f"Expected {what}{inside}, but: {message}; correct it{pointer}."
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        choices = re.findall(r"'([^']*)'", str(first.get("ctx", {}).get("expected", "")))
        near = nearest(first["input"], choices)
        if near is not None:
            return (
                f"Expected a valid value for {name}{inside}, but got {_line(first['input'])}; did "
                f"you mean {near}?{pointer}"
            )
    value = _line(repr(first["input"]))
    came = f"got {value}: " if len(value) <= _SHOWN else ""
    return (
        f"Expected a valid value for {name or 'the whole'}{inside}, but {came}"
        f"{message[:1].lower() + message[1:]}; correct it{pointer}."
    )


_PLAIN: Final = {
    "model_type": "it should be keys and values",
    "model_attributes_type": "it should be keys and values",
    "dict_type": "it should be keys and values",
    "mapping_type": "it should be keys and values",
    "list_type": "it should be a list",
    "tuple_type": "it should be a list",
    "set_type": "it should be a list",
    "string_type": "it should be text",
    "int_type": "it should be a whole number",
    "int_parsing": "it should be a whole number",
    "int_from_float": "it should be a whole number",
    "int_parsing_size": "it should be a whole number of fewer digits",
    "float_type": "it should be a number",
    "float_parsing": "it should be a number",
    "finite_number": "it should be a finite number",
    "bool_type": "it should be true or false",
    "bool_parsing": "it should be true or false",
    "path_type": "it should be a path",
    "none_required": "it should be empty",
}
"""What pydantic says of these kinds of mistakes names classes and types of Python."""


def _message(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, in one line and without words of pydantic."""
    said = _line(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return _PLAIN.get(error["type"], said.replace("Input should", "it should", 1))


def _name(content: Any, loc: Sequence[int | str], *, missing: bool = False) -> str:
    """Return a path such as ``rules.2.effect``; an item of a list with a name shows its name.

    Pydantic also puts the member of a union that it tried into the path (``constrained-int``); such
    a part is left out, because it is no key of the content.
    """
    parts: list[str] = []
    for place, part in enumerate(loc):
        absent = missing and place == len(loc) - 1
        known = isinstance(content, Mapping) and part in content
        if isinstance(part, str) and parts and not known and not absent:
            continue
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


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _require_small(root: yaml.Node) -> None:
    """Check the depth of a document and the number of its values, with aliases written out.

    Raises:
        ConstructorError: The document is too deep or too large, or a value contains itself.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > _DEPTH:
            raise refused(f"values are nested more than {_DEPTH} levels deep", node)
        if id(node) not in sizes:
            sizes[id(node)] = _VALUES + 1  # what is met again inside itself has no end
            inner: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                inner = [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner = list(node.value)
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in inner)
        if sizes[id(node)] > _VALUES:
            raise refused(f"it stands for more than {_VALUES:,} values", node)
        return sizes[id(node)]

    def refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
        return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    size(root, 0)


class _Loader(yaml.SafeLoader):
    """Loads YAML without tags of Python; refuses a key that occurs twice, and text that explodes.

    A few lines of aliases can stand for billions of values.
    """

    def get_single_node(self) -> yaml.Node | None:
        """Return the whole document, if it is small enough."""
        found: yaml.Node | None = super().get_single_node()
        if found is not None:
            _require_small(found)
        return found

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

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number that all libraries take."""
        found = int(super().construct_yaml_int(node))
        if abs(found) > LARGEST:
            raise yaml.constructor.ConstructorError(
                None, None, f"a whole number is greater than {LARGEST}", node.start_mark
            )
        return found

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        """Return a text that can be written as UTF-8."""
        found = str(super().construct_yaml_str(node))
        if _SURROGATE.search(found):
            raise yaml.constructor.ConstructorError(
                None, None, "a text holds half a character (\\ud800 to \\udfff)", node.start_mark
            )
        return found


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_yaml_str)
