"""Tests packing with real processors: boxes in prompts, image sizes, several images per row."""

import numpy as np
import pytest
import torch
from PIL import Image

from imaxray.models.tiny import build_tiny, tiny_families
from imaxray.packing import collate, lay_out, model_inputs, packing_gap, use_packed_attention

SIZES = [(96, 96), (120, 60), (64, 112)]
ENTRIES = [
    ("Where is the nodule?", "At <box>.", [(10.0, 12.0, 30.0, 40.0)]),
    ("What is at <box>?", "An effusion.", [(5.0, 5.0, 50.0, 60.0)]),
    ("Write the report.", "The heart is large. The lungs are clear.", []),
    ("Is the heart large?", "Yes", []),
]


@pytest.fixture
def paths(tmp_path):
    random = np.random.default_rng(0)
    made = []
    for k, (width, height) in enumerate(SIZES):
        grey = random.integers(0, 256, (height, width), dtype=np.uint8)
        made.append(tmp_path / f"{k}.png")
        Image.fromarray(grey).save(made[-1])
    return made


def material(chat):
    """Entries of three images: four, two and one."""
    return [
        [chat.encode(p, t, b, size) for p, t, b in ENTRIES[:count]]
        for size, count in zip(SIZES, (4, 2, 1), strict=True)
    ]


def images_of(chat, paths, dtype):
    pixels = [chat.pixels(path) for path in paths]

    def images(numbers):
        return {
            key: value.to(dtype) if value.is_floating_point() else value
            for key, value in chat.join([pixels[k] for k in numbers]).items()
        }

    return images


UPPER = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
WINDOWS = {  # shorter than any row; the text model of Qwen3-VL knows none
    "gemma3": {"sliding_window": 7},
    "llava": {"sliding_window": 7},
    "internvl": UPPER,
    "llava_onevision": UPPER,
    "qwen2_5_vl": UPPER,
}


@pytest.mark.parametrize(
    ("family", "text"),
    [*((name, {}) for name in tiny_families()), *WINDOWS.items()],
    ids=[*tiny_families(), *(f"{name}, windows" for name in WINDOWS)],
)
@pytest.mark.parametrize("pieces", [False, True], ids=["dense", "pieces"])
@pytest.mark.parametrize("budget", [None, 4096], ids=["row an image", "one row"])
def test_packed_is_separate(family, text, paths, pieces, budget):
    chat = build_tiny(family, dtype=torch.float64, **text)
    chat.model.train()
    if pieces:
        use_packed_attention(chat.model)
    found = packing_gap(
        chat.model,
        material(chat),
        images_of(chat, paths, torch.float64),
        chat.image_token,
        tokens_per_row=budget,
        pad=chat.tokenizer.pad_token_id,
    )
    assert found.loss <= 1e-7
    assert found.gradient <= 1e-6


@pytest.mark.parametrize("family", tiny_families())
def test_the_image_is_encoded_once(family, paths):
    """Packed rows ask for one set of image inputs an image, separate ones for one an entry."""
    chat = build_tiny(family)
    groups = material(chat)
    once = lay_out(groups, chat.image_token, tokens_per_row=4096)
    each = lay_out(groups, chat.image_token, packed=False)
    assert sorted(once.images) == [0, 1, 2] and len(once.rows) == 1
    assert each.images == [0, 0, 0, 0, 1, 1, 2]
    images = images_of(chat, paths, torch.float32)
    inputs = model_inputs(chat.model, collate(once.rows, pad=0), images(once.images))
    with torch.no_grad():  # placeholders and features agree in number, or the model says so
        logits = chat.model(**inputs).logits
    assert logits.shape == (sum(len(e.target) for g in groups for e in g), logits.shape[-1])


def test_weights_saved_after_packed_training_load_as_ever(paths, tmp_path):
    """The attention of packing is of the run, not of the model."""
    chat = build_tiny("llava")
    use_packed_attention(chat.model)
    chat.save(tmp_path / "model")
    assert "packed_sdpa" not in (tmp_path / "model" / "config.json").read_text()
    loaded = type(chat.model).from_pretrained(tmp_path / "model")
    assert loaded.config.get_text_config()._attn_implementation == "sdpa"
    # and generation from the model at hand goes the stock way
    entry = chat.encode("Is the heart large?", None, [], SIZES[0])
    ids = torch.tensor([entry.prompt])
    for model in (chat.model, loaded):
        model.eval()
    answers = [
        model.generate(
            input_ids=ids, **chat.pixels(paths[0]), max_new_tokens=5, do_sample=False
        ).tolist()
        for model in (chat.model, loaded)
    ]
    assert answers[0] == answers[1]
