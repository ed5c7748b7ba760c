"""The hook in real runs: when it measures, on which data, what validation and the checkpoint have of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import HOOKS, DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from resnest_mm.training.hooks.precise_bn import PreciseBNHook
from tests.support.precise_bn import Images, Model, assert_precise, by_iteration, expected, loader, run


@pytest.fixture(autouse=True)
def fresh_globals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep runs apart, and leave out the search for compilers that every run begins with."""
    monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
    yield
    for manager in (MMLogger, MessageHub, DefaultScope, Visualizer):
        manager._instance_dict.clear()


def saved(folder: Path, name: str = 'iter_4.pth', key: str = 'state_dict') -> dict[str, Tensor]:
    state = torch.load(folder / name, weights_only=False)[key]
    return {name.removeprefix('module.'): value for name, value in state.items()}


LOOPS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    'iterations': (by_iteration(), {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2}, 'iter_4.pth'),
    'epochs': ({'by_epoch': True, 'max_epochs': 2}, {'type': 'CheckpointHook', 'interval': 1}, 'epoch_2.pth'),
}


@pytest.mark.parametrize(('train_cfg', 'checkpoint', 'name'), LOOPS.values(), ids=LOOPS)
def test_last_checkpoint_and_last_validation_have_the_precise_statistics(
    tmp_path: Path, train_cfg: Any, checkpoint: Any, name: str
) -> None:
    """And no earlier ones: measured once, after the last iteration."""
    sampler = {'type': 'DefaultSampler', 'shuffle': True}
    train = loader(batch_size=2, sampler=sampler)  # six batches an epoch
    runner = run(tmp_path, train=train, train_cfg=train_cfg, default_hooks={'checkpoint': checkpoint})
    assert len(runner.model.seen) == 5 and all(x.shape == (2, 2, 2, 3) for x in runner.model.seen)
    final = saved(tmp_path, name)
    assert_precise(final, runner.model.seen)
    evaluated = len(runner.val_dataloader)
    assert len(runner.model.validated) == 2 * evaluated
    assert all(torch.equal(runner.model.validated[-1][key], value) for key, value in final.items())
    early = runner.model.validated[0]
    assert not torch.allclose(early['norm.running_mean'], expected(early, runner.model.seen)['norm'][0].float())
    assert runner.model.norm.momentum == 0.3
    assert final['norm.num_batches_tracked'] == runner.iter


