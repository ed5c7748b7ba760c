"""Loading a backbone's weights: complete, or an error that says what to do."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mmengine.logging import print_log
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError
from resnest_mm.registry import WEIGHT_INITIALIZERS
from resnest_mm.weights.first_conv import fit_first_conv
from resnest_mm.weights.layouts.tables import OWN, recognise
from resnest_mm.weights.records.lookup import find_record
from resnest_mm.weights.records.record import Record
from resnest_mm.weights.state import backbone_of, read_state

__all__ = ['CheckpointError', 'Pretrained', 'fit_state', 'load_backbone', 'read_state']

_NOT_OF_THE_BACKBONE: Final = ('fc.', 'head.fc.')


@WEIGHT_INITIALIZERS.register_module()
class Pretrained:
    """Fill a ResNeSt from a checkpoint.

    Args:
        checkpoint: Name of a published weight, such as `resnest50`, a path, a URL, or a name in a scheme of mmengine
            such as `open-mmlab://resnest50`. Published weights are checked by their hash, and brought from the layout
            that they have to this one; any other file has to have it.
        prefix: Prefix of the backbone's keys where the file holds a whole model, e.g. `backbone.`. Not needed for
            published weights.
        map_location: Device to load to.
        strict: Whether a checkpoint that does not fill the whole backbone is an error. With False what fits is loaded
            and the rest keeps its initial values, which is logged.

    Raises:
        CheckpointError: On a file that cannot be read or does not fit.
    """

    def __init__(
        self, checkpoint: str, *, prefix: str | None = None, map_location: str = 'cpu', strict: bool = True
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.strict = strict

    def __call__(self, module: nn.Module) -> None:
        """Load the checkpoint into `module`."""
        self.prepare(module)()

    def prepare(self, module: nn.Module) -> Callable[[], None]:
        """Read and check the checkpoint, and return a function that loads it into `module`, which is untouched so far.

        Raises:
            CheckpointError: On a file that cannot be read or does not fit.
        """
        record = find_record(self.checkpoint)
        prefix = self.prefix if record is None else None
        state = read_state(self.checkpoint, prefix=prefix, map_location=self.map_location)
        if record is not None:
            state = backbone_of(state, record, prefix=self.prefix)
        fitted = fit_state(module, state, source=self.checkpoint, strict=self.strict)

        def load() -> None:
            module.load_state_dict(fitted, strict=False)
            print_log(
                f'{self.checkpoint}: loaded {len(fitted)} tensors into the backbone{_expectation(record)}',
                logger='current',
            )

        return load


def load_backbone(
    backbone: nn.Module, state: Mapping[str, Tensor], *, source: str = 'the state dict', strict: bool = True
) -> int:
    """Load a state dict into a ResNeSt, and return how many tensors of the backbone it filled.

    Args:
        backbone: The backbone; untouched if an error is raised.
        state: Tensors by name, in the layout of this package; not modified.
        source: What to call the state dict in a message.
        strict: Whether a state dict that does not fill the whole backbone is an error, see `fit_state`.

    Raises:
        CheckpointError: With `strict`, where the state dict does not fill the backbone.
    """
    fitted = fit_state(backbone, state, source=source, strict=strict)
    backbone.load_state_dict(fitted, strict=False)
    return len(fitted)


def fit_state(backbone: nn.Module, state: Mapping[str, Tensor], *, source: str, strict: bool) -> dict[str, Tensor]:
    """Return what a ResNeSt can take from a state dict.

    A classifier in `state` and stages that the backbone does not build are passed over; `num_batches_tracked`, and the
    layers that `backbone.added_keys` names, may be missing. The first convolution is fitted to the backbone's
    `in_channels` where it alone differs.

    Args:
        backbone: The backbone.
        state: Tensors by name, in the layout of this package; not modified.
        source: What to call the state dict in a message.
        strict: Whether anything else that is missing, unknown or of another shape is an error.

    Raises:
        CheckpointError: With `strict`, where the state dict does not fill the backbone.
    """
    wanted = backbone.state_dict()
    given = {key: value for key, value in state.items() if not _belongs_elsewhere(key, wanted)}
    fit_first_conv(given, wanted)
    matched = {key: value for key, value in given.items() if key in wanted and value.shape == wanted[key].shape}
    added = frozenset(getattr(backbone, 'added_keys', ()))
    missing = [
        key for key in wanted if key not in given and not key.endswith('.num_batches_tracked') and key not in added
    ]
    unknown = [key for key in given if key not in wanted]
    reshaped = [key for key in given if key in wanted and key not in matched]
    if missing or unknown or reshaped:
        needed = [key for key in wanted if not key.endswith('.num_batches_tracked')]
        filled = sum(key in matched for key in needed)
        message = (
            f'{source} fills {filled} of the {len(needed)} tensors of this backbone'
            + _first('missing', missing)
            + _first('unknown', unknown)
            + _first(
                'of another shape', [f'{k} {tuple(given[k].shape)} for {tuple(wanted[k].shape)}' for k in reshaped]
            )
            + f'. {_describe(state, wanted)}'
        )
        if strict:
            raise CheckpointError(f'{message}. To load what fits all the same, say strict=False in init_cfg')
        print_log(message, logger='current', level=logging.WARNING)
    return matched


def _expectation(record: Record | None) -> str:
    if record is None:
        return ''
    return f', which expects {record.channel_order} images, mean {list(record.mean)}, std {list(record.std)}'


def _belongs_elsewhere(key: str, wanted: Mapping[str, Tensor]) -> bool:
    stage = re.match(r'layer[1-4]\.', key)
    return key.startswith(_NOT_OF_THE_BACKBONE) or (
        stage is not None and not any(name.startswith(stage.group()) for name in wanted)
    )


def _first(what: str, keys: Sequence[str]) -> str:
    return f'; {len(keys)} {what}, e.g. {", ".join(keys[:2])}' if keys else ''


def _blocks(keys: Mapping[str, Tensor]) -> tuple[int, ...]:
    found: dict[str, set[str]] = {}
    for key in keys:
        part = re.match(r'(layer[1-4])\.(\d+)\.', key)
        if part:
            found.setdefault(part.group(1), set()).add(part.group(2))
    return tuple(len(found[stage]) for stage in sorted(found))


def _describe(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    layout = recognise(state)
    details = ''
    if layout is OWN:
        details = (
            f'its stages have {_blocks(state)} blocks and its stem {_stem_channels(state)} channels, the backbone has '
            f'{_blocks(wanted)} and {_stem_channels(wanted)}; '
        )
    return f'It looks like {layout.name}: {details}{layout.advice}'


def _stem_channels(state: Mapping[str, Tensor]) -> int | str:
    return state['stem.6.weight'].shape[0] if 'stem.6.weight' in state else '?'
