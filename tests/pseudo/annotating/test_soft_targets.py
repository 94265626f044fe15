"""The annotator's distributions go from the annotation through the dataset into training."""

import math

import polars as pl
import pytest

from imaxray.cache import ImageStore
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.models import phantom, tokenizer_digest
from imaxray.pseudo import PSEUDO, AskConfig, annotate_images, write_pseudo
from imaxray.pseudo.table import ADDED, require_sound
from imaxray.schema import SOFT, SOFT_FILE
from imaxray.training import Recipe, prepare_images, train_dataset
from imaxray.training.steps.soft import read_soft

K = 5


@pytest.fixture(scope="module")
def chat(run_folder):
    return phantom.load(run_folder / "model")


@pytest.fixture(scope="module")
def made(chat, decentralized):
    config = AskConfig(tasks=("grading", "findings"), top_k=K, limit=12, max_new_tokens=12)
    ids = decentralized.tables.images["image_id"].sort().to_list()
    pixels = prepare_images(chat, ids, ImageStore(decentralized))
    return annotate_images(chat, decentralized.tables, pixels, config)


@pytest.fixture(scope="module")
def folder(made, decentralized, tmp_path_factory):
    kept = made.filter(pl.col("answer").is_not_null() & pl.col("ended"))
    assert kept.height
    out = tmp_path_factory.mktemp("soft") / "pseudo"
    return write_pseudo(decentralized, kept, out).folder


def test_each_token_has_its_distribution(made, chat, tmp_path):
    require_sound(made, tmp_path)
    for row in made.iter_rows(named=True):
        assert len(row["top_ids"]) == len(row["top_logprobs"]) == K * row["tokens"]
        first, logs = row["top_ids"][::K], row["top_logprobs"][::K]
        assert first == row["token_ids"]  # greedy
        assert math.fsum(logs) / len(logs) == pytest.approx(row["logprob"], abs=1e-5)
    assert set(made["tokenizer"]) == {tokenizer_digest(chat.tokenizer)}


def test_numbers_that_cannot_be_are_one_sentence(made, tmp_path):
    for bad in (float("nan"), 0.5):
        logs = [[bad, *row[1:]] for row in made["top_logprobs"].to_list()]
        wrong = made.with_columns(pl.Series("top_logprobs", logs, dtype=PSEUDO["top_logprobs"]))
        with pytest.raises(ImaxrayError, match="in the column top_logprobs"):
            require_sound(wrong, tmp_path)
    shorter = made.with_columns(pl.col("top_logprobs").list.head(1))
    with pytest.raises(ImaxrayError, match="in the column top_logprobs"):
        require_sound(shorter, tmp_path)


def test_a_folder_of_an_earlier_version_is_sound(made, tmp_path):
    require_sound(made.drop(*ADDED), tmp_path)


def test_training_towards_distributions_is_another_training(folder, run_folder, tmp_path, chat):
    table = pl.read_parquet(folder / SOFT_FILE)
    assert table.schema == SOFT
    assert read_soft(folder, chat).keys() == set(table["entry_id"])

    # a step of all entries, so that layouts which draw in another order see the same ones
    every = open_dataset(folder).tables.split("train").height

    def trained(name, **more):
        recipe = Recipe(
            model=str(run_folder / "model"), method="full", epochs=None, steps=2, log_every=1,
            entries_per_step=every, **more,
        )  # fmt: skip
        return train_dataset(folder, tmp_path / name, recipe, progress=False).curve

    hard, soft = trained("hard"), trained("soft", target="soft", soft_temperature=2.0)
    packed, apart = soft[0]["loss"], trained("apart", target="soft", soft_temperature=2.0,
                                             layout="separate")[0]["loss"]  # fmt: skip
    assert soft[0]["loss"] != pytest.approx(hard[0]["loss"], rel=1e-4)
    assert packed == pytest.approx(apart, rel=1e-4)


def test_what_soft_targets_need_is_one_sentence(folder, decentralized, chat, tmp_path):
    with pytest.raises(ImaxrayError, match="--top-k"):
        read_soft(decentralized.folder, chat)
    table = pl.read_parquet(folder / SOFT_FILE).with_columns(pl.lit("0" * 64).alias("tokenizer"))
    table.write_parquet(tmp_path / SOFT_FILE)
    with pytest.raises(ImaxrayError, match="another tokenizer"):
        read_soft(tmp_path, chat)


def test_a_filter_that_keeps_nothing_leaves_nothing_to_train_towards(
    made, decentralized, chat, tmp_path
):
    nothing = write_pseudo(decentralized, made.clear(), tmp_path / "nothing")
    assert read_soft(nothing.folder, chat) == {}
