"""Strict loading: a state dict fills the whole backbone, or an error says what is missing and what to do."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

from mmengine.logging import print_log
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError, first_names
from resnest_mm.weights.layouts.describe_keys import describe_keys

FIRST_CONV: Final = 'stem.0.weight'

_CLASSIFIERS: Final = ('fc.', 'head.fc.')
_COUNTER: Final = '.num_batches_tracked'
_PARTLY_ADDED: Final = (
    'It has only a part of the offsets or plugins of this backbone, so it is damaged or of another network: '
    'set dcn, stage_with_dcn and plugins as in the network of the file, or load a file that has none of these layers'
)


def load_backbone(
    backbone: nn.Module, state: Mapping[str, Tensor], *, source: str = 'the state dict', strict: bool = True
) -> int:
    """Load a state dict into a ResNeSt, and return the number of tensors loaded.

    Args:
        backbone: The backbone; unchanged if an error is raised.
        state: Tensors by name, in the key layout of this package; not modified.
        source: Name of the state dict in messages.
        strict: Whether a state dict that does not fill the whole backbone is an error, see `fit_state`.

    Raises:
        CheckpointError: With `strict`, if the state dict does not fill the backbone.
    """
    fitted = fit_state(backbone, state, source=source, strict=strict)
    backbone.load_state_dict(fitted, strict=False)
    return len(fitted)


def fit_state(backbone: nn.Module, state: Mapping[str, Tensor], *, source: str, strict: bool) -> dict[str, Tensor]:
    """Return the tensors of a state dict that a ResNeSt can load.

    A classifier and stages that the backbone does not have are left out. These may be missing: `num_batches_tracked`,
    and the layers in `backbone.added_keys`, which a classifier does not have either: the offsets of all deformable
    convolutions, or all plugins of one name. The first convolution is fitted to the backbone's `in_channels`, which is
    logged.

    Args:
        backbone: The backbone; not changed.
        state: Tensors by name, in the key layout of this package; not modified.
        source: Name of the state dict in messages.
        strict: Whether it is an error that anything else is missing, unknown or of another shape. With False, it is
            logged as a warning.

    Raises:
        CheckpointError: With `strict`, if the state dict does not fill the backbone.
    """
    own = backbone.state_dict()
    given = {key: value for key, value in state.items() if not _is_left_out(key, own)}
    before = given.get(FIRST_CONV)
    fit_first_conv(given, own)
    if before is not None and given[FIRST_CONV] is not before:
        channels = f'from {before.shape[1]} to {given[FIRST_CONV].shape[1]} image channels'
        print_log(f'{source}: {FIRST_CONV} fitted {channels}', logger='current')
    matched = {key: value for key, value in given.items() if key in own and value.shape == own[key].shape}
    added = frozenset(getattr(backbone, 'added_keys', ()))
    optional = _absent_groups(added, given)
    needed = [key for key in own if not key.endswith(_COUNTER)]
    missing = [key for key in needed if key not in given and key not in optional]
    unknown = [key for key in given if key not in own]
    reshaped = [key for key in given if key in own and key not in matched]
    if missing or unknown or reshaped:
        shapes = [f'{key} {tuple(given[key].shape)} for {tuple(own[key].shape)}' for key in reshaped]
        advice = _PARTLY_ADDED if missing and added.issuperset(missing) else _describe(state, own)
        problems = (('missing', missing), ('unknown', unknown), ('of another shape', shapes))
        message = (
            f'{source} fills {sum(key in matched for key in needed)} of the {len(needed)} tensors of this backbone'
            + ''.join(f'; {len(keys)} {what}: {first_names(keys, most=2)}' for what, keys in problems if keys)
            + f'. {advice}'
        )
        if strict:
            raise CheckpointError(f'{message}. To load what fits all the same, say strict=False in init_cfg')
        print_log(message, logger='current', level=logging.WARNING)
    return matched


def fit_first_conv(given: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Replace the first convolution in `given`, made for RGB images, by one for the backbone's image channels.

    With one or two channels, a grey image gets the response that it gets as RGB. With four or more, the weights of red,
    green and blue repeat in turn, each divided by the number of its copies, so that repeated channels get the response
    that RGB gets.

    Args:
        given: Tensors by name. Left as it is if the first convolution is missing, is not made for RGB images, or has
            another number of output channels.
        own: The backbone's own tensors.
    """
    weight, target = given.get(FIRST_CONV), own.get(FIRST_CONV)
    if weight is None or target is None or weight.dim() != 4 or target.dim() != 4:
        return
    outputs, colours = weight.shape[:2]
    channels = target.shape[1]
    if colours != 3 or channels == 3 or outputs != target.shape[0]:
        return
    if channels < colours:
        given[FIRST_CONV] = weight.sum(1, keepdim=True).repeat(1, channels, 1, 1) / channels
    else:
        source = [channel % colours for channel in range(channels)]
        copies = weight.new_tensor([source.count(colour) for colour in source]).view(1, -1, 1, 1)
        given[FIRST_CONV] = weight[:, source] / copies


def _is_left_out(key: str, own: Mapping[str, Tensor]) -> bool:
    stage = re.match(r'layer[1-4]\.', key)
    return key.startswith(_CLASSIFIERS) or (
        stage is not None and not any(name.startswith(stage.group()) for name in own)
    )


def _absent_groups(added: Iterable[str], given: Mapping[str, Tensor]) -> set[str]:
    """Return the added keys of the layers that `given` has nothing of: `layer2.0.NAME...` belongs to the group NAME."""
    groups: dict[str, list[str]] = {}
    for key in added:
        groups.setdefault(key.split('.')[2], []).append(key)
    return {key for keys in groups.values() if not any(key in given for key in keys) for key in keys}


def _describe(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    description = describe_keys(state)
    details = ''
    if description.is_own:
        details = (
            f'its stages have {_count_blocks(state)} blocks and its stem {_stem_channels(state)} channels, '
            f'the backbone has {_count_blocks(own)} and {_stem_channels(own)}; '
        )
    return f'It looks like {description.title}: {details}{description.advice}'


def _count_blocks(keys: Iterable[str]) -> tuple[int, ...]:
    blocks: dict[str, set[str]] = {}
    for key in keys:
        part = re.match(r'(layer[1-4])\.(\d+)\.', key)
        if part:
            blocks.setdefault(part.group(1), set()).add(part.group(2))
    return tuple(len(blocks[stage]) for stage in sorted(blocks))


def _stem_channels(state: Mapping[str, Tensor]) -> int | str:
    return state['stem.6.weight'].shape[0] if 'stem.6.weight' in state else '?'
