"""Readers for public releases, one module a release.

A reader checks the files in front of it against what their publisher documents, then returns
images, annotations, split hints and rejects. It never learns whether a release is synthetic.
"""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import entry_points
from typing import Final

from imaxray.errors import ImaxrayError
from imaxray.sources._base import ReleaseFile, Source, SourceTables
from imaxray.sources._tables import is_inside, leaves_release

_BUILT_IN: Final = {
    "chest-imagenome": "chest_imagenome:ChestImagenome",
    "chexmask": "chexmask:Chexmask",
    "chexpert": "chexpert:Chexpert",
    "chexpert-plus": "chexpert_plus:ChexpertPlus",
    "cxr-cardiomegaly": "cxr_cardiomegaly:CxrCardiomegaly",
    "jsrt": "jsrt:Jsrt",
    "mimic-cxr": "mimic_cxr:MimicCxr",
    "mimic-cxr-jpg": "mimic_cxr_jpg:MimicCxrJpg",
    "mimic-cxr-pe-severity": "mimic_cxr_pe_severity:MimicCxrPeSeverity",
    "mimic-cxr-vqa": "mimic_cxr_vqa:MimicCxrVqa",
    "ms-cxr": "ms_cxr:MsCxr",
    "nih-chestxray14": "nih_chestxray14:NihChestxray14",
    "open-i": "open_i:OpenI",
    "slake": "slake:Slake",
    "vqa-rad": "vqa_rad:VqaRad",
    "wingspan-ctr": "wingspan_ctr:WingspanCtr",
}


def list_sources() -> list[Source]:
    """All sources, ours and those of installed packages (entry points), sorted by name."""
    plugins = {point.name for point in entry_points(group="imaxray.sources")}
    return [get_source(name) for name in sorted(_BUILT_IN.keys() | plugins)]


def get_source(name: str) -> Source:
    """The source of that name.

    Raises:
        ImaxrayError: there is none; the message names the nearest.
    """
    if name in _BUILT_IN:
        module, cls = _BUILT_IN[name].split(":")
        source: Source = getattr(importlib.import_module(f"imaxray.sources.{module}"), cls)()
        return source
    points = {point.name: point for point in entry_points(group="imaxray.sources")}
    if name in points:
        plugin: Source = points[name].load()()
        return plugin
    known = sorted(_BUILT_IN.keys() | points.keys())
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    raise ImaxrayError(f"Expected the name of a source, but got {name}; {hint}")


__all__ = [
    "ReleaseFile",
    "Source",
    "SourceTables",
    "get_source",
    "is_inside",
    "leaves_release",
    "list_sources",
]
