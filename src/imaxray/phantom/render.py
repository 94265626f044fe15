"""Renders planned radiographs, and measures the ground truth on their masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from imaxray.boxes import Box
from imaxray.phantom import anatomy as geometry
from imaxray.phantom.anatomy import APEX, Anatomy, Field
from imaxray.phantom.cohort import Finding, ImagePlan


@dataclass(frozen=True)
class Rendered:
    """Holds one rendered radiograph and its ground truth.

    Attributes:
        pixels: Grey values, (height, width) uint8.
        ctr: Cardiothoracic ratio of the masks; ``None`` for a lateral.
        cpar: Cardiopulmonary area ratio of the masks; ``None`` for a lateral.
        regions: Boxes of the anatomical regions, pixels xyxy; empty for a lateral.
        findings: Each planned finding with its box, or with ``None`` if it has no location of its
            own; empty for a lateral.
    """

    pixels: NDArray[np.uint8]
    ctr: float | None
    cpar: float | None
    regions: dict[str, Box]
    findings: tuple[tuple[Finding, Box | None], ...]


def render(plan: ImagePlan) -> Rendered:
    """Render ``plan``; the same plan always gives the same pixels."""
    random = np.random.default_rng(plan.noise_seed)
    if plan.view == "LATERAL":
        return Rendered(_finish(_lateral(plan), plan, random), None, None, {}, ())
    body = geometry.build(plan)
    picture = _chest(body, plan)
    boxes: list[tuple[Finding, Box | None]] = []
    # edema is painted first; otherwise its septal lines would be visible through fluid
    for finding in sorted(plan.findings, key=lambda f: f.kind != "edema"):
        mask = geometry.finding_mask(body, plan, finding)
        box = geometry.mask_box(mask) if mask is not None and mask.any() else None
        if finding.kind == "device":
            box = _device(picture, plan, finding)
        elif finding.kind == "edema":
            _edema(picture, body, int(finding.size), finding.strength, random)
        elif mask is not None and finding.kind != "cardiomegaly":
            _paint(picture, mask, finding, random)
        boxes.append((finding, box))
    if plan.view == "AP":
        height, width = picture.shape
        picture[int(0.03 * height) : int(0.075 * height), int(0.06 * width) : int(0.17 * width)] = (
            1.0
        )
    return Rendered(
        _finish(picture, plan, random),
        body.ctr,
        body.cpar,
        geometry.region_boxes(body),
        tuple(boxes),
    )


def _chest(body: Anatomy, plan: ImagePlan) -> Field:
    u, v = body.u, body.v
    x = u - 0.5 - plan.habitus.asymmetry
    lungs = body.right_lung | body.left_lung
    trunk = np.abs(x) < 0.47 - 0.12 * np.clip((0.16 - v) / 0.16, 0, 1)
    picture = np.where(trunk, np.float32(0.52), np.float32(0.06))
    picture = np.where(trunk & (np.abs(x) < 0.07), np.float32(0.66), picture)  # spine, mediastinum
    picture[trunk & (v >= body.base)] = 0.68
    picture[lungs] = 0.24
    # ribs are arcs that slope down from the spine and are visible over the lungs
    phase = (v - plan.habitus.rib_angle * (np.abs(x) - 0.1) ** 2 * 4) * 12.5
    picture += np.where(trunk, 0.045 * np.maximum(np.sin(2 * np.pi * phase), 0), 0).astype(
        np.float32
    )
    # vessels fan out from the hila
    hilum = np.hypot(np.abs(x) - 0.1, v - (APEX + 0.45 * plan.habitus.lung_height))
    picture += np.where(lungs, 0.10 * np.exp(-((hilum / 0.09) ** 2)), 0).astype(np.float32)
    picture[body.heart] = 0.70
    bubble = ((x - 0.16) / 0.05) ** 2 + ((v - APEX - plan.habitus.lung_height - 0.06) / 0.025) ** 2
    picture[(bubble < 1) & (v > body.base + 0.01)] -= 0.25
    airway = (np.abs(x) < 0.016) & (v < APEX + 0.27 * plan.habitus.lung_height)
    picture[airway & (v > 0.02)] -= 0.18
    clavicle = np.abs(v - (APEX + 0.035 - 0.16 * np.abs(x)))
    picture[(clavicle < 0.012) & (np.abs(x) > 0.05) & (np.abs(x) < 0.36)] += 0.12
    return np.asarray(picture, dtype=np.float32)


def _paint(
    picture: Field, mask: NDArray[np.bool_], finding: Finding, random: np.random.Generator
) -> None:
    strength = np.float32(finding.strength)
    if finding.kind == "effusion":
        picture[mask] += (0.72 - picture[mask]) * strength
    elif finding.kind == "nodule":
        picture[mask] += (0.92 - picture[mask]) * strength
    elif finding.kind == "consolidation":
        # patchy, with dark air bronchograms
        grain = _texture(picture.shape, 6, random)
        patchy = 0.66 + 0.28 * grain
        picture[mask] += (patchy[mask] - picture[mask]) * strength
    elif finding.kind == "pneumothorax":
        # air is black, without vessels and ribs; the bright pleural line is at its inner border
        picture[mask] += (0.04 - picture[mask]) * strength
        grown = np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(5))) > 0
        line = grown & ~mask & (picture < 0.5)
        picture[line] = 0.62


def _edema(
    picture: Field, body: Anatomy, grade: int, strength: float, random: np.random.Generator
) -> None:
    lungs = body.right_lung | body.left_lung
    x = np.abs(body.u - 0.5)
    if grade == 1:  # congestion: broad vessels to the upper zones
        angle = np.arctan2(body.v - 0.42, x - 0.06)
        streaks = np.maximum(np.sin(angle * 11), 0) ** 2
        upper = np.clip((0.50 - body.v) / 0.1, 0, 1)
        picture[lungs] += (0.44 * strength * streaks * upper)[lungs]
    elif grade == 2:  # interstitial: a net of fine septal lines, most at the bases
        lines = np.maximum(np.sin(body.v * 150), 0) ** 3 + np.maximum(np.sin(body.u * 120), 0) ** 3
        lower = np.clip((body.v - 0.35) / 0.1, 0, 1)
        picture[lungs] += (0.34 * strength * lines * (0.25 + 0.75 * lower))[lungs]
    else:  # alveolar: confluent haze around both hila, the periphery spared
        wing = np.exp(-(((x - 0.15) / 0.11) ** 2) - ((body.v - 0.44) / 0.17) ** 2)
        grain = _texture(picture.shape, 9, random)
        picture[lungs] += (strength * wing * (0.54 + 0.12 * grain))[lungs]


def _device(picture: Field, plan: ImagePlan, finding: Finding) -> Box:
    height, width = picture.shape
    canvas = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(canvas)
    thick = max(3, round(0.016 * width))

    def at(u: float, v: float) -> tuple[float, float]:
        return ((u + plan.shift[0]) * width, (v + plan.shift[1]) * height)

    jitter = 0.02 * (finding.place[0] - 0.5)
    if finding.size == "pacemaker":
        left, top = at(0.70 + jitter, 0.17 + jitter)
        right, bottom = at(0.82 + jitter, 0.25 + jitter)
        pen.rounded_rectangle((left, top, right, bottom), radius=6, fill=255)
        points = [at(0.72, 0.24), at(0.58, 0.30), at(0.53, 0.45), at(0.57, 0.62)]
        pen.line(points, fill=255, width=thick, joint="curve")
    elif finding.size == "central line":
        points = [at(0.34 + jitter, 0.03), at(0.38, 0.14), at(0.455, 0.25), at(0.46, 0.46)]
        pen.line(points, fill=255, width=thick, joint="curve")
    else:
        for offset in (-0.014, 0.014):
            pen.line(
                [at(0.5 + offset, 0.0), at(0.5 + offset, 0.27 + jitter)], fill=255, width=thick
            )
    drawn = np.asarray(canvas) > 0
    picture[drawn] = 1.0
    return geometry.mask_box(drawn)


def _lateral(plan: ImagePlan) -> Field:
    u, v = geometry.coordinates(plan)
    picture = np.where(np.abs(u - 0.5) < 0.40, np.float32(0.55), np.float32(0.06))
    chest = ((u - 0.5) / 0.3) ** 2 + ((v - 0.45) / 0.36) ** 2 < 1
    picture[chest] = 0.26
    picture[((u - 0.40) / (plan.ctr * 0.3)) ** 2 + ((v - 0.58) / 0.16) ** 2 < 1] = 0.66
    picture[np.abs(u - 0.76 - 0.08 * np.sin(v * 4)) < 0.035] = 0.75
    return np.asarray(picture, dtype=np.float32)


def _texture(shape: tuple[int, ...], cell: int, random: np.random.Generator) -> Field:
    """Return smooth noise in [-1, 1] with a grain of ``cell`` pixels."""
    small = random.uniform(-1, 1, (shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    grown = Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(grown)


def _finish(picture: Field, plan: ImagePlan, random: np.random.Generator) -> NDArray[np.uint8]:
    """Apply exposure, quantum noise, rounding to 8 bits and scatter (blur)."""
    exposed = np.clip(picture, 0, 1.1) ** np.float32(plan.exposure) * 215
    exposed += 3.5 * random.standard_normal(picture.shape, dtype=np.float32)
    grey = Image.fromarray(np.clip(exposed, 0, 255).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.GaussianBlur(0.8)))
