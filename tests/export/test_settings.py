"""Tests that the settings beside an export are read by the tool's own loader, and cut no row."""

import json
import random
import re

import pytest
import yaml
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from imaxray.boxes import find_convention
from imaxray.errors import ImaxrayError
from imaxray.export import ExportConfig, export_dataset
from imaxray.export.tokens import BYTES, PER_BOX, PER_ROW, PER_TURN
from imaxray.export.tools.settings import MOST_OF_AN_IMAGE
from imaxray.schema import IMAGES

CAP = 401_408


def settings(folder):
    return yaml.safe_load((folder / "settings.yaml").read_text())


def notes(folder):
    return [
        line for line in (folder / "settings.yaml").read_text().splitlines() if line.startswith("#")
    ]


def of_sizes(small, seed=0):
    """Give the images sizes of radiographs, one of them at the edge between two grids of tiles."""
    random.seed(seed)
    for name, size in zip("abc", [(2048, 2500), (3000, 1999), (random.randint(300, 3000), 700)],
                          strict=True):  # fmt: skip
        Image.new("L", size).save(small.root / f"{name}.png", compress_level=1)
        small.images[name] |= {"width": size[0], "height": size[1]}
    small.add("a", "vqa-long", "Ist das Herz größer? " * 40, "ja, µ§ “so” " * 90)
    for k in range(30):
        small.add("b", f"vqa-{k}", f"Question {k}?", "yes")
    return small.open()


LLAMAFACTORY = (  # boxes, options, template
    ("qwen2.5-vl", {}, "qwen2_vl"),
    ("qwen2.5-vl", {"max_pixels": CAP}, "qwen2_vl"),
    ("lingshu-7b", {"images": "write", "max_pixels": 2 * CAP}, "qwen2_vl"),
    ("qwen2-vl", {"images": "link"}, "qwen2_vl"),
    ("qwen3-vl", {"per": "image"}, "qwen3_vl_nothink"),
    ("medmo", {}, "qwen3_vl_nothink"),
    ("internvl", {"per": "image"}, "intern_vl"),
    ("medgemma", {"images": "write"}, "gemma3"),
    ("llava", {"images": "write", "per": "image"}, "llava"),
    ("percent", {}, None),
)


def test_llamafactory_cuts_no_row(small, tmp_path, read):
    data = of_sizes(small)
    reports = [
        export_dataset(
            data, "llamafactory", tmp_path / str(n), ExportConfig(boxes=boxes, **options)
        )
        for n, (boxes, options, _) in enumerate(LLAMAFACTORY)
    ]
    told = read(
        "llamafactory",
        *(v for r, (*_, name) in zip(reports, LLAMAFACTORY, strict=True)
          for v in (r.folder, name or "intern_vl")),
        script="llamafactory_settings",
    )  # fmt: skip
    for report, seen, (boxes, options, template) in zip(reports, told, LLAMAFACTORY, strict=True):
        assert seen["template"] == template and seen["stage"] == "sft" and seen["do_train"]
        assert seen["dataset"] == ["imaxray_train"] and seen["eval_dataset"] is None
        assert seen["image_max_pixels"] == options.get("max_pixels", 768 * 768)
        limit = report.tokens["cutoff"] + (0 if template else MOST_OF_AN_IMAGE)
        assert seen["cutoff_len"] == limit
        assert len(seen["rows"]) == report.counts["train"]["rows"]
        assert all(limited == whole < limit for limited, whole in seen["rows"]), boxes
        if template:  # the tool's own numbers, but for what it puts around text and image
            longest = max(whole for _, whole in seen["rows"])
            counted = report.tokens["splits"]["train"]["longest"]
            turns = 33 if "per" in options else 1
            assert 0 <= longest - counted <= PER_ROW + PER_TURN * turns, boxes


