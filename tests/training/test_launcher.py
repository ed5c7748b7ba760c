"""Launchers: a run needs GPUs and the launcher's variables, and knows its first process before processes connect."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from resnest_mm.errors import UserError
from resnest_mm.training import launcher
from resnest_mm.training.launcher import LAUNCHERS, apply_launcher, is_first_process

STARTED = {
    'pytorch': {'RANK': '3', 'WORLD_SIZE': '4'},
    'slurm': {'SLURM_PROCID': '3', 'SLURM_NTASKS': '4'},
    'mpi': {'OMPI_COMM_WORLD_LOCAL_RANK': '1', 'OMPI_COMM_WORLD_RANK': '3', 'MASTER_ADDR': 'host'},
}


def recipe() -> Config:
    return Config({'model': {'norm_cfg': {'type': 'SyncBN'}}})


def on(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, 'get_device', lambda: device)


def test_launcher_on_a_cpu_is_refused_and_syncbn_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cpu', monkeypatch)
    with pytest.raises(UserError, match=r'--launcher pytorch needs GPUs.* 1 SyncBN settings'):
        apply_launcher(recipe(), 'pytorch', environ={'RANK': '0', 'WORLD_SIZE': '1'})
    assert apply_launcher(recipe(), 'none', environ={}).launcher == 'none'


def test_launcher_that_did_not_start_this_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    on('cuda', monkeypatch)
    with pytest.raises(UserError, match='RANK is not set; start the tool with torchrun'):
        apply_launcher(recipe(), 'pytorch', environ={})
    assert apply_launcher(recipe(), 'pytorch', environ={'RANK': '0', 'WORLD_SIZE': '2'}).launcher == 'pytorch'


@pytest.mark.parametrize('name', STARTED)
def test_each_variable_of_a_launcher_is_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on('cuda', monkeypatch)
    cfg = recipe()
    assert apply_launcher(cfg, name, environ=STARTED[name]).launcher == name
    assert 'launcher' not in cfg
    for variable in STARTED[name]:
        environ = {key: value for key, value in STARTED[name].items() if key != variable}
        with pytest.raises(UserError, match=f'--launcher {name}: {variable} is not set'):
            apply_launcher(cfg, name, environ=environ)


def test_an_unknown_launcher_is_refused() -> None:
    """From Python; the command line has its own check."""
    with pytest.raises(UserError, match="launcher 'torchrun' is unknown; choose one of none, pytorch, slurm, mpi"):
        apply_launcher(recipe(), 'torchrun')


@pytest.mark.parametrize('name', STARTED)
def test_the_first_process_has_rank_0_among_all(name: str) -> None:
    """The local rank is 0 once on every machine."""
    assert ('none', *STARTED) == LAUNCHERS
    assert not is_first_process(name, environ=STARTED[name])
    first = {key: '0' if value == '3' else value for key, value in STARTED[name].items()}
    assert is_first_process(name, environ=first)
    assert is_first_process('none', environ=STARTED[name])
