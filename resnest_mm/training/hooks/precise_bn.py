"""Precise batch norm statistics at the end of a training, before it is validated and saved."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import broadcast
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader, Dataset

from resnest_mm.models.arguments.checks import integer
from resnest_mm.registry import HOOKS
from resnest_mm.training.hooks.batch_statistics import (
    Statistics,
    estimate_statistics,
    measure,
    training_batch_norms,
    write,
)

__all__ = ['PreciseBNHook', 'estimate_statistics']

_TRAINING_ONLY = ('persistent_workers', 'prefetch_factor', 'multiprocessing_context', 'timeout', 'num_batch_per_epoch')
"""Settings that need worker processes, or that the data set in use already follows."""


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Replace the running statistics of batch norms by means over training batches, once, after the last iteration.

    In training they are a moving average over the last few dozen batches, while weights change. Frozen batch norms and
    other norms stay as they are. Validation and the checkpoint of the last iteration have the new statistics:

        custom_hooks = [dict(type='resnest_mm.PreciseBNHook', num_iters=200)]

    With an `EMAHook` the statistics are those of the averaged weights, which mmengine validates and saves as the model.
    It keeps one set of statistics for these and the raw weights, except with `update_buffers=True`: both are measured
    then. A training that `EarlyStoppingHook` ends has no last iteration to wait for; the hook warns and does nothing.

    Args:
        num_iters: Batches in every process, at least 1. The published detectors used 200 of 2 images in 8 processes.
        dataloader: Config of a dataloader to take them from; None for that of the training, on the same data set
            object, so with the pipeline that it ends with, newly shuffled and without worker processes. Shuffling and
            augmentation depend on the run's seed only.

    Raises:
        ValueError: At the first iteration, not at the last: fewer batches than `num_iters`, no batch norm that trains,
            or a training dataloader that has no config.

    Source: TEST.PRECISE_BN of chongruo/detectron2-ResNeSt@54ec876, detectron2/engine/hooks.py.
    """

    priority = 'LOW'  # behind EMAHook's last update, before CheckpointHook

    def __init__(self, *, num_iters: int = 200, dataloader: Mapping[str, Any] | None = None) -> None:
        self.num_iters = integer('num_iters', num_iters, least=1)
        if dataloader is not None and (not isinstance(dataloader, Mapping) or 'dataset' not in dataloader):
            raise TypeError(f'dataloader={dataloader!r} must be the config of a dataloader with its dataset, or None')
        self.dataloader = dataloader
        self._dataset: Dataset[Any] | None = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Refuse at the first iteration what would fail at the last."""
        if self._dataset is not None:
            return
        if not training_batch_norms(runner.model):
            raise ValueError(
                'PreciseBNHook: the model has no batch norm that keeps running statistics in training '
                '(norm_eval=True, or other norms); remove the hook'
            )
        loader = self._build_loader(runner)
        # Samplers may be endless whatever length they report, so that only counting tells.
        there = sum(1 for _ in itertools.islice(loader.batch_sampler or loader.sampler, self.num_iters))
        if there < self.num_iters:
            raise ValueError(
                f'PreciseBNHook: num_iters={self.num_iters} batches are more than the {there} that the dataloader has '
                f'for each process; set num_iters={there}, or sampler=dict(type="InfiniteSampler")'
            )
        self._dataset = loader.dataset

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Measure after the last iteration."""
        if not self.is_last_train_iter(runner):
            return
        ema = next((hook for hook in runner.hooks if isinstance(hook, EMAHook)), None)
        if ema is None:
            write(runner.model, self._measure(runner))
            return
        ema.before_val_epoch(runner)  # puts the averaged weights into the model
        try:
            averaged = self._measure(runner)
        finally:
            ema.after_val_epoch(runner)
        raw = self._measure(runner) if ema.ema_model.update_buffers else averaged
        write(ema.ema_model.module, averaged)
        write(runner.model, raw)

    def after_train(self, runner: Runner) -> None:
        """Say so where the last iteration never came."""
        if runner.iter < runner.max_iters:
            runner.logger.warning(
                f'PreciseBNHook: training ended at iteration {runner.iter} of {runner.max_iters}, and batch norms keep '
                'the statistics of the training'
            )

    def _measure(self, runner: Runner) -> Statistics:
        loader = self._build_loader(runner)
        set_random_seed(_seed(runner), diff_rank_seed=True)
        statistics = measure(runner.model, loader, num_iters=self.num_iters)
        runner.logger.info(
            f'PreciseBNHook: {len(statistics)} batch norms have the means over {self.num_iters} batches in each process'
        )
        return statistics

    def _build_loader(self, runner: Runner) -> DataLoader[Any]:
        source = runner._train_dataloader if self.dataloader is None else self.dataloader
        if not isinstance(source, Mapping):
            raise ValueError(
                'PreciseBNHook: the training dataloader was given ready-made, so there is no config to build a second '
                'one from; set dataloader=dict(dataset=..., sampler=..., batch_size=..., ...)'
            )
        settings = _Settings(source)
        dataset = self._dataset
        if self.dataloader is None:
            for key in _TRAINING_ONLY:
                settings.pop(key, None)
            settings['num_workers'] = 0
            dataset = runner.train_dataloader.dataset
        if dataset is not None:
            settings['dataset'] = dataset
        loader: DataLoader[Any] = runner.build_dataloader(settings, seed=_seed(runner))
        return loader


class _Settings(dict[str, Any]):
    """Settings of a dataloader whose deep copies, of which mmengine makes one, share a data set that is built."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        if not isinstance(self['dataset'], Mapping):
            memo[id(self['dataset'])] = self['dataset']
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


def _seed(runner: Runner) -> int:
    """Return the seed of the other shuffle: one for all processes, because their samplers must deal the same cards."""
    seed = torch.tensor(runner.seed)
    broadcast(seed)
    return int(seed) + 1
