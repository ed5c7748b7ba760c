"""Initial weights: the `init_cfg` and `pretrained` arguments, and the special cases of this network."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from resnest_mm.models.arguments.checks import boolean, is_sequence, shown
from resnest_mm.models.arguments.layer_configs import trial
from resnest_mm.models.bottleneck import Bottleneck

InitConfig = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

KAIMING: Final = (
    {'type': 'Kaiming', 'layer': ['Conv2d', 'DeformConv2d', 'ModulatedDeformConv2d']},
    {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
)
"""The default initialisation: convolutions normal with variance 2 / fan_out, weights of norms 1."""

_RESNET_NAME: Final = re.compile(r'[a-z0-9+-]+://(.*/)?(wide_)?resnet[^/]*')
_PRETRAINED_TYPES: Final = ('Pretrained', 'PretrainedInit', 'resnest_mm.Pretrained')


def split_init_cfg(init_cfg: InitConfig, pretrained: str | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Split the initialisation into initialisers and the config of a checkpoint, which is loaded after them.

    Args:
        init_cfg: One or several initialiser configs of mmengine, or None.
        pretrained: A checkpoint, short for a `Pretrained` config.

    Returns:
        The initialiser configs, and the config of the checkpoint or None.

    Raises:
        TypeError: An entry is not a dict with a type.
        ValueError: Both arguments are given, there are two checkpoints, the checkpoint is a ResNet's, or an initialiser
            is unknown or cannot be built.
    """
    if pretrained is not None:
        if not isinstance(pretrained, str):
            raise TypeError(f'pretrained={shown(pretrained)} must be the name, path or URL of a checkpoint, or None')
        if init_cfg is not None:
            raise ValueError(f'give pretrained={pretrained!r} or init_cfg={init_cfg!r}, not both')
        init_cfg = {'type': 'Pretrained', 'checkpoint': pretrained}
    if init_cfg is not None and not isinstance(init_cfg, Mapping) and not is_sequence(init_cfg):
        raise TypeError(f'init_cfg={shown(init_cfg)} must be a dict with a type, a list of such dicts, or None')
    entries = [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg or ())
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get('type'), str | type):
            raise TypeError(
                f'init_cfg entry {shown(entry)} must be a dict with a type, '
                'such as dict(type="Kaiming", layer="Conv2d")'
            )
    checkpoints = [dict(entry) for entry in entries if _is_pretrained(entry)]
    generic = [dict(entry) for entry in entries if not _is_pretrained(entry)]
    if len(checkpoints) > 1:
        raise ValueError(f'init_cfg names {len(checkpoints)} checkpoints; one can fill the backbone')
    for entry in checkpoints:
        _check_pretrained(entry)
        entry['type'] = 'resnest_mm.Pretrained'
    for entry in generic:
        with trial(f'init_cfg entry {shown(entry)} cannot be used'):
            WEIGHT_INITIALIZERS.build({key: value for key, value in entry.items() if key != 'override'})
    return generic, checkpoints[0] if checkpoints else None


def prepare_pretrained(backbone: nn.Module, pretrained: Mapping[str, Any] | None) -> Callable[[], None]:
    """Read a checkpoint, check that it fits, and return a function that loads it.

    Args:
        backbone: The backbone; it does not change before the returned function is called.
        pretrained: Config of the checkpoint; None returns a function that does nothing.

    Raises:
        CheckpointError: The file cannot be read or does not fit.
    """
    if pretrained is None:
        return lambda: None
    load: Callable[[], None] = WEIGHT_INITIALIZERS.build(dict(pretrained)).prepare(backbone)
    return load


def reset_offsets(blocks: Iterable[Bottleneck]) -> None:
    """Set the offset convolutions of deformable convolutions to zero; initialisers treat them as plain convolutions."""
    for block in blocks:
        offsets = getattr(block.conv2.conv, 'conv_offset', None)
        if offsets is not None:
            offsets.reset_parameters()


def zero_last_norms(blocks: Iterable[Bottleneck]) -> None:
    """Set the weight of each block's last norm to zero, so that the block returns its shortcut."""
    for block in blocks:
        nn.init.zeros_(cast(Tensor, block.bn3.weight))


@contextlib.contextmanager
def unchanged(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Restore the parameters and buffers of modules at the end of a `with`.

    Plugins keep the initial values of their constructors. These often make the plugin an identity, which an initialiser
    would undo.
    """
    kept = [(tensor, tensor.clone()) for module in modules for tensor in module.state_dict().values()]
    yield
    for tensor, value in kept:
        tensor.copy_(value)


def _is_pretrained(entry: Mapping[str, Any]) -> bool:
    kind = entry['type']
    return (kind if isinstance(kind, str) else kind.__name__) in _PRETRAINED_TYPES


def _check_pretrained(entry: Mapping[str, Any]) -> None:
    unknown = sorted(set(entry) - {'type', 'checkpoint', 'prefix', 'map_location', 'strict'})
    if unknown:
        raise ValueError(
            f'init_cfg Pretrained has unknown keys {unknown}; allowed are checkpoint, prefix, map_location, strict'
        )
    checkpoint = entry.get('checkpoint')
    if not isinstance(checkpoint, str):
        raise TypeError(f'init_cfg Pretrained needs checkpoint=, a name, path or URL; got {checkpoint!r}')
    boolean('init_cfg Pretrained strict', entry.get('strict', True))
    for name in ('prefix', 'map_location'):
        if not isinstance(entry.get(name, ''), str | None):
            raise TypeError(f'init_cfg Pretrained {name}={entry[name]!r} must be a text')
    if _RESNET_NAME.fullmatch(checkpoint):
        raise ValueError(
            f'checkpoint={checkpoint!r} holds the weights of a ResNet, which fill only a part of a ResNeSt; use '
            'those of a ResNeSt, such as open-mmlab://resnest50, or init_cfg=None'
        )
