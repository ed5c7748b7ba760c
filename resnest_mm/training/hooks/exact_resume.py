"""A hook that lets a resumed training continue as if it had not been interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mmengine.dist import get_world_size
from mmengine.hooks import DistSamplerSeedHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from resnest_mm.registry import HOOKS
from resnest_mm.training.hooks.batch_statistics import unwrapped
from resnest_mm.training.safety.random_states import RandomStates, random_states, restore_random_states

ENTRY: Final = 'resnest_mm_resume'
"""The entry of a checkpoint with what this hook saves; mmengine and older versions of this package ignore it."""


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Save with every checkpoint what mmengine does not, so that a resumed training continues exactly.

    `tools/train.py` adds this hook to every config. It saves the states of the random number generators, the position
    in the epoch, whether the validation at this point is done, and gradients that are accumulated but not applied yet.

    In a single process on a CPU with `randomness=dict(seed=..., deterministic=True)` the continued training equals the
    uninterrupted one bit for bit. For this, the data of earlier epochs are loaded once more where `persistent_workers`
    keep random states of their own, which takes as long as loading them did; mmengine does the same in every
    `IterBasedTrainLoop`. A hook, transform or model that keeps a state outside of its state dict may still differ.

    In other trainings the position is exact, too: a training that was interrupted in the middle of an epoch continues
    with the images that it has not seen in this epoch. In distributed training the random states are not restored.

    A checkpoint without this entry is resumed as mmengine does. So is one of a training loop that is derived neither
    from `EpochBasedTrainLoop` nor from `IterBasedTrainLoop`.
    """

    priority = 'LOWEST'  # nothing may draw random numbers between this hook and the training loop

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None
        self._batches = 0  # of the current epoch
        self._epoch_begin: RandomStates | None = None
        self._resumed_epoch_begin: RandomStates | None = None
        self._validations = 0
        self._validated_iter = -1

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the entry to a checkpoint from which a training can be resumed."""
        loop, meta = runner.train_loop, checkpoint['meta']
        if 'optimizer' not in checkpoint or not isinstance(loop, EpochBasedTrainLoop | IterBasedTrainLoop):
            return
        # The loop counts an epoch after the hooks have saved it.
        ended = isinstance(loop, IterBasedTrainLoop) or meta['epoch'] > loop.epoch
        entry = {
            'iter': meta['iter'],
            'batches': 0 if ended else self._batches,
            'validated': int(self._validated_iter == meta['iter']),
            'validations': self._validations,
            'random': random_states(),
            **_settings(runner),
        }
        if entry['batches'] and self._epoch_begin is not None:
            entry['epoch_begin'] = self._epoch_begin
        if get_world_size() == 1 and _accumulating(runner.optim_wrapper):
            entry['gradients'] = {
                name: parameter.grad.detach().cpu()
                for name, parameter in unwrapped(runner.model).named_parameters()
                if parameter.grad is not None
            }
        checkpoint[ENTRY] = entry

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the entry until the training begins."""
        self._loaded = checkpoint.get(ENTRY)

    def before_train(self, runner: Any) -> None:
        """Bring a resumed training to the point at which its checkpoint was saved."""
        saved, self._loaded = self._loaded, None
        loop = runner.train_loop
        if not loop.iter:
            return
        if saved is not None and saved['iter'] != loop.iter:
            saved = None
        if runner.deterministic and (differs := _difference(runner, saved)):
            runner.logger.warning(f'ExactResumeHook: the training does not continue bit for bit: {differs}')
        if saved is None or not isinstance(loop, EpochBasedTrainLoop | IterBasedTrainLoop):
            return
        if runner.deterministic and isinstance(loop, EpochBasedTrainLoop):
            _replay_epochs(runner, loop)
        self._validations = saved['validations']
        if saved['validations'] and runner.val_loop is not None and _has_persistent_workers(runner.val_dataloader):
            iter(runner.val_dataloader)  # draws a random number, as it did before the first validation
        _restore(saved['random'])
        for name, gradient in saved.get('gradients', {}).items():
            parameter = unwrapped(runner.model).get_parameter(name)
            parameter.grad = gradient.to(parameter.device)
        if saved['batches']:
            self._resumed_epoch_begin = saved.get('epoch_begin')
            # Where the batch size is another one now, this is the same part of the epoch.
            _skip(loop, saved['batches'] * len(loop.dataloader) // saved['epoch_batches'], saved['random'])
        elif not saved['validated'] and _validation_due(runner, loop):
            runner.logger.info('ExactResumeHook: the validation that follows this checkpoint runs first')
            runner.val_loop.run()
        if isinstance(loop, IterBasedTrainLoop):
            loop.dataloader_iterator = _advanced(loop.dataloader_iterator, loop.iter, random_states())

    def before_train_epoch(self, runner: Any) -> None:
        """Note the random states with which the data of an epoch begin."""
        if self._resumed_epoch_begin is not None:
            _restore(self._resumed_epoch_begin)
            self._resumed_epoch_begin = None
        self._epoch_begin = random_states()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Count the batches of the epoch."""
        self._batches = batch_idx + 1

    def after_train_epoch(self, runner: Any) -> None:
        """Note that the epoch is over, after the other hooks have saved it."""
        self._batches = 0

    def before_val(self, runner: Any) -> None:
        """Note after which iteration the model is validated."""
        self._validations += 1
        self._validated_iter = runner.iter


def _restore(states: RandomStates) -> None:
    """Restore the random states of the only process; the checkpoint has those of one process."""
    if get_world_size() == 1:
        restore_random_states(states)


def _accumulating(optim_wrapper: Any) -> bool:
    """Return whether gradients of iterations that are over have not changed the weights yet."""
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    return any(not wrapper.should_update() for wrapper in wrappers)


def _settings(runner: Any) -> dict[str, int]:
    """Return the settings that the order and the random numbers of the data depend on."""
    loader = runner.train_dataloader
    return {
        'seed': int(runner.seed),
        'processes': get_world_size(),
        'workers': loader.num_workers,
        'epoch_batches': len(loader),
    }


def _difference(runner: Any, saved: dict[str, Any] | None) -> str:
    """Return why a training cannot continue exactly, or an empty text."""
    if saved is None:
        return 'the checkpoint has no random states and no position in the data; it is resumed as mmengine does'
    if get_world_size() > 1:
        return 'random states are restored in a training of one process only'
    now = _settings(runner)
    changed = [f'{name} {saved[name]} is now {value}' for name, value in now.items() if saved[name] != value]
    return ', '.join(changed)


def _has_persistent_workers(loader: Any) -> bool:
    return bool(loader.num_workers and loader.persistent_workers)


def _replay_epochs(runner: Any, loop: EpochBasedTrainLoop) -> None:
    """Load the data of earlier epochs with workers that live as long as the training, to repeat their random states."""
    if not _has_persistent_workers(loop.dataloader) or not loop.epoch:
        return
    runner.logger.info(f'ExactResumeHook: loads the data of {loop.epoch} epochs again, for the states of the workers')
    seeds = [hook for hook in runner.hooks if isinstance(hook, DistSamplerSeedHook)]
    reached = loop.epoch
    for loop._epoch in range(reached):
        for hook in seeds:
            hook.before_train_epoch(runner)
        for _ in loop.dataloader:
            pass
    loop._epoch = reached


def _validation_due(runner: Any, loop: Any) -> bool:
    """Return whether the loop validates after the present iteration or epoch, by the condition in mmengine's loops."""
    if runner.val_loop is None:
        return False
    loop._decide_current_val_interval()
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    step, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    return bool(step >= loop.val_begin and (step % loop.val_interval == 0 or step == last))


def _skip(loop: EpochBasedTrainLoop, batches: int, states: RandomStates) -> None:
    """Let the loop load the first batches of the next epoch without training on them, then restore random states."""

    def run_iter(idx: int, data_batch: Any) -> None:
        if idx + 1 >= batches:
            del loop.run_iter  # the class's own is used again
            _restore(states)

    loop.run_iter = run_iter


def _advanced(iterator: Iterator[Any], batches: int, states: RandomStates) -> Iterator[Any]:
    """Yield batches; restore random states before the first one that the loop does not skip."""
    for _ in range(batches):
        yield next(iterator)
    _restore(states)
    yield from iterator
