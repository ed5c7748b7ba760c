"""Every segmentation recipe of PyTorch-Encoding is what its authors ran, value by value, once it is built."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

from tests.support import shipped_configs
from tests.support.metafiles import entry_of, first_metrics
from tests.support.recipes.segmentation_truth import ENTRIES, truth
from tests.support.shipped_configs import CONFIGS
from tests.support.tiny_configs import SIZE, shrink_step

pytest.importorskip('mmseg', reason='the recipes are for mmseg')

FOLDER = CONFIGS / 'segmentation'
ONE_OF_EACH_SCHEDULE = ('fcn_s50-d8_ade20k', 'fcn_s50-d8_120e_ade20k', 'fcn_s50-d8_pascal-context-59')
LEAST_VALUES = 30


@pytest.fixture(autouse=True)
def _scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def read(name: str) -> Config:
    """Return a parsed config, which may be changed: the hosts' builders take keys out of it."""
    return copy.deepcopy(shipped_configs.read(FOLDER / f'{name}.py'))


def observe(name: str, root: Path) -> dict[str, Any]:
    """Return what a config amounts to once the Runner's own functions have built its parts."""
    from tests.support.recipes import segmentation_data as data
    from tests.support.recipes import segmentation_networks as networks

    cfg = read(name)
    data.write_data(root, cfg)
    model = networks.build(cfg)
    observed = (
        *networks.observe_model(model),
        *networks.observe_weights(cfg),
        *networks.observe_optimizer(cfg, model),
        *networks.observe_schedule(cfg),
        *networks.observe_evaluator(cfg, model),
        *data.observe_data(cfg, root),
        *data.observe_pipelines(cfg, root),
        *published(name),
    )
    keys = [key for key, _ in observed]
    assert len(set(keys)) == len(keys)
    return dict(observed)


def published(name: str) -> Iterator[tuple[str, Any]]:
    """Yield the released model that the docstring names, and the published numbers of the metafile."""
    from resnest_mm.weights.records.lookup import RECORDS

    text = ' '.join((ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text())) or '').split())
    model = re.search(r'`(\w+)` of zhanghang1989/PyTorch-Encoding', text)
    assert model
    record, entry = RECORDS[f'encoding/{model[1]}'], entry_of(f'segmentation/{name}')
    assert entry.record == record.name
    yield 'published: model, beginning of its sha1', (model[1], str(record.digest)[:8])
    metrics = first_metrics(entry)
    yield 'published: pixAcc, mIoU in per cent', (metrics['pixAcc'], metrics['mIoU'])


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.slow if '_s2' in name else ()) for name in ENTRIES]
)
def test_a_built_recipe_has_every_value_of_the_authors(name: str, tmp_path: Path) -> None:
    """What the Runner builds from a config is compared, not what the config says."""
    wanted, given = truth(name), observe(name, tmp_path)
    differing = {key: (given.get(key), value) for key, value in wanted.items() if given.get(key) != value}
    assert not differing, f'config, authors: {differing}'
    assert given.keys() == wanted.keys()
    assert len(wanted) >= LEAST_VALUES
    print(f'{name}: {len(wanted)} values compared')


def test_every_recipe_of_the_authors_is_there_and_no_other_claims_to_be() -> None:
    """The table of what the authors ran names every config that says so."""
    authors = {file.stem for file in FOLDER.glob('*.py') if 'zhanghang1989/PyTorch-Encoding' in file.read_text()}
    assert authors == set(ENTRIES)


def rates(name: str) -> tuple[Any, torch.optim.Optimizer, int]:
    """Return the scheduler over one parameter of the backbone and one of a head, and its number of iterations."""
    cfg = read(name)
    lr = cfg.optim_wrapper.optimizer.lr
    times = cfg.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult
    groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=rate) for rate in (lr, lr * times)]
    optimizer = torch.optim.SGD(groups, lr=lr)
    (entry,) = cfg.param_scheduler
    scheduler = PARAM_SCHEDULERS.build({**entry, 'optimizer': optimizer})
    optimizer.step()
    return scheduler, optimizer, cfg.train_cfg.max_iters


