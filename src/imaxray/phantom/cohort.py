"""Draws patients with their studies, images and findings from one seed.

Every patient has a seed sequence of its own, so that any worker can draw any part of a cohort and
gets the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Side = Literal["right", "left"]
Zone = Literal["upper", "mid", "lower"]
FindingKind = Literal[
    "effusion", "consolidation", "nodule", "pneumothorax", "edema", "cardiomegaly", "device"
]

SIDES: Final[tuple[Side, ...]] = ("right", "left")
ZONES: Final[tuple[Zone, ...]] = ("upper", "mid", "lower")
DEVICES: Final = ("pacemaker", "central line", "endotracheal tube")


@dataclass(frozen=True)
class Finding:
    """Describes one planned abnormality; the rendering measures its box.

    Attributes:
        kind: Kind of the abnormality.
        side: Side of the patient; empty if the finding has no side.
        zone: Lung zone; empty if the finding has no zone.
        size: ``small``, ``moderate`` or ``large``; edema grade ``1``-``3``; or name of the device.
        strength: Visibility from 0 (faint) to 1 (clear).
        place: Two numbers in [0, 1] that give the position inside the zone.
    """

    kind: FindingKind
    side: str = ""
    zone: str = ""
    size: str = ""
    strength: float = 1.0
    place: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class Habitus:
    """Holds the build, sex and age of one patient, which are the same in all of the studies.

    Lengths are fractions of the image width or height.
    """

    lung_width: float
    lung_height: float
    asymmetry: float
    heart_offset: float
    dome: float
    rib_angle: float
    sex: str
    age: int


@dataclass(frozen=True)
class ImagePlan:
    """Describes one radiograph to render."""

    index: int  # number of the image in the whole cohort
    patient: int
    study: int  # number of the study in the whole cohort
    view: str  # PA, AP or LATERAL
    width: int
    height: int
    shift: tuple[float, float]  # as fractions of the image
    tilt: float  # radians
    exposure: float
    noise_seed: int
    habitus: Habitus
    ctr: float  # planned ratio; the rendering measures the true one
    findings: tuple[Finding, ...]

    @property
    def edema_grade(self) -> int:
        """Edema grade, 0-3."""
        return next((int(f.size) for f in self.findings if f.kind == "edema"), 0)

    def has(self, kind: FindingKind) -> bool:
        """Return whether a finding of this kind is planned."""
        return any(f.kind == kind for f in self.findings)


def draw_cohort(images: int, seed: int) -> list[ImagePlan]:
    """Plan ``images`` radiographs; a patient has 1-3 studies with 1-3 images each."""
    plans: list[ImagePlan] = []
    patient = study = 0
    while len(plans) < images:
        random = np.random.default_rng([seed, patient])
        habitus = draw_body(random)
        for _ in range(int(random.choice([1, 2, 3], p=[0.6, 0.28, 0.12]))):
            findings, ctr = draw_findings(random)
            for view in _views(random):
                plans.append(
                    _image(random, len(plans), patient, study, view, habitus, findings, ctr)
                )
            study += 1
        patient += 1
    return plans[:images]


def draw_body(random: np.random.Generator) -> Habitus:
    """Draw the build, sex and age of one patient."""
    return Habitus(
        lung_width=float(random.uniform(0.73, 0.79)),
        lung_height=float(random.uniform(0.62, 0.68)),
        asymmetry=float(random.uniform(-0.015, 0.015)),
        heart_offset=float(random.uniform(0.05, 0.07)),
        dome=float(random.uniform(0.05, 0.08)),
        rib_angle=float(random.uniform(0.25, 0.4)),
        sex=str(random.choice(["M", "F"])),
        age=int(random.integers(20, 91)),
    )


def _views(random: np.random.Generator) -> list[str]:
    kind = random.random()
    if kind < 0.42:
        return ["PA"]
    if kind < 0.62:
        return ["PA", "LATERAL"]
    if kind < 0.92:
        return ["AP"]
    return ["AP", "AP"] if kind < 0.97 else ["PA", "PA", "LATERAL"]


def draw_findings(random: np.random.Generator) -> tuple[tuple[Finding, ...], float]:
    """Draw the findings and the planned cardiothoracic ratio of one study."""
    if random.random() < 0.18:
        return (), float(random.uniform(0.36, 0.49))
    found: list[Finding] = []
    taken: set[tuple[str, str]] = set()

    def strength() -> float:
        return float(random.uniform(0.85, 1.0))

    def place() -> tuple[float, float]:
        return (float(random.random()), float(random.random()))

    def side() -> str:
        return str(random.choice(SIDES))

    lung_of_air = ""
    if random.random() < 0.24:
        lung_of_air = side()
        size = str(random.choice(["small", "moderate", "large"]))
        found.append(Finding("pneumothorax", lung_of_air, "upper", size, strength(), place()))
        taken.update((lung_of_air, zone) for zone in ("upper", "mid"))
    if random.random() < 0.34:
        sides = [s for s in SIDES if s != lung_of_air]
        if len(sides) == 2 and random.random() < 0.75:
            sides = [side()]  # type: ignore[list-item]
        for one in sides:
            size = str(random.choice(["small", "moderate", "large"]))
            found.append(Finding("effusion", one, "lower", size, strength(), place()))
            taken.add((one, "lower"))
            if size == "large":
                taken.add((one, "mid"))
    for kind, chance in (("consolidation", 0.3), ("nodule", 0.28)):
        free = [(s, z) for s in SIDES for z in ZONES if (s, z) not in taken]
        if free and random.random() < chance:
            one, zone = free[int(random.integers(len(free)))]
            size = str(random.choice(["small", "large"]))
            found.append(Finding(kind, one, zone, size, strength(), place()))  # type: ignore[arg-type]
            taken.add((one, zone))
    if random.random() < 0.46:
        grade = str(int(random.integers(1, 4)))
        found.append(Finding("edema", "", "", grade, strength(), place()))
    large_heart = random.random() < 0.32
    if large_heart:
        found.append(Finding("cardiomegaly"))
        ctr = float(random.uniform(0.565, 0.71))
    else:
        ctr = float(random.uniform(0.36, 0.545))
    if random.random() < 0.3:
        found.append(Finding("device", "", "", str(random.choice(DEVICES)), 1.0, place()))
    return tuple(found), ctr


def _image(
    random: np.random.Generator,
    index: int,
    patient: int,
    study: int,
    view: str,
    habitus: Habitus,
    findings: tuple[Finding, ...],
    ctr: float,
) -> ImagePlan:
    width = int(random.integers(30, 38)) * 8
    height = int(width * random.uniform(1.02, 1.14)) // 8 * 8
    return ImagePlan(
        index=index,
        patient=patient,
        study=study,
        view=view,
        width=width,
        height=height,
        shift=(float(random.uniform(-0.02, 0.02)), float(random.uniform(-0.02, 0.02))),
        tilt=float(random.uniform(-0.03, 0.03)),
        exposure=float(random.uniform(0.9, 1.1)),
        noise_seed=int(random.integers(2**31)),
        habitus=habitus,
        ctr=ctr,
        findings=findings,
    )
