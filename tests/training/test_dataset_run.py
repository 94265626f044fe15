"""Tests `imaxray train` on a dataset folder: written files, training and refused settings."""

import shutil
from dataclasses import replace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from imaxray._common.state import known_state, write_state
from imaxray._common.verifying import verify_folder
from imaxray.cache import cache_images
from imaxray.curation import open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import build_tiny, load_model
from imaxray.training import EntryTrainer, load_recipe, read_curve, read_evaluations, train_dataset
from provenance import unsaid


def recipe(model, **changes):
    given = {"model": str(model), "steps": 3, "entries_per_step": 6, "learning_rate": 0.01,
             "log_every": 1, "lora": {"rank": 2, "alpha": 4}}  # fmt: skip
    return load_recipe(None, **{**given, **changes})


@pytest.fixture(scope="module")
def lora(dataset, qwen, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "lora"
    return train_dataset(dataset, out, recipe(qwen, eval_every=2), progress=False)


def test_a_lora_run_writes_the_adapter_only(lora, qwen):
    names = {path.name for path in lora.folder.iterdir()}
    assert names == {
        ".imaxray.json", "adapter", "curve.jsonl", "drops.parquet", "evaluations.jsonl", "run.json",
        "schedule.parquet", "started.json",
    }  # fmt: skip
    tensors = load_file(lora.weights / "adapter_model.safetensors")
    assert tensors and all("lora_" in name for name in tensors)
    assert not list(lora.folder.rglob("*.bin")) and not list(lora.folder.rglob("*.pt"))
    base = (qwen / "model.safetensors").stat().st_size
    assert (lora.weights / "adapter_model.safetensors").stat().st_size < base / 5


def test_the_manifest_says_everything(lora, dataset):
    manifest = lora.manifest
    assert manifest["identity"]["dataset"] == dataset.sha256
    assert manifest["model"] == {"name": manifest["recipe"]["model"], "commit": None,
                                 "type": "qwen2_5_vl", "convention": "pixels"}  # fmt: skip
    assert manifest["entries_seen"] == 18 == sum(manifest["drawn"].values())
    assert manifest["entries_per_second"] > 0 and manifest["tokens_per_second"] > 0
    assert manifest["dropped"] == {} and manifest["processes"] == 1
    assert {"torch", "transformers", "peft", "accelerate"} <= manifest["versions"].keys()
    assert 0 < manifest["parameters"] < manifest["parameters_in_all"]
    assert known_state(lora.folder / "run.json") == manifest
    assert unsaid(manifest) == []


@pytest.mark.parametrize(
    "name", ["curve.jsonl", "evaluations.jsonl", "drops.parquet", "started.json"]
)
def test_a_changed_record_of_a_run_is_found(lora, tmp_path, name):
    out = tmp_path / "run"
    shutil.copytree(lora.folder, out)
    assert verify_folder(out) == ("run.json", [])
    (out / name).write_bytes((out / name).read_bytes().replace(b"1", b"2", 1) + b" ")
    assert verify_folder(out) == ("run.json", [name])


def test_a_changed_curve_is_not_read(lora, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(lora.folder, out)
    curve = out / "curve.jsonl"
    curve.write_text(curve.read_text().replace('"step": 1', '"step": 4', 1))
    with pytest.raises(ImaxrayError, match=r"curve\.jsonl as run\.json describes it"):
        read_curve(out, advice="train again")
    (out / "evaluations.jsonl").unlink()
    with pytest.raises(ImaxrayError, match=r"evaluations\.jsonl as run\.json describes it"):
        read_evaluations(out, advice="train again")


def test_a_curve_of_an_earlier_version_is_read_as_it_is(lora, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(lora.folder, out)
    manifest = known_state(out / "run.json")
    del manifest["file_sha256"]
    write_state(out / "run.json", manifest)
    assert read_curve(out, advice="") == lora.curve
    (out / "evaluations.jsonl").unlink()
    assert read_evaluations(out, advice="") == []


def test_losses_are_told_by_task_in_training_and_on_val(lora, dataset):
    assert [p["step"] for p in lora.curve] == [1, 2, 3]
    table = pl.read_parquet(lora.folder / "schedule.parquet")
    task = dataset.tables.split("train").select("entry_id", pl.col("task").cast(pl.String))
    first = table.filter(step=0).join(task, on="entry_id")["task"].value_counts()
    counts = dict(first.iter_rows())
    point = lora.curve[0]
    assert point["losses"].keys() == counts.keys()
    mean = sum(point["losses"][t] * n for t, n in counts.items()) / 6
    assert point["loss"] == pytest.approx(mean)
    assert [e["step"] for e in lora.evaluations] == [2, 3]
    assert lora.evaluations[-1]["entries"] == dataset.tables.split("val").height


def test_the_adapter_gives_the_trained_model_back(lora, dataset, qwen, tmp_path, monkeypatch):
    """The val loss of the reloaded adapter is the one that training measured last."""
    loaded = load_model(lora.weights)
    assert loaded.family == "qwen2_5_vl"
    more = recipe(lora.weights, steps=1, learning_rate=1e-12, eval_every=1)
    again = train_dataset(dataset, tmp_path / "more", more, progress=False)
    assert again.evaluations[-1]["loss"] == pytest.approx(lora.evaluations[-1]["loss"], rel=1e-6)
    fresh = train_dataset(
        dataset, tmp_path / "fresh", recipe(qwen, steps=1, learning_rate=1e-12, eval_every=1),
        progress=False,
    )  # fmt: skip
    assert abs(fresh.evaluations[-1]["loss"] - lora.evaluations[-1]["loss"]) > 1e-3


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_every_layout_learns(dataset, tmp_path, family, layout):
    build_tiny(family).save(tmp_path / "tiny")
    learn = recipe(tmp_path / "tiny", layout=layout, method="full", steps=12, entries_per_step=8)
    run = train_dataset(dataset, tmp_path / "run", learn, progress=False)
    assert run.curve[-1]["loss"] < run.curve[0]["loss"] - 0.3
    assert run.manifest["entries_seen"] == 96


def test_connector_only(dataset, qwen, tmp_path):
    run = train_dataset(dataset, tmp_path / "run", recipe(qwen, method="connector"), progress=False)
    before, after = load_file(qwen / "model.safetensors"), load_file(
        run.weights / "model.safetensors")  # fmt: skip
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("merger" in name for name in changed)
    assert run.weights.name == "model" and load_model(run.weights).family == "qwen2_5_vl"


def test_lora_with_the_connector(dataset, qwen, tmp_path):
    both = recipe(qwen, lora={"rank": 2, "alpha": 4, "train_connector": True})
    run = train_dataset(dataset, tmp_path / "run", both, progress=False)
    names = load_file(run.weights / "adapter_model.safetensors")
    assert any("merger" in name for name in names) and any("lora_A" in name for name in names)


def test_task_shares(dataset, qwen, tmp_path):
    tasks = dataset.tables.split("train")["task"].cast(pl.String).unique().sort().to_list()
    weights = dict.fromkeys(tasks, 0.0) | {"rec": 3.0, "vqa": 1.0}
    mixed = recipe(qwen, weights=weights, steps=2, entries_per_step=16)
    run = train_dataset(dataset, tmp_path / "run", mixed, progress=False)
    drawn = run.manifest["drawn"]
    assert set(drawn) == {"rec", "vqa"} and drawn["rec"] > drawn["vqa"] > 0


def test_gradient_checkpointing_changes_nothing(dataset, qwen, tmp_path, lora):
    again = recipe(qwen, gradient_checkpointing=True)
    run = train_dataset(dataset, tmp_path / "run", again, progress=False)
    for a, b in zip(run.curve, lora.curve, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)


def test_workers_change_nothing(dataset, qwen, tmp_path, lora):
    run = train_dataset(dataset, tmp_path / "run", recipe(qwen, workers=1), progress=False)
    a, b = (load_file(r.weights / "adapter_model.safetensors") for r in (run, lora))
    assert all(torch.equal(a[name], b[name]) for name in b)


def test_entries_that_do_not_fit_are_in_the_drops(dataset, tmp_path):
    build_tiny("llava", max_position_embeddings=200).save(tmp_path / "short")
    with pytest.warns(UserWarning, match="left out: longer-than-context"):
        run = train_dataset(dataset, tmp_path / "run", recipe(tmp_path / "short"), progress=False)
    drops = pl.read_parquet(run.folder / "drops.parquet")
    assert run.manifest["dropped"] == {"longer-than-context": drops.height}
    assert run.manifest["entries"] + drops.height == dataset.tables.split("train").height
    drawn = set(pl.read_parquet(run.folder / "schedule.parquet")["entry_id"])
    assert drawn.isdisjoint(drops["entry_id"])


def test_tensorboard_gets_losses_by_task(dataset, qwen, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told = recipe(qwen, report_to=("tensorboard",), eval_every=3)
    train_dataset(dataset, tmp_path / "run", told, progress=False)
    [log] = {path.parent for path in (tmp_path / "run").rglob("events.out.tfevents.*")}
    tags = events.EventAccumulator(str(log)).Reload().Tags()["scalars"]
    assert {"train/loss", "train/loss_vqa", "eval/loss", "train/entries_per_second"} <= set(tags)


# --- bad input ---


def refuse(dataset, tmp_path, match, *args, **changes):
    with pytest.raises(ImaxrayError, match=match) as caught:
        train_dataset(dataset, tmp_path / "run", recipe(*args, **changes), progress=False)
    assert not (tmp_path / "run" / "run.json").exists()
    return str(caught.value)


def test_no_train_split(imax, qwen, tmp_path):
    empty = replace(imax, entries=imax.entries.filter(pl.col("split") != "train"))
    write_dataset(empty, tmp_path / "data", config={}, seed=0)
    refuse(open_dataset(tmp_path / "data"), tmp_path, "Expected a train split", qwen)


def test_no_val_split(imax, qwen, tmp_path):
    empty = replace(imax, entries=imax.entries.filter(pl.col("split") != "val"))
    write_dataset(empty, tmp_path / "data", config={}, seed=0)
    refuse(open_dataset(tmp_path / "data"), tmp_path, "Expected a val split", qwen, eval_every=1)


def test_a_model_nobody_knows(dataset, tmp_path):
    assert "lingshu-7b" in refuse(dataset, tmp_path, "Expected a model", "lingshu-7c")


def test_a_model_without_images(dataset, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    small = LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                        num_attention_heads=1)  # fmt: skip
    LlamaForCausalLM(small).save_pretrained(tmp_path / "text")
    refuse(dataset, tmp_path, "no image input", tmp_path / "text", boxes="percent")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError(),
     RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)  # fmt: skip
def test_out_of_memory(dataset, qwen, tmp_path, monkeypatch, error):
    def burst(*_, **__):
        raise error

    monkeypatch.setattr(EntryTrainer, "_losses", burst)
    advice = refuse(dataset, tmp_path, "it ran out", qwen, method="full", tokens_per_batch=4000)
    assert "--tokens-per-batch below 4000" in advice and "--method lora" in advice


def test_another_runtime_error_is_no_lack_of_memory(dataset, qwen, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(EntryTrainer, "_losses", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        train_dataset(dataset, tmp_path / "run", recipe(qwen), progress=False)


def test_images_in_another_size_than_announced(dataset, qwen, tmp_path):
    chat = load_model(qwen)

    def loader(image_id):
        pixels = chat.pixels(dataset.image_path(image_id))
        grid = pixels["image_grid_thw"] - torch.tensor([[0, 0, 2]])
        return {"pixel_values": pixels["pixel_values"][: int(grid.prod())], "image_grid_thw": grid}

    with pytest.raises(ImaxrayError, match="as many image features as image tokens"):
        train_dataset(
            dataset, tmp_path / "run", recipe(qwen, layout="separate"), image_loader=loader,
            progress=False,
        )  # fmt: skip


def test_smaller_cached_copies_make_the_tokens_of_their_originals(imax, qwen, tmp_path):
    folder = tmp_path / "data" / "imax"
    write_dataset(imax, folder, config={}, seed=0, role="imax")
    data = open_dataset(folder)
    cache_images(data, max_side=int(data.tables.images["width"].max()) // 4)
    run = train_dataset(data, tmp_path / "run", recipe(qwen), progress=False)
    assert len(run.curve) == 3  # token and feature counts agree, or the model would have refused


def test_a_budget_below_the_longest_entry(dataset, qwen, tmp_path):
    refuse(dataset, tmp_path, r"at least 480 tokens per batch.*is 100", qwen, tokens_per_batch=100)


def test_a_loss_that_is_no_number(dataset, qwen, tmp_path):
    refuse(dataset, tmp_path, "finite loss.*lower the learning rate", qwen, method="full",
           learning_rate=1e30)  # fmt: skip


def test_a_tracker_that_is_not_installed(dataset, qwen, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refuse(dataset, tmp_path, r"imaxray\[wandb\]", qwen, report_to=("wandb",))


def test_a_folder_with_other_files_is_left_alone(dataset, qwen, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    refuse(dataset, tmp_path, "holds other files", qwen)
    assert (tmp_path / "run" / "thesis.tex").exists()


def test_no_module_for_adapters(dataset, qwen, tmp_path):
    refuse(dataset, tmp_path, "lora.targets", qwen, lora={"targets": "nothing_like_this"})


def test_the_command_ends_in_one_sentence(launch, dataset, tmp_path):
    codes, text = launch("train", dataset.folder, "--model", "lingshu-7c", "--out", tmp_path / "r")
    assert codes == [2] and "Traceback" not in text
    assert text.strip().splitlines()[-1].startswith("imaxray: Expected a model")


def test_the_connector_is_trained_before_the_adapters(dataset, qwen, tmp_path):
    both = {"rank": 2, "alpha": 4, "train_connector": True}
    start = load_file(qwen / "model.safetensors")

    def train(**changes):
        run = train_dataset(
            dataset, tmp_path / str(len(list(tmp_path.iterdir()))),
            recipe(qwen, lora={**both, **changes}), progress=False,
        )  # fmt: skip
        tensors = load_file(run.weights / "adapter_model.safetensors")
        # the second factor of an adapter starts at zero
        adapters = max(v.abs().max().item() for n, v in tensors.items() if "lora_B" in n)
        connector = [v for n, v in tensors.items() if "merger" in n and "lora" not in n]
        assert connector and not any(torch.equal(c, s) for c in connector for s in start.values())
        return adapters

    assert train(connector_steps=3) == 0  # all three steps
    assert 0 < train(connector_steps=2) < train()


def test_only_a_trained_connector_can_be_trained_first():
    with pytest.raises(ImaxrayError, match="train_connector: true"):
        recipe("x", lora={"rank": 2, "alpha": 4, "connector_steps": 3})
