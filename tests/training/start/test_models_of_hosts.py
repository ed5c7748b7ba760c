"""Models of mmdet that rename or double keys while they load them are filled by the checkpoints that they accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import DefaultScope

from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.model_fit import ModelFit, fill_model

pytest.importorskip('mmdet')

HEAD = {'num_classes': 3, 'in_channels': 8, 'feat_channels': 32, 'stacked_convs': 1}
NARROW = {
    'type': 'RetinaNet',
    'backbone': {'type': 'ResNet', 'depth': 18, 'base_channels': 4},
    'neck': {'type': 'FPN', 'in_channels': [4, 8, 16, 32], 'out_channels': 8, 'num_outs': 5},
    'bbox_head': {'type': 'RetinaHead', **HEAD},
    'data_preprocessor': {'type': 'DetDataPreprocessor'},
    'test_cfg': {},
}


def build(node: dict[str, Any]) -> Any:
    import mmdet.models  # noqa: F401
    from mmdet.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(node)


def fit(model: Any, state: Any, file: Path) -> ModelFit:
    torch.save({'state_dict': state}, file)
    read = read_checkpoint(file)
    return fill_model(model, read.tensors, metadata=read.metadata)


@pytest.mark.parametrize('kind', ['FCOSHead', 'ATSSHead', 'VFNetHead', 'RetinaHead'])
def test_a_head_that_renames_earlier_keys_is_filled_by_its_own(kind: str, tmp_path: Path) -> None:
    """FCOS's heads rename keys unless the file says which version wrote it."""
    node = {'type': kind, **HEAD}
    if kind == 'VFNetHead':
        node['dcn_on_last_conv'] = False
    model, other = (torch.nn.ModuleDict({'bbox_head': build(node)}) for _ in range(2))
    found = fit(model, other.state_dict(), tmp_path / 'a.pth')
    assert found.is_complete, str(found)


@pytest.mark.parametrize('source', ['whole', 'student'])
def test_a_semi_supervised_detector_takes_both_kinds_of_files(source: str, tmp_path: Path) -> None:
    """Its teacher and its student are filled by a file of both, or by a file of a plain detector."""
    node = {'type': 'SemiBaseDetector', 'detector': NARROW, 'data_preprocessor': {'type': 'DetDataPreprocessor'}}
    node['semi_train_cfg'] = {'freeze_teacher': True, 'sup_weight': 1.0, 'unsup_weight': 1.0}
    node['semi_test_cfg'] = {'predict_on': 'teacher'}
    given = build(node) if source == 'whole' else build(NARROW)
    found = fit(build(node), given.state_dict(), tmp_path / 'a.pth')
    assert found.is_complete, str(found)
    missing = {key: value for key, value in given.state_dict().items() if not key.endswith('retina_cls.bias')}
    found = fit(build(node), missing, tmp_path / 'a.pth')
    assert set(found.missing) == {f'{part}.bbox_head.retina_cls.bias' for part in ('teacher', 'student')}
