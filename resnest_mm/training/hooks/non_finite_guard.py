"""A hook that stops a training whose loss or weights are not finite, before a good checkpoint is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from torch import nn

from resnest_mm.errors import RunError, first_names
from resnest_mm.models.arguments.checks import integer
from resnest_mm.registry import HOOKS
from resnest_mm.training.hooks.batch_statistics import unwrapped
from resnest_mm.training.safety.non_finite import first_non_finite_module, non_finite_entries, non_finite_terms
from resnest_mm.training.work_dir import last_checkpoint

_SAVED: Final = ('state_dict', 'ema_state_dict', 'optimizer')
"""Entries of a checkpoint that must be finite."""


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Stop a training with a message where its loss or its weights are NaN or infinite; save no such weights.

    `tools/train.py` adds this hook to every config. Name it in `custom_hooks` to set `patience`:

        custom_hooks = [dict(type='resnest_mm.NonFiniteGuardHook', patience=10)]

    The loss of every iteration is checked before it changes the weights. If it is not finite, the batch goes through
    the network once more to find the first module with an output that is not finite. In full precision one such loss
    usually makes all weights NaN: the training stops in this iteration. In mixed precision the loss scaler skips the
    update, and the weights stay finite: the training goes on with a warning, and stops after `patience` such iterations
    in a row. Gradients that are not finite are normal in mixed precision and not checked.

    No checkpoint is saved in which weights, their average, running statistics or the state of the optimizer are not
    finite; the training stops instead. Constant buffers that were not finite before the first iteration are exempt.

    In distributed training all processes stop in the same iteration. Only where a checkpoint is refused the first
    process alone stops, since mmengine saves in that one; torchrun then ends the others.

    Args:
        patience: Iterations in a row with a loss that is not finite, after which the training stops, at least 1.

    Raises:
        RunError: During training, as described.
    """

    priority = 55  # after EMAHook, which puts its weights into the checkpoint; before LoggerHook

    def __init__(self, *, patience: int = 3) -> None:
        self.patience = integer('patience', patience, least=1)
        self._in_a_row = 0
        self._constants: set[str] = set()
        self._handle: Any = None
        self._expects_losses = False
        self._checked = False
        self._finding: str | None = None

    def before_train(self, runner: Any) -> None:
        """Look at the weights with which the training begins, and watch the losses from now on.

        Raises:
            RunError: Weights or running statistics are not finite.
        """
        model = unwrapped(runner.model)
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._constants = set(non_finite_entries(model.state_dict()))
        spoiled = sorted(name for name in self._constants if name in trained or 'running_' in name)
        if spoiled:
            raise RunError(
                f'the training cannot begin: values of {first_names(spoiled)} are not finite; give --resume, load_from '
                'or init_cfg another checkpoint'
            )
        if not runner.cfg.get('compile'):  # a hook would cut a compiled train_step in two
            self._handle = model.register_forward_hook(self._check_losses, with_kwargs=True)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Expect the losses of the iteration."""
        self._expects_losses, self._checked, self._finding = True, False, None

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Stop the training if its loss is not finite.

        Raises:
            RunError: The weights are not finite, or the loss has not been for `patience` iterations in a row.
        """
        self._expects_losses = False
        if not self._checked:
            losses = {name: torch.as_tensor(value) for name, value in (outputs or {}).items() if 'loss' in name}
            terms = non_finite_terms(losses)
            self._finding = _loss(terms) if _in_any_process(bool(terms)) else None
        if self._finding is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        found = f'the loss of iteration {runner.iter + 1} is not finite: {self._finding}'
        spoiled = _in_any_process(bool(self._spoiled({'state_dict': unwrapped(runner.model).state_dict()})))
        if not spoiled and self._in_a_row < self.patience:
            runner.logger.warning(
                f'NonFiniteGuardHook: {found}; the weights are finite and the training goes on, '
                f'{self._in_a_row} of patience={self.patience} such iterations in a row'
            )
            return
        _log(runner, batch_idx)
        why = 'the weights are not finite any more' if spoiled else f'{self._in_a_row} such iterations in a row'
        raise RunError(f'training stopped: {found}; {why}; {_advice(runner)}')

    def before_save_checkpoint(self, runner: Any, checkpoint: Mapping[str, Any]) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            RunError: A tensor that is saved is not finite.
        """
        spoiled = self._spoiled(checkpoint)
        if spoiled:
            raise RunError(
                f'training stopped: the checkpoint of iteration {checkpoint["meta"]["iter"]} is not saved, because '
                f'{len(spoiled)} of its tensors are not finite: {first_names(spoiled)}; {_advice(runner)}'
            )

    def after_train(self, runner: Any) -> None:
        """Stop watching the losses."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _check_losses(self, model: nn.Module, arguments: Any, settings: Any, losses: Any) -> None:
        """Check what the forward of a training iteration returned, before the weights are changed by it."""
        if not self._expects_losses or self._finding is not None or not isinstance(losses, Mapping):
            return
        self._checked = True
        terms = non_finite_terms(losses)
        if _in_any_process(bool(terms)):
            self._expects_losses = False  # not those of the forward that follows
            module = first_non_finite_module(model, arguments, settings)
            self._finding = f'{_loss(terms)}; first module with an output that is not finite: {module}'

    def _spoiled(self, content: Mapping[str, Any]) -> list[str]:
        """Return the names of tensors that became NaN or infinite during the training."""
        found = []
        for part in _SAVED:
            for name in non_finite_entries(content.get(part) or {}):
                if name.removeprefix('module.') not in self._constants:
                    found.append(name if part == 'state_dict' else f'{part}.{name}')
        return found


def _loss(terms: Mapping[str, float]) -> str:
    """Return which terms of the loss are not finite; none are where only another process has some."""
    return first_names(f'{name} is {value}' for name, value in terms.items()) if terms else 'that of another process'


def _advice(runner: Any) -> str:
    last = last_checkpoint(runner.work_dir)
    kept = f'the last checkpoint is {last}' if last else 'no checkpoint was saved before'
    return f'{kept}; lower the learning rate, warm up longer or clip gradients (optim_wrapper.clip_grad)'


def _in_any_process(flag: bool) -> bool:
    """Return whether a flag is set in any process of a distributed training; all must call this."""
    number = torch.tensor(int(flag))
    all_reduce(number, op='max')
    return bool(number)


def _log(runner: Any, batch_idx: int) -> None:
    """Write the losses of this iteration into the logs, which otherwise have those of every tenth or so."""
    scalars, line = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
    runner.logger.error(line)
    runner.visualizer.add_scalars(scalars, step=runner.iter + 1, file_path=f'{runner.timestamp}.json')
