"""Reads ``train.yaml`` as ``swift sft`` does, and the data that it names; prints one JSON line.

Usage: read_swift_settings.py FOLDER. The model's own files are not here, so that the values are
held against the fields of the tool's arguments without their checks of a model.
"""

import json
import os
import sys
from dataclasses import fields

for name in ("MAX_PIXELS", "MIN_PIXELS", "ROOT_IMAGE_DIR"):
    os.environ.pop(name, None)

from swift.cli.main import parse_yaml_args  # noqa: E402

os.chdir(sys.argv[1])
argv = ["train.yaml", "--model", "some/model"]
parse_yaml_args(argv)  # before the tool's own modules read the environment

from swift.arguments import SftArguments  # noqa: E402
from swift.dataset import load_dataset  # noqa: E402
from swift.template.base import Template  # noqa: E402
from swift.template.template_inputs import StdTemplateInputs  # noqa: E402
from transformers import HfArgumentParser  # noqa: E402


class Unchecked(SftArguments):
    def __post_init__(self):
        """Do nothing: the checks load the model."""


assert {f.name for f in fields(Unchecked)} >= {"model", "dataset", "val_dataset", "max_length"}
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
    "root": os.environ.get("ROOT_IMAGE_DIR"), "sizes": sorted(sizes),
    "areas": [os.environ.get("MIN_PIXELS"), os.environ.get("MAX_PIXELS")],
}))  # fmt: skip
