"""Writes the `source.yaml` of a release of your own, and a first study of it."""

from __future__ import annotations

from collections.abc import Mapping as Named
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from imaxray._common.files import write_text
from imaxray.errors import ImaxrayError
from imaxray.sources.own_data.mapping import MAPPING_FILE, BoxForm
from imaxray.sources.own_data.proposing.proposal import Proposal, propose_mapping

STUDY_FILE: Final = "study.yaml"
"""Name of the first study, which is written beside `source.yaml`."""

_STUDY_TEXT: Final = """\
# imaxray study --config {folder}/{file} --out study/{name}
#
# A first study of {name}: it builds the catalog, IMAX and DMAX, and trains a tiny model.
# docs/study.md lists all keys. Paths are relative to the folder in which the command is run.
title: First study of {name}

releases:
  {name}: {{source: {source}}}

imax:
  min_tasks: 1 # a table of labels alone gives each image one task

model:
  image_size: 96
  patch_size: 16
  width: 96
  vision_layers: 2
  text_layers: 2
  vocabulary: 600

arms:
  trained: {{data: imax}}
  untrained: {{data: imax, budget: none}}
reference: trained

training:
  entries_per_step: 16
  steps: 240
  optimizer: muon
  learning_rate: 1.0e-3
  muon_learning_rate: 2.0e-3
  log_every: 10
  save_every: 120
  eval_every: 60
  threads: 1
"""


def new_source(
    name: str,
    tables: Sequence[Path],
    images: Path,
    *,
    out: Path | None = None,
    columns: Named[str, str] | None = None,
    means: Sequence[tuple[str, str]] = (),
    dates: str | None = None,
    boxes: BoxForm | None = None,
    overwrite: bool = False,
) -> Proposal:
    """Propose what the columns of your own tables mean, and write it as `source.yaml`.

    A first study of the release is written beside it.

    Args:
        name: Name of the release, such as ``my-hospital``.
        tables: Tables, or folders of reports, masks, boxes or DICOM files; the table of images
            first.
        images: Folder of the images.
        out: Folder to write; default: one of the name of the release.
        columns: Answers: field or label → column, or ``none``.
        means: Answers: spelling of a cell, or field, colon and spelling (``patient:30``), and what
            it means.
        dates: Answer: form of dates, such as ``%d.%m.%Y``.
        boxes: Answer: form of boxes.
        overwrite: Whether a `source.yaml` that is there is replaced.

    Raises:
        ImaxrayError: If a table or the folder is missing or cannot be read, if an answer is none,
            or if a `source.yaml` is there.
    """
    folder = out or Path(name)
    path = folder / MAPPING_FILE
    if path.exists() and not overwrite:
        raise ImaxrayError(
            f"Expected no {MAPPING_FILE} in {folder}, but there is one; add --overwrite to replace "
            "it, or choose another folder by --out."
        )
    proposal = propose_mapping(
        name, tables, images, out=folder, columns=columns, means=means, dates=dates, boxes=boxes
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, proposal.text())
    study = folder / STUDY_FILE
    if not study.exists():
        text = _STUDY_TEXT.format(
            name=name, folder=folder.as_posix(), file=STUDY_FILE, source=path.as_posix()
        )
        write_text(study, text)
    return proposal
