"""Checkpoints of mmengine load with torch's restricted unpickler; anything that could run code stays refused."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from resnest_mm.weights.io.restricted import RefusedError
from resnest_mm.weights.io.torch_outline import outline
from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints
from tests.support.hostile_files import Payload
from tests.support.line_training import train_a_line


@pytest.fixture(autouse=True)
def default_globals() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the work_dir of a training with mmengine's Runner."""
    work_dir = tmp_path_factory.mktemp('trained')
    train_a_line(work_dir)
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
    with pytest.raises(RefusedError, match=r'it holds \w+\.open'):
        outline(tmp_path / 'evil.pth')
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
    assert isinstance(outline(tmp_path / 'empty.pth'), dict)
    history = torch.load(tmp_path / 'empty.pth', weights_only=True)['history']
    assert [part.tolist() for part in history.data] == [[], []]
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        torch.load(tmp_path / 'large.pth', weights_only=True)
