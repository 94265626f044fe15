"""Computes the geometry of a chest: masks of lungs, heart and findings on a pixel grid.

Coordinates are fractions of the image: u to the right and v down, both from 0 to 1, after the
patient's shift and tilt are undone. The patient's right lung lies on the left of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaxray.boxes import Box
from imaxray.phantom.cohort import Finding, ImagePlan

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]

APEX: Final = 0.12
"""Vertical position v of the lung apices, as a fraction of the image height."""

_DEPTH: Final = {"small": 0.20, "moderate": 0.34, "large": 0.52}
"""Height of an effusion as a fraction of the lung height."""

_RIM: Final = {"small": 0.055, "moderate": 0.085, "large": 0.12}
"""Width of the air rim of a pneumothorax as a fraction of the image width."""


@dataclass(frozen=True)
class Anatomy:
    """Holds masks (H, W) of the organs, and the coordinate fields from which they were made."""

    u: Field
    v: Field
    right_lung: Mask  # without its overlap with the heart, as in segmentations
    left_lung: Mask
    heart: Mask
    base: Field  # v of the diaphragm at the u of each pixel
    outer: Field  # distance from the chest wall towards the midline, as a fraction of width

    def lung(self, side: str) -> Mask:
        """Return the mask of one lung."""
        return self.right_lung if side == "right" else self.left_lung

    @property
    def ctr(self) -> float:
        """Cardiothoracic ratio: width of the heart's box over width of the box of both lungs."""
        return _extent(self.heart) / _extent(self.right_lung | self.left_lung)

    @property
    def cpar(self) -> float:
        """Cardiopulmonary area ratio: heart area over the area of both lungs."""
        return float(self.heart.sum() / (self.right_lung.sum() + self.left_lung.sum()))


def build(plan: ImagePlan) -> Anatomy:
    """Compute the masks of the organs of a frontal image."""
    body = plan.habitus
    u, v = coordinates(plan)
    half = body.lung_width / 2
    bottom = APEX + body.lung_height
    t = np.clip((v - APEX) / body.lung_height, 0, 1)
    # the chest wall: narrow at the apex, widest two thirds down
    wall = half * np.sqrt(np.clip(1 - (1 - np.minimum(t / 0.72, 1)) ** 2.4, 0, 1))
    wall = np.where(t > 0.72, half * (1 - 0.05 * ((t - 0.72) / 0.28) ** 2), wall)
    middle = 0.045 + 0.012 * t
    x = u - 0.5 - body.asymmetry
    from_dome = (np.abs(x) - half * 0.48) / (half * 0.52)
    base = bottom - body.dome + body.dome * 1.6 * from_dome**2 - np.where(x < 0, 0.02, 0.0)
    inside = (np.abs(x) < wall) & (np.abs(x) > middle) & (v > APEX) & (v < base)
    lungs_wide = 2 * half * 0.985
    heart = _heart(plan, x, v, bottom, lungs_wide)
    right = inside & (x < 0)
    left = inside & (x > 0)
    # scale the heart to the planned ratio: the true extent of the lungs is known only now
    wanted = plan.ctr * _extent(right | left) / _extent(heart)
    heart = _heart(plan, x, v, bottom, lungs_wide * wanted)
    return Anatomy(
        u=u,
        v=v,
        right_lung=right & ~heart,
        left_lung=left & ~heart,
        heart=heart,
        base=base.astype(np.float32),
        outer=(wall - np.abs(x)).astype(np.float32),
    )


def _heart(plan: ImagePlan, x: Field, v: Field, bottom: float, lungs_wide: float) -> Mask:
    a = plan.ctr * lungs_wide / 2
    b = min(0.30, 0.115 + 0.33 * a)
    tilted = x - plan.habitus.heart_offset * (0.5 + a / 0.2) * 0.7
    y = v - (bottom - 0.035 - b * 0.72)
    ellipse = (tilted / a) ** 2 + (y / b) ** 2 < 1
    return np.asarray(ellipse & (v < bottom + 0.005))


def finding_mask(anatomy: Anatomy, plan: ImagePlan, finding: Finding) -> Mask | None:
    """Return the mask of a finding, or ``None`` if it has no mask (edema, device)."""
    if finding.kind == "cardiomegaly":
        return anatomy.heart
    if finding.kind == "effusion":
        return effusion(anatomy, plan, finding)
    if finding.kind == "pneumothorax":
        rim = _RIM[finding.size]
        air = anatomy.lung(finding.side) & (anatomy.outer < rim)
        top = anatomy.lung(finding.side) & (anatomy.v < APEX + rim * 1.6)
        reach = APEX + plan.habitus.lung_height * (0.45 + 2.4 * rim)
        return np.asarray((air | top) & (anatomy.v < reach))
    if finding.kind in ("consolidation", "nodule"):
        cu, cv = zone_centre(plan, finding)
        if finding.kind == "nodule":
            radius = 0.043 if finding.size == "small" else 0.06
            aspect = plan.height / plan.width
            disc = (anatomy.u - cu) ** 2 + ((anatomy.v - cv) * aspect) ** 2 < radius**2
            return np.asarray(disc)
        ru, rv = (0.075, 0.065) if finding.size == "small" else (0.105, 0.09)
        blob = ((anatomy.u - cu) / ru) ** 2 + ((anatomy.v - cv) / rv) ** 2 < 1
        return np.asarray(blob & anatomy.lung(finding.side))
    return None


