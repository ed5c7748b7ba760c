"""A hook that computes precise batch norm statistics after the last iteration, before validation and saving."""

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
from resnest_mm.training.hooks.batch_statistics import Statistics, measure, training_batch_norms, write

_TRAINING_ONLY = ('persistent_workers', 'prefetch_factor', 'multiprocessing_context', 'timeout', 'num_batch_per_epoch')
"""Settings that need worker processes, or that were already applied to the data set."""


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Replace the running statistics of batch norms by means over training batches, after the last iteration.

    During training, running statistics are a moving average over the last few dozen batches, while the weights change.
    The validation and the checkpoint after the last iteration use the new statistics. Frozen batch norms and other
    norms do not change.

        custom_hooks = [dict(type='resnest_mm.PreciseBNHook', num_iters=200)]

    With an `EMAHook` the statistics are measured with the averaged weights, which mmengine validates and saves. The
    hook has one set of statistics for the averaged and the raw weights, unless `update_buffers=True`; then both are
    measured. If `EarlyStoppingHook` ends the training before the last iteration, this hook logs a warning and does
    nothing.

    Args:
        num_iters: Batches in each process, at least 1. The published detectors used 200 with 2 images in 8 processes.
        dataloader: Config of a dataloader for these batches. None means the training dataloader: the same data set
            object with its current pipeline, shuffled again, without worker processes. Shuffling and augmentation
            depend only on the seed of the run.

    Raises:
        ValueError: At the first iteration: there are fewer batches than `num_iters`, no batch norm is trained, or the
            training dataloader has no config.

    Source: TEST.PRECISE_BN of chongruo/detectron2-ResNeSt@54ec876, detectron2/engine/hooks.py.
    """

    priority = 'LOW'  # after the last update of EMAHook, before CheckpointHook

    def __init__(self, *, num_iters: int = 200, dataloader: Mapping[str, Any] | None = None) -> None:
        self.num_iters = integer('num_iters', num_iters, least=1)
        if dataloader is not None and (not isinstance(dataloader, Mapping) or 'dataset' not in dataloader):
            raise TypeError(f'dataloader={dataloader!r} must be the config of a dataloader with its dataset, or None')
        self.dataloader = dataloader
        self._dataset: Dataset[Any] | None = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check at the first iteration whether the statistics can be measured after the last."""
        if self._dataset is not None:
            return
        if not training_batch_norms(runner.model):
            raise ValueError(
                'PreciseBNHook: the model has no batch norm that keeps running statistics in training '
                '(norm_eval=True, or other norms); remove the hook'
            )
        loader = self._build_loader(runner)
        # An endless sampler also reports a length, so the batches are counted.
        available = sum(1 for _ in itertools.islice(loader.batch_sampler or loader.sampler, self.num_iters))
        if available < self.num_iters:
            raise ValueError(
                f'PreciseBNHook: num_iters={self.num_iters} batches are more than the {available} that the dataloader '
                f'has for each process; set num_iters={available}, or sampler=dict(type="InfiniteSampler")'
            )
        self._dataset = loader.dataset

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Measure and write the statistics after the last iteration."""
        if not self.is_last_train_iter(runner):
            return
        ema = next((hook for hook in runner.hooks if isinstance(hook, EMAHook)), None)
        if ema is None:
            write(runner.model, self._measure(runner))
            return
        ema.before_val_epoch(runner)  # swaps the averaged weights into the model
        try:
            averaged = self._measure(runner)
        finally:
            ema.after_val_epoch(runner)
        raw = self._measure(runner) if ema.ema_model.update_buffers else averaged
        write(ema.ema_model.module, averaged)
        write(runner.model, raw)

    def after_train(self, runner: Runner) -> None:
        """Warn if the training ended before its last iteration."""
        if runner.iter < runner.max_iters:
            runner.logger.warning(
                f'PreciseBNHook: training ended at iteration {runner.iter} of {runner.max_iters}; batch norms keep '
                'their running statistics'
            )

    def _measure(self, runner: Runner) -> Statistics:
        loader = self._build_loader(runner)
        set_random_seed(_seed(runner), diff_rank_seed=True)
        statistics = measure(runner.model, loader, num_iters=self.num_iters)
        runner.logger.info(
            f'PreciseBNHook: {len(statistics)} batch norms have means over {self.num_iters} batches in each process'
        )
        return statistics

    def _build_loader(self, runner: Runner) -> DataLoader[Any]:
        source = _train_dataloader_config(runner) if self.dataloader is None else self.dataloader
        if not isinstance(source, Mapping):
            raise ValueError(
                'PreciseBNHook: the Runner was given a built training dataloader, so there is no config for a second '
                'one; set dataloader=dict(dataset=..., sampler=..., batch_size=..., ...)'
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


def _train_dataloader_config(runner: Runner) -> Any:
    """Return the `train_dataloader` that a Runner was given: a config, or a dataloader that is already built.

    The attribute is private in mmengine (0.10.7); the public `train_dataloader` is the built one. If a release renames
    the attribute, the hook fails at the first iteration with an AttributeError; an explicit `dataloader` avoids it.
    """
    return runner._train_dataloader


class _Settings(dict[str, Any]):
    """Settings of a dataloader. mmengine copies them deeply; the copies share the data set if it is built already."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        if not isinstance(self['dataset'], Mapping):
            memo[id(self['dataset'])] = self['dataset']
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


def _seed(runner: Runner) -> int:
    """Return the seed for shuffling again, the same in all processes: their samplers must shuffle identically."""
    seed = torch.tensor(runner.seed)
    broadcast(seed)
    return int(seed) + 1
