"""Tests the GPU bench: true shapes on the meta device, and its steps on a small model."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
import transformers as hf

SCRIPT = Path(__file__).parents[2] / "bench" / "train_gpu.py"

PUBLISHED = {  # parameters, as the model cards' safetensors count them
    "qwen2.5-vl-7b": 8_292_166_656,
    "qwen3-vl-8b": 8_767_123_696,
    "qwen3-vl-4b": 4_437_815_808,
    "medgemma-4b": 4_300_079_472,
    "internvl3-8b": 7_944_373_760,
}


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("train_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_gpu"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def bare(shape):
    with torch.device("meta"):
        return shape.model(shape.config)


@pytest.mark.parametrize("name", PUBLISHED)
def test_true_size(bench, name):
    assert sum(p.numel() for p in bare(bench.SHAPES[name]()).parameters()) == PUBLISHED[name]


def test_llava_med_is_a_mistral_7b_with_clip(bench):
    count = sum(p.numel() for p in bare(bench.SHAPES["llava-med-7b"]()).parameters())
    assert 7.5e9 < count < 7.6e9


def test_lora_is_on_every_linear_layer_of_the_text_model_and_nowhere_else(bench):
    shape = bench.SHAPES["qwen2.5-vl-7b"]()
    model = bench.build(shape, torch.device("meta"), 16, checkpointing=True)
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in trained) == 7 * 28
    assert all("lora_" in name and "visual" not in name for name in trained)
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert {p.dtype for p in frozen} == {torch.bfloat16}


@pytest.fixture
def small(bench):
    config = hf.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 200, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
            "patch_size": 4, "out_hidden_size": 32, "fullatt_block_indexes": [1],
            "window_size": 16,
        },
        image_token_id=bench.IMAGE,
    )  # fmt: skip
    return bench.Shape(hf.Qwen2_5_VLForConditionalGeneration, config, 16, bench._grid(8, 4))


def test_micro_batches_hold_the_budget_and_every_entry(bench, small):
    groups = bench.make_groups(small)
    for packed in (False, True):
        parts = bench.micro_batches(groups, 300, packed=packed)
        assert sum(batch.entries for batch, _ in parts) == sum(bench.COUNTS) == 97
        assert all(batch.tokens <= 300 for batch, _ in parts)
        assert len(parts) > 1
        for batch, images in parts:  # as many image inputs as placeholders
            assert int((batch.input_ids == bench.IMAGE).sum()) == 16 * images


def test_a_measurement_from_end_to_end(bench, small, capsys):
    model = bench.build(small, torch.device("cpu"), 2, checkpointing=True)
    groups = bench.make_groups(small, (1, 4, 3))
    runs = bench.measure(model, small, groups, 300, 1, ["packed_sdpa", "sdpa"])
    assert [run.entries for run in runs] == [8, 8, 8]
    assert runs[0].tokens == 8 * 56 and runs[1].tokens == runs[2].tokens == 3 * 16 + 8 * 40
    bench.report("small", runs, "cpu")
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["limit"] == pytest.approx(448 / 368, abs=1e-3)


def test_without_a_gpu_it_says_so(bench, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["train_gpu.py"])
    bench.main()
    assert capsys.readouterr().out.count("\n") == 1
