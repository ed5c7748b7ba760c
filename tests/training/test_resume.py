"""Checkpoints of mmengine load with torch's restricted unpickler; what could run code stays refused."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner

from resnest_mm.errors import UserError
from resnest_mm.training.resume import allow_mmengine_checkpoints, check_checkpoint, last_checkpoint


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs: list[torch.Tensor], mode: str = 'tensor') -> dict[str, torch.Tensor]:
        return {'loss': (self.weight * torch.stack(inputs)).square().mean()}


class Payload:
    """Asks the unpickler to call something."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture(autouse=True)
def default_globals() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the work_dir of two iterations with mmengine's Runner."""
    work_dir = tmp_path_factory.mktemp('trained')
    runner = Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader={
            'batch_size': 1,
            'num_workers': 0,
            'dataset': [{'inputs': torch.ones(1)}] * 2,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        train_cfg={'by_epoch': False, 'max_iters': 2},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False}},
        experiment_name='test_checkpoints',
        log_level='ERROR',
    )
    runner.message_hub.update_info('best_score', np.float64(0.75))
    runner.train()
    return work_dir


def test_a_training_checkpoint_loads_after_allowing_and_not_before(trained: Path) -> None:
    path = trained / 'iter_2.pth'
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    allow_mmengine_checkpoints()
    loaded = torch.load(path, weights_only=True)
    assert loaded['meta']['iter'] == 2
    hub = loaded['message_hub']
    assert hub['runtime_info']['best_score'] == 0.75
    losses, counts = hub['log_scalars']['train/loss'].data
    # weight 1 -> 0.8 by lr 0.1 and gradient 2.
    assert losses == pytest.approx([1.0, 0.64])
    assert counts.tolist() == [1, 1]
    assert loaded['state_dict']['weight'].item() == pytest.approx(0.64)
    assert hub['log_scalars']['train/loss'].statistics('mean') == pytest.approx(0.82)


@pytest.mark.parametrize(('written', 'named'), [('numpy._core', 'numpy.core'), ('numpy.core', 'numpy._core')])
def test_both_names_of_numpys_core_are_known(written: str, named: str, tmp_path: Path) -> None:
    values = np.array([1.5, 2.5]), np.float32(3.0), np.array(['a']), np.array([True, False])
    torch.save(values, tmp_path / 'own.pth')
    with zipfile.ZipFile(tmp_path / 'own.pth') as own, zipfile.ZipFile(tmp_path / 'other.pth', 'w') as other:
        for name in own.namelist():
            content = own.read(name).replace(f'c{written}.multiarray\n'.encode(), f'c{named}.multiarray\n'.encode())
            other.writestr(name, content)
    allow_mmengine_checkpoints()
    array, scalar, text, flags = torch.load(tmp_path / 'other.pth', weights_only=True)
    assert array.tolist() == [1.5, 2.5]
    assert scalar == np.float32(3.0)
    assert text.tolist() == ['a']
    assert flags.tolist() == [True, False]


def test_a_payload_is_refused_and_not_run(tmp_path: Path) -> None:
    allow_mmengine_checkpoints()
    trace = tmp_path / 'trace'
    torch.save({'state_dict': {}, 'meta': Payload(open, str(trace), 'w')}, tmp_path / 'evil.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'evil.pth', weights_only=True)
    with pytest.raises(UserError, match=r'CHECKPOINT: checkpoint .*evil.pth holds .*open.* could run code'):
        check_checkpoint(str(tmp_path / 'evil.pth'), source='CHECKPOINT')
    assert not trace.exists()


@pytest.mark.parametrize('name', ['__init__', 'update', '__class__', '__reduce__'])
def test_getattr_gives_a_checkpoint_nothing_but_the_statistics(name: str, tmp_path: Path) -> None:
    allow_mmengine_checkpoints()
    torch.save(Payload(getattr, HistoryBuffer, name), tmp_path / 'evil.pth')
    with pytest.raises(pickle.UnpicklingError, match=f'may not take the attribute {name!r}'):
        torch.load(tmp_path / 'evil.pth', weights_only=True)
    torch.save(Payload(getattr, HistoryBuffer, 'mean'), tmp_path / 'good.pth')
    assert torch.load(tmp_path / 'good.pth', weights_only=True) is HistoryBuffer.mean


def test_an_empty_history_loads_and_its_bytes_take_no_arguments(tmp_path: Path) -> None:
    """An empty array pickles a call of `bytes()`; with an argument that call could ask for any amount of memory."""
    torch.save({'history': HistoryBuffer()}, tmp_path / 'empty.pth')
    torch.save(Payload(bytes, 1 << 20), tmp_path / 'large.pth')
    allow_mmengine_checkpoints()
    check_checkpoint(str(tmp_path / 'empty.pth'), source='--resume')
    history = torch.load(tmp_path / 'empty.pth', weights_only=True)['history']
    assert [part.tolist() for part in history.data] == [[], []]
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        torch.load(tmp_path / 'large.pth', weights_only=True)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, trained: Path) -> None:
    whole = (trained / 'iter_2.pth').read_bytes()
    (tmp_path / 'short.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'page.pth').write_text('<html>not found</html>', encoding='utf-8')
    (tmp_path / 'empty.pth').touch()
    for name in ('short.pth', 'page.pth', 'empty.pth'):
        with pytest.raises(UserError, match=f'{name} is not a PyTorch checkpoint'):
            check_checkpoint(str(tmp_path / name), source='load_from')
    with pytest.raises(UserError, match='is a folder'):
        check_checkpoint(str(tmp_path), source='load_from')
    torch.save({'a': torch.ones(1)}, tmp_path / 'legacy.pth', _use_new_zipfile_serialization=False)
    check_checkpoint(str(tmp_path / 'legacy.pth'), source='load_from')


def test_last_checkpoint_is_the_one_mmengine_noted(trained: Path, tmp_path: Path) -> None:
    assert last_checkpoint(trained) == trained / 'iter_2.pth'
    assert last_checkpoint(tmp_path) is None
