"""Saves the images that ms-swift hands the model's processor.

Usage: read_swift_images.py FILE MODEL OUT …: a file of an export, ``qwen`` (the tool then calls
``qwen_vl_utils``, with ``MAX_PIXELS`` of the environment) or ``other``, and a folder for the
images; can be repeated. Prints one JSON line for each image with boxes in ``objects``: its name,
the boxes as the tool's template writes them, and its largest number along x and y.
"""

import json
import sys
import types
from pathlib import Path

# qwen_vl_utils imports torchvision for videos; nothing of it is called
vision = types.ModuleType("torchvision")
vision.io, vision.transforms = types.ModuleType("io"), types.ModuleType("torchvision.transforms")
vision.transforms.InterpolationMode = None
sys.modules |= {"torchvision": vision, "torchvision.transforms": vision.transforms}

from qwen_vl_utils import vision_process  # noqa: E402

del sys.modules["torchvision"], sys.modules["torchvision.transforms"]

from swift.dataset import load_dataset  # noqa: E402
from swift.model.models.qwen import compat_qwen_vl_utils, patch_qwen_vl_utils  # noqa: E402
from swift.template.base import Template  # noqa: E402
from swift.template.template_inputs import StdTemplateInputs  # noqa: E402
from swift.template.templates.qwen import Qwen2_5VLTemplate  # noqa: E402

compat_qwen_vl_utils(14)
patch_qwen_vl_utils(vision_process)
given = sys.argv[1:]
for path, model, out in zip(*(given[k::3] for k in range(3)), strict=True):
    rows, _ = load_dataset(path, split_dataset_ratio=0.0, strict=True, load_from_cache_file=False)
    for row in rows:
        inputs = StdTemplateInputs.from_dict(row)
        template = Qwen2_5VLTemplate if model == "qwen" else Template
        image = template._load_image(inputs.images[0], True)
        inputs.images = [image]
        template._get_height_width(inputs)  # of the file, before the model's resize
        if model == "qwen":
            image = vision_process.fetch_image({"image": image})
        named = row["images"][0]
        stem = Path(named["path"] if isinstance(named, dict) else named).name.split(".")[0]
        image.save(Path(out) / f"{stem}.png", compress_level=1)
        if inputs.objects["bbox"]:
            inputs.images = [image]
            template.normalize_bbox(types.SimpleNamespace(norm_bbox=template.norm_bbox), inputs)
            most = image.size if template.norm_bbox == "none" else (1000, 1000)
            print("ROW " + json.dumps([stem, inputs.objects["bbox"], most]))
