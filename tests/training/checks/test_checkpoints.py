"""A run starts from a file that its reader can load; anything else is refused with its source."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file

from resnest_mm.errors import UserError
from resnest_mm.training.checks.checkpoints import check_checkpoint, check_start
from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints
from tests.support.hostile_files import Payload


@pytest.fixture(autouse=True)
def default_globals() -> Iterator[None]:
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


def test_a_payload_is_refused_and_not_run(tmp_path: Path) -> None:
    allow_mmengine_checkpoints()
    trace = tmp_path / 'trace'
    torch.save({'state_dict': {}, 'meta': Payload(open, str(trace), 'w')}, tmp_path / 'evil.pth')
    with pytest.raises(UserError, match=r'CHECKPOINT: checkpoint .*evil.pth holds .*open.* could run code'):
        check_checkpoint(str(tmp_path / 'evil.pth'), source='CHECKPOINT')
    assert not trace.exists()


def test_an_empty_history_is_not_refused(tmp_path: Path) -> None:
    torch.save({'history': HistoryBuffer()}, tmp_path / 'empty.pth')
    allow_mmengine_checkpoints()
    check_checkpoint(str(tmp_path / 'empty.pth'), source='--resume')


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({'a': torch.ones(100)}, tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
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


def test_each_reader_gets_the_kinds_of_files_that_it_loads(tmp_path: Path) -> None:
    """mmengine's `torch.load` takes one kind; our initialiser takes all that `read_checkpoint` takes."""
    torch.save({'a': torch.ones(1)}, tmp_path / 'a.pth')
    save_file({'a': torch.ones(1)}, tmp_path / 'a.safetensors')
    np.savez(tmp_path / 'a.npz', a=np.ones(1))
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'model': {'a': np.ones(1)}}))
    for name, kind in (('a.safetensors', 'safetensors'), ('a.npz', 'npz'), ('a.pkl', 'pickle')):
        check_checkpoint(str(tmp_path / name), source='init_cfg', by_mmengine=False)
        with pytest.raises(UserError, match=rf'load_from: \S+/{name} is a {kind} file, but mmengine loads this'):
            check_checkpoint(str(tmp_path / name), source='load_from')
    check_checkpoint(str(tmp_path / 'a.pth'), source='init_cfg', by_mmengine=False)
    check_checkpoint(str(tmp_path / 'a.pth'), source='load_from')


@pytest.mark.parametrize(
    ('settings', 'source'),
    [
        ({'load_from': 'gone.pth'}, 'load_from: checkpoint gone.pth'),
        ({'load_from': 'gone.pth', 'resume': True}, '--resume: checkpoint gone.pth'),
    ],
    ids=['load_from', 'resume'],
)
def test_a_missing_checkpoint_is_named_with_its_source(
    settings: dict[str, Any], source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        check_start(Config(settings))
    assert str(caught.value).startswith(f'{source} does not exist')


def test_present_and_remote_checkpoints_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': {}}, tmp_path / 'there.pth')
    for path in ('there.pth', 'open-mmlab://resnest50', 'https://example.org/a.pth'):
        check_start(Config({'load_from': path}))
    check_start(Config({'resume': True, 'work_dir': 'fresh'}))


FOREIGN: dict[str, tuple[Any, str]] = {
    # what is resumed from, and what it lacks
    'weights': ({'conv.weight': torch.ones(1)}, 'meta, state_dict, message_hub (its entries: conv.weight)'),
    'published': (
        {'meta': {'epoch': 3, 'iter': 9}, 'state_dict': {}},
        'message_hub (its entries: meta, sta',
    ),
    'lightning': (
        {'epoch': 3, 'pytorch-lightning_version': '2', 'state_dict': {}, 'optimizer_states': []},
        'meta, message_hub (its entries: epoch, pytorch-lightning_version, state_dict, optimizer_states)',
    ),
    'detectron2': ({'model': {}, 'iteration': 3, 'optimizer': {}}, 'meta, state_dict, message_hub (its entries: model'),
    'list': ([1], 'meta, state_dict, message_hub (its entries: none)'),
    'without-iter': (
        {'meta': {'epoch': '3'}, 'state_dict': {}, 'message_hub': {}, 'optimizer': {}},
        'meta.epoch, meta.iter (its entries: meta,',
    ),
}


@pytest.mark.parametrize('kind', FOREIGN)
def test_a_training_continues_with_a_training_checkpoint_only(kind: str, tmp_path: Path) -> None:
    """mmengine stops at such a file with a KeyError, after it has made the work_dir."""
    content, lacking = FOREIGN[kind]
    path = tmp_path / 'foreign.pth'
    torch.save(content, path)
    with pytest.raises(UserError) as caught:
        check_start(Config({'load_from': str(path), 'resume': True}))
    message = str(caught.value)
    assert message.startswith(f'--resume: {path} is no training checkpoint of mmengine: it lacks {lacking}')
    assert message.endswith(f'say --cfg-options load_from={path} without --resume')
    check_start(Config({'load_from': str(path)}))


def test_a_damaged_checkpoint_is_refused_by_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / 'flipped.pth'
    torch.save({'a': torch.arange(100.0)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(100.0).numpy().tobytes()) + 9] ^= 1
    path.write_bytes(content)
    for by_mmengine in (False, True):
        with pytest.raises(UserError, match=r'flipped/data/0 does not have the checksum .*; copy or download it again'):
            check_checkpoint(str(path), source='load_from', by_mmengine=by_mmengine)
