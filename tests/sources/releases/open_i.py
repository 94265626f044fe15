"""Makes an invented Open-I release: four examinations in the forms of NLM and of Kaggle."""

import csv
import io
import tarfile

import numpy as np
from PIL import Image

REPORTS = {
    1: ("normal", "PA and lateral", "The XXXX are clear. <b> & so on.", "Normal chest."),
    2: (
        "Cardiomegaly/borderline;Opacity/lung/base/left;Opacity/mediastinum",
        "Chest AP portable", "Heart size at the upper limit.", "",
    ),
    3: ("Pulmonary Edema/mild;No Indexing", "Chest, 2 views, frontal and lateral", "", ""),
    4: ("Pleural Effusion/left;Cardiomegaly", "", "Small effusion.", "Effusion, XXXX."),
}  # fmt: skip
IMAGES = {
    "1_IM-0001-3001": "Lateral", "1_IM-0001-4001": "Frontal", "2_IM-0652-1001": "Frontal",
    "3_IM-1384-1001": "Frontal", "3_IM-1384-2001": "Lateral",
}  # fmt: skip


def xml(uid, mesh, caption, findings, impression):
    def escaped(text):
        return text.replace("&", "&amp;").replace("<", "&lt;")

    majors = "".join(f"<major>{term}</major>" for term in mesh.split(";"))
    # the first examinations repeat their number in the names of their images
    names = [f"CXR{uid}_{k}" if uid == 1 else f"CXR{k}" for k in IMAGES if k.startswith(f"{uid}_")]
    images = "".join(
        f'<parentImage id="{name}"><figureId>F1</figureId><caption>{caption}</caption>'
        '<panel type="single"><url>/x.jpg</url></panel></parentImage>'
        for name in names
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><meta type="rr"/><uId id="CXR{uid}"/>'
        '<pmcId id="1"/><MedlineCitation><Article><Abstract>'
        '<AbstractText Label="COMPARISON">None.</AbstractText>'
        '<AbstractText Label="INDICATION"></AbstractText>'
        f'<AbstractText Label="FINDINGS">{escaped(findings)}</AbstractText>'
        f'<AbstractText Label="IMPRESSION">{escaped(impression)}</AbstractText>'
        f"</Abstract></Article></MedlineCitation><MeSH>{majors}<automatic>lung</automatic></MeSH>"
        f"{images}</eCitation>\n"
    ).encode()  # fmt: skip


def png(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).integers(0, 255, (20, 24)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def members():
    return {
        f"ecgen-radiology/{uid}.xml": xml(uid, mesh, caption, findings, impression)
        for uid, (mesh, caption, findings, impression) in REPORTS.items()
    }


def projections(root):
    with (root / "indiana_projections.csv").open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["uid", "filename", "projection"])
        table.writerows([n.partition("_")[0], f"{n}.dcm.png", view] for n, view in IMAGES.items())


def unpacked_images(root):
    for name in IMAGES:
        stem = f"CXR1_{name}" if name.startswith("1_") else f"CXR{name}"
        png(root / "NLMCXR_png" / f"{stem}.png")


def write_nlm(root):
    tar(root / "NLMCXR_reports.tgz", members())
    unpacked_images(root)
    projections(root)


def write_unpacked(root):
    for name, content in members().items():
        path = root / "NLMCXR_reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    unpacked_images(root)


def write_kaggle(root):
    with (root / "indiana_reports.csv").open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings",
                        "impression"])  # fmt: skip
        for uid, (mesh, caption, findings, impression) in REPORTS.items():
            table.writerow([uid, mesh, "", caption, "", "None.", findings, impression])
    for name in IMAGES:
        png(root / "images" / "images_normalized" / f"{name}.dcm.png")
    projections(root)
