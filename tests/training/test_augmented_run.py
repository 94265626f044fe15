"""Tests augmented training: what rows share, determinism, resume, layouts, and every family."""

import numpy as np
import polars as pl
import pytest
import torch
from transformers import TrainerCallback

from imaxray import radiograph
from imaxray.errors import ImaxrayError
from imaxray.models import PhantomConfig, build_tiny, phantom
from imaxray.models.tiny import tiny_families
from imaxray.packing import entry_losses, model_inputs, use_packed_attention
from imaxray.schema import image_sizes
from imaxray.training import (
    Augmentation,
    AugmentConfig,
    Augmenter,
    Conversations,
    ShareDataset,
    StepDataset,
    augmented_image,
    encode_entries,
    load_recipe,
    schedule,
    train_dataset,
)

SHAPE = PhantomConfig(image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1,
                      vocabulary=400)  # fmt: skip
STRONG = AugmentConfig(shift=0.05, rotation=6, scale=0.1)


class Setting:
    """Entries, a phantom model and what a step needs."""

    def __init__(self, dataset):
        self.data = dataset
        self.entries = dataset.tables.split("train")
        self.images = dataset.tables.images
        self.chat = phantom.build(SHAPE, self.entries["target"].to_list(), seed=0)
        use_packed_attention(self.chat.model)
        self.encoded = encode_entries(self.chat, self.entries, self.images)
        sizes = image_sizes(self.images)
        ids = self.entries["image_id"].unique().sort().to_list()
        self.pictures = {i: self.chat.picture(dataset.image_path(i), sizes[i]) for i in ids}
        self.pixels = {i: self.chat.inputs(p) for i, p in self.pictures.items()}

    def augmenter(self, config=STRONG, seed=0):
        return Augmenter(
            self.chat, config, seed=seed, entries=self.entries, images=self.images,
            pictures=self.pictures,
        )  # fmt: skip

    def steps(self, layout, table=None, **more):
        if table is None:
            table = schedule(self.entries, layout=layout, entries_per_step=12, steps=4, seed=0)
        conversations = Conversations(self.chat, self.entries, self.images)
        return StepDataset(
            self.chat, table, self.entries, self.encoded, self.pixels, layout, conversations,
            **{"augmenter": self.augmenter(), **more},
        )  # fmt: skip


@pytest.fixture(scope="module")
def setting(dataset):
    return Setting(dataset)


def test_all_entries_of_a_row_share_one_augmented_image(setting):
    steps = setting.steps("packed")
    pieces = [piece for k in range(len(steps)) for piece in steps.pieces(k)]
    assert max(len(piece.entries) for piece in pieces) > 1
    assert all(len(piece.images) == 1 for piece in pieces)
    alone = setting.steps("separate")
    drawn = [piece.images[0].augmentation for k in range(4) for piece in alone.pieces(k)]
    assert len(set(drawn)) == len(drawn) == 48


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
def test_texts_have_the_boxes_of_the_augmented_image(setting, layout):
    steps = setting.steps(layout)
    text = setting.entries.rows_by_key("entry_id", named=True, unique=True)
    sizes = image_sizes(setting.images)
    moved = 0
    for piece in (piece for k in range(4) for piece in steps.pieces(k)):
        [(image_id, change)] = piece.images
        size, ids = sizes[image_id], []
        for entry_id in piece.entries:
            entry = text[entry_id]
            boxes = [change.box(tuple(box), size) for box in entry["boxes"] or []]
            moved += boxes != [tuple(box) for box in entry["boxes"] or []]
            ids.append(setting.chat.encode(entry["prompt"], entry["target"], boxes, size).target)
        told = [
            [t for t, e in zip(piece.row.ids, piece.row.entry, strict=True) if e == k]
            for k in range(piece.row.entries)
        ]
        assert told == ids
    assert moved > 3


def same(one, other):
    for a, b in zip(one["passes"], other["passes"], strict=True):
        assert a["batch"].__dict__.keys() == b["batch"].__dict__.keys()
        assert torch.equal(a["batch"].input_ids, b["batch"].input_ids)
        assert torch.equal(a["images"]["pixel_values"], b["images"]["pixel_values"])


def test_a_step_is_the_same_in_any_order_and_process(setting):
    one = ShareDataset(setting.steps("packed"), ranks=1, at_least=1, budget=None)
    again = ShareDataset(setting.steps("packed"), ranks=1, at_least=1, budget=None)
    for k in (3, 1, 0, 2):
        same(one[k], again[k])
    with pytest.raises(AssertionError):
        same(one[0], ShareDataset(
            setting.steps("packed", augmenter=setting.augmenter(seed=1)),
            ranks=1, at_least=1, budget=None,
        )[0])  # fmt: skip
    # two processes see together what one sees
    two = ShareDataset(setting.steps("packed"), ranks=2, at_least=1, budget=None)
    parts = [p["images"]["pixel_values"] for r in (0, 1) for p in two[2 + r]["passes"]]
    whole = one[1]["passes"][0]["images"]["pixel_values"]
    key = sorted(t.numpy().tobytes() for t in torch.cat(parts).split(1))
    assert key == sorted(t.numpy().tobytes() for t in whole.split(1))


