"""Makes a CheXmask release: three collections in two layouts, small frames, invented shapes."""

import csv

import numpy as np
from PIL import Image, ImageDraw

HEADER = ["Dice RCA (Mean)", "Dice RCA (Max)", "Landmarks", "Left Lung", "Right Lung", "Heart",
          "Height", "Width"]  # fmt: skip
DICOM = ["-".join([f"{k:08x}"] * 5) for k in range(3)]
SIDE = 128


def ellipse(count, x, y, a, b):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1).round().astype(int)


def runs(points):
    canvas = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in points.tolist()], fill=1, outline=1)
    flat = np.concatenate([[0], np.asarray(canvas).astype(int).ravel(), [0]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges))


def cells(heart=16, original=False):
    parts = [
        ellipse(44, 37, 62, 15, 37),
        ellipse(50, 90, 62, 15, 35),
        ellipse(26, 65, 80, heart, 15),
    ]
    points = np.concatenate(parts)
    text = str(points) if original else ",".join(map(str, points.ravel()))
    return [0.87, 0.93, text, runs(parts[1]), runs(parts[0]), runs(parts[2]), SIDE, SIDE]


def table(root, layout, name, column, rows):
    path = root / layout / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column, *HEADER])
        writer.writerows(rows)


def write(root):
    # the authors' own preprocessed frame is 1024; OriginalResolution has the image's
    layout = "OriginalResolution"
    rows = [[dicom, *cells(14 + k, original=True)] for k, dicom in enumerate(DICOM)]
    table(root, layout, "MIMIC-CXR-JPG", "dicom_id", rows)
    table(root, layout, "ChestX-Ray8", "Image Index", [["00000001_000.png", *cells(original=True)]])
    path = "train/patient00001/study1/view1_frontal.jpg"
    table(root, layout, "CheXpert", "Path", [[path, *cells(original=True)]])
