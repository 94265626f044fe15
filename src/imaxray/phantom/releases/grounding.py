"""Writes phrases with boxes: MS-CXR 1.1.0 and Chest ImaGenome 1.0.0 (sources.md, 6 and 7)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from imaxray.boxes import Box
from imaxray.phantom.cohort import Finding
from imaxray.phantom.records import Radiograph, Study
from imaxray.phantom.releases.files import write_csv, write_json, write_zip
from imaxray.phantom.reports import phrase

MS_CXR: Final = (
    "dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width",
    "image_height", "split",
)  # fmt: skip
IMAGENOME: Final = ("subject_id", "study_id", "dicom_id", "path", "ViewPosition")
_CATEGORY: Final = {
    "effusion": "Pleural Effusion",
    "consolidation": "Consolidation",
    "nodule": "Lung Opacity",
    "pneumothorax": "Pneumothorax",
    "cardiomegaly": "Cardiomegaly",
}
_ATTRIBUTE: Final = {
    "effusion": "anatomicalfinding|yes|pleural effusion",
    "consolidation": "anatomicalfinding|yes|consolidation",
    "nodule": "anatomicalfinding|yes|mass/nodule (not otherwise specified)",
    "pneumothorax": "anatomicalfinding|yes|pneumothorax",
    "cardiomegaly": "anatomicalfinding|yes|enlarged cardiac silhouette",
}


def write_ms_cxr(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write the local alignment CSV and its COCO JSON; boxes are xywh in image pixels."""
    rows: list[tuple[Any, ...]] = []
    for study in studies:
        # MS-CXR's own split by patient differs from the official split for some patients
        own = np.random.default_rng([seed, 8, study.subject_id]).random()
        split = {"validate": "val"}.get(study.split, study.split)
        if own < 0.03:
            split = "test" if split == "train" else "train"
        for image in study.frontals:
            random = np.random.default_rng([seed, 9, image.plan.index])
            if random.random() > 0.45 and rows:
                continue
            rows += ms_rows(image, split, random)
    write_csv(out / "MS_CXR_Local_Alignment_v1.1.0.csv", MS_CXR, rows)
    write_json(out / "MS_CXR_Local_Alignment_v1.1.0.json", ms_coco(rows))


