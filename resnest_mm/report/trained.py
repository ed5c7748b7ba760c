"""What a config and a checkpoint are together: the trained model and the data set of a split."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from resnest_mm.errors import UserError, one_line


@dataclass(frozen=True)
class Trained:
    """A model with the weights of a checkpoint.

    Args:
        model: The model, in training mode, on the CPU.
        iteration: Iterations that the weights were trained; None where the checkpoint does not say.
    """

    model: Any
    iteration: int | None


def load_trained(cfg: Config, checkpoint: Path) -> Trained:
    """Return the config's model with the checkpoint's weights, all of them.

    Args:
        cfg: A model's config; it is not changed. mmengine's default scope is the one it names.
        checkpoint: Weights as mmengine saves them.

    Raises:
        UserError: The file is no checkpoint, or its names or shapes are not the model's.
    """
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS
    from mmengine.runner import CheckpointLoader

    try:
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    except Exception as error:
        raise UserError(f'{checkpoint} cannot be read as a checkpoint: {one_line(error)[:160]}') from error
    content = content if isinstance(content, Mapping) else {}
    state = content.get('state_dict', content)
    model_cfg = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    model = revert_sync_batchnorm(MODELS.build(model_cfg))
    _check_fit(model.state_dict(), state, checkpoint)
    model.load_state_dict(state)
    iteration = (content.get('meta') or {}).get('iter')
    return Trained(model, None if iteration is None else int(iteration))


def build_dataset(cfg: Config, split: str) -> Any:
    """Return the data set that a split's dataloader names.

    Args:
        cfg: A config; it is not changed. mmengine's default scope is the one it names.
        split: `'val'` or `'test'`.

    Raises:
        UserError: The config has no such split, or the split is empty.
    """
    from mmengine.registry import DATASETS

    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UserError(f'the config has no {split}_dataloader; choose another --split, or add one')
    try:
        dataset = DATASETS.build(copy.deepcopy(loader.dataset))
    except ValueError as error:
        # mmengine joins the serialised images, and numpy cannot join none.
        if 'at least one array' not in str(error):
            raise
        dataset = ()
    if len(dataset) == 0:
        raise UserError(f'the {split} data set is empty; check its ann_file, data_prefix and data_root')
    return dataset


def _check_fit(wanted: Mapping[str, Any], given: Mapping[str, Any], checkpoint: Path) -> None:
    missing = sorted(set(wanted) - set(given))
    extra = sorted(set(given) - set(wanted))
    shapes = sorted(name for name in set(wanted) & set(given) if wanted[name].shape != given[name].shape)
    found = [
        f'{len(names)} {what} (first: {names[0]})'
        for what, names in (('missing', missing), ('unknown', extra), ('of another shape', shapes))
        if names
    ]
    if found:
        raise UserError(f"{checkpoint} does not fit the config's model: {', '.join(found)}; give its own config")
