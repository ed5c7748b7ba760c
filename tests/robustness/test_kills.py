"""A training that is killed at any moment, again and again, ends with the bits of one that was never interrupted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from resnest_mm.demo_data import DemoSettings, write_demo_data
from tests.support.amounts import amount, record_counts
from tests.support.killed_saves import Moment, train_in_a_process
from tests.support.projects import RANDOM, Project
from tests.support.random_trainings import TRAININGS
from tests.support.same_checkpoints import differing_tensors, last_saved
from tests.support.shipped_configs import read
from tests.support.tiny_configs import SIZE, shrink

KILLED = -9
HOSTS = ('deeplabv3_s14-d8_demo', 'faster-rcnn_s14_fpn_demo')
MOST = 3
"""Kills of one training."""

# Those with workers take longest, so they come last in the list of which `make test` takes the beginning.
KINDS = sorted(TRAININGS, key=lambda kind: ('workers' in kind, kind))


def kills_until_done(config: Path, run: str, *, forwards: int, rng: random.Random) -> int:
    """Train with a kill at a random forward pass, continue, and return how often it was killed."""
    argv = [str(config), '--work-dir', run]
    for kills in range(MOST):
        resume = ['--resume'] if kills else []
        last = rng.randrange(1, forwards + 1)
        code = train_in_a_process([*argv, *resume], trap=Moment(last=last))
        if code == 0:
            return kills
        assert code == KILLED, (run, last, code)
    assert train_in_a_process([*argv, '--resume']) == 0
    return MOST


def compare(config: Path, name: str, *, seeds: range, outcomes: Counter[str]) -> None:
    """Train once without a kill, then once for each seed with kills, and compare the last checkpoints."""
    record = Path(f'{name}.forwards')
    assert train_in_a_process([str(config), '--work-dir', f'{name} whole'], trap=Moment(record=record)) == 0
    whole = last_saved(Path(f'{name} whole'))
    for seed in seeds:
        run = f'{name} {seed}'
        kills = kills_until_done(config, run, forwards=int(record.read_text()), rng=random.Random(seed))
        differing = differing_tensors(whole, last_saved(Path(run)))
        assert differing == [], (run, differing)
        outcomes[f'equal in every bit after {kills} kills'] += 1


def test_killed_trainings_end_with_the_same_bits(
    project: Project, record_property: Callable[[str, object], None]
) -> None:
    """Both loops, workers, EMA, precise BN, accumulated gradients; killed in training, validation and in between."""
    outcomes: Counter[str] = Counter()
    for number, kind in enumerate(KINDS[: amount(1, whole=len(KINDS))]):
        config = project.config(RANDOM + TRAININGS[kind])
        compare(config, kind, seeds=range(3 * number, 3 * number + amount(1, whole=3)), outcomes=outcomes)
    record_counts(record_property, 'trainings killed at random moments', outcomes)


@pytest.mark.slow
def test_killed_detectors_and_segmentors_end_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path, record_property: Callable[[str, object], None]
) -> None:
    """The samplers of detectors and the augmentation of segmentors draw random numbers, too."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / 'demo'
    write_demo_data(data, settings=DemoSettings(images=8, size=SIZE))
    outcomes: Counter[str] = Counter()
    for name in HOSTS[: amount(1, whole=len(HOSTS))]:
        cfg = shrink(read(repository / 'configs' / 'demo' / f'{name}.py'), data, whole=False)
        cfg.randomness = dict(seed=0, deterministic=True)
        cfg.train_cfg.update(max_iters=6, val_interval=3)
        cfg.default_hooks.checkpoint.update(by_epoch=False, interval=2, save_optimizer=True, save_param_scheduler=True)
        cfg.dump(f'{name}.py')
        compare(Path(f'{name}.py'), name, seeds=range(amount(1, whole=3)), outcomes=outcomes)
    record_counts(record_property, 'detectors and segmentors killed at random moments', outcomes)
