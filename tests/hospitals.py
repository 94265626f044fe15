"""Writes an invented hospital: a messy table of 200 rows and small images."""

import csv
import random

from PIL import Image, ImageDraw

SPELLINGS = ("Pleural Effusion", "effusion", "PLEURAL_EFFUSION", "pl. effusion", "Pleuraerguss")
ROWS = 200
MISSING, BAD_VIEWS, BAD_DATE, TWICE = 17, (3, 4), 9, 30


def write_image(path, *, effusion=False, heart=False, size=(120, 100), seed=0):
    rng = random.Random(seed)
    image = Image.new("L", size, 40)
    draw = ImageDraw.Draw(image)
    for x in range(0, size[0], 15):  # coarse noise, so that no two images look the same
        for y in range(0, size[1], 12):
            draw.rectangle((x, y, x + 14, y + 11), fill=rng.randrange(120))
    if effusion:
        draw.rectangle((10, 60, 50, 95), fill=220)
    if heart:
        draw.ellipse((45, 40, 95, 85), fill=180)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def write_table(path, rows, separator=",", encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def hospital_rows(images=None):
    """200 rows: German headers, decimal commas, five spellings of one label, and five faults.

    Row 31 stands there twice (instead of row 101), images are written into ``images``.
    """
    rng = random.Random(7)
    rows = []
    for k in range(ROWS):
        effusion, heart = rng.random() < 0.4, rng.random() < 0.3
        found = [SPELLINGS[k % len(SPELLINGS)]] if effusion else []
        found += [rng.choice(["Cardiomegaly", "enlarged heart"])] if heart else []
        name = f"img_{k:04d}.png"
        if images is not None and k != MISSING:
            write_image(images / name, effusion=effusion, heart=heart, seed=k)
        rows.append({
            "Bild": name, "Patienten-ID": f"{k * 3 // 4:05d}", "Geschlecht": rng.choice("mw"),
            "Alter": str(rng.randrange(20, 90)),
            "Untersuchungsdatum": f"{rng.randrange(1, 29):02d}.{rng.randrange(1, 13):02d}.2023",
            "Projektion": rng.choice(["PA", "AP", "p.a."]), "Befunde": "; ".join(found) or "o.B.",
            "Pneumothorax": rng.choice(["ja", "nein", "Nein", ""]),
            "HTQ": f"0,{rng.randrange(*((54, 62) if heart else (40, 48)))}", "Bemerkung": "x",
        })  # fmt: skip
    for k, view in zip(BAD_VIEWS, ("schräg?", "Thorax"), strict=True):
        rows[k]["Projektion"] = view
    rows[BAD_DATE]["Untersuchungsdatum"] = "irgendwann"
    rows[100] = dict(rows[TWICE])
    rows[41]["Patienten-ID"] = "30"  # row 41 writes the same patient as 00030
    return rows
