"""Lists the models that are known by name, with repository, box convention and licence.

The module does not import torch, so that the command line lists the table at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from imaxray._common.names import near
from imaxray.boxes import BoxConvention, get_convention
from imaxray.errors import ImaxrayError

Access = Literal["open", "gated", "credentialed", "built here"]


@dataclass(frozen=True)
class RegistryRow:
    """Describes one model of the registry.

    Attributes:
        name: Name on the command line.
        title: Name that the authors of the model use.
        repository: Id on the Hugging Face hub; ``None`` for models that are built here.
        revision: Commit to load. ``None`` means that the commit was not known when this table was
            written; the newest commit is then loaded, and the run manifest records which it was.
        family: Model family, as :attr:`ChatModel.family`.
        convention: Name of the box convention, see :mod:`imaxray.boxes`.
        licence: Licence of the weights.
        access: Whether the weights need a form or a credentialed account.
        saw_mimic: Whether MIMIC-CXR was in the training data, as far as the authors say. Such a
            model may have seen MIMIC-CXR's test reports too, so evaluate it on the official test
            patients and read absolute scores with that in mind. ``None``: not stated.
        note: Further information for users.
    """

    name: str
    title: str
    repository: str | None
    revision: str | None
    family: str
    convention: str
    licence: str
    access: Access
    saw_mimic: bool | None
    note: str = ""

    @property
    def pinned(self) -> str:
        """Commit, or a note that it is not pinned yet."""
        return self.revision or "newest: to be pinned on first download"

    @property
    def boxes(self) -> BoxConvention:
        """Box convention; a loaded model uses it in the frame of its own processor."""
        return get_convention(self.convention)


_ROWS: Final = (
    RegistryRow(
        "huatuogpt-vision-7b",
        "HuatuoGPT-Vision-7B-Qwen2.5VL",
        "FreedomIntelligence/HuatuoGPT-Vision-7B-Qwen2.5VL",
        None,
        "qwen2_5_vl",
        "pixels",
        "not stated; its sibling is Apache-2.0",
        "open",
        None,
    ),
    RegistryRow(
        "internvl3-8b",
        "InternVL3-8B-hf",
        "OpenGVLab/InternVL3-8B-hf",
        None,
        "internvl",
        "per-mille-tagged",
        "Apache-2.0",
        "open",
        None,
        "general baseline, not a medical model",
    ),
    RegistryRow(
        "lingshu-7b",
        "Lingshu-7B",
        "lingshu-medical-mllm/Lingshu-7B",
        None,
        "qwen2_5_vl",
        "pixels",
        "MIT",
        "open",
        True,
        "its own grounding is not stated, so boxes are Qwen2.5-VL's",
    ),
    RegistryRow(
        "lingshu-i-8b",
        "Lingshu-I-8B",
        "lingshu-medical-mllm/Lingshu-I-8B",
        None,
        "internvl",
        "per-mille-tagged",
        "not stated",
        "open",
        None,
        "loads only if its config.json says `internvl`; else take internvl3-8b",
    ),
    RegistryRow(
        "llava-med-v1.5",
        "LLaVA-Med v1.5 (HF port)",
        "chaoyinshe/llava-med-v1.5-mistral-7b-hf",
        None,
        "llava",
        "unit-padded",
        "Microsoft Research licence",
        "open",
        None,
        "a community port of microsoft/llava-med-v1.5-mistral-7b, which needs code of its own; "
        "it writes no boxes of its own, so they are LLaVA 1.5's",
    ),
    RegistryRow(
        "medgemma-1.5-4b",
        "MedGemma 1.5 4B",
        "google/medgemma-1.5-4b-it",
        None,
        "gemma3",
        "box-2d",
        "Health AI Developer Foundations terms",
        "gated",
        True,
    ),
    RegistryRow(
        "medmo-4b",
        "MedMO-4B",
        "MBZUAI/MedMO-4B",
        None,
        "qwen3_vl",
        "per-mille-tagged",
        "Apache-2.0",
        "open",
        True,
        "box scale inferred from its base, Qwen3-VL",
    ),
    RegistryRow(
        "medmo-8b",
        "MedMO-8B",
        "MBZUAI/MedMO-8B",
        None,
        "qwen3_vl",
        "per-mille-tagged",
        "Apache-2.0",
        "open",
        True,
        "box scale inferred from its base, Qwen3-VL",
    ),
    RegistryRow(
        "mini-llava",
        "mini-llava",
        None,
        None,
        "mini_llava",
        "percent",
        "Apache-2.0",
        "built here",
        False,
        "SmolLM2-135M-Instruct and EfficientNet-lite0 (ImageNet), from Python packages "
        "(docs/models.md); `imaxray study open-cxr-mini` builds it",
    ),
    RegistryRow(
        "phantom",
        "phantom",
        None,
        None,
        "phantom",
        "percent",
        "Apache-2.0",
        "built here",
        False,
        "a tiny LLaVA trained from scratch on two CPU cores; `imaxray study` builds it",
    ),
    RegistryRow(
        "radvlm",
        "RadVLM",
        "KrauthammerLab/RadVLM",
        None,
        "llava_onevision",
        "unit",
        "CC BY-NC 4.0 (repository)",
        "credentialed",
        True,
        "weights at physionet.org/content/radvlm-model/1.0.0: name the downloaded folder and "
        "`--boxes unit`",
    ),
)


def list_models() -> list[RegistryRow]:
    """Return every model of the registry, sorted by name.

    Example:
        >>> [row.name for row in list_models()][:3]
        ['huatuogpt-vision-7b', 'internvl3-8b', 'lingshu-7b']
    """
    return sorted(_ROWS, key=lambda row: row.name)


def find_row(name: str) -> RegistryRow | None:
    """Return the row of a registry name or repository id, in any case, or ``None``.

    Example:
        >>> find_row("lingshu-7b").convention
        'pixels'
    """
    wanted = name.lower()
    for row in _ROWS:
        if wanted in (row.name, (row.repository or row.name).lower()):
            return row
    return None


def convention_of(
    name: str,
    given: str | BoxConvention | None,
    row: RegistryRow | None,
    saved: BoxConvention | None = None,
) -> BoxConvention:
    """Return the convention in which a model writes boxes.

    Args:
        name: Name of the model.
        given: Convention, or its name, that the caller gave; it comes first.
        row: Row of the model in the registry; None for a folder, whatever its name is.
        saved: Convention that was saved with the model, if the registry does not know the model.

    Raises:
        ImaxrayError: Nobody states a convention, or ``given`` names none.

    Example:
        >>> convention_of("medmo-4b", None, find_row("medmo-4b")).name
        'per-mille-tagged'
        >>> convention_of("my-model", "percent", None).name
        'percent'
    """
    if given is not None:
        return get_convention(given) if isinstance(given, str) else given
    if row is not None:
        return row.boxes
    if saved is not None:
        return saved
    raise ImaxrayError(
        f"Expected the box convention of {name}, which the registry does not know, but none was "
        "given; name it with --boxes (for example --boxes per-mille)."
    )


def unknown_model(name: str, why: str) -> ImaxrayError:
    """Return the error for an unknown model, with the nearest known names."""
    names = {row.name: row.name for row in _ROWS}
    names |= {row.repository.lower(): row.name for row in _ROWS if row.repository}
    # several spellings of one model give one suggestion
    best = list(dict.fromkeys(names[spelling] for spelling in near(name, names)))
    best = best or sorted(set(names.values()))[:3]
    return ImaxrayError(
        f"Expected a model that takes images, but {name} {why}; "
        f"{'the nearest name is' if len(best) == 1 else 'the nearest names are'} "
        f"{', '.join(best)} (`imaxray models` lists all)."
    )
