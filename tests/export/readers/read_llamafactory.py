"""Reads datasets as LLaMA-Factory does before tokenising; prints one JSON line per row.

Usage: read_llamafactory.py FOLDER NAME …: folders with a ``dataset_info.json``, and names in it.
With ``IMAXRAY_WARM_CACHE=1`` the tool may use what it cached earlier, as it does by default.
"""

import importlib.machinery
import json
import os
import sys
import types

# Its plug-in for images imports torchaudio for audio, and no release of that loads beside the
# project's torch. Nothing of it is called.
audio = types.ModuleType("torchaudio")
audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = audio

from llamafactory.data.loader import _get_merged_dataset  # noqa: E402
from llamafactory.data.mm_plugin import get_mm_plugin  # noqa: E402
from llamafactory.hparams import DataArguments, ModelArguments  # noqa: E402
from transformers import Seq2SeqTrainingArguments  # noqa: E402

fresh = "IMAXRAY_WARM_CACHE" not in os.environ
plugin = get_mm_plugin("llava", image_token="<image>")
for folder, name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    rows = _get_merged_dataset(
        [name],
        ModelArguments(model_name_or_path="none"),
        DataArguments(dataset_dir=folder, dataset=name, overwrite_cache=fresh),
        Seq2SeqTrainingArguments(output_dir=folder, report_to="none", use_cpu=True),
        "sft",
    )
    print(f"READ {name} of {folder}: {len(rows)} rows")
    for row in rows:
        turns = row["_prompt"] + row["_response"]
        plugin._validate_messages(turns, row["_images"], [], [])
        images = [image.size for image in plugin._regularize_images(
            row["_images"], image_max_pixels=10**9, image_min_pixels=1)["images"]]  # fmt: skip
        seen = {"turns": turns, "images": row["_images"], "sizes": images,
                "system": row["_system"]}  # fmt: skip
        print("ROW " + json.dumps(seen))
