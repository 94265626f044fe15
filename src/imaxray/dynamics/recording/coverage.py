"""Decides how each trainable parameter gets per-sample rows, and which parameters get none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import nn

from imaxray.errors import ImaxrayError

# These modules map rows to rows, but use parameters of parts that do not (position embeddings).
# Each is therefore run again as one unit, whatever is trainable below it.
UNITS = frozenset(
    {
        "CLIPVisionEmbeddings",
        "SiglipVisionEmbeddings",
        "InternVLVisionEmbeddings",
        "Gemma3MultiModalProjector",
    }
)
_SMALL = (
    nn.Embedding,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


@dataclass
class Coverage:
    """Lists how a recorder obtains the rows of each trainable parameter.

    Attributes:
        names: Mapping from the ``id()`` of each covered trainable parameter to its name.
        linears: Pairs (module name, module) of the Linear modules whose backward is replaced.
        replays: Triples (module name, module, names of its parameters within it) of the modules
            that are run again for each sample.
        uncovered: Names of trainable parameters without rows.
    """

    names: dict[int, str] = field(default_factory=dict)
    linears: list[tuple[str, nn.Linear]] = field(default_factory=list)
    replays: list[tuple[str, nn.Module, list[str]]] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)


def coverage(model: nn.Module, leave_out: Iterable[str] = ()) -> Coverage:
    """Plan how to obtain rows for every trainable parameter of ``model``.

    Args:
        model: Model in the state in which it will be trained; ``requires_grad`` says what is
            trainable.
        leave_out: Patterns (``fnmatch``) of parameter names to leave out. Such parameters are
            listed as uncovered.

    Raises:
        ImaxrayError: If a module couples samples (batch norm), because then an entry has no
            gradient of its own.
    """
    patterns = tuple(leave_out)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise ImaxrayError(
                f"Expected a loss that is a sum over entries, but the batch norm {name} couples "
                "them; put it in eval mode or train another model."
            )
    trainable = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    owners: dict[int, list[str]] = {key: [] for key in trainable}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None and id(parameter) in owners:
                owners[id(parameter)].append(name)
    ways = _ways(model)
    plan = Coverage()
    for key, name in trainable.items():
        left = any(fnmatchcase(name, pattern) for pattern in patterns)
        # A parameter that two modules share is covered only if both modules are.
        if left or not all(owner in ways for owner in owners[key]):
            plan.uncovered.append(name)
        else:
            plan.names[key] = name
    for name, module in model.named_modules(remove_duplicate=True):
        way = ways.get(name)
        if way == "linear" and any(id(p) in plan.names for p in module._parameters.values()):
            assert isinstance(module, nn.Linear)
            plan.linears.append((name, module))
        elif way == "replay":
            recurse = type(module).__name__ in UNITS
            keys = [k for k, p in module.named_parameters(recurse=recurse) if id(p) in plan.names]
            if keys:
                plan.replays.append((name, module, keys))
    return plan


def _ways(model: nn.Module) -> dict[str, str]:
    """Map module names to "linear", "replay" or "inside" (below a unit); others are not in it."""
    ways: dict[str, str] = {}
    closed: list[str] = []  # prefixes whose parameters are handled already, or cannot be handled
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name == prefix or name.startswith(prefix + ".") for prefix in closed):
            continue
        if _is_variant(module):
            closed.append(name)
        elif "forward" in vars(module):
            continue  # the forward has been replaced by other code, so what it computes is unknown
        elif type(module).__name__ in UNITS:
            ways[name] = "replay"
            for inner, _ in module.named_modules(prefix=name, remove_duplicate=False):
                ways.setdefault(inner, "inside")
            closed.append(name)
        elif isinstance(module, nn.Linear):
            if type(module).forward is nn.Linear.forward:
                ways[name] = "linear"
        elif isinstance(module, _SMALL) or type(module).__name__.endswith("Norm"):
            ways[name] = "replay"
    return ways


def _is_variant(module: nn.Module) -> bool:
    """Whether a PEFT layer uses its factors outside their own forward (DoRA and similar)."""
    magnitudes = getattr(module, "lora_magnitude_vector", None)
    return bool(getattr(module, "lora_variant", None)) or bool(
        magnitudes is not None and len(magnitudes)
    )


def refuse_coupling(model: nn.Module) -> None:
    """Raise an error if the loss of the model has a term that depends on all entries together.

    Raises:
        ImaxrayError: If the balancing loss of a router is switched on.
    """
    config = getattr(model, "config", None)
    configs = [config, getattr(config, "text_config", None)]
    if any(getattr(c, "output_router_logits", False) for c in configs if c is not None):
        raise ImaxrayError(
            "Expected a loss that is a sum over entries, but the router's balancing loss couples "
            "them; set output_router_logits to False."
        )


_VISION = frozenset({"vision_tower", "visual", "vision_model", "image_tower", "vision_encoder"})
_CONNECTOR = frozenset(
    {"multi_modal_projector", "merger", "deepstack_merger_list", "connector", "embed_vision"}
)
_ATTENTION = frozenset({"self_attn", "attn", "attention", "cross_attn"})
_MLP = frozenset({"mlp", "feed_forward", "ffn", "experts"})


def module_group(name: str) -> str:
    """Return the group of a parameter.

    The group is connector, vision, attention, mlp, or other; the last three are of the text model.
    """
    parts = set(name.split("."))
    for group, words in (
        ("connector", _CONNECTOR),
        ("vision", _VISION),
        ("attention", _ATTENTION),
        ("mlp", _MLP),
    ):
        if parts & words:
            return group
    return "other"
