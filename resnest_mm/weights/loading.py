"""Loading a backbone's weights: complete, or an error that says what to do."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from resnest_mm.registry import WEIGHT_INITIALIZERS

from .layouts import describe_layout

FIRST_CONV: Final = 'stem.0.weight'
_NOT_OF_THE_BACKBONE: Final = ('fc.', 'head.fc.')


class CheckpointError(ValueError):
    """A checkpoint that does not fit, with what to do about it."""


@WEIGHT_INITIALIZERS.register_module()
class Pretrained:
    """Fill a ResNeSt from a checkpoint.

    Args:
        checkpoint: A path, URL or name such as `open-mmlab://resnest50`.
        prefix: Prefix of the backbone's keys where the file holds a whole model, e.g. `backbone.`.
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
        state = read_state(self.checkpoint, prefix=self.prefix, map_location=self.map_location)
        fitted = fit_state(module, state, source=self.checkpoint, strict=self.strict)

        def load() -> None:
            module.load_state_dict(fitted, strict=False)
            print_log(f'{self.checkpoint}: loaded {len(fitted)} tensors into the backbone', logger='current')

        return load


def read_state(checkpoint: str, *, prefix: str | None, map_location: str = 'cpu') -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name.

    Args:
        checkpoint: A path, URL or name known to mmengine.
        prefix: Only keys with this prefix are returned, without it; None returns all.
        map_location: Device to load to.

    Raises:
        CheckpointError: On a file that cannot be read, holds no tensors, or none with the prefix.
    """
    try:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location=map_location, logger='silent')
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {reason}') from error
    for container in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping):
        raise CheckpointError(f'checkpoint {checkpoint!r} holds a {type(content).__name__}, not a dict of tensors')
    state = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if prefix is not None:
        dotted = prefix if prefix.endswith('.') else f'{prefix}.'
        chosen = {key[len(dotted) :]: value for key, value in state.items() if key.startswith(dotted)}
        if not chosen:
            raise CheckpointError(
                f'checkpoint {checkpoint!r} has no key with prefix={prefix!r}; its first keys are {sorted(state)[:3]}'
            )
        state = chosen
    return state


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
            + f'. It looks like {describe_layout(state)}: {_advice(state, wanted)}'
        )
        if strict:
            raise CheckpointError(f'{message}. To load what fits all the same, say strict=False in init_cfg')
        print_log(message, logger='current', level=logging.WARNING)
    return matched


def fit_first_conv(given: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Fit the first convolution in `given` to the image channels of the backbone, in place of the mapping's entry.

    A grey image answers with the response to it as RGB; four and more channels repeat the colours in turn, each divided
    by how often it occurs, so that repeated input answers as RGB does.

    Args:
        given: Tensors by name; its entry is replaced.
        wanted: The backbone's own.
    """
    weight, target = given.get(FIRST_CONV), wanted.get(FIRST_CONV)
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
        shares = weight.new_tensor([source.count(colour) for colour in source]).view(1, -1, 1, 1)
        given[FIRST_CONV] = weight[:, source] / shares


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


def _advice(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    layout = describe_layout(state)
    if 'prefix' in layout:
        return "name the backbone's part of the file, e.g. init_cfg=dict(type='Pretrained', prefix='backbone.', ...)"
    if 'official' in layout:
        return 'rename its keys with resnest_mm.weights.from_official and save the result'
    if 'ResNet without' in layout:
        return 'use the weights of a ResNeSt, such as open-mmlab://resnest50'
    if 'of this layout' in layout:
        stem = state['stem.6.weight'].shape[0] if 'stem.6.weight' in state else '?'
        return (
            f'its stages have {_blocks(state)} blocks and its stem {stem} channels, the backbone has {_blocks(wanted)} and '
            f'{wanted["stem.6.weight"].shape[0]}; choose the depth, stem_channels, radix, groups and base_width of the file'
        )
    return 'its keys have to be renamed to this layout first'
