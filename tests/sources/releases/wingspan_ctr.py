"""Makes an invented wingspan release: three images with masks, two with a stated ratio."""

import numpy as np
from PIL import Image

MASKS = {
    "heart": (slice(16, 30), slice(14, 26)),
    "left_lung": (slice(6, 32), slice(24, 36)),
    "right_lung": (slice(6, 32), slice(4, 16)),
}


def write(root):
    rows = ["id,ctr", "1.2.999.1.png,0.3750", "1.2.999.2.png,0.5123"]
    (root / "ctr_ground_truth.csv").write_text("\n".join(rows) + "\n")
    folders = ["png", *(f"mask/{organ}" for organ in MASKS)]
    for folder in folders:
        (root / "wingspan" / folder).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)
    for name in ("1.2.999.1.png", "1.2.999.2.png", "1.2.999.3.png"):
        Image.fromarray(noise).save(root / "wingspan/png" / name)
        for organ, place in MASKS.items():
            mask = np.zeros((40, 40), dtype=np.uint8)
            mask[place] = 255
            Image.fromarray(mask).save(root / "wingspan/mask" / organ / name)
