"""Makes the methods paragraph that a paper can cite, its BibTeX, and the provenance."""

from __future__ import annotations

from typing import Any

import yaml

from imaxray.evaluation.comparing.wording import named
from imaxray.report import Code, Part, Section, Table, Text
from imaxray.report.citing import bibtex, data_sentences, evaluation_sentences, releases
from imaxray.study.reporting.material import Material


def methods(material: Material) -> list[Part]:
    """Return the paragraph and the BibTeX, made from the manifests of the study."""
    config = material.config
    made_of = releases(material.imax)
    return [
        Text(
            " ".join(
                (
                    data_sentences(
                        material.imax,
                        material.dmax,
                        cohort=config.cohort,
                    ),
                    _training(material),
                    evaluation_sentences(
                        material.outcome.only.equal_entries,
                        seeds=len(config.training_seeds),
                        max_new_tokens=config.evaluation.max_new_tokens,
                    ),
                )
            )
        ),
        Code("BibTeX", bibtex([] if config.phantom is not None else made_of)),
    ]


def _training(material: Material) -> str:
    config, outcome = material.config, material.outcome
    said = []
    for name, model in outcome.models.items():
        runs = [run for arm in config.arms for run in model.runs[arm]]
        if not runs:
            said.append(f"{name} was not trained.")
            continue
        run = model.runs[config.reference][0]
        recipe: dict[str, Any] = dict(run.get("recipe") or run["identity"]["config"])
        method = {"full": "all parameters", "lora": "LoRA adapters"}.get(
            recipe["method"], f"the method {recipe['method']}"
        )
        built = "built by the study and trained from scratch" if config.all_models[
            name
        ].is_built else "fine-tuned"  # fmt: skip
        said.append(
            f"{name} ({run['parameters_in_all']:,} parameters) was {built} ({method}, "
            f"{run['parameters']:,} trained parameters) with {recipe['optimizer']}, learning rate "
            f"{recipe['learning_rate']:g}, for {run['entries_seen']:,} entries in steps of "
            f"{recipe['entries_per_step']}."
        )
    arms = ", ".join(named(arm) for arm in config.arms)
    seeds = len(config.training_seeds)
    counted = all("operations" in r for m in material.outcome.models.values()
                  for r in m.runs[config.reference])  # fmt: skip
    amount = "with as many floating-point operations as" if counted else "for the time of"
    equal = ""
    if any(arm.budget == "compute" for arm in config.arms.values()):
        equal = f"; arms of equal compute trained {amount} {named(config.reference)}"
    return (
        " ".join(said) + f" The arms are {arms}, each with {seeds} training "
        f"{'run' if seeds == 1 else 'runs'}{equal}."
    )


def reading(material: Material) -> Section:
    """Return how to read the numbers."""
    seeds = material.config.training_seeds
    one = (
        "Every arm is trained with one seed. The intervals say how much the result depends on "
        "which patients were tested; they do not say how much it depends on the seed."
    )
    several = (
        f"Every arm is trained with {len(seeds)} seeds, which change the initial weights and the "
        "order of the entries but not the data. Values are means over seeds; intervals say how "
        "much they depend on which patients were tested and on the seed."
    )
    parts: list[Part] = [
        Text(one if len(seeds) == 1 else several),
        Text("An answer that cannot be read counts as wrong; its share is the invalid rate."),
        Text(
            "The relative gain follows LibMTL: (arm - reference) / |reference| in the metric's "
            "direction. A task whose reference is near zero has no relative gain. Tasks on which "
            "the reference is weak have the largest effect on the mean of relative gains, so the "
            "mean must be read together with the rows above it."
        ),
    ]
    if any(model.is_built for model in material.config.all_models.values()):
        parts.append(
            Text(
                "A model that the study builds is tiny and trained from scratch; it shows the "
                "method and does not represent medical MLLMs."
            )
        )
    return Section("reading", "How to read this", parts)


def provenance(material: Material) -> list[Part]:
    """Return digests, seeds and versions, the sources, and the configuration."""
    config = material.config
    runs = material.outcome.only.runs[config.reference]
    versions = runs[0]["versions"] if runs else {}
    cells = {
        "imaxray": str(material.imax.manifest["imaxray"]),
        "seed": str(config.seed),
        "training seeds": ", ".join(str(seed) for seed in config.training_seeds),
        "dataset imax": material.imax.sha256,
        "dataset dmax": material.dmax.sha256,
        "initial weights": ", ".join(run["identity"]["weights"] for run in runs),
        "device": ", ".join(sorted({run["device"] for run in runs})),
        "threads per arm": str(config.training.threads),
        **versions,
    }
    rows = [
        [s.name, s.title, s.version, s.access, s.licence, s.url] for s in releases(material.imax)
    ]
    return [
        Table("provenance", "Digests, seeds and versions", ["what", "value"],
              [[name, value] for name, value in cells.items()], texts=2),
        Table("releases", "Releases that the datasets were built from"
              + (" (synthetic, in these formats)" if config.phantom is not None else ""),
              ["source", "title", "version", "access", "licence", "address"], rows, texts=6),
        Code("Configuration", yaml.safe_dump(config.content(), sort_keys=False), folded=True),
    ]  # fmt: skip
