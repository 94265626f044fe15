"""Reads folders with FiftyOne's importer for ``FiftyOneDataset``; prints one JSON line per sample.

Usage: read_fiftyone.py FOLDER …. No database runs: samples are not added to a dataset.
"""

import json
import sys

import fiftyone as fo
import fiftyone.utils.data as foud
from fiftyone.utils.data.importers import _handle_legacy_formats

assert fo.types.FiftyOneDataset().get_dataset_importer_cls() is foud.FiftyOneDatasetImporter
for folder in sys.argv[1:]:
    with _handle_legacy_formats(foud.FiftyOneDatasetImporter(folder)) as importer:
        for sample in importer:
            assert isinstance(sample, fo.Sample)
            size = fo.ImageMetadata.build_for(sample.filepath)
            seen = {"filepath": sample.filepath, "size": [size.width, size.height],
                    "fields": sample.to_dict(), "media": sample.media_type}  # fmt: skip
            print("ROW " + json.dumps(seen, default=str))
