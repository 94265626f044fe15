"""Tests evaluation from a model folder to scores: it resumes and never mixes settings."""

import json
import shutil
import subprocess
import sys
import time
import types
from dataclasses import replace

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model

from imaxray._common.state import known_state, write_state
from imaxray.cache import cache_images
from imaxray.curation import build_catalog, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.evaluation import EvaluateConfig, score
from imaxray.evaluation.generation import PredictionStore, evaluate_model
from imaxray.models import PhantomConfig, load_model, phantom
from imaxray.models.tiny import build_tiny
from imaxray.schema import TASKS
from provenance import unsaid


@pytest.fixture(scope="module")
def data(phantom_releases, tmp_path_factory):
    """Every task, but few entries: at most two of a task an image, of ten test images."""
    folder = tmp_path_factory.mktemp("data") / "catalog"
    tables = build_catalog(phantom_releases, verify=False)
    test = tables.split("test").sort("image_id", "entry_id")
    test = test.filter(pl.int_range(pl.len()).over("image_id", "task") < 2)
    images = test.group_by("image_id").len().sort("len", "image_id", descending=True)
    test = test.filter(pl.col("image_id").is_in(images["image_id"][:10].to_list()))
    kept = pl.concat([tables.split("train").head(20), test])
    write_dataset(replace(tables, entries=kept), folder, config={}, seed=0)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A phantom-sized model that never saw any of it, livelier than at birth."""
    folder = tmp_path_factory.mktemp("models") / "made"
    config = PhantomConfig(image_size=32, patch_size=8, width=32, vocabulary=400, vision_layers=1)
    chat = phantom.build(config, ["Measure the ratio 0.52 yes no [12, 34, 56, 78]"] * 9, seed=0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in chat.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    chat.save(folder)
    return folder


@pytest.fixture(scope="module")
def whole(model, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    return evaluate_model(model, data, out, EvaluateConfig(max_new_tokens=40, images_per_batch=1))


def command(model, data, out, *more):
    words = ["evaluate", str(model), "--data", str(data.folder), "--out", str(out), *more]
    return [sys.executable, "-m", "imaxray.cli", *words]


def test_every_entry_is_answered_and_scored(whole, model, data):
    entries = data.tables.split("test")
    assert whole.predictions["entry_id"].to_list() == sorted(entries["entry_id"])
    told = {task["task"]: task for task in whole.result.data["tasks"]}
    assert set(told) == set(TASKS)
    convention = load_model(model).convention
    again = score(entries, whole.predictions, data.tables.images, convention)
    for task, found in told.items():
        rows = again.table.filter(pl.col("task") == task)
        assert found["entries"] == rows.height
        assert found["invalid"] == rows["answer"].is_null().mean()
    assert known_state(whole.folder / "result.json") == whole.result.data
    assert whole.result.entries.equals(pl.read_parquet(whole.folder / "scores.parquet"))
    assert whole.result.data["decided_by"]["dataset"]["sha256"] == data.sha256
    manifest = json.loads((whole.folder / "predictions.json").read_text())
    assert manifest["identity"]["model"]["name"] == "phantom" and manifest["versions"]["torch"]
    assert unsaid(manifest) == []
    assert sorted(p.name for p in whole.folder.iterdir() if p.name[0] != ".") == [
        "predictions.json", "predictions.parquet", "result.json", "scores.parquet",
    ]  # fmt: skip


def test_killed_and_run_again(whole, model, data, tmp_path):
    out = tmp_path / "out"
    words = command(model, data, out, "--max-new-tokens", "40", "--images-per-batch", "1")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    parts = out / "predictions.parts"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(parts.glob("*.parquet"))) >= 2:
            process.kill()
            break
        time.sleep(0.002)
    assert process.wait() == -9, process.stderr.read()
    process.stderr.close()
    (parts / f".000099.parquet.{0:032x}.part").write_bytes(b"half a part")
    before = {p.name: p.stat().st_mtime_ns for p in parts.glob("*.parquet")}
    assert 2 <= len(before) < 10 and not (out / "predictions.parquet").exists()

    answered = []
    original = PredictionStore.add

    def add(self, name, frame):
        answered.append(name)
        original(self, name, frame)

    PredictionStore.add = add
    try:
        again = evaluate_model(
            model, data, out, EvaluateConfig(max_new_tokens=40, images_per_batch=1)
        )
    finally:
        PredictionStore.add = original
    assert not {f"{name}.parquet" for name in answered} & set(before)  # nothing is asked twice
    assert again.predictions.equals(whole.predictions)
    assert not parts.exists()


def test_a_finished_one_is_not_asked_again(whole, model, data, monkeypatch):
    def never(*_, **__):
        raise AssertionError("asked again")

    monkeypatch.setattr("imaxray.evaluation.generation.evaluate.answers", never)
    again = evaluate_model(
        model, data, whole.folder, EvaluateConfig(max_new_tokens=40, images_per_batch=1)
    )
    assert again.predictions.equals(whole.predictions)


def test_another_identity_is_refused_in_one_sentence(whole, model, data):
    with pytest.raises(
        ImaxrayError, match=r"decoding.max_new_tokens is 40 there, 41 now; choose another --out"
    ):
        evaluate_model(
            model, data, whole.folder, EvaluateConfig(max_new_tokens=41, images_per_batch=1)
        )


def test_threads_decide_bytes_on_a_cpu_and_are_part_of_the_identity(whole, model, data):
    batches = json.loads((whole.folder / "predictions.json").read_text())["identity"]["batches"]
    assert batches["threads"] == 1
    with pytest.raises(ImaxrayError, match=r"batches.threads is 1 there, 2 now"):
        evaluate_model(
            model, data, whole.folder,
            EvaluateConfig(max_new_tokens=40, images_per_batch=1, threads=2),
        )  # fmt: skip


def test_the_answers_are_written_with_so_many_threads(model, data, tmp_path, monkeypatch):
    seen = []
    original = PredictionStore.add

    def add(self, name, frame):
        seen.append(torch.get_num_threads())
        original(self, name, frame)

    monkeypatch.setattr(PredictionStore, "add", add)
    before = torch.get_num_threads()
    try:
        evaluate_model(model, data, tmp_path / "out", EvaluateConfig(max_new_tokens=2, threads=2))
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}


def test_finished_predictions_of_a_version_that_knew_no_threads_are_scored(
    whole, model, data, tmp_path
):
    out = shutil.copytree(whole.folder, tmp_path / "out")
    manifest = known_state(out / "predictions.json")
    del manifest["identity"]["batches"]["threads"]
    write_state(out / "predictions.json", manifest)
    again = evaluate_model(model, data, out, EvaluateConfig(max_new_tokens=40, images_per_batch=1))
    assert again.predictions.equals(whole.predictions)


def test_missing_parts_are_noticed(tmp_path):
    store = PredictionStore(tmp_path / "out", {"model": "m"})
    frame = pl.DataFrame(
        {"entry_id": ["a"], "text": ["x"], "raw": ["x"], "tokens": [1], "ended": [False]}
    )
    store.add("000000", frame)
    with pytest.raises(ImaxrayError, match="one prediction for each of 2 entries"):
        store.finish({"a", "b"})
    assert store.answered() == {"a"}


def test_a_lora_run_folder_is_evaluated(data, tmp_path):
    base, run = tmp_path / "base", tmp_path / "run"
    build_tiny("qwen3_vl").save(base)
    chat = load_model(base)
    torch.manual_seed(0)
    chat.model = get_peft_model(
        chat.model, LoraConfig(r=4, target_modules=chat.lora_targets, init_lora_weights=False)
    )
    chat.model.peft_config["default"].base_model_name_or_path = str(base)
    run.mkdir()
    (run / "started.json").write_text("{}")
    with pytest.raises(ImaxrayError, match="a finished run"):
        evaluate_model(run, data)
    chat.save(run / "adapter")
    (run / "run.json").write_text("{}")
    adapted = evaluate_model(run, data, config=EvaluateConfig(max_new_tokens=6))
    assert adapted.folder == run / "evaluation" / "catalog-test"
    plain = evaluate_model(base, data, config=EvaluateConfig(max_new_tokens=6))
    assert plain.folder == base / "evaluation" / "catalog-test"
    assert not adapted.predictions["raw"].equals(plain.predictions["raw"])


def test_the_image_cache_serves(data, tmp_path):
    """Qwen's number of image tokens follows the original, not its smaller copy."""
    base, folder = tmp_path / "base", tmp_path / "data" / "catalog"
    build_tiny("qwen2_5_vl").save(base)
    shutil.copytree(data.folder, folder)
    cached = open_dataset(folder)
    cache_images(cached, max_side=64, workers=1)
    done = evaluate_model(base, cached, tmp_path / "out", EvaluateConfig(max_new_tokens=3))
    manifest = json.loads((done.folder / "predictions.json").read_text())
    assert manifest["identity"]["image_cache"]["max_side"] == 64
    with pytest.raises(ImaxrayError, match="but image_cache is"):
        evaluate_model(base, data, tmp_path / "out", EvaluateConfig(max_new_tokens=3))


