"""Whether a checkpoint fills a whole model, told by loading it into the model as mmengine does."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError, first_names, one_line
from resnest_mm.weights.convert.tensors import Shape

_COUNTER: Final = 'num_batches_tracked'
_PREPROCESSOR: Final = 'data_preprocessor.'
_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class ModelFit:
    """How the tensors of a checkpoint fit a model.

    Args:
        total: Tensors of the model that a checkpoint has to have.
        missing: Keys of the model that the checkpoint does not have.
        unknown: Keys of the checkpoint that the model does not have.
        reshaped: Keys with the shapes in the checkpoint and in the model where they differ.
    """

    total: int
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    reshaped: tuple[tuple[str, Shape, Shape], ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint has every tensor of the model and no other."""
        return not (self.missing or self.unknown or self.reshaped)

    @property
    def filled(self) -> int:
        """The number of tensors of the model that the checkpoint fills."""
        return self.total - len(self.missing) - len(self.reshaped)

    @property
    def differs_in_classes(self) -> bool:
        """Whether only layers differ that have another number of outputs, as with other classes."""
        others = any(given[1:] != own[1:] for _, given, own in self.reshaped)
        return bool(self.reshaped) and not (self.missing or self.unknown or others)

    def __str__(self) -> str:
        """Return the counts and the first names, to follow the name of the checkpoint."""
        shapes = [f'{key} {_shown(given)} for {_shown(own)}' for key, given, own in self.reshaped]
        problems = (('missing', self.missing), ('unknown', self.unknown), ('of another shape', shapes))
        return f'fills {self.filled} of the {self.total} tensors of the model' + ''.join(
            f'; {len(names)} {what}: {first_names(names, most=_SHOWN)}' for what, names in problems if names
        )


def fill_model(
    model: nn.Module, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, Any] | None = None
) -> ModelFit:
    """Load tensors into a model, all that fit, and return how they fit.

    The model's own hooks, which rename the keys of earlier versions, run as they do in mmengine. Some keys are not
    counted, because nothing is computed with them: missing and unknown `num_batches_tracked`, unknown buffers of the
    data preprocessor, and unknown averages `ema_*`, which earlier versions of mmdet saved beside the weights.

    Args:
        model: The model, also one inside a wrapper for test-time augmentation or distributed training.
        tensors: Tensors by name; `module.` before a name is left out. Not modified.
        metadata: Versions of the modules that wrote the tensors, as torch keeps them beside a state dict.

    Raises:
        CheckpointError: If the model cannot load the tensors for another reason than a name or a shape.
    """
    while isinstance(model, BaseTTAModel) or is_model_wrapper(model):
        model = model.module  # type: ignore[assignment]
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    # The pattern is that of mmengine's `Runner.load_checkpoint`.
    given = {re.sub(r'^module.', '', key): value for key, value in tensors.items()}
    reshaped: tuple[tuple[str, Shape, Shape], ...] = ()
    try:
        found = _load(model, given, metadata)
    except RuntimeError:
        # A model may reshape tensors while it loads them, so shapes are compared only after torch refused some.
        reshaped = tuple(
            (key, tuple(value.shape), own[key])
            for key, value in given.items()
            if tuple(value.shape) != own.get(key, ()) and key in own
        )
        differs = {key for key, *_ in reshaped}
        rest = {key: value for key, value in given.items() if key not in differs}
        try:
            found = _load(model, rest, metadata)
        except RuntimeError as error:
            raise CheckpointError(f'the model cannot load it: {one_line(error)}') from error
    averages = {f'ema_{key.replace(".", "_")}' for key in own}
    differs = {key for key, *_ in reshaped}
    return ModelFit(
        total=sum(_COUNTER not in key for key in own),
        missing=tuple(key for key in found.missing_keys if _COUNTER not in key and key not in differs),
        unknown=tuple(
            key
            for key in found.unexpected_keys
            if _COUNTER not in key and not key.startswith(_PREPROCESSOR) and key not in averages
        ),
        reshaped=reshaped,
    )


def _load(model: nn.Module, given: Mapping[str, Tensor], metadata: Mapping[str, Any] | None) -> Any:
    state = OrderedDict(given)
    if metadata is not None:
        state._metadata = metadata  # type: ignore[attr-defined]  # where torch's load_state_dict looks
    return model.load_state_dict(state, strict=False)


def _shown(shape: Shape) -> str:
    return f'({", ".join(map(str, shape))})'
