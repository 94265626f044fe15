"""Saves the images that LLaMA-Factory hands the model's processor.

Usage: read_llamafactory_images.py FOLDER PLUGIN CAP LEAST OUT …: an export, the tool's plug-in of a
model, its areas in pixels, and a folder for the images; can be repeated.
"""

import importlib.machinery
import sys
import types
from pathlib import Path

# as in read_llamafactory.py: torchaudio does not load here, and nothing of it is called
audio = types.ModuleType("torchaudio")
audio.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
sys.modules["torchaudio"] = audio

from llamafactory.data.loader import _get_merged_dataset  # noqa: E402
from llamafactory.data.mm_plugin import get_mm_plugin  # noqa: E402
from llamafactory.hparams import DataArguments, ModelArguments  # noqa: E402
from transformers import Seq2SeqTrainingArguments  # noqa: E402

given = sys.argv[1:]
for folder, name, cap, least, out in zip(*(given[k::5] for k in range(5)), strict=True):
    plugin = get_mm_plugin(name, image_token="<image>")
    rows = _get_merged_dataset(
        ["imaxray_train"],
        ModelArguments(model_name_or_path="none"),
        DataArguments(dataset_dir=folder, dataset="imaxray_train", overwrite_cache=True),
        Seq2SeqTrainingArguments(output_dir=folder, report_to="none", use_cpu=True),
        "sft",
    )
    for row in rows:
        [image] = plugin._regularize_images(
            row["_images"], image_max_pixels=int(cap), image_min_pixels=int(least)
        )["images"]
        stem = Path(row["_images"][0]).name.split(".")[0]
        image.save(Path(out) / f"{stem}.png", compress_level=1)
