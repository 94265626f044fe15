"""Computes the Gram matrix of a set of entries under a model, with one backward pass per batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from imaxray.dynamics.numbers.gram import Gram, Matrix
from imaxray.dynamics.recording.linear import BLOCK_BYTES
from imaxray.dynamics.recording.recorder import GramRecorder
from imaxray.dynamics.recording.row_map import RowMap
from imaxray.dynamics.recording.vision_maps import vision_scopes
from imaxray.errors import ImaxrayError

Losses = Callable[[Any, Any], Tensor]
"""Function (model, batch) → (N,) losses: the summed negative log-likelihood of each answer."""

Rows = Callable[[Any, Any], tuple[RowMap, Mapping[str, RowMap]]]
"""Function (model, batch) → row map of the text model, and row maps of the vision scopes."""


def row_losses(model: Any, batch: Mapping[str, Any]) -> Tensor:
    """Return the summed negative log-likelihood of each row's answer, (B,).

    Args:
        model: A ``transformers`` model.
        batch: Keyword arguments of the model, and ``labels`` (B, L) with −100 for every token that
            is not part of the answer.
    """
    device = next(model.parameters()).device
    inputs = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
    labels = inputs.pop("labels")[:, 1:]
    logits = model(**inputs).logits[:, :-1]
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    losses = cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100
    )
    return losses.reshape(labels.shape).sum(1)


def one_row_each(model: Any, batch: Mapping[str, Any]) -> tuple[RowMap, Mapping[str, RowMap]]:
    """Return the row maps of a batch in which row r is sample r and has one image."""
    rows = RowMap.one_each(len(batch["input_ids"]))
    return rows, vision_scopes(model, batch, rows)


def empirical_fisher(
    model: nn.Module,
    batches: Sequence[Any],
    losses: Losses = row_losses,
    rows: Rows = one_row_each,
    *,
    leave_out: Sequence[str] = (),
    uncovered: Literal["raise", "name"] = "raise",
    verify: bool | int = False,
    train_mode: bool = False,
    distributed: bool = False,
    block_bytes: int = BLOCK_BYTES,
    **about: Any,
) -> Gram:
    """Compute the exact Gram matrix of the per-sample gradients of ``batches``.

    The gradients are those of the trainable parameters. Weights and their ``.grad`` are unchanged
    afterwards. Dropout is off. (With ``train_mode`` the mode of the model is not changed, which
    checkpointing needs; dropout is then off only if its rate is 0.) With one batch, the rows of
    each layer are freed at once. With several batches, all rows are kept until the end, which takes
    N times the memory of the trainable parameters in float32.

    Args:
        model: Model whose parameters with ``requires_grad`` count as trainable.
        batches: Batches, each passed to ``losses`` unchanged.
        losses: Function that returns the per-sample losses. Sum over answer tokens, unless another
            Fisher matrix is meant.
        rows: Function that returns the row → sample maps of a batch.
        leave_out: Patterns of parameter names to leave out; ``Gram.uncovered`` lists the
            parameters.
        uncovered: What to do about trainable parameters without rows: "raise" an error, or "name"
            them in ``Gram.uncovered``.
        verify: Number of entries (5 if True) to compare with a naive loop of one backward pass per
            entry.
        train_mode: Whether to leave the model in its present mode instead of eval mode.
        distributed: Whether ranks share the work. Every rank passes all batches and computes its
            share of them; the result is complete on every rank.
        block_bytes: Memory limit of the rows of one parameter, see :class:`GramRecorder`.
        about: ``ids``, ``tasks``, ``images`` and ``tokens`` of all samples, in the order of the
            batches.

    Raises:
        ImaxrayError: If parameters are uncovered, rows do not fit, or the verification fails.
    """
    if not batches:
        raise ImaxrayError("Expected batches of entries, but got none; pass at least one.")
    mine = _share(batches, verify) if distributed else batches
    parameters = [p for p in model.parameters() if p.requires_grad]
    with _mode(model, train_mode), _set_aside(parameters):
        recorder = GramRecorder(
            model,
            keep_rows=len(batches) > 1 or distributed,
            leave_out=leave_out,
            uncovered=uncovered,
            block_bytes=block_bytes,
        )
        counts = []
        with recorder:
            for batch in mine:
                text, scopes = rows(model, batch)
                counts.append(text.count)
                with recorder.batch(text, scopes=scopes):
                    found = losses(model, batch)
                    _require(found, text.count)
                    found.sum().backward()  # type: ignore[no-untyped-call]
                for parameter in parameters:
                    parameter.grad = None
            gram = recorder.gram(distributed=distributed, **about)
        if verify:
            left = set(recorder.uncovered)
            covered = [p for n, p in model.named_parameters() if p.requires_grad and n not in left]
            _verify(model, batches, losses, counts, gram.matrix, covered, int(verify))
    return gram


def naive_gram(
    model: nn.Module,
    batches: Sequence[Any],
    losses: Losses,
    parameters: Sequence[Tensor],
    samples: Sequence[tuple[int, int]],
) -> Matrix:
    """Compute the Gram matrix of a few samples with one backward pass each, as a simple reference.

    Args:
        model: Any model.
        batches: Batches, as in :func:`empirical_fisher`.
        losses: Function that returns the per-sample losses, as in :func:`empirical_fisher`.
        parameters: Parameters whose gradients count.
        samples: Pairs (batch, sample in that batch), grouped by batch.

    Returns:
        Gram matrix of the samples, float64.
    """
    gradients: list[Tensor] = []
    current, values = -1, torch.empty(0)
    trained = [p for p in model.parameters() if p.requires_grad]
    with _set_aside(trained):
        for batch, sample in samples:
            if batch != current:
                current, values = batch, losses(model, batches[batch])
            # autograd.grad is not used, because reentrant checkpointing refuses it
            values[sample].backward(retain_graph=True)  # type: ignore[no-untyped-call]
            found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            gradients.append(torch.cat([gradient.flatten().double() for gradient in found]))
            for parameter in trained:
                parameter.grad = None
    stacked = torch.stack(gradients)
    return np.asarray((stacked @ stacked.T).cpu().numpy(), dtype=np.float64)


def _share(batches: Sequence[Any], verify: bool | int) -> Sequence[Any]:
    """Return this rank's batches, which are consecutive so that rank order is batch order."""
    rank, world = dist.get_rank(), dist.get_world_size()
    if len(batches) < world or verify:
        raise ImaxrayError(
            f"Expected at least {world} batches for {world} ranks and no verify, but got "
            f"{len(batches)}; make smaller batches, and verify on one rank."
        )
    chosen = np.array_split(np.arange(len(batches)), world)[rank]
    return [batches[i] for i in chosen]


