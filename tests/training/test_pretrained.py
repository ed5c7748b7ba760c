"""Published weights that a config names are on this machine before anything is built, or the run ends there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from resnest_mm.errors import CheckpointError, UserError
from resnest_mm.training.preflight import check_training_checkpoints
from resnest_mm.training.pretrained import fetch_pretrained, iter_pretrained
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
    }
    found = {entry.key: entry.record.name for entry in iter_pretrained(Config({'model': entries}))}
    assert found == {
        'model.init_cfg.1.checkpoint': 'resnest50',
        'model.pretrained': 'mmcls/resnest101',
        'model.branches.0.init_cfg.checkpoint': 'open-mmlab/resnest200',
    }
    assert list(iter_pretrained(Config({}))) == []


def test_names_pass_the_check_for_missing_files_and_misspelt_ones_do_not(folder: Path) -> None:
    for name in ('mine', 'resnest50', 'encoding/DeepLab_ResNeSt50_ADE'):
        check_training_checkpoints(backbone(name))
        check_training_checkpoints(Config({'model': {'pretrained': name}}))
    with pytest.raises(UserError, match=r'model\.backbone\.init_cfg\.checkpoint: checkpoint resnset50 does not exist'):
        check_training_checkpoints(backbone('resnset50'))


def test_a_run_starts_offline_from_the_folder(folder: Path) -> None:
    fetch_pretrained(backbone('mine'))
    fetch_pretrained(backbone('some/path.pth'))
    assert (folder / 'mine.pth').read_bytes() == b'weights'
    assert not (folder.parent / 'hub').exists()


def test_a_run_without_its_weights_ends_with_every_place_tried(folder: Path) -> None:
    (folder / 'mine.pth').unlink()
    with pytest.raises(CheckpointError) as caught:
        fetch_pretrained(backbone('mine'))
    for place in (str(folder), str(folder.parent / 'hub'), 'http://127.0.0.1:9/mine.pth', 'bring mine.pth'):
        assert place in str(caught.value)
