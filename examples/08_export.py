"""8. Export: write IMAX in the formats of other tools.

Continues 01_build.py. Run: python examples/08_export.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import export_dataset

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

# Models write boxes in conventions of their own: here, numbers from 0 to 1000.
llava = export_dataset(work / "data/imax", "llava", work / "export/llava", boxes="per-mille")
print(f"llava: {llava.counts['train']['rows']} conversations for training in {llava.folder.name}")

# One conversation per image, with all its entries as turns.
swift = export_dataset(work / "data/imax", "swift", work / "export/swift", per="image")
print(f"swift: {swift.counts['train']['rows']} conversations for training, "
      f"{swift.counts['train']['entries']} entries in them")  # fmt: skip

croissant = export_dataset(work / "data/imax", "croissant", work / "export/croissant")
print(f"croissant: {', '.join(sorted(croissant.files))}")
