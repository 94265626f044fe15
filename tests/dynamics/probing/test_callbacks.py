"""Tests the callbacks in a real Trainer: measurements are right and training is unchanged."""

import copy
import json

import numpy as np
import polars as pl
import pytest
import torch
from transformers import Trainer, TrainingArguments

from imaxray.dynamics import (
    FisherProbe,
    Gram,
    Probe,
    StepFisher,
    empirical_fisher,
    naive_gram,
    probe_entries,
    row_losses,
    separate_inputs,
)
from imaxray.errors import ImaxrayError

ROWS = 4


@pytest.fixture
def parts(text):
    probe = Probe(
        batches=text.batches,
        ids=tuple(f"e{i}" for i in range(7)),
        tasks=("vqa", "rec", "vqa", "rec", "vqa", "rec", "vqa"),
        images=tuple(f"i{i // 2}" for i in range(7)),
        tokens=(3, 6, 1, 2, 2, 2, 5),
        strata=tuple("abababa"),
    )
    generator = torch.Generator().manual_seed(8)
    data = []
    for _ in range(24):
        ids = torch.randint(3, 50, (9,), generator=generator)
        data.append({"input_ids": ids, "labels": torch.where(torch.arange(9) < 5, -100, ids)})
    return text.model, probe, data


class SumTrainer(Trainer):
    """Loss: mean over rows of each row's summed loss."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return row_losses(model, inputs).mean()


def run(model, data, out, callbacks, *, steps=4, accumulation=1):
    arguments = TrainingArguments(
        output_dir=str(out), max_steps=steps, per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=accumulation, learning_rate=1e-2, use_cpu=True,
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True,
        remove_unused_columns=False, train_sampling_strategy="sequential", max_grad_norm=0.0,
    )  # fmt: skip
    trainer = SumTrainer(model, arguments, train_dataset=data, callbacks=callbacks)
    trainer.train()
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def test_probe_measures_and_leaves_training_alone(parts, tmp_path):
    model, probe, data = parts
    start = copy.deepcopy(model)
    plain = run(copy.deepcopy(model), data, tmp_path / "a", [])
    callback = FisherProbe(probe, tmp_path / "probe", every=8, entries_per_step=ROWS)
    probed = run(model, data, tmp_path / "b", [callback])
    assert all(torch.equal(plain[n], probed[n]) for n in plain)
    files = sorted((tmp_path / "probe" / "gram").iterdir())
    assert [int(f.stem) for f in files] == [0, 8, 16]
    first, last = Gram.read(files[0]), Gram.read(files[-1])
    assert np.allclose(first.matrix, empirical_fisher(start, probe.batches).matrix, rtol=1e-12)
    assert np.allclose(last.matrix, empirical_fisher(model, probe.batches).matrix, rtol=1e-12)
    assert first.ids == probe.ids
    spectra = pl.read_parquet(tmp_path / "probe" / "spectra.parquet")
    assert spectra["entries_seen"].unique().sort().to_list() == [0, 8, 16]
    assert set(spectra["reduction"]) == {"sum", "token-mean", "unit-norm"}
    assert {"all", "attention", "mlp"} <= set(spectra["group"])
    assert spectra.filter(group="all")["se"].is_between(0, np.log(7)).all()
    pairs = pl.read_parquet(tmp_path / "probe" / "tasks.parquet")
    assert pairs.height == 3 * 3 * 2  # measurements × reductions × with and without same image
    told = json.loads((tmp_path / "probe" / "probe.json").read_text())
    assert told["entry_ids"] == list(probe.ids)
    assert told["uncovered"] == []


def test_a_resumed_run_drops_what_came_after_its_checkpoint(parts, tmp_path):
    model, probe, data = parts
    folder = tmp_path / "probe"
    run(model, data, tmp_path / "a", [FisherProbe(probe, folder, every=4, entries_per_step=ROWS)])
    from types import SimpleNamespace

    again = FisherProbe(probe, folder, every=4, entries_per_step=ROWS)
    state = SimpleNamespace(global_step=2, max_steps=4)
    again.on_train_begin(None, state, None, model=model)
    assert [int(f.stem) for f in sorted((folder / "gram").iterdir())] == [0, 4, 8]
    assert pl.read_parquet(folder / "spectra.parquet")["entries_seen"].max() == 8
    state.global_step = 3
    again.on_step_end(None, state, None, model=model)
    assert pl.read_parquet(folder / "spectra.parquet")["entries_seen"].max() == 12


def test_one_folder_holds_one_probe(parts, tmp_path):
    model, probe, data = parts
    run(model, data, tmp_path / "a", [FisherProbe(probe, tmp_path / "p", every=99,
                                                  entries_per_step=ROWS)], steps=1)  # fmt: skip
    other = Probe(probe.batches, ("x",) * 7, *[getattr(probe, k) for k in
                  ("tasks", "images", "tokens", "strata")])  # fmt: skip
    with pytest.raises(ImaxrayError, match="this probe's entries"):
        run(model, data, tmp_path / "b",
            [FisherProbe(other, tmp_path / "p", every=99, entries_per_step=ROWS)])  # fmt: skip


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_training_batch_itself(parts, tmp_path, accumulation):
    model, _, data = parts
    start = copy.deepcopy(model)
    plain = run(copy.deepcopy(model), data, tmp_path / "a", [], accumulation=accumulation, steps=2)
    found = {}
    callback = StepFisher(
        found.__setitem__,
        # a Trainer leaves dividing by the accumulation to models that count items, as this one
        scales=lambda inputs: [1 / ROWS] * len(inputs["input_ids"]),
        accumulation=accumulation > 1,
    )
    recorded = run(model, data, tmp_path / "b", [callback], accumulation=accumulation, steps=2)
    for name in plain:
        torch.testing.assert_close(plain[name], recorded[name], rtol=1e-6, atol=1e-9)
    assert sorted(found) == [1, 2]
    count = ROWS * accumulation
    batch = {k: torch.stack([row[k] for row in data[:count]]) for k in data[0]}
    parameters = [p for p in start.parameters() if p.requires_grad]
    expected = naive_gram(start, [batch], row_losses, parameters, [(0, s) for s in range(count)])
    assert np.abs(found[1].matrix - expected).max() < 1e-7 * np.abs(expected).max()


def table(counts):
    rows = [
        {"entry_id": f"{task}{i}", "task": task, "target": "x" * (1 + i % 7)}
        for task, count in counts.items()
        for i in range(count)
    ]
    return pl.DataFrame(rows)


def test_probe_entries_have_equal_quotas():
    entries = table({"vqa": 90, "rec": 40, "report": 31})
    chosen = probe_entries(entries, 27)
    assert chosen["task"].value_counts()["count"].to_list() == [9, 9, 9]
    assert chosen["stratum"].value_counts()["count"].to_list() == [3] * 9
    assert chosen.equals(probe_entries(entries.reverse(), 27))
    assert not chosen.equals(probe_entries(entries, 27, seed=1))
    of_length = chosen.group_by("stratum").agg(pl.col("target").str.len_chars().mean())
    lengths = dict(of_length.iter_rows())
    assert lengths["vqa/short"] < lengths["vqa/middle"] < lengths["vqa/long"]
    with pytest.raises(ImaxrayError, match="smaller probe"):
        probe_entries(entries, 99)


def test_phantom_model_is_covered_whole(tmp_path):
    """Trained from scratch: embeddings, convolution, norms and tied weights have rows too."""
    from imaxray.models import PhantomConfig, phantom
    from imaxray.packing import collate, separate

    shape = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1,
                          vocabulary=300)  # fmt: skip
    chat = phantom.build(shape, ["the heart is large", "no finding"], seed=0)
    encoded = [
        chat.encode("what is this?", "the heart", [], (32, 32)),
        chat.encode("list the findings", "no finding", [], (32, 32)),
        chat.encode("is it large?", "no", [], (32, 32)),
    ]
    batch = collate([separate(e) for e in encoded], pad=int(chat.tokenizer.pad_token_id))
    pixels = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    inputs = separate_inputs(batch, {"pixel_values": pixels.double()})
    model = chat.model.double()
    gram = empirical_fisher(model, [inputs], verify=3)
    assert gram.uncovered == ()
    assert len(gram) == 3
