"""Scales images of given sizes as LLaMA-Factory does before the model's processor sees them.

Usage: read_llamafactory_frames.py CAP LEAST WIDTHxHEIGHT …; prints one JSON line of sizes.
"""

import importlib.machinery
import json
import sys
import types

# as in read_llamafactory.py: torchaudio does not load here, and nothing of it is called
audio = types.ModuleType("torchaudio")
audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = audio

from llamafactory.data.mm_plugin import get_mm_plugin  # noqa: E402
from PIL import Image  # noqa: E402

cap, least, *sizes = sys.argv[1:]
plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>")
images = [Image.new("L", tuple(map(int, size.split("x")))) for size in sizes]
done = plugin._regularize_images(images, image_max_pixels=int(cap), image_min_pixels=int(least))
print("ROW " + json.dumps([image.size for image in done["images"]]))