@pytest.mark.parametrize("form", ["llamafactory", "swift", "trl", "llava"])
def test_without_train_there_are_no_settings_to_train(small, tmp_path, form):
    config = ExportConfig(boxes="unit", splits=["test"])
    report = export_dataset(small.open(), form, tmp_path / "out", config)
    assert report.tokens["splits"].keys() == {"test"}
    assert not (tmp_path / "out" / "settings.yaml").exists()


SWIFT = [
    (boxes, how)
    for boxes in ("qwen2.5-vl", "qwen3-vl", "internvl", "medgemma", "percent", None)
    for how in ("path", "copy", "write")
    if boxes != "medgemma" or how == "write"  # the others are refused
]


def test_swift_reads_its_settings(small, tmp_path, read):
    data = of_sizes(small)
    caps = {"qwen2.5-vl": {"max_pixels": CAP}}
    reports = [
        export_dataset(
            data, "swift", tmp_path / str(n),
            ExportConfig(boxes=boxes, images=how, **caps.get(boxes, {})),
        )
        for n, (boxes, how) in enumerate(SWIFT)
    ]  # fmt: skip
    told = read("swift", *(report.folder for report in reports), script="swift_settings")
    sizes = [(2048, 2500), (3000, 1999)]
    for report, seen, (boxes, how) in zip(reports, told, SWIFT, strict=True):
        known = boxes not in ("percent", None)
        assert seen["max_length"] == (report.tokens["cutoff"] if known else None)
        assert any("max_length" in line for line in notes(report.folder))
        assert seen["dataset"] == ["train.jsonl"]
        assert seen["rows"] == report.counts["train"]["rows"]
        areas = ["3136", str(CAP)] if boxes == "qwen2.5-vl" else [None, None]
        assert seen["environment"] == [*areas, None if how == "path" else "."]
        if how == "write" and boxes is not None:
            convention = find_convention(boxes, **caps.get(boxes, {}))
            frames = [convention.geometry.frame(*size) for size in sizes]
            shown = [[round(frame.width), round(frame.height)] for frame in frames]
        else:
            shown = [list(size) for size in sizes]
        assert seen["sizes"] == sorted(shown), (boxes, how)


def test_a_box_of_swift_is_shorter_than_its_allowance(small, tmp_path):
    report = export_dataset(small.open(), "swift", tmp_path / "out")
    told = report.tokens
    assert told["image"] is None and told["unit"] == BYTES
    rec = len("Locate the effusion.") + len("<box> <box>") + 2 * PER_BOX
    assert told["splits"]["train"]["longest"] == rec
    assert len("<|box_start|>(1234,1234),(1234,1234)<|box_end|>") < PER_BOX


@pytest.mark.parametrize("boxes", ["qwen2.5-vl", "percent"])
def test_trl_reads_its_settings(small, tmp_path, monkeypatch, boxes):
    """Through TRL's own parser and its own function that loads data sets."""
    from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig, TrlParser
    from trl.scripts.utils import get_dataset

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    report = export_dataset(of_sizes(small), "trl", out, ExportConfig(boxes=boxes))
    monkeypatch.chdir(out)
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
    _, training, model, data = parser.parse_args_and_config(
        ["--config", "settings.yaml", "--model_name_or_path", "some/model", "--use_cpu", "true"],
        fail_with_unknown_args=True,
    )
    assert training.max_length is None and training.output_dir == "output"
    assert model.model_name_or_path == "some/model"
    rows = get_dataset(data)["train"]
    assert len(rows) == report.counts["train"]["rows"]
    assert any("max_pixels 12845056" in n for n in notes(out)) == (boxes == "qwen2.5-vl")