def test_packed_rows_have_the_losses_and_gradients_of_separate_rows_of_one_image(setting):
    """The separate rows are given the augmentation of the packed row of their image."""
    table = schedule(setting.entries, layout="packed", entries_per_step=12, steps=1, seed=0)
    packed = setting.augmenter()
    image = dict(setting.entries.select("entry_id", "image_id").iter_rows())
    row_of = {image[e]: row for _, row, e in table.iter_rows()}
    alone = setting.augmenter()
    plain = Augmenter.augmentation
    alone.augmentation = lambda step, _, i: plain(alone, step, row_of[i], i)
    single = table.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("row"))
    found = []
    for layout, rows, augmenter in (("packed", table, packed), ("separate", single, alone)):
        item = setting.steps(layout, rows, augmenter=augmenter)[0]
        model = setting.chat.model
        model.zero_grad()
        logits = model(**model_inputs(model, item["batch"], item["images"])).logits
        losses = entry_losses(logits, item["batch"])
        losses.mean().backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append((losses.detach(), grads))
    model.zero_grad()
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_strength_gives_the_unaugmented_step_bit_for_bit(setting):
    still = AugmentConfig(brightness=0, contrast=0, noise=0, shift=0, rotation=0, scale=0)
    for layout in ("packed", "separate", "conversation"):
        steps = setting.steps(layout, augmenter=setting.augmenter(still))
        plain = setting.steps(layout, augmenter=None)
        for k in range(4):
            same({"passes": [steps[k]]}, {"passes": [plain[k]]})


@pytest.mark.parametrize("layout", ["packed", "separate", "conversation"])
def test_an_entry_that_would_not_fit_any_more_leaves_its_image_in_place(setting, layout):
    """A moved box has more digits; the budget is exactly what the entry had before."""
    entry = setting.entries.filter(task="rec").head(1)
    width, height = image_sizes(setting.images)[entry["image_id"][0]]
    box = [0.092 * width, 0.092 * height, 0.5 * width, 0.5 * height]
    entry = entry.with_columns(pl.Series("boxes", [[box]], dtype=entry.schema["boxes"]))
    encoded = encode_entries(setting.chat, entry, setting.images)
    [known] = encoded.values()
    table = pl.DataFrame({"step": [0], "row": [0], "entry_id": entry["entry_id"]})
    augmenter = Augmenter(
        setting.chat, STRONG, seed=0, entries=entry, images=setting.images,
        pictures=setting.pictures,
    )  # fmt: skip
    augmenter.augmentation = lambda *_: Augmentation(gain=1.1, shift=(0.02, 0.02))
    conversations = Conversations(setting.chat, entry, setting.images)
    steps = StepDataset(
        setting.chat, table, entry, encoded, {}, layout, conversations, augmenter=augmenter
    )
    length = len(known.prompt) + len(known.target)
    [piece] = steps.pieces(0)
    assert len(piece.row) > length and piece.images[0].augmentation.moves
    [held] = steps.pieces(0, length)
    assert held.row.ids == [*known.prompt, *known.target]
    assert held.images[0].augmentation == Augmentation(gain=1.1)


