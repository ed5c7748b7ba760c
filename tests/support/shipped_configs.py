"""The shipped configs, and how a test reads and builds one without weights, memory or much time."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

CONFIGS = Path(__file__).parents[2] / 'configs'
SHIPPED = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)


def name_of(path: Path) -> str:
    """Return what `resnest_mm.config_path` takes."""
    return path.relative_to(CONFIGS).with_suffix('').as_posix()


every_config = pytest.mark.parametrize('path', SHIPPED, ids=name_of)


def read(path: Path) -> Config:
    """Return a parsed config, which is not to be changed; skip the test where its host is missing."""
    try:
        cfg = _parse(path)
    except Exception:
        if find_spec('mmdet') is not None:
            raise
        pytest.skip('it inherits from a config of mmdet')
    pytest.importorskip(cfg.default_scope, reason=f'the config is for {cfg.default_scope}')
    return cfg


def build(cfg: Config) -> nn.Module:
    """Return the model of a config on the meta device, where the deepest takes no memory."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        model: nn.Module = MODELS.build(without_weights(cfg.model))
    return model.eval()


@dataclass(frozen=True)
class Network:
    """What is kept of a built model: its backbone's class, its parameters, and keys and shapes of its checkpoints."""

    backbone: type[nn.Module]
    parameters: int
    shapes: Mapping[str, tuple[int, ...]]


_networks: dict[Path, Network] = {}


def build_shipped(path: Path) -> nn.Module:
    """Return the model of a shipped config as `build` does, and note what `network` returns."""
    model = build(read(path))
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    _networks[path] = Network(type(model.backbone), parameters, shapes)
    return model


def network(path: Path) -> Network:
    """Return what is known of the model of a shipped config, which is built once a process at most."""
    if path not in _networks:
        build_shipped(path)
    return _networks[path]


def without_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a model's config that names no checkpoint for its backbone."""
    names = ('init_cfg', 'pretrained')
    changed = {key: copy.deepcopy(value) for key, value in model.items() if key != 'pretrained'}
    changed['backbone'] = {key: value for key, value in changed['backbone'].items() if key not in names}
    return changed


def innermost(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside of whatever repeats or joins them."""
    inner = dataset.get('dataset', dataset.get('datasets'))
    if inner is None:
        yield dataset
    for entry in many(inner):
        yield from innermost(entry)


def many(value: Any) -> list[Any]:
    """Return what may be missing, one or several as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


@functools.cache
def _parse(path: Path) -> Config:
    return Config.fromfile(path)