def test_the_command_prints_a_table_and_bad_words_one_sentence(whole, model, data):
    words = command(model, data, whole.folder, "--max-new-tokens", "40", "--images-per-batch", "1")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "invalid" in done.stdout and "calculation" in done.stdout
    bad = subprocess.run(
        command(model, data, whole.folder, "--split", "tets"), capture_output=True, text=True
    )
    assert bad.returncode == 2 and "one of train, val, test, but got tets" in bad.stderr
    assert bad.stderr.count("\n") == 1


def test_vllm_is_missed_before_anything_is_loaded(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ImaxrayError, match=r"pip install 'imaxray\[vllm\]'"):
        evaluate_model("nowhere/at-all", data, config=EvaluateConfig(engine="vllm"))


def test_vllm_is_sent_the_same_prompts(data, tmp_path, monkeypatch):
    """A stand-in with vLLM's interface, which expands placeholders and answers by our own loop."""
    base = tmp_path / "base"
    chat = build_tiny("llava", dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in chat.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    chat.save(base)
    local = evaluate_model(base, data, tmp_path / "local", EvaluateConfig(max_new_tokens=5))
    made = {}

    class LLM:
        def __init__(self, **options):
            made.update(options)
            self.chat = load_model(options["model"])

        def generate(self, requests, sampling, *, lora_request, use_tqdm):
            assert lora_request is None and not use_tqdm
            for request in requests:
                image = request["multi_modal_data"]["image"]
                token = self.chat.image_token
                ids = request["prompt_token_ids"]
                assert ids.count(token) == 1
                at = ids.index(token)
                count = self.chat.processor.replace_image_token({"pixel_values": torch.zeros(
                    1, 3, 56, 56)}, image_idx=0).count("<image>")  # fmt: skip
                ids = [*ids[:at], *[token] * count, *ids[at + 1 :]]
                inputs = self.chat._images(self.chat._process([image]))
                out = self.chat.model.generate(
                    input_ids=torch.tensor([ids]),
                    attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                    pixel_values=inputs["pixel_values"].to(self.chat.model.dtype),
                    max_new_tokens=sampling.max_tokens, do_sample=False, pad_token_id=0,
                    eos_token_id=sampling.stop_token_ids,
                )[0, len(ids) :].tolist()  # fmt: skip
                ended = out[-1] in sampling.stop_token_ids
                answer = types.SimpleNamespace(
                    token_ids=out, finish_reason="stop" if ended else "length", stop_reason=None
                )
                yield types.SimpleNamespace(outputs=[answer])

    class SamplingParams:
        def __init__(self, **options):
            self.__dict__.update(options)
            assert options["temperature"] == 0.0

    fake = types.ModuleType("vllm")
    fake.LLM, fake.SamplingParams = LLM, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", fake)
    served = evaluate_model(
        base, data, tmp_path / "served", EvaluateConfig(max_new_tokens=5, engine="vllm")
    )
    assert made["enable_prefix_caching"] and not made["trust_remote_code"]
    assert served.predictions.equals(local.predictions)
