"""Makes the methods paragraph that a paper can cite, its BibTeX, and the provenance."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from imaxray._version import __version__
from imaxray.curation import density
from imaxray.evaluation import latex_text
from imaxray.evaluation.comparing.wording import arrow
from imaxray.report import Code, Part, Section, Table, Text
from imaxray.sources import Source, described_source
from imaxray.study.reporting.material import Material, named

PAPER: Final = """@misc{imax2025,
  title = {Enhancing Multi-task Learning Capability of Medical Generalist Foundation Model via
    Image-centric Multi-annotation Data},
  year = {2025},
  eprint = {2504.09967},
  archiveprefix = {arXiv}
}"""

_ARXIV: Final = re.compile(r"arXiv:\s*(\d{4}\.\d{4,5})")
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_AUTHORS: Final = re.compile(r"^([^,]+?) et al\.")


def methods(material: Material) -> list[Part]:
    """Return the paragraph and the BibTeX, made from the manifests of the study."""
    return [
        Text(" ".join((_data(material), _training(material), _evaluation(material)))),
        Code("BibTeX", bibtex(material)),
    ]


def releases(material: Material) -> list[Source]:
    """Return the sources of the releases that the datasets were built from."""
    files = material.imax.tables.files
    return [described_source(name, files) for name in sorted({file.source for file in files})]


def _data(material: Material) -> str:
    config = material.config
    known = releases(material)
    dense, spread = density(material.imax.tables), density(material.dmax.tables)
    test = density(material.imax.tables, "test")
    if config.phantom is not None:
        origin = (
            f"a synthetic cohort of {config.phantom.images:,} phantom radiographs (seed "
            f"{config.phantom.seed}), written in the formats of "
            + ", ".join(f"{source.title}" for source in known)
        )
    else:
        origin = "; ".join(f"{s.title} {s.version} [{s.name}]".replace("  ", " ") for s in known)
    return (
        f"Datasets were built with imaxray {material.imax.manifest['imaxray']} [imaxray] from "
        f"{origin}. Patients were divided into train, validation and test. IMAX holds "
        f"{dense.entries:,} train entries on {dense.images:,} images "
        f"({dense.tasks_per_image:.2f} tasks and {dense.entries_per_image:.2f} entries per "
        f"image); DMAX holds {spread.entries:,} entries, matched in number per task and answer, "
        f"on {spread.images:,} images ({spread.tasks_per_image:.2f} tasks per image), following "
        f"[imax2025]. The test split has {test.entries:,} entries on {test.images:,} images of "
        f"{test.patients:,} patients."
    )


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
    return (
        " ".join(said) + f" The arms are {arms}, each with {seeds} training "
        f"{'run' if seeds == 1 else 'runs'}; arms of equal compute trained for the time of "
        f"{named(config.reference)}."
    )


def _evaluation(material: Material) -> str:
    config = material.config
    comparison = material.outcome.only.equal_entries.as_dict()
    metrics = ", ".join(
        f"{row['task']} ({row['metric']} {arrow(row['higher_is_better'])})"
        for row in comparison["tasks"]
    )
    seeds = " and training seeds" if len(config.training_seeds) > 1 else ""
    return (
        f"Answers were decoded greedily with at most {config.evaluation.max_new_tokens} new "
        "tokens; unreadable answers count as wrong. Primary metrics are "
        f"{metrics}. Relative gains are (arm - reference) / |reference| in the direction of the "
        f"metric. {100 * comparison['level']:.0f} % intervals are of a paired bootstrap over "
        f"patients{seeds} ({comparison['resamples']:,} resamples), and p-values of a paired "
        f"permutation test over patients ({comparison['permutations']:,} permutations), corrected "
        "over the tasks by Holm's method."
    )


def bibtex(material: Material) -> str:
    """Return BibTeX of the software, of the paper that the design follows, and of the releases.

    Releases of a synthetic cohort are not cited, because none of their data was used.
    """
    entries = [
        f"@software{{imaxray,\n  title = {{imaxray}},\n  version = {{{__version__}}}\n}}",
        PAPER,
    ]
    if material.config.phantom is None:
        entries += [_of_release(source) for source in releases(material)]
    return "\n\n".join(entries)


def _of_release(source: Source) -> str:
    fields = {"title": latex_text(source.title)}
    author = _AUTHORS.match(source.citation)
    if author:
        fields["author"] = f"{latex_text(author[1])} and others"
    year = _YEAR.search(source.citation)
    if year:
        fields["year"] = year[0]
    eprint = _ARXIV.search(source.citation)
    if eprint:
        fields |= {"eprint": eprint[1], "archiveprefix": "arXiv"}
    if source.version:
        fields["version"] = latex_text(source.version)
    if source.citation:
        fields["note"] = latex_text(source.citation)
    if source.url:
        fields["url"] = source.url
    body = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items())
    return f"@misc{{{source.name},\n{body}\n}}"


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
    rows = [[s.name, s.title, s.version, s.access, s.licence, s.url] for s in releases(material)]
    return [
        Table("provenance", "Digests, seeds and versions", ["what", "value"],
              [[name, value] for name, value in cells.items()], texts=2),
        Table("releases", "Releases that the datasets were built from"
              + (" (synthetic, in these formats)" if config.phantom is not None else ""),
              ["source", "title", "version", "access", "licence", "address"], rows, texts=6),
        Code("Configuration", yaml.safe_dump(config.content(), sort_keys=False), folded=True),
    ]  # fmt: skip