@pytest.fixture(scope="module")
def base(setting, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "phantom"
    setting.chat.save(folder)
    return folder


def recipe(base, **changes):
    given = {
        "model": str(base), "steps": 4, "entries_per_step": 8, "log_every": 2, "save_every": 2,
        "method": "full", "augment": "default", "learning_rate": 0.01, "image_cache_mb": 0,
    }  # fmt: skip
    return load_recipe(None, **{**given, **changes})


def weights(run):
    return (run.weights / "model.safetensors").read_bytes()


def test_a_run_is_augmented_says_so_and_is_the_same_for_workers_and_loaders(
    dataset, setting, base, tmp_path
):
    one = train_dataset(dataset, tmp_path / "one", recipe(base, eval_every=3), progress=False)
    told = AugmentConfig().model_dump()
    assert one.manifest["recipe"]["augment"] == told
    assert one.manifest["identity"]["config"]["augment"] == told
    other = train_dataset(
        dataset, tmp_path / "two",
        recipe(base, workers=1, image_cache_mb=100, eval_every=3), progress=False,
        image_loader=lambda i: setting.chat.pixels(dataset.image_path(i)),
        picture_loader=lambda i: setting.chat.picture(dataset.image_path(i)),
    )  # fmt: skip
    assert weights(one) == weights(other)
    assert one.evaluations == other.evaluations


def test_validation_images_are_not_augmented(dataset, base, tmp_path):
    """A run that learns nothing has the same validation loss with and without augmentation."""
    still = {"eval_every": 1, "steps": 1, "warmup": 0, "learning_rate": 1e-30}
    plain, augmented = (
        train_dataset(dataset, tmp_path / word, recipe(base, augment=word, **still), progress=False)
        for word in ("none", "default")
    )
    assert plain.evaluations[0]["loss"] == pytest.approx(augmented.evaluations[0]["loss"], abs=1e-6)
    assert plain.curve[-1]["loss"] != pytest.approx(augmented.curve[-1]["loss"], abs=1e-6)


class StoppedError(Exception):
    pass


class StopAfter(TrainerCallback):
    def on_step_end(self, args, state, control, **more):
        if state.global_step == 3:
            raise StoppedError


def test_a_stopped_run_continues_to_the_same_bytes(dataset, base, tmp_path):
    whole = train_dataset(dataset, tmp_path / "whole", recipe(base), progress=False)
    with pytest.raises(StoppedError):
        train_dataset(
            dataset, tmp_path / "cut", recipe(base), progress=False,
            callbacks=lambda *_: [StopAfter()],
        )  # fmt: skip
    assert list((tmp_path / "cut" / "checkpoints").iterdir())
    cut = train_dataset(dataset, tmp_path / "cut", recipe(base), progress=False)
    assert weights(cut) == weights(whole)


def test_a_preview_shows_what_a_row_of_a_run_sees(setting, dataset):
    steps = setting.steps("packed")
    sizes = image_sizes(setting.images)
    row, piece = next(
        (row, piece)
        for row, piece in enumerate(steps.pieces(2))
        if any(setting.encoded[e].target != steps._encode(i, [e], None)[1][0].target
               for i in piece.images for e in piece.entries)
    )  # fmt: skip
    [(image_id, change)] = piece.images
    shown = augmented_image(dataset, image_id, STRONG, seed=0, step=2, row=row)
    assert shown.augmentation == change and shown.size == sizes[image_id]
    assert shown.pixels.shape == shown.size[::-1] and shown.pixels.dtype == np.uint8
    entries = setting.entries.filter(image_id=image_id)
    assert shown.boxes.keys() == set(entries["entry_id"])
    before = {e: [tuple(b) for b in bs] for e, bs in entries.select("entry_id", "boxes").rows()}
    assert shown.boxes != before
    assert {e: len(b) for e, b in shown.boxes.items()} == {e: len(b) for e, b in before.items()}
    still = augmented_image(dataset, image_id, AugmentConfig(probability=0))
    assert np.array_equal(still.pixels, radiograph.load(dataset.image_path(image_id)))
    assert still.boxes == before
    with pytest.raises(ImaxrayError, match="train split"):
        augmented_image(dataset, "nothing")


def test_prepared_inputs_alone_are_refused(dataset, base, tmp_path):
    with pytest.raises(ImaxrayError, match="picture_loader"):
        train_dataset(
            dataset, tmp_path / "out", recipe(base), image_loader={}.__getitem__, progress=False
        )


def test_a_family_with_pixels_of_its_own_is_refused(setting):
    class Own(type(setting.chat)):
        def pixels(self, image, size=None):
            return {}

    chat = Own("own", setting.chat.model, setting.chat.processor, setting.chat.convention)
    with pytest.raises(ImaxrayError, match="picture and inputs"):
        Augmenter(chat, STRONG, seed=0, entries=setting.entries, images=setting.images, pictures={})


@pytest.mark.parametrize("family", tiny_families())
def test_every_family_trains_an_augmented_step(family):
    chat = build_tiny(family)
    size = (112, 96)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, size[::-1], dtype=np.uint8)
    images = pl.DataFrame({"image_id": ["a"], "width": [size[0]], "height": [size[1]]})
    box = [20.0, 24.0, 60.0, 70.0]
    entries = pl.DataFrame({
        "entry_id": ["1", "2"], "image_id": ["a", "a"], "task": ["rec", "vqa"],
        "prompt": ["Where is the nodule?", "Is the heart large?"],
        "target": ["At <box>.", "Yes"], "boxes": [[box], []],
    })  # fmt: skip
    picture = chat.picture(pixels, size)
    for key, value in chat.pixels(pixels, size).items():
        assert torch.equal(value, chat.inputs(picture, size)[key])
    table = pl.DataFrame({"step": [0, 0], "row": [0, 0], "entry_id": ["1", "2"]})
    encoded = encode_entries(chat, entries, images)
    use_packed_attention(chat.model)
    augmenter = Augmenter(
        chat, STRONG, seed=3, entries=entries, images=images, pictures={"a": picture}
    )
    steps = StepDataset(chat, table, entries, encoded, {}, "packed", augmenter=augmenter)
    [piece] = steps.pieces(0)
    assert piece.images[0].augmentation.moves
    item = steps[0]
    assert item["images"].keys() == chat.pixels(pixels, size).keys()
    logits = chat.model(**model_inputs(chat.model, item["batch"], item["images"])).logits
    losses = entry_losses(logits, item["batch"])
    losses.mean().backward()
    assert losses.shape == (2,) and torch.isfinite(losses).all()
