"""Makes an invented JSRT release: three nodules and two images without, as PNGs or one raw file."""

import numpy as np
from PIL import Image

NODULES = [
    ("JPCLN001.IMG", "5", "15", "53", "Female", "1634", "692", "malignant", "l.upper lobe",
     "lung cancer"),
    ("JPCLN002.IMG", "3", "35.5", "?", "Male", "512", "1024", "benign", "r.lower lobe",
     "granuloma"),
    ("JPCLN003.IMG", "1", "10", "71", "male", "300", "400", "malignant", "r.S6", "lung cancer"),
]  # fmt: skip
CLEAR = [
    ("JPCNN001.IMG", "54", "male", "non-nodule"),
    ("JPCNN002.IMG", "61", "female", "non-nodule"),
]


def tables(root, end="\r\n"):
    for name, rows in (("CLNDAT_EN.txt", NODULES), ("CNNDAT_EN.txt", CLEAR)):
        (root / name).write_bytes("".join("\t".join(row) + end for row in rows).encode())


def png(path, side=64, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (side, side)).astype(np.uint8)
    Image.fromarray(noise).save(path)


def raw(path, seed=0):
    """A whole .IMG: 8 MiB, dense (dark) at the left, thin (bright) at the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(4095, 0, 2048).astype(">u2")
    np.broadcast_to(ramp, (2048, 2048)).astype(">u2").tofile(path)


def write(root):
    tables(root)
    for seed, row in enumerate((*NODULES, *CLEAR)):
        png(root / "All247images" / row[0].replace("IMG", "png"), seed=seed)
