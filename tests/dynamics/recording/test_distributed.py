"""Tests K over two gloo ranks with different numbers of samples, under DDP."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import torch

import imaxray
from imaxray.dynamics import naive_gram

NET = """
import numpy as np, torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(),
                         nn.Linear(6, 1, bias=False)).double()

def data():
    x = torch.randn(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return [[x[:2], x[2:3]], [x[3:7], x[7:]]]  # rank → micro-batches

def losses(model, x):
    return model(x).flatten(1).square().sum(1)
"""
RANK = (
    NET
    + """
import sys
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from imaxray.dynamics import GramRecorder

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
model = net()
wrapped = DistributedDataParallel(model)
with GramRecorder(model, keep_rows=True) as recorder:
    for x in data()[rank]:
        with recorder.batch(len(x), scales=[1 / len(x)] * len(x)):
            losses(wrapped, x).mean().backward()
    gram = recorder.gram(distributed=True)
np.savez(f"{out}/{rank}.npz", k=gram.matrix, grad=model[0].weight.grad.numpy())
dist.destroy_process_group()
"""
)


def test_two_ranks_equal_one(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(textwrap.dedent(RANK))
    package = str(Path(imaxray.__file__).parent.parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": package}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store"), str(tmp_path)],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    space: dict = {}
    exec(NET, space)
    model, batches = space["net"](), [x for rank in space["data"]() for x in rank]
    places = [(b, s) for b, x in enumerate(batches) for s in range(len(x))]
    expected = naive_gram(model, batches, space["losses"], list(model.parameters()), places)
    found = [np.load(tmp_path / f"{rank}.npz") for rank in (0, 1)]
    for rank in (0, 1):
        assert np.abs(found[rank]["k"] - expected).max() < 1e-12 * np.abs(expected).max()
    for rank_batches in space["data"]():
        for x in rank_batches:
            (space["losses"](model, x).mean() / 2).backward()
    torch.testing.assert_close(torch.from_numpy(found[0]["grad"]), model[0].weight.grad)
