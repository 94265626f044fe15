"""1. Build: synthetic radiographs, written as seven releases, become the datasets IMAX and DMAX.

IMAX has few images with many tasks each. DMAX is the control: it has the same number of entries of
every task, spread over as many images as possible.

Run from the root of the repository: python examples/01_build.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import build_datasets, density, list_sources, open_dataset, write_phantom
from imaxray.curation import ImaxConfig
from imaxray.study import DataConfig

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

# The releases have the file formats of the real ones, so the same readers read both.
write_phantom(work / "releases", images=120, seed=3)
folders = {source.name: work / "releases" / source.name for source in list_sources()}
releases = {name: folder for name, folder in folders.items() if folder.is_dir()}

config = DataConfig(
    imax=ImaxConfig(
        min_tasks=6, max_entries_per_task=1, target_entries=120, eval_entries_per_task=4
    )
)
build_datasets(releases, config, work / "data")

for name in ("catalog", "imax", "dmax"):
    found = density(open_dataset(work / "data" / name).tables)
    print(f"{name}: {found.entries} train entries on {found.images} images, "
          f"{found.tasks_per_image:.1f} tasks per image")  # fmt: skip
