"""Published weights that a config names are on this machine before anything is built, or the run ends there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from resnest_mm.errors import CheckpointError, UserError
from resnest_mm.models import ResNeSt
from resnest_mm.training.pretrained import check_pretrained, fetch_pretrained, find_pretrained
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE
from resnest_mm.weights.records import lookup as records
from resnest_mm.weights.records.lookup import add_record
from resnest_mm.weights.records.record import Record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the weight folder, with a published file that can be had nowhere else."""
    monkeypatch.setattr(records, '_added', {})
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / 'weights'))
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'weights' / 'mine.pth').write_bytes(b'weights')
    digest = hashlib.sha256(b'weights').hexdigest()
    mirrors = ('http://127.0.0.1:9/mine.pth',)
    add_record(
        Record(name='mine', file_name='mine.pth', mirrors=mirrors, variant='resnest14', layout='mmdet', digest=digest)
    )
    return tmp_path / 'weights'


def backbone(checkpoint: str) -> Config:
    init_cfg = {'type': 'Pretrained', 'checkpoint': checkpoint}
    return Config({'model': {'backbone': {'type': 'resnest_mm.ResNeSt', 'init_cfg': init_cfg}}})


def test_weights_are_found_wherever_a_config_can_name_them() -> None:
    entries = {
        'init_cfg': [{'type': 'Kaiming'}, {'type': 'resnest_mm.Pretrained', 'checkpoint': 'resnest50'}],
        'pretrained': 'mmcls://resnest101',
        'branches': ({'init_cfg': {'type': 'PretrainedInit', 'checkpoint': 'open-mmlab://resnest200'}},),
        'neck': {'pretrained': None, 'init_cfg': {'type': 'Pretrained', 'checkpoint': 'some/path.pth'}},
    }
    found = find_pretrained(Config({'model': entries}))
    assert {entry.key: (entry.checkpoint, entry.record and entry.record.name) for entry in found} == {
        'model.init_cfg.1.checkpoint': ('resnest50', 'resnest50'),
        'model.pretrained': ('mmcls://resnest101', 'mmcls/resnest101'),
        'model.branches.0.init_cfg.checkpoint': ('open-mmlab://resnest200', 'open-mmlab/resnest200'),
        'model.neck.init_cfg.checkpoint': ('some/path.pth', None),
    }
    assert find_pretrained(Config({})) == ()


@pytest.mark.parametrize(
    ('model', 'own'),
    [
        ({'type': 'resnest_mm.ResNeSt', 'init_cfg': {'type': 'Pretrained', 'checkpoint': 'a'}}, True),
        ({'type': ResNeSt, 'init_cfg': [{'type': 'Pretrained', 'checkpoint': 'a'}]}, True),
        ({'type': 'resnest_mm.ResNeSt', 'pretrained': 'a'}, True),
        ({'type': 'EncoderDecoder', 'pretrained': 'a', 'backbone': {'type': 'resnest_mm.ResNeSt'}}, True),
        ({'type': 'ResNet', 'init_cfg': {'type': 'resnest_mm.Pretrained', 'checkpoint': 'a'}}, True),
        ({'type': 'ResNeSt', 'init_cfg': {'type': 'Pretrained', 'checkpoint': 'a'}}, False),
        ({'type': 'EncoderDecoder', 'pretrained': 'a', 'backbone': {'type': 'ResNet'}}, False),
        ({'backbone': {'type': 'resnest_mm.ResNeSt'}, 'init_cfg': {'type': 'Pretrained', 'checkpoint': 'a'}}, False),
    ],
)
def test_who_reads_the_weights_is_known(model: dict[str, Any], own: bool) -> None:
    """This package reads more kinds of files than mmengine."""
    [entry] = find_pretrained(Config({'model': {'type': 'M', 'part': model}}))
    assert entry.is_own is own


@pytest.mark.parametrize('name', ['init_cfg', 'pretrained'])
def test_a_missing_file_is_named_with_its_key(name: str) -> None:
    value = {'type': 'Pretrained', 'checkpoint': 'gone.pth'} if name == 'init_cfg' else 'gone.pth'
    key = 'model.backbone.init_cfg.checkpoint' if name == 'init_cfg' else 'model.backbone.pretrained'
    with pytest.raises(UserError, match=f'^{key}: checkpoint gone.pth does not exist'):
        check_pretrained(find_pretrained(Config({'model': {'backbone': {name: value}}})))


def test_names_urls_and_present_files_pass_and_misspelt_names_do_not(folder: Path, tmp_path: Path) -> None:
    torch.save({'state_dict': {}}, tmp_path / 'there.pth')
    named = ('mine', 'resnest50', 'encoding/DeepLab_ResNeSt50_ADE', 'open-mmlab://resnest50')
    for name in (*named, 'https://example.org/a.pth', str(tmp_path / 'there.pth')):
        check_pretrained(find_pretrained(backbone(name)))
        check_pretrained(find_pretrained(Config({'model': {'pretrained': name}})))
    with pytest.raises(UserError, match=r'model\.backbone\.init_cfg\.checkpoint: checkpoint resnset50 does not exist'):
        check_pretrained(find_pretrained(backbone('resnset50')))


def test_a_run_starts_offline_from_the_folder(folder: Path) -> None:
    fetch_pretrained(find_pretrained(backbone('mine')))
    fetch_pretrained(find_pretrained(backbone('some/path.pth')))
    assert (folder / 'mine.pth').read_bytes() == b'weights'
    assert not (folder.parent / 'hub').exists()


def test_a_run_without_its_weights_ends_with_every_place_tried(folder: Path) -> None:
    (folder / 'mine.pth').unlink()
    with pytest.raises(CheckpointError) as caught:
        fetch_pretrained(find_pretrained(backbone('mine')))
    for place in (str(folder), str(folder.parent / 'hub'), 'http://127.0.0.1:9/mine.pth', 'bring mine.pth'):
        assert place in str(caught.value)
