"""Tests the reading of recorded probes and the command that compares arms."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from imaxray._common.files import sha256
from imaxray.cli import app
from imaxray.dynamics import Gram, compare_runs, contrast, run_spectra, spectra_table
from imaxray.errors import ImaxrayError

N = 24


def write_run(folder, power, seed, counts=(0, 64), ids=None):
    probe = np.random.default_rng(0).normal(size=(N, 30))
    own = np.random.default_rng(seed)
    tables = []
    for seen in counts:
        scale = np.arange(1, 31) ** (-(power + 0.1 * own.normal()) / 2)
        g = probe * scale
        gram = Gram(
            {"attention": g[:, :10] @ g[:, :10].T, "mlp": g[:, 10:] @ g[:, 10:].T},
            ids=ids or tuple(f"e{i}" for i in range(N)),
            tasks=("vqa", "rec") * (N // 2),
        )
        gram.write(folder / "dynamics" / "gram" / f"{seen:012d}.parquet")
        tables.append(spectra_table(gram, step=seen // 4, entries_seen=seen))
    pl.concat(tables).write_parquet(folder / "dynamics" / "spectra.parquet")
    return folder


@pytest.fixture
def arms(tmp_path):
    imax = [write_run(tmp_path / f"imax{s}", 2.0, s) for s in range(3)]
    dmax = [write_run(tmp_path / f"dmax{s}", 0.5, 10 + s) for s in range(3)]
    return imax, dmax


def test_comparison_is_the_contrast_at_each_count(arms):
    found = compare_runs(*arms, statistics=["se", "rho"], reductions=["sum"])
    assert found["entries_seen"].unique().sort().to_list() == [0, 64]
    row = found.filter(entries_seen=64, statistic="se").row(0, named=True)
    grams = [
        [Gram.read(run / "dynamics" / "gram" / f"{64:012d}.parquet") for run in arm] for arm in arms
    ]
    expected = contrast(*grams, "se").difference
    assert (row["difference"], row["low"], row["high"]) == (
        expected.value, expected.low, expected.high
    )  # fmt: skip
    assert row["high"] < 0  # the steeper spectrum has less entropy
    assert row["low"] <= row["seeds_low"]
    assert found.filter(statistic="rho", entries_seen=64)["low"].item() > 0


def test_groups_are_compared_apart(arms):
    whole = compare_runs(*arms, statistics=["h2"], reductions=["sum"])
    part = compare_runs(*arms, statistics=["h2"], reductions=["sum"], group="mlp")
    assert not np.allclose(whole["difference"], part["difference"])
    with pytest.raises(ImaxrayError, match="attention, mlp, all"):
        compare_runs(*arms, group="vision")


def test_runs_need_common_counts_and_one_probe(arms, tmp_path):
    imax, _ = arms
    other = [write_run(tmp_path / f"o{s}", 1.0, s, counts=(5,)) for s in range(3)]
    with pytest.raises(ImaxrayError, match="same interval between measurements"):
        compare_runs(imax, other)
    foreign = [
        write_run(tmp_path / f"f{s}", 1.0, s, ids=tuple(f"x{i}" for i in range(N)))
        for s in range(3)
    ]
    with pytest.raises(ImaxrayError, match="same entries"):
        compare_runs(imax, foreign)
    with pytest.raises(ImaxrayError, match="there are none"):
        run_spectra([tmp_path / "nothing"])


def test_command_writes_tables_and_the_same_plot_twice(arms, tmp_path):
    imax, dmax = arms
    command = ["dynamics", *map(str, imax), "--out", str(tmp_path / "out")]
    for run in dmax:
        command += ["--against", str(run)]
    plots = []
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        plots.append((tmp_path / "out" / "spectra.svg").read_bytes())
    assert plots[0] == plots[1]
    assert "After 64 entries" in done.output
    contrasts = pl.read_csv(tmp_path / "out" / "contrast.csv")
    assert contrasts.height == 2 * 2 * 6
    one = CliRunner().invoke(app, ["dynamics", str(imax[0]), "--out", str(tmp_path / "one")])
    assert one.exit_code == 0
    assert not (tmp_path / "one" / "contrast.csv").exists()


def test_command_keeps_files_of_the_user(arms, tmp_path):
    mine = tmp_path / "contrast.csv"  # a table that one arm does not fill, which was removed
    mine.write_text("my own table")
    done = CliRunner().invoke(app, ["dynamics", str(arms[0][0]), "--out", str(tmp_path)])
    assert "keep your file contrast.csv" in str(done.exception)
    assert mine.read_text() == "my own table" and list(tmp_path.glob("*.csv")) == [mine]


@pytest.mark.parametrize("damage", ["flipped", "removed"])
def test_measurements_are_held_against_the_manifest_of_a_finished_run(arms, damage):
    run = arms[0][0]
    name = f"dynamics/gram/{0:012d}.parquet"  # without it, the other measurements were used alone
    (run / "run.json").write_text(json.dumps({"files": {name: sha256(run / name)}}))
    run_spectra([run])
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).unlink()
    if damage == "flipped":
        (run / name).write_bytes(content)
    with pytest.raises(ImaxrayError, match=f"but {name} is missing or was changed"):
        run_spectra([run])
