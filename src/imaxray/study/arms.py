"""Describes the arms of a study: what each is trained on, in which layout and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaxray.schema import task_names
from imaxray.training import Layout

Budget = Literal["entries", "compute", "none"]

REFERENCE: Final = "dmax"
"""Name of the arm that gains are relative to, unless the study names another one."""

EQUAL_COMPUTE: Final = "imax (equal compute)"
PROBED: Final = ("dmax", "imax")
"""Arms whose dynamics are measured: the two arms that see the same number of entries."""


class StudyArm(BaseModel):
    """Options of one arm of a study.

    Example:
        >>> StudyArm(data="imax", budget="compute").layout
        'packed'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field(
        default="imax",
        description="Dataset to train on: imax or dmax of this study, or a dataset folder, e.g. "
        "pseudo IMAX.",
    )
    tasks_per_image: float | None = Field(
        default=None,
        ge=1,
        description="Dose: number of tasks per image of a DMAX between DMAX and IMAX; only with "
        "data: dmax.",
    )
    layout: Layout = Field(
        default="packed",
        description="How entries become sequences; the same for all arms, unless the layout itself "
        "is compared.",
    )
    budget: Budget = Field(
        default="entries",
        description="How long to train: for as many entries as the reference (entries), for as "
        "much compute as the reference (compute), or not at all (none), which evaluates the "
        "untrained model.",
    )

    @model_validator(mode="after")
    def _dosed(self) -> StudyArm:
        if self.tasks_per_image is not None and self.data != "dmax":
            raise ValueError("tasks_per_image needs data: dmax")
        if self.tasks_per_image is not None and self.tasks_per_image > (most := len(task_names())):
            raise ValueError(f"tasks_per_image should be at most {most}, the number of tasks")
        return self

    @property
    def is_trained(self) -> bool:
        """Whether the arm is trained at all."""
        return self.budget != "none"


DEFAULT_ARMS: Final[dict[str, StudyArm]] = {
    "dmax": StudyArm(data="dmax"),
    "imax": StudyArm(data="imax"),
    EQUAL_COMPUTE: StudyArm(data="imax", budget="compute"),
}
"""Arms of a study that names none; all are packed."""


def pilot(arms: Mapping[str, StudyArm], name: str) -> str:
    """Return the arm whose runs say how much compute a step of an arm of equal compute needs.

    It has the same data and layout, and sees as many entries as the reference.

    Raises:
        ValueError: If there is no such arm.

    Example:
        >>> pilot(DEFAULT_ARMS, "imax (equal compute)")
        'imax'
    """
    wanted = arms[name].model_copy(update={"budget": "entries"})
    for other, arm in arms.items():
        if arm == wanted:
            return other
    raise ValueError(
        f"arm {name!r} has budget: compute; add an arm of the same data and layout with budget: "
        "entries, whose compute decides the number of its steps"
    )


def folder_name(name: str) -> str:
    """Return the name of a folder for the name of an arm or a model.

    Example:
        >>> folder_name("imax (equal compute)")
        'imax-equal-compute'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "unnamed"


def require_different_folders(names: list[str], what: str) -> None:
    """Check that names differ also as names of folders.

    Raises:
        ValueError: If two names would share a folder.
    """
    found: dict[str, str] = {}
    for name in names:
        place = folder_name(name).lower()
        if place in found:
            raise ValueError(
                f"{what} {found[place]!r} and {name!r} would share the folder {place}; rename one"
            )
        found[place] = name
