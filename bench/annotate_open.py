"""Annotates real radiographs by the strategy and checks the answers against labels.

    python bench/annotate_open.py OUT [--root FOLDER] [--config open-cxr-strategy]

The script builds the data of the study open-cxr and runs the strategy on its DMAX. There, images
of wingspan-ctr have no findings and no questions, and images of NIH have no ratio. For each release
and task, it prints the numbers of prompts, of readable answers and of kept answers. It also
compares the cardiothoracic ratios that the model gives for images of NIH with the Cardiomegaly
labels of NIH; the model saw no ratio of these images in training. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl


def main() -> None:
    parser = argparse.ArgumentParser(description="Pseudo-annotation of the open radiographs.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, help="folder of the open releases")
    parser.add_argument("--data", default="open-cxr")
    parser.add_argument("--config", default="open-cxr-strategy")
    args = parser.parse_args()
    run(args)


def run(args: argparse.Namespace) -> None:
    from imaxray._common.config import read_yaml
    from imaxray.configs import find_config
    from imaxray.curation import open_dataset
    from imaxray.strategy import FilterWork, StrategyConfig, run_strategy
    from imaxray.study import build_study_data, load_config

    build_study_data(load_config(args.data), args.out, root=args.root)
    content = read_yaml(find_config(args.config), what="a strategy", advice="give one")
    config = StrategyConfig.model_validate({**content, "data": args.out / "dmax"})
    outcome = run_strategy(config, args.out / "strategy", tell=print, progress=False)
    data = open_dataset(config.data).tables
    for line in outcome.verdicts():
        print(line)

    made = next(d for d in outcome.done if isinstance(d.work, FilterWork))
    candidates = pl.read_parquet(made.folder.parent / "candidates" / "candidates.parquet")
    kept = open_dataset(made.folder).tables.split("train")["entry_id"]
    source = data.images.select("image_id", pl.col("source").cast(pl.String))
    table = (
        candidates.join(source, on="image_id")
        .with_columns(pl.col("pseudo_id").is_in(kept.implode()).alias("kept"))
        .group_by("source", "task")
        .agg(
            pl.col("image_id").n_unique().alias("images"),
            pl.len().alias("asked"),
            pl.col("answer").is_not_null().sum().alias("readable"),
            pl.col("kept").sum(),
            pl.col("logprob").mean().round(3).alias("mean log-probability"),
        )
        .sort("source", "task")
    )
    _print(table)
    ratios = _ratios(candidates, open_dataset(args.out / "catalog").tables.annotations)
    print(json.dumps({"rows": table.to_dicts(), "ctr": ratios}))


def _ratios(candidates: pl.DataFrame, annotations: pl.DataFrame) -> dict[str, Any]:
    """Compare the CTR of images with and without the label Cardiomegaly, by medians and AUC."""
    from scipy.stats import mannwhitneyu

    label = annotations.filter(
        pl.col("kind") == "label",
        pl.col("name").cast(pl.String) == "Cardiomegaly",
        pl.col("origin") != "pseudo",
    ).select("image_id", pl.col("value").alias("label"))
    both = (
        candidates.filter(
            pl.col("template").str.starts_with("calculation.ctr"), pl.col("answer").is_not_null()
        )
        .with_columns(pl.col("answer").cast(pl.Float64).alias("ctr"))
        .join(label, on="image_id")
    )
    there = both.filter(pl.col("label") == 1)["ctr"].to_numpy()
    absent = both.filter(pl.col("label") == 0)["ctr"].to_numpy()
    if not len(there) or not len(absent):
        print(
            f"CTR against Cardiomegaly: {len(there)} images with Cardiomegaly and {len(absent)} "
            "without it, so nothing can be compared."
        )
        return {"with": len(there), "without": len(absent)}
    test = mannwhitneyu(there, absent)
    auc = float(test.statistic) / (len(there) * len(absent))
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(2000):
        a, b = generator.choice(there, len(there)), generator.choice(absent, len(absent))
        draws.append(float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean()))
    low, high = (float(np.quantile(draws, q)) for q in (0.025, 0.975))
    print(
        f"Median CTR of {len(there)} images with Cardiomegaly: {np.median(there):.3f}; of "
        f"{len(absent)} images without it: {np.median(absent):.3f}; AUC {auc:.3f} [{low:.3f}, "
        f"{high:.3f}], Mann-Whitney p = {test.pvalue:.3g}"
    )
    return {
        "with": len(there), "without": len(absent), "median_with": float(np.median(there)),
        "median_without": float(np.median(absent)), "auc": auc, "low": low, "high": high,
        "p": float(test.pvalue),
    }  # fmt: skip


def _print(table: pl.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title="Pseudo annotations of the open radiographs", title_justify="left")
    for name in table.columns:
        shown.add_column(name, justify="left" if name in ("source", "task") else "right")
    for row in table.iter_rows():
        shown.add_row(*(str(cell) for cell in row))
    Console(width=140).print(shown)


if __name__ == "__main__":
    main()