def _verify(
    model: nn.Module,
    batches: Sequence[Any],
    losses: Losses,
    counts: list[int],
    matrix: Matrix,
    parameters: Sequence[Tensor],
    wanted: int,
) -> None:
    wanted = 5 if wanted == 1 else wanted
    places = [(b, s) for b, count in enumerate(counts) for s in range(count)]
    index = np.unique(np.linspace(0, len(places) - 1, min(wanted, len(places))).astype(int))
    naive = naive_gram(model, batches, losses, parameters, [places[i] for i in index])
    ours = matrix[np.ix_(index, index)]
    norms = np.sqrt(np.diag(naive))
    scale = np.outer(norms, norms) + np.finfo(np.float64).tiny
    error = float(np.max(np.abs(ours - naive) / scale))
    double = all(p.dtype == torch.float64 for p in parameters)
    half = any(p.dtype in (torch.float16, torch.bfloat16) for p in parameters)
    limit = 1e-6 if double else 5e-2 if half else 1e-3
    if not error <= limit:
        raise ImaxrayError(
            f"Expected the Gram matrix to equal the naive loop on {len(index)} entries within "
            f"{limit:g} of their norms, but it is off by {error:.2g}: dropout is on, or a module "
            "mixes samples in a way that the row maps do not describe; correct one of the two."
        )


def _require(losses: Tensor, count: int) -> None:
    if losses.shape != (count,):
        raise ImaxrayError(
            f"Expected {count} losses, one per sample, but got shape {tuple(losses.shape)}; return "
            "one loss per sample (for packed rows, a sample is an image)."
        )


@contextmanager
def _mode(model: nn.Module, train_mode: bool) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    if not train_mode:
        model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was


@contextmanager
def _set_aside(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Clear ``.grad`` of ``parameters`` inside the block and restore it afterwards."""
    grads = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
