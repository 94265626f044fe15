"""Compares the cost of the Gram matrix of per-entry gradients with six other methods.

    python bench/fisher.py [--rounds 5] [--methods ours,naive,…] [--device cpu] [--width 256] …

The model is of the Llama type, with LoRA (r = 16, random B) on all linear layers, and runs on one
thread on a CPU. The floor is one forward and backward pass over all N entries together. Every
method runs in its own process, alternating with the floor; the reported number is the median of the
ratios of neighbouring runs. Peak memory is the memory that one pass of the method adds to a new
process (resident memory; on a GPU, allocated memory).

ours      GramRecorder, which frees rows layer by layer and also gives .grad
micro     GramRecorder in micro-batches of 16, which keeps the rows
naive     one forward and backward pass per entry
vmap      torch.func.vmap(grad) in chunks of 16
torchjd   autogram.Engine.compute_gramian, which gives no .grad
opacus    GradSampleModule, then the Gram matrix of its grad_sample
backpack  BatchGrad, then the Gram matrix of its grad_batch

`step` is a complete training step at --step-width with AdamW, with and without the recorder *and*
the eigendecomposition in every step. `error` is the largest difference to the naive float64 loop on
4 entries. Packages that are not installed are shown as a dash. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

METHODS = ("ours", "micro", "naive", "vmap", "torchjd", "opacus", "backpack")


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the Gram matrix over one batched pass.")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs at N = 64")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--sizes", default="64,256")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--prompt", type=int, default=112, help="tokens per prompt")
    parser.add_argument("--answer", type=int, default=16, help="tokens per answer")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--step-width", type=int, default=512)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(_job(args)))
        return
    import torch  # for its version in the title of the table

    sizes = [int(n) for n in args.sizes.split(",")]
    methods = args.methods.split(",")
    runs: dict[tuple[str, int], dict[str, Any]] = {}
    for n in sizes:
        for method in ["floor", *methods]:
            runs[method, n] = {
                **_child(args, f"peak:{method}", n),
                **({} if method == "floor" else _child(args, f"time:{method}", n)),
            }
            print(f"{method} N={n}: {runs[method, n]}", file=sys.stderr, flush=True)
    step = _child(args, "step", 32)
    _print(runs, sizes, methods, step, torch.__version__)


def _print(
    runs: dict[tuple[str, int], dict[str, Any]],
    sizes: list[int],
    methods: list[str],
    step: dict[str, Any],
    version: str,
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Gram matrix of per-entry gradients, torch {version}")
    table.add_column("method")
    for n in sizes:
        for column in (f"N={n}: over floor", "range", "peak MiB", "error"):
            table.add_column(column, justify="right")
    for method in ["floor", *methods]:
        cells = []
        for n in sizes:
            run = runs[method, n]
            if "missing" in run:
                cells += ["–", run["missing"][:40], "–", "–"]
            elif method == "floor":
                cells += ["1.00", "", f"{run['peak']:.0f}", ""]
            else:
                low, high = min(run["ratios"]), max(run["ratios"])
                cells += [
                    f"{run['ratio']:.3f}", f"{low:.2f}–{high:.2f}", f"{run['peak']:.0f}",
                    f"{run['error']:.0e}",
                ]  # fmt: skip
        table.add_row(method, *cells)
    Console(width=140).print(table)
    print(
        f"training step at width {step['width']}: {step['seconds']:.2f} s, with K, SE and rho "
        f"{100 * step['overhead']:+.2f} % (ratios {min(step['ratios']):.3f}–"
        f"{max(step['ratios']):.3f})"
    )
    ours = {n: runs.get(("ours", n), {}) for n in sizes}
    figures = {f"over_floor_n{n}": ours[n].get("ratio") for n in sizes}
    peaks = [ours[n]["peak"] / runs["floor", n]["peak"] for n in sizes if "peak" in ours[n]]
    figures["peak_over_floor"] = max(peaks) if peaks else None
    figures["step_overhead"] = step["overhead"]
    print(json.dumps({k: v if v is None else round(v, 4) for k, v in figures.items()}))


def _child(args: argparse.Namespace, job: str, n: int) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).resolve()), "--job", job, "--n", str(n)]
    for name in (
        "rounds", "device", "width", "layers", "vocabulary", "prompt", "answer", "dtype",
        "step_width",
    ):  # fmt: skip
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    setting = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if args.device == "cpu" else {}
    if not job.startswith("peak"):  # otherwise page faults of large tensors distort the times
        setting |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36)}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **setting})
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return {"missing": last}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _job(args: argparse.Namespace) -> dict[str, Any]:
    kind, _, method = args.job.partition(":")
    if kind == "step":
        return _step(args)
    bench = Bench(args, args.width)
    run = getattr(bench, method)
    data = bench.data(args.n)
    if kind == "peak":
        run(bench.data(4))  # loads kernels, caches and lazy imports before the measurement
        peak = bench.peak(lambda: run(data))
        return {"peak": peak}
    error = bench.error(run)
    run(bench.data(16))
    floor = Bench(args, args.width).floor  # on a new model, because methods leave hooks on theirs
    rounds = args.rounds if args.n <= 64 else max(3, args.rounds // 2)
    ratios = []
    for _ in range(rounds):
        before = bench.seconds(lambda: floor(data))
        ours = bench.seconds(lambda: run(data))
        after = bench.seconds(lambda: floor(data))
        ratios.append(2 * ours / (before + after))
    return {"ratio": statistics.median(ratios), "ratios": ratios, "error": error}


def _step(args: argparse.Namespace) -> dict[str, Any]:
    import torch

    from imaxray.dynamics import GramRecorder, spectrum

    bench = Bench(args, args.step_width)
    parameters = [p for p in bench.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    data = bench.data(args.n)

    def plain() -> None:
        bench.losses(data).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    def recorded() -> None:
        with GramRecorder(bench.model) as recorder:
            recorder.begin(args.n, scales=[1 / args.n] * args.n)
            plain()
            spectrum(recorder.gram().matrix)

    plain(), recorded()
    ratios, seconds = [], []
    for _ in range(max(args.rounds, 3)):
        before, ours, after = (bench.seconds(f) for f in (plain, recorded, plain))
        ratios.append(2 * ours / (before + after))
        seconds.append(before)
    return {
        "width": args.step_width,
        "seconds": statistics.median(seconds),
        "overhead": statistics.median(ratios) - 1,
        "ratios": ratios,
    }


class Bench:
    """Holds one model; each method takes a batch and returns K (the floor returns nothing)."""

    def __init__(self, args: argparse.Namespace, width: int) -> None:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaConfig, LlamaForCausalLM

        if args.device == "cpu":
            torch.set_num_threads(1)
        torch.manual_seed(0)
        self.args = args
        config = LlamaConfig(
            vocab_size=args.vocabulary,
            hidden_size=width,
            intermediate_size=width * 8 // 3 // 32 * 32,
            num_hidden_layers=args.layers,
            num_attention_heads=max(width // 64, 1),
            num_key_value_heads=max(width // 64, 1),
            attn_implementation="eager",
        )
        base = LlamaForCausalLM(config).to(args.device, getattr(torch, args.dtype))
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
        self.model = get_peft_model(base, lora).eval()
        for name, parameter in self.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        self._wrapped: Any = None

    def data(self, n: int) -> dict[str, Any]:
        """Make rows of random tokens, of which the last ones are the answer."""
        import torch

        args = self.args
        generator = torch.Generator().manual_seed(1)
        shape = (n, args.prompt + args.answer)
        ids = torch.randint(0, args.vocabulary, shape, generator=generator)
        labels = ids.clone()
        labels[:, : args.prompt] = -100
        return {"input_ids": ids.to(args.device), "labels": labels.to(args.device)}

    def losses(self, data: dict[str, Any], model: Any = None) -> Any:
        """Return the summed answer loss of each row."""
        from imaxray.dynamics import row_losses

        return row_losses(model or self.model, data)

    # ---- methods

    def floor(self, data: dict[str, Any]) -> None:
        """Run one batched forward and backward pass."""
        self.losses(data).sum().backward()
        self._clear()

    def ours(self, data: dict[str, Any]) -> Any:
        """Record the Gram matrix; rows are freed layer by layer."""
        from imaxray.dynamics import GramRecorder

        with GramRecorder(self.model) as recorder:
            with recorder.batch(len(data["input_ids"])):
                self.losses(data).sum().backward()
            gram = recorder.gram().matrix
        self._clear()
        return gram

    def micro(self, data: dict[str, Any]) -> Any:
        """Record the Gram matrix over micro-batches; rows are kept."""
        from imaxray.dynamics import GramRecorder

        with GramRecorder(self.model, keep_rows=True) as recorder:
            for part in self._parts(data, 16):
                with recorder.batch(len(part["input_ids"])):
                    self.losses(part).sum().backward()
            gram = recorder.gram().matrix
        self._clear()
        return gram

    def naive(self, data: dict[str, Any]) -> Any:
        """Run one forward and backward pass per entry."""
        import torch

        rows = []
        for part in self._parts(data, 1):
            self.losses(part).sum().backward()
            rows.append(torch.cat([p.grad.flatten() for p in self._trained()]))
            self._clear()
        stacked = torch.stack(rows).double()
        return (stacked @ stacked.T).cpu().numpy()

    def vmap(self, data: dict[str, Any]) -> Any:
        """Compute all per-entry gradients by function transforms."""
        import torch
        from torch.func import functional_call, grad, vmap

        names = [n for n, p in self.model.named_parameters() if p.requires_grad]
        frozen = {n: p for n, p in self.model.named_parameters() if not p.requires_grad}
        values = {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}

        def loss(values: Any, ids: Any, labels: Any) -> Any:
            def call(**kwargs: Any) -> Any:
                return functional_call(self.model, {**values, **frozen}, (), kwargs)

            return self.losses({"input_ids": ids[None], "labels": labels[None]}, call).sum()

        found = vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=16)(
            values, data["input_ids"], data["labels"]
        )
        n = len(data["input_ids"])
        gram = torch.zeros(n, n, dtype=torch.float64, device=self.args.device)
        for name in names:
            rows = found[name].flatten(1)
            gram += rows @ rows.T
        return gram.cpu().numpy()

    def torchjd(self, data: dict[str, Any]) -> Any:
        """Compute the Gram matrix by TorchJD, which gives no ``.grad``."""
        from torchjd.autogram import Engine

        if self._wrapped is None:  # made once, because its hooks stay on the model
            self._wrapped = Engine(self.model, batch_dim=0)
        gram = self._wrapped.compute_gramian(self.losses(data)).double().cpu().numpy()
        self._clear()
        return gram

    def opacus(self, data: dict[str, Any]) -> Any:
        """Compute the per-entry gradients of every parameter by Opacus, then K."""
        from opacus.grad_sample import GradSampleModule

        if self._wrapped is None:
            self._wrapped = GradSampleModule(self.model, loss_reduction="sum", strict=False)
            self._wrapped.train()  # its hooks require it; the model has no dropout
        self.losses(data, self._wrapped).sum().backward()
        return self._gram_of("grad_sample")

    def backpack(self, data: dict[str, Any]) -> Any:
        """Compute the per-entry gradients of every parameter by BackPACK, then K."""
        import torch
        from backpack import backpack, extend
        from backpack.extensions import BatchGrad

        if self._wrapped is None:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Linear) and module.weight.requires_grad:
                    extend(module)
            self._wrapped = True
        with backpack(BatchGrad()):
            self.losses(data).sum().backward()
        return self._gram_of("grad_batch")

    # ---- measuring

    def error(self, run: Callable[[Any], Any]) -> float:
        """Return the largest relative difference to the naive float64 loop on 4 entries."""
        import numpy as np

        data = self.data(4)
        theirs = run(data)
        fresh = Bench(self.args, self.args.width)
        fresh.model.double()
        naive = fresh.naive(data)
        return float(np.abs(theirs - naive).max() / np.abs(naive).max())

    def seconds(self, function: Callable[[], Any]) -> float:
        """Return CPU seconds on a CPU, which other load affects less, or else wall seconds."""
        clock = time.process_time if self.args.device == "cpu" else time.perf_counter
        self._synchronize()
        started = clock()
        function()
        self._synchronize()
        return clock() - started

    def peak(self, function: Callable[[], Any]) -> float:
        """Return the memory in MiB that ``function`` adds to the memory of the process."""
        import torch

        if self.args.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
            function()
            return (torch.cuda.max_memory_allocated() - held) / 2**20
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        held = _status("VmRSS")
        function()
        return (_status("VmHWM") - held) / 1024

    def _gram_of(self, attribute: str) -> Any:
        import torch

        trained = self._trained()
        n = len(getattr(trained[0], attribute))
        gram = torch.zeros(n, n, dtype=torch.float64, device=self.args.device)
        for parameter in trained:
            rows = getattr(parameter, attribute).flatten(1)
            gram += rows @ rows.T
            setattr(parameter, attribute, None)
        self._clear()
        return gram.cpu().numpy()

    def _trained(self) -> list[Any]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def _clear(self) -> None:
        for parameter in self._trained():
            parameter.grad = None

    def _parts(self, data: dict[str, Any], size: int) -> list[dict[str, Any]]:
        n = len(data["input_ids"])
        return [
            {key: value[start : start + size] for key, value in data.items()}
            for start in range(0, n, size)
        ]

    def _synchronize(self) -> None:
        import torch

        if self.args.device != "cpu":
            torch.cuda.synchronize()


def _status(field: str) -> int:
    """Return a field of /proc/self/status in KiB, or the peak of the process if it is missing."""
    path = Path("/proc/self/status")
    if not path.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in path.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
