"""Tests command options: flags are stable; defaults, bounds and help come from the configs."""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest
import typer

import imaxray
from imaxray import audit_dataset, cache_images, write_phantom, write_phantom_tables
from imaxray.audit import AuditReport
from imaxray.cli import app
from imaxray.cli.options import _ConfigCommand, options_of, repeated
from imaxray.errors import ImaxrayError
from imaxray.study.config import PhantomRelease

FLAGS = {
    "phantom": "out --images --scale --no-images --times --no-archives --seed --workers",
    "build": "--config --out --root --workers --verify",
    "match": "catalog imax --out --tasks-per-image --seed",
    "rebuild": "manifest --out --source --workers",
    "stats": "dataset --format",
    "cache": "dataset --out --max-side --shard-images --engine --workers",
    "audit": "paths --images --format --patient-field --patients --skip --examples --workers",
    "export": (
        "dataset --format --out --boxes --per --split --images --max-turns --min-pixels --max-"
        "pixels --seed --headers --no-headers"
    ),
    "models": "--format",
    "train": (
        "dataset --out --model --config --layout --method --boxes --epochs --steps --entries-"
        "per-step --tokens-per-batch --accumulate --learning-rate --weights --temperature "
        "--seed --eval-every --save-every --report-to --max-image-tokens --workers --bf16 --no-"
        "bf16 --gradient-checkpointing --no-gradient-checkpointing --fsdp --ddp --probe "
        "--probe-every"
    ),
    "evaluate": (
        "model --data --out --split --max-new-tokens --images-per-batch --rows-per-batch "
        "--engine --boxes --revision --dtype --device --max-image-tokens --format"
    ),
    "score": (
        "predictions --data --boxes --split --extra --without --truth --seed --resamples --out "
        "--format"
    ),
    "compare": (
        "runs --against --arm --reference --data --split --boxes --metric --by --normalisation "
        "--extra --seed --resamples --level --format --out"
    ),
    "labeller": "dataset --format",
    "filter": (
        "pseudo --data --out --precision --risk --rules --no-confidence --no-consistency "
        "--balance --truth --format"
    ),
    "study": (
        "--out --config --root --list --only --launch --dry-run --format --entries --entries-per-"
        "image --text-tokens --image-width --image-height --sample --processes --tokens-per-second"
    ),
    "strategy": "config --out",
    "dynamics": (
        "runs --out --against --group --data --other-data --split --probe --draw --device "
        "--tokens-per-batch --scores --evaluation"
    ),
    "annotate": (
        "run --data --out --samples --temperature --seed --round --task --vqa-per-image --rec-"
        "per-image --reg-per-image --limit --calibration-per-task --max-new-tokens --images-"
        "per-batch --rows-per-batch --threads --engine --boxes --revision --dtype --device "
        "--max-image-tokens"
    ),
    "sources list": "--format",
    "sources check": "name path",
}
"""What scripts may use of each command: arguments, then flags."""


def commands(command=None, name=""):
    command = command or typer.main.get_command(app)
    for key, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {key}".strip())
    if not getattr(command, "commands", None):
        yield name, command


COMMANDS = dict(commands())


def parameters(name):
    command = COMMANDS[name]
    found = command.get_params(command.make_context(name, [], resilient_parsing=True))
    return [p for p in found if "--help" not in p.opts]


def option(name, flag):
    return next(p for p in parameters(name) if flag in (*p.opts, *p.secondary_opts))


@pytest.mark.parametrize("name", FLAGS)
def test_the_flags_of_scripts_stay(name):
    known = {flag for p in parameters(name) for flag in (*p.opts, *p.secondary_opts)}
    assert set(FLAGS[name].split()) <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text_that_is_a_sentence(name):
    for text in (COMMANDS[name].help, *(p.help for p in parameters(name))):
        assert text and text[0].isupper() and text.strip()[-1] in ".…", (name, text)
        for word in ("none:", "most ", "so many", "Of the", "Whose", "That "):
            assert word not in text, (name, text)


@pytest.mark.parametrize("name", [n for n, c in COMMANDS.items() if isinstance(c, _ConfigCommand)])
def test_a_generated_option_is_its_field(name):
    command = COMMANDS[name]
    generated = {p.name: p for p in command.generated.params}
    assert list(generated) == list(command.option_fields())
    for field_name, field in command.option_fields().items():
        made = generated[field_name]
        assert made.help == field.description
        bounds = {key: getattr(m, key) for m in field.metadata for key in ("ge", "le") if
                  hasattr(m, key)}  # fmt: skip
        if not made.multiple:
            assert (bounds.get("ge"), bounds.get("le")) == (made.min, made.max)
        if command.without_defaults or made.multiple:
            assert not made.default
        else:
            assert made.default == field.default


