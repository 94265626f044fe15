"""Tests the count of floating-point operations against formulas and a count of all steps."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from imaxray._common.state import known_state
from imaxray.models import PhantomConfig, phantom
from imaxray.training import TrainingConfig, encode_entries, prepare_images, train
from imaxray.training import operations as counting

original = counting.counted
STEPS = 40
CONFIG = TrainingConfig(entries_per_step=8, steps=STEPS, save_every=100, optimizer="muon")
SHAPE = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1,
                      vocabulary=400)  # fmt: skip


def test_a_layer_takes_the_operations_of_its_products():
    layer = torch.nn.Linear(7, 11)
    inputs = torch.randn(5, 7, requires_grad=True)
    assert counting.counted(layer, inputs) == 2 * 5 * 7 * 11
    forward_and_backward = counting.counted(lambda: layer(inputs).sum().backward())
    assert forward_and_backward == 3 * 2 * 5 * 7 * 11


@pytest.mark.parametrize("masked", [False, True])
def test_every_kernel_of_attention_is_counted_alike(masked):
    """The kernel of processors is unknown to the counter of torch."""
    query, key, value = (torch.randn(2, 3, 16, 8, requires_grad=True) for _ in range(3))
    mask = torch.ones(16, 16, dtype=torch.bool).tril() if masked else None

    def work():
        scaled_dot_product_attention(query, key, value, attn_mask=mask).sum().backward()

    found = {}
    for kernel in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(kernel):
            found[kernel] = counting.counted(work)
    products = 2 * 2 * 3 * 16 * 16 * 8  # one product of matrices of every head
    assert found[SDPBackend.MATH] == 6 * products
    assert found[SDPBackend.FLASH_ATTENTION] == 7 * products  # scores are computed once more


@pytest.fixture(scope="module")
def run_of(imax, phantom_releases, tmp_path_factory):
    entries = imax.split("train")
    root = phantom_releases["mimic-cxr-jpg"]
    paths = dict(imax.images.select("image_id", "path").iter_rows())
    ids = entries["image_id"].unique().sort().to_list()

    def run(layout="packed", **more):
        chat = phantom.build(SHAPE, entries["target"].to_list(), seed=0)
        encoded = encode_entries(chat, entries, imax.images)
        pixels = prepare_images(chat, ids, lambda i: root / paths[i])
        out = tmp_path_factory.mktemp("run") / "out"
        return train(chat, entries, encoded, pixels, out, layout=layout, config=CONFIG, seed=0,
                     progress=False, **more)  # fmt: skip

    return run


@pytest.fixture(scope="module")
def counted(run_of):
    return run_of(operations=True)


def test_the_weights_are_those_of_a_run_that_counted_nothing(run_of, counted):
    plain = run_of()
    assert "operations" not in plain.manifest
    for name in ("model/model.safetensors", "schedule.parquet"):
        assert (plain.folder / name).read_bytes() == (counted.folder / name).read_bytes()
    ours, theirs = (known_state(run.folder / "run.json") for run in (counted, plain))
    assert ours["files"]["model/model.safetensors"] == theirs["files"]["model/model.safetensors"]


def test_a_sample_of_the_steps_stands_for_all(run_of, counted, monkeypatch):
    again = run_of(operations=True)
    assert again.manifest["operations"] == counted.manifest["operations"]  # no clock decides it
    monkeypatch.setattr(counting, "sampled", range)
    exact = run_of(operations=True).manifest["operations"]
    assert counted.manifest["operations"] == pytest.approx(exact, rel=0.02)


def test_packing_saves_operations_and_muon_costs_some(run_of, counted, monkeypatch):
    separate = run_of("separate", operations=True)
    assert counted.manifest["operations"] < separate.manifest["operations"]
    monkeypatch.setattr(
        counting, "counted", lambda work, *args: (work(*args), 0)[1] if args else original(work)
    )
    of_optimizer = run_of(operations=True).manifest["operations"]
    assert 0 < of_optimizer < counted.manifest["operations"]
