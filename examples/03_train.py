"""3. Train: one tiny model on each dataset, from the same weights and for the same steps.

The run on IMAX is packed: all entries of an image share one encoding of it. The run on DMAX has one
sequence per entry. Both have the same loss and see the same number of entries per step. While they
train, a probe records gradients for 06_dynamics.py.

Continues 01_build.py. Run: python examples/03_train.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import load_recipe, open_dataset, train_dataset
from imaxray.dynamics import probe_while_training
from imaxray.models import PhantomConfig
from imaxray.training import untrained_base

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

data = {name: open_dataset(work / "data" / name) for name in ("imax", "dmax")}
shape = PhantomConfig(
    image_size=32, patch_size=16, width=32, vision_layers=1, text_layers=1, vocabulary=400
)
base = untrained_base(shape, list(data.values()), work / "base", seed=0)

for arm, layout in {"imax": "packed", "dmax": "separate"}.items():
    out = work / "runs" / arm
    recipe = load_recipe(
        model=str(base), layout=layout, method="full", optimizer="muon", learning_rate=4e-3,
        muon_learning_rate=8e-3, steps=200, entries_per_step=16, log_every=10,
    )  # fmt: skip
    probe = probe_while_training(out, 14, every=1600, entries_per_step=16)
    run = train_dataset(data[arm], out, recipe, callbacks=probe, progress=False)
    first, last = run.curve[0], run.curve[-1]
    print(f"{arm}: loss {first['loss']:.2f} → {last['loss']:.2f} "
          f"after {last['entries_seen']} entries")  # fmt: skip