def ms_coco(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Return the rows of the CSV in COCO format."""
    names = sorted({row[1] for row in rows})
    dicoms = sorted({row[0] for row in rows})
    first = {row[0]: row for row in rows}
    number = {dicom: k for k, dicom in enumerate(dicoms, start=1)}
    return {
        "categories": [{"id": k, "name": name} for k, name in enumerate(names, start=1)],
        "images": [
            {"id": k, "file_name": f"{d}.jpg", "path": first[d][3], "width": first[d][8],
             "height": first[d][9]}
            for k, d in enumerate(dicoms, start=1)
        ],
        "annotations": [
            {"id": k, "image_id": number[row[0]], "category_id": names.index(row[1]) + 1,
             "bbox": list(row[4:8]), "label_text": row[2], "width": row[8], "height": row[9],
             "split": row[10]}
            for k, row in enumerate(rows, start=1)
        ],
    }  # fmt: skip


def ms_rows(image: Radiograph, split: str, random: np.random.Generator) -> list[tuple[Any, ...]]:
    """Return the rows of the CSV for one image, one row per box."""
    rows: list[tuple[Any, ...]] = []
    for finding, box in image.findings:
        if box is None or finding.kind not in _CATEGORY:
            continue
        text = phrase(finding, variant=int(random.integers(2)))
        row = _ms_row(image, finding, text, box, split)
        rows.append(row)
        if random.random() < 0.03:  # repeat the phrase with a capital letter
            rows.append((*row[:2], text.capitalize(), *row[3:]))
    return rows


def _ms_row(
    image: Radiograph, finding: Finding, text: str, box: Box, split: str
) -> tuple[Any, ...]:
    x1, y1, x2, y2 = (round(value) for value in box)
    return (image.dicom_id, _CATEGORY[finding.kind], text, image.path, x1, y1, x2 - x1, y2 - y1,
            image.plan.width, image.plan.height, split)  # fmt: skip


def write_chest_imagenome(out: Path, studies: Sequence[Study], seed: int) -> None:
    """Write the archive of scene graphs and the split files; gold patients are to be avoided."""
    members: dict[str, bytes] = {}
    splits: dict[str, list[tuple[Any, ...]]] = {"train": [], "valid": [], "test": []}
    avoid: list[tuple[Any, ...]] = []
    for study in studies:
        gold = study.split == "test" and (study.subject_id % 5 == 0 or not avoid)
        for image in study.frontals:
            random = np.random.default_rng([seed, 10, image.plan.index])
            own = splits[{"validate": "valid"}.get(study.split, study.split)]
            if random.random() > 0.85 and own and avoid:
                continue
            row = imagenome_row(image)
            if gold:
                avoid.append(row)
            else:
                own.append(row)
            if random.random() < 0.01:
                continue  # listed, but its JSON is missing
            graph = scene_graph(image, random)
            members[f"scene_graph/{image.dicom_id}_SceneGraph.json"] = json.dumps(graph).encode()
    write_zip(out / "silver_dataset" / "scene_graph.zip", members)
    for name, rows in splits.items():
        numbered = [(k, *row) for k, row in enumerate(rows)]
        write_csv(out / "silver_dataset" / "splits" / f"{name}.csv", ("", *IMAGENOME), numbered)
    write_csv(out / "silver_dataset" / "splits" / "images_to_avoid.csv", IMAGENOME, avoid)


def imagenome_row(image: Radiograph) -> tuple[Any, ...]:
    """Return one row of a split file."""
    path = image.path.replace(".jpg", ".dcm")
    return (image.subject_id, image.study_id, image.dicom_id, path, image.plan.view)


def scene_graph(image: Radiograph, random: np.random.Generator) -> dict[str, Any]:
    """Return the scene graph of an image, with the faults that the release has."""
    plan = image.plan
    objects, attributes = [], []
    for name, box in image.regions.items():
        dice = random.random()
        if dice < 0.05:
            continue  # the detector missed the region
        x1, y1, x2, y2 = (round(value) for value in box)
        if dice < 0.06:
            x2 = x1  # zero area
        elif dice < 0.09:
            x1, y2 = x1 - plan.width // 12 - x1 // 2, y2 + 3  # may leave the frame
        elif dice < 0.095:
            x1, x2 = -plan.width, -plan.width // 2  # outside the frame
        objects.append(_object(image, name, (x1, y1, x2, y2)))
    for number, (finding, _) in enumerate(image.findings):
        region = _region(finding)
        if region is None:
            continue
        text = phrase(finding, variant=int(random.integers(2)))
        lines = [[_ATTRIBUTE[finding.kind], "nlp|yes|abnormal"]]
        phrases = [f"There is a {text}."]
        if random.random() < 0.05:  # duplicate phrases are in the release
            lines, phrases = lines * 2, phrases * 2
        attributes.append({
            region: True, "bbox_name": region, "synsets": ["C0000000"], "name": region.capitalize(),
            "attributes": lines, "attributes_ids": [["C0000000", "C0000001"]] * len(lines),
            "phrases": phrases, "phrase_IDs": [f"{image.study_id}|{number}"] * len(lines),
            "sections": ["finalreport"] * len(lines), "comparison_cues": [[]] * len(lines),
            "temporal_cues": [[]] * len(lines), "severity_cues": [[]] * len(lines),
            "texture_cues": [[]] * len(lines), "object_id": f"{image.dicom_id}_{region}",
        })  # fmt: skip
    graph: dict[str, Any] = {
        "image_id": image.dicom_id, "viewpoint": plan.view, "patient_id": image.subject_id,
        "study_id": image.study_id, "gender": plan.habitus.sex,
        "age_decile": f"{plan.habitus.age // 10 * 10}-{plan.habitus.age // 10 * 10 + 10}",
        "reason_for_exam": "___ with cough", "StudyOrder": 1, "StudyDateTime": "2150-01-01",
        "objects": objects, "attributes": attributes, "relationships": [],
    }  # fmt: skip
    if random.random() < 0.01:
        del graph["attributes"]  # a graph without the list of attributes
    return graph


def _region(finding: Finding) -> str | None:
    if finding.kind == "cardiomegaly":
        return "cardiac silhouette"
    if finding.kind == "effusion":
        return f"{finding.side} costophrenic angle"
    if finding.kind == "pneumothorax":
        return f"{finding.side} lung"
    if finding.kind in ("consolidation", "nodule"):
        return f"{finding.side} {finding.zone} lung zone"
    return None


def _object(image: Radiograph, name: str, box: tuple[int, int, int, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    plan = image.plan
    ratio = 224 / max(plan.width, plan.height)
    left, top = (224 - plan.width * ratio) / 2, (224 - plan.height * ratio) / 2
    small = [round(x1 * ratio + left), round(y1 * ratio + top),
             round(x2 * ratio + left), round(y2 * ratio + top)]  # fmt: skip
    return {
        "object_id": f"{image.dicom_id}_{name}", "x1": small[0], "y1": small[1], "x2": small[2],
        "y2": small[3], "width": small[2] - small[0], "height": small[3] - small[1],
        "bbox_name": name, "synsets": ["C0000000"], "name": name.capitalize(),
        "original_x1": x1, "original_y1": y1, "original_x2": x2, "original_y2": y2,
        "original_width": x2 - x1, "original_height": y2 - y1,
    }  # fmt: skip