def test_images_are_preprocessed_training_images_in_an_order_of_their_own(tmp_path: Path) -> None:
    """Each image once before any twice, doubled as in training, and not as the training's own shuffle begins."""
    trained: list[Tensor] = []

    class Listen(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            trained.append(torch.stack(data_batch['inputs']) * 2)

    train = loader(num_workers=1, persistent_workers=True, prefetch_factor=3)
    runner = run(tmp_path, hooks=[Listen()], train=train)
    first_pass = torch.cat(runner.model.seen[:4])
    images = [runner.train_dataloader.dataset.images[i] * 2 for i in range(12)]
    places = [next(i for i, image in enumerate(images) if torch.equal(image, x)) for x in first_pass]
    assert sorted(places) == list(range(12)) and places != list(range(12))
    assert not torch.equal(first_pass, torch.cat(trained[:4]))


def test_dataset_in_use_is_shared_with_the_pipeline_that_training_ended_with(tmp_path: Path) -> None:
    class Switch(Hook):
        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            if batch_idx == 2:
                runner.train_dataloader.dataset.offset = 100.0

    built = Images.built
    runner = run(tmp_path, hooks=[Switch()])
    assert all(x.min() > 150 for x in runner.model.seen)
    assert Images.built == built + 2  # for training and validation


class Draw(Hook):
    """Uses up random numbers, as a training that was interrupted in between would have."""

    def __init__(self, count: int) -> None:
        self.count = count

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        runner.train_dataloader.dataset.noise = float(batch_idx == 3)  # augmentation, from the last iteration on
        torch.rand(self.count)


def test_what_is_measured_depends_on_the_seed_only(tmp_path: Path) -> None:
    seen = []
    for index, (seed, draws) in enumerate([(4, 1), (4, 2), (5, 1)]):
        train = loader(num_batch_per_epoch=4)
        runner = run(tmp_path / str(index), hooks=[Draw(draws)], train=train, randomness={'seed': seed})
        seen.append(torch.stack(runner.model.seen))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize('update_buffers', [False, True])
def test_averaged_weights_are_validated_and_saved_with_statistics_of_their_own(
    tmp_path: Path, update_buffers: bool
) -> None:
    ema = {'type': 'EMAHook', 'momentum': 0.5, 'update_buffers': update_buffers}
    runner = run(tmp_path, hooks=[ema])
    averaged, raw = saved(tmp_path), saved(tmp_path, key='ema_state_dict')
    assert not torch.equal(averaged['conv.weight'], raw['conv.weight'])
    seen = runner.model.seen
    assert len(seen) == (10 if update_buffers else 5)
    assert_precise(averaged, seen[:5])
    if update_buffers:
        assert_precise(raw, seen[5:])
    else:
        names = [name for name in averaged if 'running' in name]
        assert names and all(torch.equal(averaged[name], raw[name]) for name in names)
    assert all(torch.equal(runner.model.validated[-1][name], value) for name, value in averaged.items())
    assert torch.equal(runner.model.conv.weight, raw['conv.weight'])


def test_averaged_weights_leave_the_model_again_after_an_error(tmp_path: Path) -> None:
    model = Model()
    model.fail_at = 2
    hooks: list[Any] = []

    class Keep(Hook):
        priority = 'LOW'

        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            if batch_idx == 3:
                hooks.extend(hook for hook in runner.hooks if isinstance(hook, EMAHook))
                hooks.append({name: value.clone() for name, value in runner.model.state_dict().items()})

    ema = {'type': 'EMAHook', 'momentum': 0.5}
    precise = {'type': 'resnest_mm.PreciseBNHook', 'num_iters': 5}
    with pytest.raises(RuntimeError, match='out of memory'):
        run(tmp_path, model=model, custom_hooks=[Keep(), precise, ema])
    before = hooks[-1]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_training_that_ends_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            runner.train_loop.stop_training = batch_idx == 1

    messages: list[str] = []
    monkeypatch.setattr(MMLogger, 'handle', lambda _, record: messages.append(record.getMessage()))
    runner = run(tmp_path, hooks=[Stop()])
    assert runner.model.seen == []
    assert any('training ended at iteration 2 of 4; batch norms keep' in message for message in messages)


def untrained(tmp_path: Path, message: str, **arguments: Any) -> None:
    """Check that a run is refused before its weights move."""
    model = arguments.pop('model', None) or Model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match=message):
        run(tmp_path, model=model, **arguments)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_too_few_batches_are_refused_at_the_first_iteration(tmp_path: Path) -> None:
    """Not at the last, which would lose a training."""
    train = loader(sampler={'type': 'DefaultSampler', 'shuffle': True})
    untrained(tmp_path, 'num_iters=5 batches are more than the 4 that the dataloader has', train=train)


def test_a_model_without_training_batch_norms_is_refused_at_the_first_iteration(tmp_path: Path) -> None:
    class Frozen(Model):
        def train(self, mode: bool = True) -> Frozen:
            super().train(mode)
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
            return self

    untrained(tmp_path, r'the model has no batch norm .*; remove the hook', model=Frozen())


def ready_made() -> DataLoader[Any]:
    return DataLoader(Images(), batch_size=3, collate_fn=lambda samples: {'inputs': [s['inputs'] for s in samples]})


def test_a_ready_made_dataloader_needs_a_config_beside_it(tmp_path: Path) -> None:
    untrained(tmp_path, r'given a built training dataloader.* set dataloader=dict\(', train=ready_made())


def test_a_dataloader_of_its_own_is_used(tmp_path: Path) -> None:
    own = Config({'loader': loader(batch_size=4, dataset={'type': Images, 'length': 8})}).loader
    hook = {'type': 'resnest_mm.PreciseBNHook', 'num_iters': 5, 'dataloader': own}
    before = own.to_dict()
    built = Images.built
    runner = run(tmp_path, train=ready_made(), custom_hooks=[hook])
    assert Images.built == built + 3  # for training, validation and this
    assert [len(x) for x in runner.model.seen] == [4] * 5
    places = {index for x in torch.cat(runner.model.seen) for index in range(12) if torch.equal(x, image_of(index))}
    assert places == set(range(8))
    assert own.to_dict() == before
    assert_precise(saved(tmp_path), runner.model.seen)


def image_of(index: int) -> Tensor:
    return Images().images[index] * 2


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'num_iters': 0}, ValueError, 'num_iters=0 must be a whole number, 1 or more'),
        ({'num_iters': 2.0}, TypeError, 'num_iters=2.0 must be'),
        ({'dataloader': 'train'}, TypeError, "dataloader='train' must be the config of a dataloader"),
        ({'dataloader': {'batch_size': 2}}, TypeError, 'must be the config of a dataloader with its dataset'),
        ({'interval': 1}, TypeError, 'interval'),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PreciseBNHook(**arguments)


def test_configs_find_it_with_200_batches_as_the_default() -> None:
    hook = HOOKS.build({'type': 'resnest_mm.PreciseBNHook'})
    assert type(hook) is PreciseBNHook and hook.num_iters == 200
