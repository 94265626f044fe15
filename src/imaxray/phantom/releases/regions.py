"""Makes scene graphs with all 29 Chest ImaGenome regions, as dense as those of the release."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from imaxray.boxes import Box
from imaxray.phantom.cohort import ImagePlan
from imaxray.phantom.records import Radiograph, Study
from imaxray.phantom.releases.grounding import scene_graph

_ABSENT: Final = (
    "anatomicalfinding|no|lung opacity",
    "anatomicalfinding|no|pleural effusion",
    "anatomicalfinding|no|pneumothorax",
    "anatomicalfinding|no|consolidation",
    "disease|no|pneumonia",
)


def all_regions(boxes: dict[str, Box], plan: ImagePlan) -> dict[str, Box]:
    """Return the regions of ``boxes`` and the 13 others that the release's detector finds.

    ``boxes`` and the result are in pixels xyxy of the ``plan``'s grid.
    """
    full = dict(boxes)
    wide, high = float(plan.width), float(plan.height)
    for side in ("right", "left"):
        x1, y1, x2, y2 = boxes[f"{side} lung"]
        third = (y2 - y1) / 3
        full[f"{side} apical zone"] = (x1, y1, x2, y1 + 0.5 * third)
        full[f"{side} hemidiaphragm"] = (x1, y2 - 0.4 * third, x2, min(high, y2 + 0.2 * third))
        inner = (x1, x2 + 2) if side == "right" else (x1 - 2, x2)
        full[f"{side} clavicle"] = (inner[0], max(0.0, y1 - 3), inner[1], y1 + 0.3 * third)
    hx1, hy1, hx2, hy2 = boxes["cardiac silhouette"]
    mx1, my1, mx2, _ = boxes["mediastinum"]
    middle = (hx1 + hx2) / 2
    full["upper mediastinum"] = (mx1, my1, mx2, (my1 + hy1) / 2 + 1)
    full["svc"] = (mx1, my1, mx1 + 0.4 * (mx2 - mx1), hy1 + 1)
    full["cavoatrial junction"] = (mx1, hy1 - 1, mx1 + 0.5 * (mx2 - mx1), hy1 + 3)
    full["right atrium"] = (hx1, hy1, middle, hy2)
    full["carina"] = (mx1, (my1 + hy1) / 2 - 2, mx2, (my1 + hy1) / 2 + 2)
    full["aortic arch"] = ((mx1 + mx2) / 2, my1 + 1, mx2 + 2, (my1 + hy1) / 2 + 2)
    full["abdomen"] = (0.0, min(hy2, high - 1), wide, high)
    return full


def dense_graph(image: Radiograph, study: Study, random: np.random.Generator) -> dict[str, Any]:
    """Return a graph as large as the release's: every region has sentences and absent findings."""
    graph = scene_graph(image, random)
    attributes = graph.setdefault("attributes", [])
    said = {item["bbox_name"] for item in attributes}
    sentences = [s.strip() for s in study.report.rsplit(":", 2)[-1].split(".") if s.strip()]
    phrase = " ".join((sentences[0] if sentences else "The lungs are clear").split()) + "."
    for number, name in enumerate(image.regions):
        if name in said:
            continue
        lines = [[*_ABSENT[number % 3 :], "nlp|yes|normal"], ["nlp|yes|normal"]]
        attributes.append({
            name: True, "bbox_name": name, "synsets": ["C0225756"], "name": name.capitalize(),
            "attributes": lines,
            "attributes_ids": [[f"C{random.integers(10**6):07d}" for _ in line] for line in lines],
            "phrases": [phrase, phrase.lower()],
            "phrase_IDs": [f"{image.study_id}|{number}", f"{image.study_id}|{number + 1}"],
            "sections": ["finalreport", "finalreport"], "comparison_cues": [[], []],
            "temporal_cues": [[], []], "severity_cues": [[], []], "texture_cues": [[], []],
            "object_id": f"{image.dicom_id}_{name}",
        })  # fmt: skip
    return graph
