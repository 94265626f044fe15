"""6. Dynamics: the spectrum of the empirical Fisher matrix, recorded while both models trained.

Spectral entropy (SE) is high when the gradients of the entries point in many directions; rho is the
share of the largest eigenvalue. Every number comes from the exact Gram matrix of gradients.

Continues 03_train.py. Run: python examples/06_dynamics.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

import polars as pl

from imaxray import run_dynamics

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

found = run_dynamics([work / "runs/imax"], work / "dynamics", against=[work / "runs/dmax"])
for name, arm in (("runs", "imax"), ("against", "dmax")):
    table = found.spectra[name].filter(pl.col("group") == "all", pl.col("reduction") == "sum")
    for row in table.sort("entries_seen").iter_rows(named=True):
        print(f"{arm}: after {row['entries_seen']} entries SE is {row['se']:.3f} "
              f"and rho is {row['rho']:.3f}")  # fmt: skip
for remark in found.remarks:  # what a reader must know of these numbers
    print(remark)
