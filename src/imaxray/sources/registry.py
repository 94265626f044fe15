"""Lists the sources by name, built-in ones and those of installed packages, and opens releases."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imaxray._common.names import did_you_mean
from imaxray._common.plugins import SOURCES, Plugin, plugins_besides
from imaxray.errors import ImaxrayError
from imaxray.schema import task_names
from imaxray.sources._shared.base import Source
from imaxray.sources._shared.records import ReleaseFile
from imaxray.sources.own_data.mapping import (
    MAPPING_FILE,
    mapping_file,
    read_mapping,
    root_of,
    watched_paths,
)
from imaxray.sources.own_data.release import OwnData

_BUILT_IN: Final = {
    "chest-imagenome": "chest_imagenome:ChestImagenome",
    "chexmask": "chexmask:Chexmask",
    "chexpert": "chexpert:Chexpert",
    "chexpert-plus": "chexpert_plus:ChexpertPlus",
    "cxr-cardiomegaly": "cxr_cardiomegaly:CxrCardiomegaly",
    "dicom-folder": "dicom_folder:DicomFolder",
    "jsrt": "jsrt:Jsrt",
    "medical-cxr-vqa": "medical_cxr_vqa:MedicalCxrVqa",
    "medical-diff-vqa": "medical_diff_vqa:MedicalDiffVqa",
    "mimic-cxr": "mimic_cxr:MimicCxr",
    "mimic-cxr-jpg": "mimic_cxr_jpg:MimicCxrJpg",
    "mimic-cxr-pe-severity": "mimic_cxr_pe_severity:MimicCxrPeSeverity",
    "mimic-cxr-vqa": "mimic_cxr_vqa:MimicCxrVqa",
    "mimic-ext-cxr-qba": "mimic_ext_cxr_qba:MimicExtCxrQba",
    "ms-cxr": "ms_cxr:MsCxr",
    "nih-chestxray14": "nih_chestxray14:NihChestxray14",
    "open-i": "open_i:OpenI",
    "padchest-gr": "padchest_gr:PadchestGr",
    "rsna-pneumonia": "rsna_pneumonia:RsnaPneumonia",
    "slake": "slake:Slake",
    "vindr-cxr": "vindr_cxr:VindrCxr",
    "vqa-rad": "vqa_rad:VqaRad",
    "wingspan-ctr": "wingspan_ctr:WingspanCtr",
}
_NOT_PUBLISHED: Final = frozenset({"dicom-folder"})


def list_sources() -> list[Source]:
    """Return all sources, built-in ones and those of installed packages, sorted by name.

    Example:
        >>> [source.name for source in list_sources()][:3]
        ['chest-imagenome', 'chexmask', 'chexpert']
    """
    outside = plugins_besides(SOURCES, _BUILT_IN)
    return [get_source(name) for name in sorted(_BUILT_IN.keys() | outside.keys())]


def published_sources() -> frozenset[str]:
    """Return the names of the sources that read a published release.

    Ids of these releases were made for research. The ids of all other images may name people: those
    of a folder of DICOM files, and those of the sources of other packages.

    Example:
        >>> "ms-cxr" in published_sources(), "dicom-folder" in published_sources()
        (True, False)
    """
    return frozenset(_BUILT_IN) - _NOT_PUBLISHED


def get_source(name: str) -> Source:
    """Return the source called ``name``, built in or from an installed package.

    docs/adding-a-source.md explains how a package registers a source.

    Raises:
        ImaxrayError: If no source has this name (the message gives the nearest known name), or if
            the package's source cannot be loaded or lacks a declaration that a source must have.

    Example:
        >>> get_source("ms-cxr").tasks
        ('rec', 'reg')
    """
    outside = plugins_besides(SOURCES, _BUILT_IN)
    if name in _BUILT_IN:
        module, cls = _BUILT_IN[name].split(":")
        source: Source = getattr(importlib.import_module(f"imaxray.sources.{module}"), cls)()
        return source
    if name in outside:
        return _from_outside(outside[name])
    known = sorted(_BUILT_IN.keys() | outside.keys())
    hint = did_you_mean(name, known, listed_by="imaxray sources list")
    raise ImaxrayError(f"Expected the name of a source, but got {name}; {hint}")


def open_release(name: str, path: Path) -> tuple[Source, Path]:
    """Return the source that reads a release, and the folder of the release.

    Args:
        name: Name of a source, or of a release of your own.
        path: Folder of the release; for one of your own, its `source.yaml` or the folder with it.

    Raises:
        ImaxrayError: If no source has this name and the path leads to no `source.yaml`, if the file
            is not valid, or if it is of another name.
    """
    file = mapping_file(path)
    if name in _BUILT_IN or file is None:
        return get_source(name), path
    mapping = read_mapping(file)
    if mapping.name != name:
        raise ImaxrayError(
            f"Expected the release {name} in {file}, but its name is {mapping.name}; use this name."
        )
    if mapping.name in plugins_besides(SOURCES, _BUILT_IN):
        raise ImaxrayError(
            f"Expected a name in {file} that no installed source has, but {mapping.name} is one; "
            "choose another name."
        )
    return OwnData(name, mapping), root_of(file, mapping)


def require_new_name(name: str) -> None:
    """Check that a release of your own can have a name, which no installed source has.

    Raises:
        ImaxrayError: If one has it.
    """
    if name in _BUILT_IN or name in plugins_besides(SOURCES, _BUILT_IN):
        raise ImaxrayError(
            f"Expected a name that no installed source has, but {name} is one; choose another name."
        )


def described_source(name: str, files: Iterable[ReleaseFile]) -> Source:
    """Return the source of a release of a dataset, for its title, licence and citation.

    Args:
        name: Name of the source.
        files: Files that the dataset was built from; a `source.yaml` among them shows that the
            release is somebody's own.

    Raises:
        ImaxrayError: If no source has this name.
    """
    own = any(file.source == name and file.file == MAPPING_FILE for file in files)
    return OwnData(name) if own and name not in _BUILT_IN else get_source(name)


def release_paths(name: str, path: Path) -> list[Path]:
    """Return all files and folders that decide what a release holds.

    Args:
        name: Name of a source, or of a release of your own.
        path: Folder of the release, or `source.yaml`.
    """
    file = mapping_file(path)
    return [path] if name in _BUILT_IN or file is None else watched_paths(file)


def _from_outside(plugin: Plugin) -> Source:
    declared = list(Source.__annotations__)
    cls = plugin.load_class(Source, "imaxray.sources", declared)  # type: ignore[type-abstract]
    if cls.name != plugin.point.name:
        raise plugin.unfit(f"its name is {cls.name}")
    unknown = [task for task in cls.tasks if task not in task_names()]
    if unknown:
        raise plugin.unfit(f"it declares the task {', '.join(unknown)}")
    return cls()
