"""9. Own data: a messy table of an invented hospital becomes a release like any other.

The table has 200 rows, five spellings of one label (one of them misspelt), two views that are none,
an image that is missing, a patient under two numbers, and a date that nobody can read.
docs/own-data.md goes the same way by commands.

Run from the root of the repository: python examples/09_own_data.py [WORK_FOLDER]
"""

import csv
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from imaxray import build_catalog
from imaxray.sources import new_source, open_release

folder, rng = Path(*sys.argv[1:2] or ["examples-out"]) / "hospital", random.Random(7)
spellings = ["Pleural Effusion", "effusion", "PLEURAL_EFFUSION", "pl. effusion", "pleural efusion"]
rows = []
(folder / "images").mkdir(parents=True, exist_ok=True)
for k in range(200):
    effusion, wide = rng.random() < 0.5, rng.random() < 0.4
    image = Image.frombytes("L", (12, 10), rng.randbytes(120)).point(lambda v: v // 2)
    image = image.resize((120, 100), Image.Resampling.NEAREST)
    ImageDraw.Draw(image).ellipse((40 - 15 * wide, 40, 90, 85), fill=190)
    ImageDraw.Draw(image).rectangle((5, 70, 40, 98), fill=240 if effusion else 30)
    if k != 17:  # the missing image
        image.save(folder / f"images/{k:04d}.png")
    found = [spellings[k % 5]] * effusion + ["Cardiomegaly"] * wide
    rows.append({
        "image": f"{k:04d}.png", "patient_id": "30" if k == 41 else f"{k * 3 // 4:05d}",
        "exam date": "unknown day" if k == 9 else f"2023-{k % 12 + 1:02d}-{k % 28 + 1:02d}",
        "view": {3: "sideways", 4: "chest"}.get(k, rng.choice(["PA", "p.a."])),
        "findings": "; ".join(found) or "normal", "CTR": rng.randrange(56, 66) if wide else 45,
    })  # fmt: skip
with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
tables, images, out = [folder / "labels.csv"], folder / "images", folder / "python/my-hospital"
answers = [("pleural efusion", "Pleural Effusion"), ("patient:30", "00030")]
for k in range(3):
    new = new_source("my-hospital", tables, images, out=out, means=answers[:k], overwrite=True)
    print(*new.mapping.questions or open_release("my-hospital", out)[0].remarks(folder), sep="\n")
catalog = build_catalog({"my-hospital": out})
print(f"{catalog.images.height} images, {catalog.entries.height} entries, rejects:",
      *catalog.rejects["code"].value_counts(sort=True).sort("code").rows())  # fmt: skip
