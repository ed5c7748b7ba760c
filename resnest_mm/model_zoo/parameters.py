"""How many parameters the model of a shipped config has."""

from __future__ import annotations

from collections.abc import Sequence

from resnest_mm.model_zoo.metafile import Entry
from resnest_mm.paths import config_path


def find_miscounts(entries: Sequence[Entry]) -> list[str]:
    """Return a line for every entry that states another number of parameters than its model has.

    Args:
        entries: What `read_index` returns; building the models of all takes about a minute, and both hosts.
    """
    counted = [(entry, count_parameters(entry.config)) for entry in entries]
    return [
        f'{entry.config}: its model has {count} parameters, and the metafile says {entry.parameters}'
        for entry, count in counted
        if count != entry.parameters
    ]


def count_parameters(name: str) -> int:
    """Return the number of values that a config's model learns or keeps fixed; statistics of norms are not among them.

    The model is built without memory and without weights.

    Args:
        name: What `config_path` takes.
    """
    import torch
    from mmengine.config import Config
    from mmengine.registry import MODELS, DefaultScope

    cfg = Config.fromfile(config_path(name))
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device('meta'):
        model = MODELS.build(cfg.model)
    return sum(parameter.numel() for parameter in model.parameters())