def effusion(anatomy: Anatomy, plan: ImagePlan, finding: Finding) -> Mask:
    """Return the mask of the fluid: the lung below a meniscus that rises to the chest wall."""
    level = APEX + plan.habitus.lung_height * (1 - _DEPTH[finding.size])
    meniscus = level + 0.35 * np.clip(anatomy.outer, 0, 0.2)
    return np.asarray(anatomy.lung(finding.side) & (anatomy.v > meniscus))


def zone_centre(plan: ImagePlan, finding: Finding) -> tuple[float, float]:
    """Return the centre (u, v) of a focal finding inside its zone."""
    row = {"upper": 0.24, "mid": 0.47, "lower": 0.70}[finding.zone]
    pu, pv = finding.place
    lateral = (0.17 if finding.zone == "upper" else 0.20) + 0.06 * pu
    if finding.side == "left" and finding.zone == "lower":
        lateral += 0.04  # avoid the heart
    u = 0.5 + plan.habitus.asymmetry + (-lateral if finding.side == "right" else lateral)
    return u, APEX + plan.habitus.lung_height * (row + 0.08 * (pv - 0.5))


def region_boxes(anatomy: Anatomy) -> dict[str, Box]:
    """Return the boxes (pixels, xyxy) of the anatomical regions that Chest ImaGenome names."""
    boxes: dict[str, Box] = {}
    for side in ("right", "left"):
        x1, y1, x2, y2 = mask_box(anatomy.lung(side))
        third = (y2 - y1) / 3
        boxes[f"{side} lung"] = (x1, y1, x2, y2)
        for number, zone in enumerate(("upper", "mid", "lower")):
            boxes[f"{side} {zone} lung zone"] = (
                x1,
                y1 + number * third,
                x2,
                y1 + (number + 1) * third,
            )
        span = x2 - x1
        inner = x2 - 0.38 * span if side == "right" else x1
        boxes[f"{side} hilar structures"] = (
            inner, y1 + 1.1 * third, inner + 0.38 * span, y1 + 1.9 * third,
        )  # fmt: skip
        corner = x1 if side == "right" else x2 - 0.3 * span
        boxes[f"{side} costophrenic angle"] = (corner, y2 - 0.5 * third, corner + 0.3 * span, y2)
    boxes["cardiac silhouette"] = mask_box(anatomy.heart)
    right, left = boxes["right lung"], boxes["left lung"]
    top = min(right[1], left[1])
    foot = boxes["cardiac silhouette"][3]
    x1, x2 = right[2] - 0.12 * (right[2] - right[0]), left[0] + 0.3 * (left[2] - left[0])
    boxes["mediastinum"] = (x1, top, max(x2, x1 + 8), foot)
    middle = (right[2] + left[0]) / 2
    wide = 0.03 * anatomy.u.shape[1]
    boxes["trachea"] = (middle - wide, max(0.0, top - 6.0), middle + wide, top + 0.3 * (foot - top))
    boxes["spine"] = (middle - 1.5 * wide, max(0.0, top - 6.0), middle + 1.5 * wide, foot)
    return boxes


def mask_box(mask: Mask) -> Box:
    """Return the tight box of a mask, pixels xyxy with exclusive right and bottom edges."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def _extent(mask: Mask) -> float:
    columns = np.flatnonzero(mask.any(axis=0))
    return float(columns[-1] - columns[0] + 1)


def coordinates(plan: ImagePlan) -> tuple[Field, Field]:
    """Return the fields u and v (H, W) of an image, without the patient's shift and tilt."""
    u = (np.arange(plan.width, dtype=np.float32) + 0.5) / plan.width - plan.shift[0] - 0.5
    v = (np.arange(plan.height, dtype=np.float32) + 0.5) / plan.height - plan.shift[1] - 0.5
    cos, sin = np.float32(np.cos(plan.tilt)), np.float32(np.sin(plan.tilt))
    turned_u = np.asarray(cos * u[None, :] - sin * v[:, None] + 0.5, dtype=np.float32)
    turned_v = np.asarray(sin * u[None, :] + cos * v[:, None] + 0.5, dtype=np.float32)
    return turned_u, turned_v
