"""8. Export: write IMAX in the formats of other tools.

Continues 01_build.py. Run: python examples/08_export.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import export_dataset

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")
imax = work / "data" / "imax"

# ms-swift trains multimodal LLMs; it writes boxes in the form of the model that it trains.
swift = export_dataset(imax, "swift", work / "export" / "swift")
print(f"swift: {swift.counts['train']['rows']} conversations for training")

# FiftyOne shows images with their boxes and labels: one sample per image.
fiftyone = export_dataset(imax, "fiftyone", work / "export" / "fiftyone")
print(f"fiftyone: {', '.join(sorted(fiftyone.files))}")

# Croissant describes the dataset to machines, beside the tables themselves.
croissant = export_dataset(imax, "croissant", work / "export" / "croissant")
print(f"croissant: {', '.join(sorted(croissant.files))}")

# What a tool cannot read is left out and counted, never written wrongly.
print(f"left out: {swift.left_out or 'nothing'}")
