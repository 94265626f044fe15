"""Tests the loader of YAML files: each mistake gives one sentence that says what to do."""

import ast
import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

import imaxray
from imaxray._common.config import nearest, parse_yaml, read_yaml, validated
from imaxray.errors import ImaxrayError


class Stage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "a"
    entries_per_step: int = Field(64, ge=1)
    kind: Literal["dmax", "mix"] = "dmax"


class Named(RootModel[dict[str, Stage]]):
    """Stages by name."""


class Study(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    stages: tuple[Stage, ...] | None = None
    first: Stage = Stage()
    rate: int | dict[str, int] = 1
    by_name: dict[str, Stage] = {}
    named: Named | None = None

    @model_validator(mode="after")
    def _fits(self):
        if self.title == "bad":
            raise ValueError("bad is no title")
        if self.title == "inner":
            Stage.model_validate({"entries_per_step": 0})
        return self


def wrong(text):
    with pytest.raises(ImaxrayError) as caught:
        validated(Study, parse_yaml(text, "s.yaml"), where="s.yaml", see="docs/study.md")
    said = str(caught.value)
    assert said.startswith("Expected ") and "\n" not in said and said.endswith((".", ")"))
    return said


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("title: über\nfirst: &a {name: x}\nstages:\n- {<<: *a, kind: mix}\n", "utf-8")
    content = read_yaml(path, what="a study", advice="give one")
    study = validated(Study, content)
    assert study.title == "über" and study.stages[0].name == "x" and study.stages[0].kind == "mix"


def test_a_number_in_a_text_is_a_number():
    study = validated(Study, parse_yaml("title: x\nfirst: {entries_per_step: '8'}", "s.yaml"))
    assert study.first.entries_per_step == 8


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("titel: x", ["`titel`", "did you mean `title`"]),
        ("title: x\nfirst: {entries_per_stp: 1}", ["first.entries_per_stp", "`entries_per_step`"]),
        ("title: x\nstages: [{name: b, entires: 1}]", ["`stages.b.entires`", "entries_per_step"]),
        ("title: x\nstages: [{}, {xyz: 1}]", ["`stages.1.xyz`", "entries_per_step, kind, name"]),
        ("title: x\nby_name: {b: {nmae: c}}", ["`by_name.b.nmae`", "did you mean `name`"]),
        ("title: x\nnamed: {b: {kid: mix}}", ["`named.b.kid`", "did you mean `kind`"]),
        ("title: x\nnamed: {name: {xyz: 1}}", ["`named.name.xyz`", "entries_per_step, kind, name"]),
        ("first: {}", ["the key `title`", "is missing"]),
        ("title: x\nfirst: {entries_per_step: 0}", ["entries_per_step", "got 0", "greater than"]),
        ("title: x\nfirst: {entries_per_step: many}", ["got 'many'", "a whole number"]),
        (
            "title: x\nfirst: {entries_per_step: yes}",
            ["entries_per_step", "got true"],
        ),
        ("title: x\nrate: {a: on}", ["for rate.a", "got true", "number"]),
        ("title: x\nstages: [{name: b, entries_per_step: true}]", ["stages.b.entries_per_step"]),
        ("title: x\nby_name: {b: {entries_per_step: true}}", ["by_name.b.entries_per_step"]),
        ("title: x\nnamed: {b: {entries_per_step: true}}", ["named.b.entries_per_step"]),
        ("title: x\nfirst: {entries_per_step: '99999999999'}", ["at most 4294967295"]),
        ("title: x\nfirst: {kind: dmex}", ["first.kind", "got dmex; did you mean dmax?"]),
        ("title: x\nfirst: {kind: other}", ["first.kind", "got 'other'", "'dmax' or 'mix'"]),
        ("title: x\nrate: {a: b}", ["for rate in", "a whole number"]),
        ("title: bad", ["bad is no title", "docs/study.md"]),
        ("title: inner", ["entries_per_step", "greater than or equal to 1"]),
        ("title: [", ["Expected YAML in s.yaml", "line 1 cannot be read"]),
        ("title: !!python/object/apply:os.getcwd []", ["Expected YAML", "line 1"]),
        ("title: x\nrate: 1\ntitle: y", ["Expected YAML", "line 3", "`title`", "line 1"]),
        ("title: x\nfirst: {name: a, name: b}", ["`name`", "line 2"]),
        ("title: !!bool x", ["Expected YAML", "does not fit its tag"]),
        ("title: !!timestamp x", ["Expected YAML", "does not fit its tag"]),
        ("rate: " + ":".join(["59"] * 200), ["line 1", "a whole number is greater than"]),
        ("rate: 0x" + "f" * 5000, ["line 1", "a whole number is greater than"]),
        ('title: "\\ud800"', ["line 1", "half a character"]),
        ("", ["keys and values", "empty"]),
        ("just text", ["keys and values", "text"]),
        ("- a", ["keys and values", "a list"]),
        ("3", ["keys and values", "a single value"]),
    ],
)
def test_a_mistake_is_one_sentence(text, parts):
    said = wrong(text)
    assert all(part in said for part in parts), said


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(ImaxrayError, match=r"a recipe at .*none.yaml.*No such file.*; give one"):
        read_yaml(tmp_path / "none.yaml", what="a recipe", advice="give one")
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: \xfcber".encode("latin-1"))
    with pytest.raises(ImaxrayError, match="UTF-8"):
        read_yaml(path, what="a recipe", advice="give one")


def test_nearest_knows_a_misspelling_and_nothing_else():
    assert nearest("entries_per_stp", ["entries_per_step", "steps"]) == "entries_per_step"
    assert nearest("colour", ["steps"]) is None


def test_defaults_are_keywords_so_that_type_checkers_see_them():
    """Pyright, and mypy without pydantic's plugin, do not read a positional default of Field."""
    source = Path(imaxray.__file__).parent
    positional = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in source.rglob("*.py")
        if "Field(" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Field" and node.args
    ]
    assert not positional


def test_mypy_checks_the_options_of_a_config():
    """The plugin of pydantic then rejects a value of another type and an unknown option."""
    root = Path(__file__).resolve().parents[2]
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "pydantic.mypy" in tools["mypy"]["plugins"]
    assert tools["pydantic-mypy"] == {"init_typed": True, "init_forbid_extra": True}
