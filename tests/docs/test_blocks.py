"""Tests that every fenced block of the documents is of a checked kind, and passes its check."""

import ast
import builtins
import importlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

import blocks

from imaxray.configs import find_config
from imaxray.curation import build_catalog, write_dataset
from imaxray.derive.rules.own_rules import read_own_rules
from imaxray.pseudo.selecting.rules import load_rules
from imaxray.strategy import load_strategy
from imaxray.study import load_config
from imaxray.training import TrainingConfig

BASH, PYTHON, YAML, JSON, TOML = (
    blocks.all_blocks(kind) for kind in ("bash", "python", "yaml", "json", "toml")
)
OURS = re.compile(r"^\s*(\$ )?(imaxray|python|pip|make|from \w+ import|import \w+)\b", re.MULTILINE)

GIVEN = {
    "annotations": "polars.DataFrame",
    "batch": "dict[str, Any]",
    "chat": "imaxray.models.ChatModel",
    "convention": "imaxray.boxes.BoxConvention",
    "d0": "imaxray.evaluation.Scores",
    "d1": "imaxray.evaluation.Scores",
    "d2": "imaxray.evaluation.Scores",
    "data": "imaxray.curation.Dataset",
    "entries": "polars.DataFrame",
    "groups": "Any",
    "i0": "imaxray.evaluation.Scores",
    "i1": "imaxray.evaluation.Scores",
    "i2": "imaxray.evaluation.Scores",
    "images": "polars.DataFrame",
    "loss": "Any",
    "model": "Any",
    "N": "int",
    "pixels": "Any",
    "predictions": "polars.DataFrame",
    "probe": "imaxray.dynamics.Probe",
    "run": "Path",
}
"""What a block may take from the reader without saying where it comes from, with its type."""


def ids(found):
    return {"argvalues": found, "ids": [block.name for block in found]}


def shown_files():
    """Names of the YAML files that a page shows, copies from a built-in one, or lets you write."""
    names = set()
    for page in blocks.PAGES:
        text = page.read_text(encoding="utf-8")
        names |= set(re.findall(r"`([\w-]+\.yaml)`", text))
    copied = re.findall(r"configs copy ([\w-]+)", "\n".join(b.text for b in BASH))
    return {*names, *(f"{name}.yaml" for name in copied), "my-study.yaml"}


def test_every_block_is_of_a_checked_kind():
    wrong = [(b.name, b.kind) for b in blocks.all_blocks() if b.kind not in blocks.KINDS]
    assert not wrong, f"write one of {blocks.KINDS} after the ``` of these blocks"


def test_code_stands_in_fences():
    """An indented block is code too, and no test would see it."""
    indented = []
    for page in blocks.PAGES:
        prose = blocks.FENCE.sub("", page.read_text(encoding="utf-8"))
        found = re.findall(r"\n\n((?: {4}[^\n]+\n)+)", prose)
        indented += [(page.name, code[:60]) for code in found if OURS.search(code)]
    assert not indented


def test_a_text_holds_no_commands():
    assert [b.name for b in blocks.all_blocks("text") if OURS.search(b.text)] == []


@pytest.mark.parametrize("block", **ids(BASH))
def test_commands_are_understood_by_the_application(block):
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = blocks.commands(block.text)
    assert found
    files = shown_files()
    faults = {" ".join(c): fault for c in found if (fault := blocks.fault(c, files))}
    assert not faults


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("imaxray bild mimic --out x", "no command bild"),
        ("imaxray build mimic --output x", "No such option"),
        ("imaxray build mimik --out x", "no built-in configuration mimik"),
        ("imaxray train d --config lingshu-7b --out x --steps 0", "greater than or equal to 1"),
        ("imaxray train d --config lingshu-7b --out x --layout packt", "packt"),
        ("imaxray match a b", "MissingParameter"),
        ("imaxray export d --format lama --out x", "no export format lama"),
        ("imaxray export d --format llava --out x --boxes percents", "percents"),
        ("imaxray sources check mimic-cxr-jgp /data", "no source mimic-cxr-jgp"),
        ("imaxray evaluate lingshu-8b --data D", "no model lingshu-8b"),
        ("torchrun -m imaxray.cli train d --ot x", "No such option"),
        ("make demoo", "no target"),
        ("python examples/10_more.py", "no script"),
        ("pip install 'imaxray[trian]'", "no extras"),
        ("inaxray models", "is not known"),
    ],
)
def test_the_check_of_commands_finds_mistakes(line, message):
    ((words),) = blocks.commands(line)
    assert message in (blocks.fault(words, set()) or "")


@pytest.mark.parametrize("block", **ids(TOML))
def test_toml_is_a_project(block):
    project = tomllib.loads(block.text)["project"]
    ((group, points),) = project["entry-points"].items()
    assert group.startswith("imaxray.") and points


