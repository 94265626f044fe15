"""Records the Gram matrix of per-sample gradients while ordinary backward passes run."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import linear

from imaxray.dynamics.numbers.gram import Gram
from imaxray.dynamics.recording.coverage import coverage, module_group, refuse_coupling
from imaxray.dynamics.recording.distributed import counts_of_ranks, shard_gram, summed
from imaxray.dynamics.recording.linear import BLOCK_BYTES, Call, RowLinear
from imaxray.dynamics.recording.parameter_rows import ParameterRows
from imaxray.dynamics.recording.replay import replay_on_backward
from imaxray.dynamics.recording.row_map import RowGroups, RowMap, gram_of
from imaxray.errors import ImaxrayError

_BUCKET = 32 * 2**20
"""Bytes of kept rows that are multiplied (and sent between ranks) at once."""


class GramRecorder:
    """Computes K of one or several batches as a by-product of their backward passes.

    The backward pass of each trainable ``nn.Linear`` (LoRA factors included) computes per-sample
    weight gradients with one batched product; other small modules are run again for each sample.
    Every gradient that reaches a covered parameter is checked to be the sum of its rows. ``.grad``
    is the same as without the recorder.

    Use::

        with GramRecorder(model) as recorder:
            with recorder.batch(len(rows)):
                loss.backward()
            gram = recorder.gram()

    Args:
        model: Any PyTorch model; pass the module that holds the parameters, not its DDP wrapper.
        keep_rows: Whether to keep the rows until :meth:`gram`, so that K spans several batches
            (gradient accumulation, ranks). Otherwise the rows of each layer are freed at once and K
            is of one batch.
        leave_out: Patterns of parameter names to leave out of K; ``Gram.uncovered`` lists the
            parameters.
        uncovered: What to do about trainable parameters without rows: "raise" an error, or "name"
            them in the result.
        group: Function from a parameter name to its module group.
        block_bytes: Memory limit in bytes; larger rows of a parameter are computed in blocks.

    Raises:
        ImaxrayError: If nothing is trainable, samples are coupled, or parameters are uncovered.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        keep_rows: bool = False,
        leave_out: Sequence[str] = (),
        uncovered: Literal["raise", "name"] = "raise",
        group: Callable[[str], str] = module_group,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        refuse_coupling(model)
        self.plan = coverage(model, leave_out)
        left = [n for n in self.plan.uncovered if not any(fnmatchcase(n, p) for p in leave_out)]
        if left and uncovered == "raise":
            raise ImaxrayError(
                f"Expected per-sample rows for every trainable parameter, but {len(left)} have "
                f"none ({', '.join(left[:5])}{' …' if len(left) > 5 else ''}); freeze them, name "
                "them in leave_out, or pass uncovered='name'."
            )
        if not self.plan.names:
            raise ImaxrayError(
                "Expected trainable parameters in Linear layers, but found none that is covered; "
                "set requires_grad before you create the recorder."
            )
        self._keep, self._block_bytes = keep_rows, block_bytes
        parameters = {id(p): p for p in model.parameters()}
        self._all_rows = {
            key: ParameterRows(name, parameters[key], self._receive, keep=keep_rows)
            for key, name in self.plan.names.items()
        }
        self._group = {name: group(name) for name in self.plan.names.values()}
        self._device = next(iter(parameters.values())).device
        self._hooks: list[Any] = []
        self._patched: list[nn.Module] = []
        self._live = False
        self._replaying = False
        self._rows: RowMap = RowMap.one_each(1)
        self._scopes: list[tuple[str, RowMap]] = []
        self._where: dict[str, RowMap] = {}
        self._reset()

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Trainable parameters whose gradients are not in K."""
        return tuple(self.plan.uncovered)

    # ---- attaching

    def attach(self) -> Self:
        """Replace the forward of the tracked modules; their outputs stay the same."""
        for name, module in self.plan.linears:
            self._patch(module, self._linear_forward(name, module))
        for name, replayed, keys in self.plan.replays:
            self._patch(replayed, self._replayed_forward(name, replayed, keys))
        for parameter_rows in self._all_rows.values():

            def prove(gradient: Tensor, parameter_rows: ParameterRows = parameter_rows) -> None:
                if self._live and not self._replaying:
                    parameter_rows.prove(gradient)

            self._hooks.append(parameter_rows.parameter.register_hook(prove))  # type: ignore[no-untyped-call]
        return self

    def detach(self) -> None:
        """Restore the original forward of the modules and remove the hooks."""
        for module in self._patched:
            del module.forward
        for hook in self._hooks:
            hook.remove()
        self._patched, self._hooks, self._live = [], [], False

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(self, *exception: object) -> None:
        self.detach()

    def _patch(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        module.forward = types.MethodType(forward, module)
        self._patched.append(module)

    # ---- batches

    def begin(
        self,
        rows: int | RowMap,
        *,
        scopes: Mapping[str, RowMap] | None = None,
        scales: Tensor | Sequence[float] | None = None,
    ) -> None:
        """Start a batch before its forward pass, and end the previous batch.

        Args:
            rows: Row map of the text model, or a number N if each of N samples has one row.
            scopes: Mapping from a part of a module path (``vision_tower``) to the row map of all
                modules below it.
            scales: Factor of each sample's loss in the loss that ``backward`` is called on, (N,):
                1/N for a mean, 1/accumulation steps, the factor of the loss scaler. K is that of
                the unscaled losses. If None, all factors are 1.

        Raises:
            ImaxrayError: If the maps have different numbers of samples, or a second batch starts
                without ``keep_rows``.
        """
        self.end()
        if self._counts and not self._keep:
            raise ImaxrayError(
                "Expected one batch per Gram matrix, but a second began; pass keep_rows=True, or "
                "call gram() first."
            )
        self._rows = RowMap.one_each(rows) if isinstance(rows, int) else rows
        self._scopes = list((scopes or {}).items())
        self._where = {}
        count = self._rows.count
        for scope, found in self._scopes:
            if found.count != count:
                raise ImaxrayError(
                    f"Expected the row map of {scope} to have {count} samples like the rows, but "
                    f"it has {found.count}; pass count={count} to it."
                )
        self._counts.append(count)
        scale = np.ones(count) if scales is None else _numbers(scales)
        if scale.shape != (count,) or not (scale != 0).all():
            raise ImaxrayError(
                f"Expected {count} scales other than 0, but got shape {scale.shape}; give one per "
                "sample."
            )
        self._scales.append(scale)
        for parameter_rows in self._all_rows.values():
            parameter_rows.open()
        self._live = True

    def end(self) -> None:
        """End the batch after its backward pass; all pending rows are complete now."""
        if self._live:
            for parameter_rows in self._all_rows.values():
                parameter_rows.close()
        self._live = False

    @contextmanager
    def batch(self, rows: int | RowMap, **kwargs: Any) -> Iterator[None]:
        """Call :meth:`begin`, run the block (forward and backward pass), and call :meth:`end`."""
        self.begin(rows, **kwargs)
        try:
            yield
        except BaseException:
            self._live = False
            self._reset()  # the rows of an interrupted batch are incomplete, so they are dropped
            raise
        self.end()

    # ---- the result

    def gram(
        self, *, distributed: bool = False, group: dist.ProcessGroup | None = None, **about: Any
    ) -> Gram:
        """Return K of the batches since the last call, and reset the recorder.

        Args:
            distributed: Whether K is computed over the batches of all ranks, with samples in rank
                order; this needs ``keep_rows``.
            group: Process group; None means the default group.
            about: ``ids``, ``tasks``, ``images`` and ``tokens`` for the :class:`Gram`; with
                ``distributed``, those of all ranks.

        Raises:
            ImaxrayError: If there was no batch, or ``distributed`` is set without ``keep_rows``.
        """
        self.end()
        if not self._counts:
            raise ImaxrayError("Expected a batch before gram(), but got none; call begin() first.")
        if distributed and not self._keep:
            raise ImaxrayError(
                "Expected kept rows to join ranks, but this recorder frees them; pass "
                "keep_rows=True."
            )
        scales = np.concatenate(self._scales)
        matrices = self._joined(distributed, group) if self._keep else self._matrices
        if distributed:
            counts = counts_of_ranks(len(scales), group, self._device)
            everyone: list[Any] = [None] * len(counts)
            dist.all_gather_object(everyone, scales.tolist(), group=group)
            scales = np.concatenate([np.asarray(s) for s in everyone])
        outer = np.outer(1 / scales, 1 / scales)
        group_grams = {}
        for name in sorted(set(self._group.values())):
            found = matrices.get(name)
            matrix = np.zeros(outer.shape) if found is None else found.cpu().numpy()
            group_grams[name] = (matrix + matrix.T) / 2 * outer
        self._reset()
        return Gram(group_grams, self.uncovered, **about)

    def _joined(self, distributed: bool, group: dist.ProcessGroup | None) -> dict[str, Tensor]:
        """Compute the Gram matrix of the kept rows, in buckets of parameters."""
        total = sum(self._counts)
        counts = counts_of_ranks(total, group, self._device) if distributed else [total]
        matrices: dict[str, Tensor] = {}
        for name, bucket in self._buckets(total):
            part = shard_gram(bucket, counts, group) if distributed else gram_of(bucket)
            matrices[name] = matrices[name].add_(part) if name in matrices else part
        if distributed:
            matrices = {name: summed(matrices[name], group) for name in sorted(matrices)}
        return matrices

    def _buckets(self, total: int) -> Iterator[tuple[str, Tensor]]:
        """Yield (group, rows (N, p) of some of its parameters), the same buckets on every rank."""
        for group in sorted(set(self._group.values())):
            bucket: list[Tensor] = []
            size = 0
            for parameter_rows in self._all_rows.values():
                if self._group[parameter_rows.name] != group:
                    continue
                rows = self._whole(parameter_rows, total)
                bucket.append(rows)
                # The size of one row decides, because ranks may hold different numbers of samples.
                size += rows.shape[1] * 8
                if size * 64 > _BUCKET:
                    yield group, torch.cat(bucket, dim=1)
                    bucket, size = [], 0
            if bucket:
                yield group, torch.cat(bucket, dim=1)

    def _whole(self, parameter_rows: ParameterRows, total: int) -> Tensor:
        """Return the kept rows of all batches, (N, p), with zeros for batches that gave none."""
        parts = self._kept.pop(parameter_rows.name, {})
        if len(parts) == 1 and len(self._counts) == 1:
            return parts[0]
        dtype = torch.float64 if parameter_rows.parameter.dtype == torch.float64 else torch.float32
        whole = torch.zeros(
            (total, parameter_rows.parameter.numel()),
            dtype=dtype,
            device=parameter_rows.parameter.device,
        )
        start = 0
        for batch, count in enumerate(self._counts):
            if batch in parts:
                whole[start : start + count] = parts.pop(batch)
            start += count
        return whole

    def _reset(self) -> None:
        self._counts: list[int] = []
        self._scales: list[Any] = []
        self._kept: dict[str, dict[int, Tensor]] = {}
        self._matrices: dict[str, Tensor] = {}

    def _receive(self, name: str, rows: Tensor) -> None:
        if self._keep:
            self._kept.setdefault(name, {})[len(self._counts) - 1] = rows
            return
        group = self._group[name]
        part = gram_of(rows)
        if group in self._matrices:
            self._matrices[group].add_(part)
        else:
            self._matrices[group] = part

    # ---- the functions that replace the modules' forward

    def _map(self, name: str) -> RowMap:
        found = self._where.get(name)
        if found is None:
            dotted = f".{name}."
            inside = [rows for scope, rows in self._scopes if f".{scope}." in dotted]
            found = self._where[name] = inside[0] if inside else self._rows
        return found

    def _linear_forward(self, name: str, module: nn.Linear) -> Callable[..., Tensor]:
        def forward(this: nn.Linear, x: Tensor) -> Tensor:
            weight, bias = this.weight, this.bias
            if not self._live or self._replaying:
                return linear(x, weight, bias)
            all_rows = [
                None if p is None or not p.requires_grad else self._all_rows.get(id(p))
                for p in (weight, bias)
            ]
            tracked = [parameter_rows for parameter_rows in all_rows if parameter_rows is not None]
            for parameter_rows in tracked:
                parameter_rows.use()
            if not tracked or not torch.is_grad_enabled():
                return linear(x, weight, bias)
            return self._call(name, x, weight, bias, all_rows, tracked[0].ticket)

        del module
        return forward

    def _call(
        self,
        name: str,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        all_rows: list[ParameterRows | None],
        ticket: int,
    ) -> Tensor:
        rows = self._map(name)
        flat = rows.merges and x.dim() > 2 and x.shape[0] == 1 and len(rows.samples) > 1
        if flat:  # the tower has a batch dimension of one before its patches
            x = x[0]
        groups: RowGroups = rows.groups(x.shape[0], name)
        kind = x.device.type
        cast = torch.is_autocast_enabled(kind)
        if cast:
            dtype = torch.get_autocast_dtype(kind)
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        call = Call(all_rows[0], all_rows[1], groups, not cast, ticket, self._block_bytes)
        output: Tensor = RowLinear.apply(x, weight, bias, call)  # type: ignore[no-untyped-call]
        return output[None] if flat else output

    def _replayed_forward(
        self, name: str, module: nn.Module, keys: list[str]
    ) -> Callable[..., Any]:
        original = module.forward
        parameters = dict(module.named_parameters())
        all_rows = {key: self._all_rows[id(parameters[key])] for key in keys}

        def guard(running: bool) -> None:
            self._replaying = running

        def forward(this: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not self._live or self._replaying:
                return original(*args, **kwargs)
            for parameter_rows in all_rows.values():
                parameter_rows.use()
            output = original(*args, **kwargs)
            if torch.is_grad_enabled():
                first = args[0] if args else None
                if not isinstance(first, Tensor):
                    raise ImaxrayError(
                        f"Expected {name} to be called with its tensor first, but it is not; "
                        "freeze it or pass its parameters in leave_out."
                    )
                groups = self._map(name).groups(first.shape[0], name)
                replay_on_backward(this, name, all_rows, output, args, kwargs, groups, guard)
            return output

        return forward


def _numbers(values: Tensor | Sequence[float]) -> Any:
    if isinstance(values, Tensor):
        values = values.detach().cpu().tolist()
    return np.asarray(values, dtype=np.float64)
