"""Counting the parameters of the model of a shipped config."""

from __future__ import annotations

from collections.abc import Sequence

from resnest_mm.model_zoo.metafile import Entry
from resnest_mm.paths import config_path


def find_miscounts(entries: Sequence[Entry]) -> list[str]:
    """Return a line for every entry whose number of parameters is not that of its model.

    Args:
        entries: Entries of `read_index`. Building the models of all takes about a minute and needs both hosts.
    """
    counted = [(entry, count_parameters(entry.config)) for entry in entries]
    return [
        f'{entry.config}: its model has {count} parameters, and the metafile says {entry.parameters}'
        for entry, count in counted
        if count != entry.parameters
    ]


def count_parameters(name: str) -> int:
    """Return the number of parameters of a config's model, frozen ones included, running statistics not.

    The model is built on the meta device, without memory and without weights.

    Args:
        name: Name of the config, as `config_path` takes it.
    """
    import torch
    from mmengine.config import Config
    from mmengine.registry import MODELS, DefaultScope

    cfg = Config.fromfile(config_path(name))
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        model = MODELS.build(cfg.model)
    return sum(parameter.numel() for parameter in model.parameters())