@pytest.mark.parametrize(
    ("boxes", "ratio", "images"),
    [("llava", "pad", "path"), ("llava", "square", "write"), ("internvl", "square", "path"),
     ("maira-2", "square", "path")],
)  # fmt: skip
def test_llava_has_its_flags(small, tmp_path, boxes, ratio, images):
    """Its script parses flags by ``HfArgumentParser``, here with its fields of these names."""
    from dataclasses import make_dataclass

    from transformers import HfArgumentParser

    out = tmp_path / "out"
    report = export_dataset(small.open(), "llava", out, ExportConfig(boxes=boxes, images=images))
    fields = make_dataclass("Fields", [
        ("model_name_or_path", str), ("data_path", str), ("image_folder", str),
        ("image_aspect_ratio", str), ("lazy_preprocess", bool), ("model_max_length", int),
        ("output_dir", str),
    ])  # fmt: skip
    [read] = HfArgumentParser(fields).parse_yaml_file(str(out / "settings.yaml"))
    assert read.image_aspect_ratio == ratio
    known = boxes != "maira-2"
    assert read.model_max_length == report.tokens["cutoff"] + (0 if known else MOST_OF_AN_IMAGE)
    assert (out / read.data_path).exists() and (out / read.image_folder).is_dir()
    assert any("must not crop" in n for n in notes(out)) == (boxes == "internvl")


def test_tokens_are_stated(small, tmp_path):
    """Median, 99th percentile and longest of rows whose lengths are known."""
    small.rows = []
    for n in range(1, 101):
        small.add("a", f"vqa-{n:03}", "q" * n, "a")
    report = export_dataset(small.open(), "llamafactory", tmp_path / "out")
    assert report.tokens == {
        "unit": BYTES, "image": None, "cutoff": 512,  # of 101 + 256 + 32
        "splits": {"train": {"median": 52, "p99": 100, "longest": 101}},
    }  # fmt: skip
    manifest = json.loads((tmp_path / "out" / "export.json").read_text())
    assert manifest["tokens"] == report.tokens
    assert any(re.search("median 52, 99th percentile 100, longest 101", n)
               for n in notes(tmp_path / "out"))  # fmt: skip


def words(folder):
    """A tokenizer that counts words, as a model's folder has it."""
    folder.mkdir()
    model = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.save(str(folder / "tokenizer.json"))
    return folder


def test_a_tokenizer_counts(small, tmp_path):
    small.rows = []
    small.add("a", "vqa-1", "Is it there?", "no")
    folder = words(tmp_path / "model-x")
    for path in (folder, folder / "tokenizer.json"):
        told = export_dataset(
            small.open(), "trl", tmp_path / "out", ExportConfig(boxes="medgemma", tokenizer=path,
                                                              images="write"),
        ).tokens  # fmt: skip
        assert told["unit"] == "tokens of model-x" and told["image"] == 256
        assert told["splits"]["train"]["longest"] == 4 + 256


@pytest.mark.parametrize("content", [None, "{}", "[not JSON"])
def test_a_wrong_tokenizer_is_named(small, tmp_path, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ImaxrayError, match=r"Expected a tokenizer\.json.*cannot be read"):
        export_dataset(small.open(), "swift", tmp_path / "out", ExportConfig(tokenizer=path))


def test_sizes_need_not_be_known(small, tmp_path):
    """Then an image counts as the largest one that the processor makes."""
    small.rows = [["a", "vqa-1", "vqa", "Is it there?", "no", []]]
    small.images["a"] |= {"width": None, "height": None}
    told = export_dataset(
        small.open(), "swift", tmp_path / "out", ExportConfig(boxes="qwen3-vl", headers=False)
    ).tokens
    assert told["image"] == 16_384 and IMAGES["width"] is not None


@pytest.mark.parametrize("form", ["llamafactory", "swift", "trl", "llava"])
def test_an_export_can_be_moved_with_its_settings(small, tmp_path, form):
    out = tmp_path / "out"
    export_dataset(small.open(), form, out, ExportConfig(boxes="internvl", images="copy"))
    assert str(tmp_path) not in (out / "settings.yaml").read_text()
    assert settings(out)["output_dir"] == "output"
