"""Finding what is not finite: terms of a loss, tensors of a checkpoint, and the first module with such an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from resnest_mm.errors import first_names, one_line
from resnest_mm.training.safety.random_states import random_states_kept
from resnest_mm.weights.io.contents import count_not_finite


def non_finite_terms(losses: Mapping[str, Any]) -> dict[str, float]:
    """Return the terms of a loss that are not finite, with the sum of their values: NaN or infinity.

    On a GPU this waits for the values once, and once more where one is not finite.

    Args:
        losses: What a model of mmengine returns in the mode `loss`: a tensor, or a list of tensors, by name. A term
            counts if its name contains `loss`, as in mmengine's sum.
    """
    terms = {name: [part.detach() for part in _tensors(value)] for name, value in losses.items() if 'loss' in name}
    parts = [part for values in terms.values() for part in values]
    if not parts or bool(torch.stack([part.isfinite().all().to(parts[0].device) for part in parts]).all()):
        return {}
    return {
        name: sum(float(part.sum()) for part in values)
        for name, values in terms.items()
        if not all(bool(part.isfinite().all()) for part in values)
    }


def non_finite_entries(content: Mapping[Any, Any]) -> list[str]:
    """Return the names of the tensors with NaN or Inf in nested mappings and lists, joined with dots.

    Args:
        content: For example a state dict, or that of an optimizer.
    """
    found: list[str] = []
    for name, value in content.items():
        if isinstance(value, Tensor):
            found += count_not_finite({str(name): value.detach()})
        elif isinstance(value, Mapping | list | tuple):
            inner: Mapping[Any, Any] = value if isinstance(value, Mapping) else dict(enumerate(value))
            found += [f'{name}.{key}' for key in non_finite_entries(inner)]
    return found


def first_non_finite_module(model: nn.Module, arguments: tuple[Any, ...], settings: Mapping[str, Any]) -> str:
    """Run the forward of a model once more and say which module is the first with an output that is not finite.

    No buffer of the model and no random state of torch changes. In distributed training all processes must call this.

    Args:
        model: The model, not wrapped, in training mode.
        arguments: Arguments of its forward.
        settings: Keyword arguments of its forward.
    """
    found: list[str] = []

    def hook_of(name: str) -> Any:
        def note(module: nn.Module, inputs: Any, keywords: Any, output: Any) -> None:
            if not found and _has_non_finite(output):
                found.append(_describe(name, module, (inputs, keywords)))

        return note

    handles = [
        module.register_forward_hook(hook_of(name), with_kwargs=True) for name, module in model.named_modules() if name
    ]
    try:
        # With copies of the buffers: autograd would notice if those of the first forward changed before its backward.
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        with torch.no_grad(), random_states_kept():
            functional_call(model, buffers, arguments, dict(settings))
    except Exception as error:  # whatever a model raises shall not hide that its loss is not finite
        found.append(f'not known, since a second forward of the batch failed: {one_line(error):.200}')
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else 'none; the outputs of all modules are finite in a second forward of the batch'


def _describe(name: str, module: nn.Module, inputs: Any) -> str:
    used: dict[str, Tensor] = dict(module.named_parameters(recurse=False))
    if not module.training:  # in training, the statistics of this batch are in the buffers already
        used |= dict(module.named_buffers(recurse=False))
    spoiled = non_finite_entries(used)
    if spoiled:
        reason = f'not finite in it: {first_names(spoiled, most=2)}'
    elif _has_non_finite(inputs):
        reason = 'its input is not finite either'
    else:
        reason = 'its input and its weights are finite'
    return f'{name} ({type(module).__name__}; {reason})'


def _has_non_finite(value: Any) -> bool:
    return any(not bool(part.isfinite().all()) for part in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)
