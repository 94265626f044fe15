"""Writes what a paper can cite: sentences about data and evaluation, and BibTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from imaxray._version import __version__
from imaxray.curation import Dataset, density
from imaxray.evaluation import Comparison, latex_text
from imaxray.evaluation.comparing.wording import arrow
from imaxray.sources import Source, described_source

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


def releases(dataset: Dataset) -> list[Source]:
    """Return the sources of the releases that a dataset was built from."""
    files = dataset.tables.files
    return [described_source(name, files) for name in sorted({file.source for file in files})]


def data_sentences(imax: Dataset, dmax: Dataset, *, cohort: str | None) -> str:
    """Describe the datasets of a study, from their manifests and tables.

    Args:
        imax: The IMAX dataset, whose test split is answered.
        dmax: The DMAX dataset.
        cohort: Description of the synthetic cohort; None: the releases are real.
    """
    known = releases(imax)
    dense, spread = density(imax.tables), density(dmax.tables)
    test = density(imax.tables, "test")
    if cohort is not None:
        formats = ", ".join(source.title for source in known)
        origin = f"{cohort}, written in the formats of {formats}"
    else:
        origin = "; ".join(f"{s.title} {s.version} [{s.name}]".replace("  ", " ") for s in known)
    return (
        f"Datasets were built with imaxray {imax.manifest['imaxray']} [imaxray] from {origin}. "
        "Patients were divided into train, validation and test. IMAX holds "
        f"{dense.entries:,} train entries on {dense.images:,} images "
        f"({dense.tasks_per_image:.2f} tasks and {dense.entries_per_image:.2f} entries per "
        f"image); DMAX holds {spread.entries:,} entries, matched in number per task and answer, "
        f"on {spread.images:,} images ({spread.tasks_per_image:.2f} tasks per image), following "
        f"[imax2025]. The test split has {test.entries:,} entries on {test.images:,} images of "
        f"{test.patients:,} patients."
    )


def evaluation_sentences(compared: Comparison, *, seeds: int, max_new_tokens: int) -> str:
    """Describe how answers were decoded, scored and compared."""
    comparison = compared.as_dict()
    metrics = ", ".join(
        f"{row['task']} ({row['metric']} {arrow(row['higher_is_better'])})"
        for row in comparison["tasks"]
    )
    and_seeds = " and training seeds" if seeds > 1 else ""
    return (
        f"Answers were decoded greedily with at most {max_new_tokens} new "
        "tokens; unreadable answers count as wrong. Primary metrics are "
        f"{metrics}. Relative gains are (arm - reference) / |reference| in the direction of the "
        f"metric. {100 * comparison['level']:.0f} % intervals are of a paired bootstrap over "
        f"patients{and_seeds} ({comparison['resamples']:,} resamples), and p-values of a paired "
        f"permutation test over patients ({comparison['permutations']:,} permutations), corrected "
        "over the tasks by Holm's method."
    )


def bibtex(cited: Sequence[Source]) -> str:
    """Return BibTeX of the software, of the paper that the design follows, and of releases.

    Args:
        cited: Sources of the releases; none for a synthetic cohort, of which no data was used.
    """
    entries = [
        f"@software{{imaxray,\n  title = {{imaxray}},\n  version = {{{__version__}}}\n}}",
        PAPER,
        *(_of_release(source) for source in cited),
    ]
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
