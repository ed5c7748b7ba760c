"""A recipe for several GPUs on one GPU: SyncBN becomes BN, and the learning rate follows the batch size."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from resnest_mm.training.config.walk import iter_dicts, type_name

SYNC_NORMS = frozenset({'SyncBN', 'SyncBatchNorm', 'MMSyncBN', 'NaiveSyncBN'})
"""Types, without their scope, of the norm layers that compute their statistics over all processes."""

_BN_KEYS = frozenset(
    {'type', 'requires_grad', 'eps', 'momentum', 'affine', 'track_running_stats', '_scope_', '_delete_'}
)


@dataclass(frozen=True)
class SingleGpuChange:
    """Changes that `use_single_gpu` made.

    Args:
        norms: Number of norm settings that became BN.
        lrs: Learning rate before and after, one pair for each optimizer.
        reason: The batch sizes, or why the learning rates were not changed.
    """

    norms: int
    lrs: tuple[tuple[float, float], ...]
    reason: str

    def __str__(self) -> str:
        """Return the change as one line for the user."""
        rates = ', '.join(f'lr {old:g} -> {new:g}' if old != new else f'lr stays {old:g}' for old, new in self.lrs)
        return f'--single-gpu: {self.norms} SyncBN settings -> BN; {rates or "no lr found"} ({self.reason})'


def count_sync_norms(model: Any) -> int:
    """Return the number of norm settings in a model's config that are synchronised batch norm.

    Args:
        model: Config of a model, or None.
    """
    return sum(_is_sync_norm(node) for _, node in iter_dicts(model, 'model'))


def use_single_gpu(cfg: Config) -> tuple[Config, SingleGpuChange]:
    """Return a copy of a config for one GPU, and its changes.

    Every synchronised norm of the model becomes BN, and keys that BN does not have are removed. The learning rate of
    each optimizer is multiplied by `train_dataloader.batch_size / auto_scale_lr.base_batch_size`, and mmengine's own
    scaling is switched off. Without one of these two numbers the learning rates stay.

    Args:
        cfg: Parsed config; left unchanged.

    Source: the linear rule is arXiv:1706.02677, section 2.1.
    """
    changed = copy.deepcopy(cfg)
    norms = 0
    for _, node in iter_dicts(changed.get('model'), 'model'):
        if _is_sync_norm(node):
            for key in [key for key in node if key not in _BN_KEYS]:
                del node[key]
            node['type'] = 'BN'
            norms += 1

    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if not base:
        ratio, reason = 1.0, 'left alone: the config has no auto_scale_lr.base_batch_size'
    elif not batch:
        ratio, reason = 1.0, 'left alone: the config has no train_dataloader.batch_size'
    else:
        ratio, reason = batch / base, f'batch size {batch} instead of {base}'
        changed.auto_scale_lr.enable = False

    lrs = []
    for _, node in iter_dicts(changed.get('optim_wrapper'), 'optim_wrapper'):
        optimizer = node.get('optimizer')
        if isinstance(optimizer, dict) and isinstance(optimizer.get('lr'), (int, float)):
            lrs.append((float(optimizer['lr']), optimizer['lr'] * ratio))
            optimizer['lr'] = optimizer['lr'] * ratio
    return changed, SingleGpuChange(norms=norms, lrs=tuple(lrs), reason=reason)


def _is_sync_norm(node: Any) -> bool:
    return type_name(node) in SYNC_NORMS
