"""Tests the phantom model: weights by seed, saving and loading, ids of the real processor."""

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from imaxray.models import PhantomConfig, phantom

CORPUS = ["Measure the ratio. 0.52", "Locate the nodule: [12, 34, 56, 78]"] * 5
SHAPE = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, vocabulary=300)


def test_same_seed_same_weights():
    one, two = (phantom.build(SHAPE, CORPUS, seed=3).model.state_dict() for _ in range(2))
    other = phantom.build(SHAPE, CORPUS, seed=4).model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_saved_and_loaded(tmp_path):
    made = phantom.build(SHAPE, CORPUS, seed=0)
    made.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.safetensors").exists()
    again = phantom.load(tmp_path / "model")
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    box = [(10.0, 20.0, 40.0, 80.0)]
    args = ("What is in <box>?", "a nodule at <box>", [*box, *box], (100, 100))
    assert made.encode(*args) == again.encode(*args)
    stock = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", local_files_only=True)
    assert type(stock).__name__ == "LlavaForConditionalGeneration"


def test_boxes_are_written_for_the_image_they_belong_to():
    chat = phantom.build(SHAPE, CORPUS, seed=0)
    entry = chat.encode("Where?", "<box>", [(50.0, 20.0, 100.0, 40.0)], (200, 80))
    assert chat.decode(entry.target) == "[25, 25, 50, 50]"
    assert entry.target[-1] == chat.end_of_turn


def test_pixels_are_stretched_to_the_grey_range(tmp_path):
    dark = np.random.default_rng(0).integers(0, 40, (64, 48)).astype(np.uint8)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    pixels = phantom.build(SHAPE, CORPUS, seed=0).pixels(tmp_path / "dark.png")["pixel_values"]
    assert pixels.shape == (1, 1, 32, 32) and pixels.dtype == torch.float32
    assert float(pixels.max() - pixels.min()) > 2
