"""Reads datasets as ms-swift does before tokenising; prints one JSON line per row.

Usage: read_swift.py FILE …; images are opened, and boxes brought to 0-1000, by its template's own
code. With ``IMAXRAY_WARM_CACHE=1`` the tool may use what it cached earlier, as it does by default.
"""

import json
import os
import sys
from types import SimpleNamespace

from swift.dataset import load_dataset
from swift.template.base import Template
from swift.template.template_inputs import StdTemplateInputs

warm = "IMAXRAY_WARM_CACHE" in os.environ
for path in sys.argv[1:]:
    rows, _ = load_dataset(path, split_dataset_ratio=0.0, strict=True, load_from_cache_file=warm)
    for row in rows:
        inputs = StdTemplateInputs.from_dict(row)
        inputs.images = [Template._load_image(image, True) for image in inputs.images]
        if inputs.objects.get("bbox"):
            Template._get_height_width(inputs)
            Template.normalize_bbox(SimpleNamespace(norm_bbox="norm1000"), inputs)
        seen = {"turns": inputs.messages, "images": row["images"],
                "sizes": [image.size for image in inputs.images],
                "boxes": inputs.objects.get("bbox", [])}  # fmt: skip
        print("ROW " + json.dumps(seen))