def authors_rate(name: str, iteration: int) -> float:
    """Return the backbone's rate: base * (1 - iteration / iterations) ** 0.9, in iterations from 0."""
    base, iterations = {'180e': (0.004, 227340), '120e': (0.01, 151560), '80e': (0.001, 24960)}[ENTRIES[name].schedule]
    return base * (1 - iteration / iterations) ** 0.9


@pytest.mark.parametrize('name', ONE_OF_EACH_SCHEDULE)
def test_each_step_of_the_schedule_goes_from_one_rate_of_the_authors_to_the_next(name: str) -> None:
    """mmengine computes a rate from the one before, so that 20 single steps spread over the training show the rule."""
    scheduler, optimizer, iterations = rates(name)
    assert optimizer.param_groups[0]['lr'] == authors_rate(name, 0)
    for iteration in [1, *range(iterations // 19, iterations - 1, iterations // 19), iterations - 1]:
        scheduler.last_step = iteration - 1
        for group, times in zip(optimizer.param_groups, (1, 10), strict=True):
            group['lr'] = times * authors_rate(name, iteration - 1)
        scheduler.step()
        for group, times in zip(optimizer.param_groups, (1, 10), strict=True):
            assert group['lr'] == pytest.approx(times * authors_rate(name, iteration), abs=1e-16)
    assert optimizer.param_groups[0]['lr'] > 0, 'the last iteration trains too'


@pytest.mark.slow
@pytest.mark.parametrize('name', ONE_OF_EACH_SCHEDULE)
def test_the_rate_is_the_authors_in_every_iteration(name: str) -> None:
    """Rounding does not add up over 227,340 steps."""
    scheduler, optimizer, iterations = rates(name)
    worst = 0.0
    for iteration in range(iterations):
        backbone, head = (group['lr'] for group in optimizer.param_groups)
        wanted = authors_rate(name, iteration)
        worst = max(worst, abs(backbone - wanted), abs(head - 10 * wanted) / 10)
        scheduler.step()
    assert worst <= 1e-15


def shrink(cfg: Config, root: Path, work_dir: Path) -> Config:
    """Return a recipe with a network of a few channels, two iterations, and the data under `root`."""
    cfg.model.backbone.update(variant=None, depth=14, base_channels=8, stem_channels=16, init_cfg=None)
    cfg.model.decode_head.update(in_channels=256, channels=8)
    cfg.model.auxiliary_head.update(in_channels=128, channels=8)
    cfg.model.data_preprocessor.size = (SIZE, SIZE)
    cfg.tta_model.update(scales=(0.5, 1.0), base_size=SIZE, crop_size=SIZE // 2)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(root)
        loader.dataset.pipeline = [shrink_step(step) for step in loader.dataset.pipeline]
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.param_scheduler[0].end = 3
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
@pytest.mark.parametrize('name', ['deeplabv3_s50-d8_ade20k', 'fcn_s50-d8_pascal-context-59'])
def test_the_runner_trains_evaluates_and_follows_the_authors_evaluator(name: str, tmp_path: Path) -> None:
    """Both heads have losses, and the sliding evaluation at several scales runs on the trained file."""
    from mmengine.runner import Runner

    from resnest_mm.training.options.testing import apply_tta
    from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints
    from tests.support.recipes.segmentation_data import write_data

    cfg = read(name)
    cfg = shrink(cfg, write_data(tmp_path / 'data', cfg), tmp_path / 'work')
    runner = Runner.from_cfg(cfg)
    runner.train()
    losses = {key for key in runner.message_hub.log_scalars if 'loss' in key}
    assert {'train/decode.loss_ce', 'train/aux.loss_ce'} <= losses
    assert all(torch.isfinite(parameter).all() for parameter in runner.model.parameters())
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100
    allow_mmengine_checkpoints()
    cfg.load_from = str(tmp_path / 'work' / 'iter_2.pth')
    metrics = Runner.from_cfg(apply_tta(cfg)).test()
    assert set(metrics) == {'aAcc', 'mIoU', 'mAcc'}
