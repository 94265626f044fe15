"""Reads ``settings.yaml`` as ``swift sft`` does, and the data that it names; prints one JSON line.

Usage: read_swift_settings.py FOLDER …. The model's own files are not here, so that the values are
held against the fields of the tool's arguments without their checks of a model.
"""

import json
import os
import sys
from dataclasses import fields

from swift.arguments import SftArguments
from swift.cli.main import parse_yaml_args
from swift.dataset import load_dataset
from swift.template.base import Template
from swift.template.template_inputs import StdTemplateInputs
from transformers import HfArgumentParser

NAMES = ("MIN_PIXELS", "MAX_PIXELS", "ROOT_IMAGE_DIR")


class Unchecked(SftArguments):
    def __post_init__(self):
        """Do nothing: the checks load the model."""


assert {f.name for f in fields(Unchecked)} >= {"model", "dataset", "val_dataset", "max_length"}
for folder in sys.argv[1:]:
    for name in NAMES:
        os.environ.pop(name, None)
    os.chdir(folder)
    argv = ["settings.yaml", "--model", "some/model"]
    parse_yaml_args(argv)
    args, rest = HfArgumentParser([Unchecked]).parse_args_into_dataclasses(
        argv, return_remaining_strings=True
    )
    assert not rest, rest
    assert args.model == "some/model"
    rows, _ = load_dataset(
        args.dataset, split_dataset_ratio=0.0, strict=True, load_from_cache_file=False
    )
    sizes = {
        Template._load_image(StdTemplateInputs.from_dict(row).images[0], True).size for row in rows
    }
    print("ROW " + json.dumps({
        "max_length": args.max_length, "dataset": args.dataset, "rows": len(rows),
        "environment": [os.environ.get(name) for name in NAMES], "sizes": sorted(sizes),
    }))  # fmt: skip