@pytest.mark.parametrize("block", **ids(JSON))
def test_json_is_strict(block):
    for line in block.text.splitlines() if block.text.count("\n{") else [block.text]:
        json.loads(line)


@pytest.mark.parametrize("block", **ids(YAML))
def test_yaml_is_a_configuration(block, tmp_path):
    """A whole study is read as it is; a part of one is put into the phantom study."""
    content = yaml.safe_load(block.text)
    path = tmp_path / "shown.yaml"
    if "rules" in content:
        path.write_text(block.text, encoding="utf-8")
        if any("then" in rule for rule in content["rules"]):  # rules of a derivation
            assert read_own_rules(path)
            return
        assert {rule["name"] for rule in content["rules"]} <= {r.name for r in load_rules(path)}
        return
    if set(content) <= set(TrainingConfig.model_fields):  # a part of a recipe
        content = {"training": content}
    if "title" not in content:
        whole = yaml.safe_load(find_config("phantom").read_text(encoding="utf-8"))
        if "releases" in content:
            del whole["phantom"]
        if "models" in content:
            del whole["training"]
        content = {**whole, **content}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    load = load_strategy if "stages" in content else load_config
    assert load(path)


@pytest.mark.parametrize("block", **ids(PYTHON))
def test_python_compiles_and_its_imports_exist(block):
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
    assert missing(tree) <= set(GIVEN), "import these names, or say what they are in GIVEN"


def missing(tree):
    """Names that code reads and never binds."""
    bound = set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return read - bound


def typed(block):
    """A module that holds a block after the declarations of what it is given."""
    given = missing(ast.parse(block.text))
    homes = {GIVEN[name].rsplit(".", 1)[0] for name in given if "." in GIVEN[name]}
    head = [
        '# mypy: disable-error-code="no-untyped-def,no-untyped-call,assignment,arg-type"',
        '# mypy: disable-error-code="var-annotated"',
    ]
    head += ["from typing import Any", "from pathlib import Path"]
    head += [f"import {home}" for home in sorted(homes)]
    head += [f"{name}: {GIVEN[name]}" for name in sorted(given)]
    return "\n".join([*head, block.text])


def test_python_uses_names_and_arguments_that_exist(tmp_path):
    """mypy checks every block: attributes, and names and numbers of arguments."""
    of = {}
    for number, block in enumerate(PYTHON):
        if "/adding-" in block.page:
            continue  # run whole by the tests of plug-ins, see the next test
        path = tmp_path / f"block_{number}.py"
        path.write_text(typed(block), encoding="utf-8")
        of[path.name] = block.name
    assert len(of) > 15
    found = check(sorted(str(tmp_path / name) for name in of))
    assert not [re.sub(r".*?(block_\d+\.py)", lambda m: of[m[1]], line) for line in found]


def test_the_check_of_python_finds_mistakes(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(
        "from pathlib import Path\nfrom imaxray.audit import audit_dataset\n"
        "report = audit_dataset(Path('d'), worker=4)\nreport.cleaned\n"
    )
    found = check([str(path)])
    assert len(found) == 2 and "worker" in found[0] and "cleaned" in found[1]


def check(files):
    """Errors that mypy finds in files, with the settings and the memory of `make check`."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty", *files],
        cwd=blocks.ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_the_code_of_the_readme_runs(phantom_releases, tmp_path):
    """The phantom stands for the releases, and a dataset of it for the one that is loaded."""
    (code,) = (block.text for block in PYTHON if block.page == "README.md")
    two = {name: phantom_releases[name] for name in ("mimic-cxr-jpg", "ms-cxr")}
    catalog = build_catalog(two, verify=False)
    write_dataset(catalog, tmp_path / "dataset", config={}, seed=0)
    code = code.replace("/data/", f"{phantom_releases['ms-cxr'].parent.as_posix()}/")
    code = code.replace("study/mimic/imax", (tmp_path / "dataset").as_posix())
    found = {}
    exec(compile(code, "README.md", "exec"), found)
    assert found["entries"]["train"].num_rows == catalog.split("train").height
    assert found["report"].volume and set(found["report"].distance.values()) == {0.0}


def test_the_code_of_the_pages_about_plugins_is_run():
    """Tests with ``plugins.Page`` install and run the code of these pages."""
    pages = {block.page for block in PYTHON if "/adding-" in block.page}
    tests = [path.read_text() for path in (blocks.ROOT / "tests").rglob("test_*.py")]
    used = {name for text in tests for name in re.findall(r'Page\("([\w-]+)"\)', text)}
    assert pages == {f"docs/adding-{name}.md" for name in used}
