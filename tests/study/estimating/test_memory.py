"""Tests estimated bytes against the tensors that autograd keeps, and against true sizes."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from imaxray.models import MiniConfig, TinyConfig, build_tiny, outline_model
from imaxray.models.nf4 import four_bit_weights
from imaxray.models.tiny import tiny_families
from imaxray.packing import collate, entry_losses, lay_out, model_inputs, use_packed_attention
from imaxray.study.estimating import memory_of
from imaxray.study.estimating.memory import NF4_BYTES
from imaxray.study.estimating.tokens import pass_size
from imaxray.training import Recipe
from imaxray.training.method import make_trainable

SIZE = (400, 300)
LAYERS = 8  # of the text model; what is outside of its layers is then a small part
QUESTIONS = (
    "Is there a nodule in the left lung?", "Measure the cardiothoracic ratio.",
    "What is in this location?", "Describe the findings of this study in detail",
)  # fmt: skip
ANSWER = "The heart is enlarged. There is no pneumothorax. " * 3


def small(family, dtype=torch.float32):
    shape = TinyConfig(family=family, width=96, text_layers=LAYERS, vision_layers=3, image_size=168)
    return build_tiny(shape, dtype=dtype)


def kept_by_autograd(chat, recipe):
    """Return the bytes of one forward pass that are not parameters, and the size of the pass."""
    make_trainable(chat, recipe, 0)
    model = chat.model.train()
    if recipe.layout == "packed":
        use_packed_attention(model)
    image = np.random.default_rng(0).integers(0, 255, SIZE[::-1], dtype=np.uint8)
    pixels = chat.pixels(image)
    groups = [
        [chat.encode(f"{QUESTIONS[k]} {k}", ANSWER, [], SIZE) for k in range(4)] for _ in range(2)
    ]
    plan = lay_out(groups, chat.image_token, packed=recipe.layout == "packed")
    batch = collate(plan.rows, pad=0)
    images = {
        name: value.to(model.dtype) if value.is_floating_point() else value
        for name, value in chat.join([pixels for _ in plan.images]).items()
    }
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen, alive = {}, []

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor.detach())  # so that no other tensor gets its place
        return tensor.detach()  # with its graph, the node that keeps it would never be freed

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        entry_losses(model(**model_inputs(model, batch, images)).logits, batch).sum()
    return sum(seen.values()), pass_size(plan.rows, chat.image_token)


@pytest.mark.parametrize("family", tiny_families())
@pytest.mark.parametrize("layout", ["packed", "separate"])
@pytest.mark.parametrize("method", ["lora", "full", "connector"])
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_activations_are_what_autograd_keeps(family, layout, method, bf16):
    recipe = Recipe(model="x", method=method, layout=layout, bf16=bf16)
    chat = small(family, torch.bfloat16 if bf16 else torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else nullcontext():
        kept, size = kept_by_autograd(chat, recipe)
    found = memory_of(chat, recipe, [size])
    assert 0.85 < found.activations / kept < 1.1
    if method != "full":  # whose image tower is trained, too, with layers of several kinds
        assert 0.95 < found.activations / kept < 1.08


@pytest.mark.parametrize("method", ["lora", "full", "connector"])
def test_weights_gradients_and_optimizer_are_counted_parameter_by_parameter(method):
    chat = small("llava", torch.bfloat16)
    recipe = Recipe(model="x", method=method)
    make_trainable(chat, recipe, 0)
    found = memory_of(chat, recipe, None)
    parameters = list(chat.model.parameters())
    assert found.weights == sum(p.nbytes for p in parameters)
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    assert found.gradients == sum(p.grad.nbytes for p in parameters if p.requires_grad)
    optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad])
    optimizer.step()
    moments = [s[k] for s in optimizer.state.values() for k in ("exp_avg", "exp_avg_sq")]
    assert found.optimizer == sum(moment.nbytes for moment in moments)
    assert found.activations is None and found.total is None


def test_muon_keeps_one_number_of_a_matrix():
    chat = small("llava")
    adamw, muon = (
        memory_of(chat, Recipe(model="x", method="full", optimizer=name), None).optimizer
        for name in ("adamw", "muon")
    )
    assert adamw / 2 < muon < adamw


def test_four_bits_are_of_the_text_models_linear_layers_alone():
    chat = outline_model("lingshu-7b").chat
    plain, four = (
        Recipe(model="lingshu-7b", method="lora", quantization=name) for name in (None, "nf4")
    )
    make_trainable(chat, plain, 0)
    held = sum(weight.numel() for weight in four_bit_weights(chat.model, type(chat)))
    first, second = memory_of(chat, plain, None), memory_of(chat, four, None)
    assert held == 28 * (3584 * (2 * 3584 + 2 * 512) + 3 * 3584 * 18944)
    assert first.weights - second.weights == pytest.approx(held * (2 - NF4_BYTES), abs=1)
    assert (second.gradients, second.optimizer) == (first.gradients, first.optimizer)
    assert 7.0e9 < second.weights < 7.1e9  # of 16.7 GB; embeddings and image tower are 3.5 of them


def test_bytes_of_four_bits_are_those_of_bitsandbytes():
    """The true storage of one layer, where the package is installed."""
    bnb = pytest.importorskip("bitsandbytes")
    weight = torch.randn(512, 1024)
    stored, state = bnb.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    sizes = stored.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes
    assert sizes == pytest.approx(weight.numel() * NF4_BYTES, rel=0.001)


def test_processes_share_weights_with_fsdp_alone():
    chat = small("llava")
    make_trainable(chat, Recipe(model="x", method="full"), 0)
    whole, ddp, shards = (
        memory_of(chat, Recipe(model="x", method="full", fsdp=fsdp), None, processes=n)
        for fsdp, n in ((False, 1), (False, 4), (True, 4))
    )
    assert ddp == whole
    assert shards.weights == pytest.approx(whole.weights / 4, abs=1)
    assert shards.optimizer == pytest.approx(whole.optimizer / 4, abs=1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_checkpointing_keeps_less(attention):
    chat = small("llava")
    recipe = Recipe(model="x", method="lora", layout="separate", attention=attention)
    _, size = kept_by_autograd(chat, recipe)
    plain = memory_of(chat, recipe, [size]).activations
    checkpointed = recipe.model_copy(update={"gradient_checkpointing": True})
    assert memory_of(chat, checkpointed, [size]).activations < plain / 3


def test_an_image_tower_of_another_kind_has_no_estimate_when_it_is_trained():
    """That of mini-llava is made of convolutions."""
    from imaxray.models.mini import build_mini

    try:
        chat = build_mini(MiniConfig(), seed=0)
    except Exception as error:
        pytest.skip(f"the parts of mini-llava are not installed: {error}")
    size = pass_size(
        lay_out([[chat.encode("Edema?", "Yes.", [], SIZE)]], chat.image_token, packed=False).rows,
        chat.image_token,
    )
    for method, known in (("lora", True), ("full", False)):
        recipe = Recipe(model="x", method=method, layout="separate")
        make_trainable(chat, recipe, 0)
        found = memory_of(chat, recipe, [size])
        assert (found.activations is not None) == known
        if hasattr(chat.model, "unload"):
            chat.model = chat.model.unload()