@pytest.mark.parametrize(
    ("name", "function", "flags"),
    [
        ("cache", cache_images, {"--max-side": "max_side", "--shard-images": "shard_images",
                                 "--engine": "engine", "--workers": "workers"}),
        ("audit", audit_dataset, {"--images": "images", "--patient-field": "patient_field",
                                  "--patients": "patients",
                                  "--workers": "workers"}),
        ("audit", AuditReport.to_text, {"--examples": "examples"}),
        ("phantom", write_phantom, {"--seed": "seed"}),
        ("phantom", write_phantom_tables, {"--times": "times", "--seed": "seed"}),
    ],
)  # fmt: skip
def test_an_option_without_a_config_has_the_functions_default(name, function, flags):
    signature = inspect.signature(function)
    for flag, parameter in flags.items():
        assert option(name, flag).default == signature.parameters[parameter].default


def test_a_phantom_of_the_command_has_as_many_images_as_that_of_a_study():
    assert option("phantom", "--images").default == PhantomRelease().images


def test_a_default_is_written_in_one_place():
    """Commands, functions and configs take these numbers from one module."""
    again = re.compile(r"\w+: int = (Field\(\s*default=)?(2000|128|1024|64)\b")
    known = ("resamples", "max_new_tokens", "max_side", "shard_images")
    written = [
        f"{path.name}: {found[0]}"
        for path in Path(imaxray.__file__).parent.rglob("*.py")
        for found in again.finditer(path.read_text(encoding="utf-8"))
        if found[0].startswith(known)
    ]
    assert not written


def run(*args):
    return typer.main.get_command(app)(list(map(str, args)), standalone_mode=False)


@pytest.fixture
def asked(monkeypatch):
    """What a command hands to the library, instead of doing it."""
    got = []

    def stub(module, function):
        def record(*args, **kwargs):
            got.append((args, kwargs))
            raise ImaxrayError("stop")

        monkeypatch.setattr(importlib.import_module(module), function, record)

    stub("imaxray.pseudo", "filter_folder")
    stub("imaxray.training", "load_recipe")
    return got


def test_values_reach_the_config(asked, tmp_path):
    from imaxray.pseudo import FilterConfig

    with pytest.raises(ImaxrayError, match="stop"):
        run("filter", tmp_path, "--data", "d", "--out", "o", "--risk", 0, "--no-consistency",
            "--balance", "--precision", "0.8")  # fmt: skip
    expected = FilterConfig(risk=None, consistency=False, balance=True, precision=0.8)
    assert asked[0][0][3] == expected
    with pytest.raises(ImaxrayError, match=r"precision, but got 2.0: .*less than 1"):
        run("filter", tmp_path, "--data", "d", "--out", "o", "--precision", "2")


def test_only_what_is_given_overrides_a_recipe(asked):
    with pytest.raises(ImaxrayError, match="stop"):
        run("train", "d", "--out", "o", "--config", "lingshu-7b", "--ddp", "--weights", "vqa=2",
            "--seed", 0, "--report-to", "none")  # fmt: skip
    (path,), changes = asked[0]
    assert path == "lingshu-7b"
    assert changes == {"fsdp": False, "weights": {"vqa": 2.0}, "seed": 0, "report_to": ()}


def test_repeated_options_are_a_list_of_plain_texts():
    found = json.loads(json.dumps(_values("annotate", ["--task", "vqa", "--task", "rec"])["tasks"]))
    assert found == ["vqa", "rec"]
    assert not _values("annotate", [])["tasks"]


def _values(name, arguments):
    made = COMMANDS[name].generated
    return made.main(arguments, standalone_mode=False)


def test_fields_can_be_chosen_and_left_out():
    cls = options_of("imaxray.curation:DmaxConfig", leave_out=("seed",))
    assert list(cls(name="x").option_fields()) == ["tasks_per_image"]
    cls = options_of("imaxray.curation:DmaxConfig", only=("seed", "tasks_per_image"))
    assert list(cls(name="x").option_fields()) == ["seed", "tasks_per_image"]


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("a b --against c d", "a b --against c --against d"),
        ("a --against c d --out e f", "a --against c --against d --out e f"),
        ("--against c --against d a", "--against c --against d --against a"),
        ("a --against=c b", "a --against=c b"),
        ("a --against", "a --against"),
        ("a --against --out e", "a --against --out e"),
        ("a --against b -- c", "a --against b -- c"),
    ],
)
def test_an_option_takes_all_values_up_to_the_next(line, read):
    assert repeated(line.split(), ["--against"]) == read.split()
