"""Freezing a backbone without loaded weights gives a warning, once."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import image, tiny

MESSAGE = 'of a ResNeSt that no weights were loaded into'


class Detector(BaseModule):
    """Holds a backbone as a host does."""

    def __init__(self, backbone: ResNeSt) -> None:
        super().__init__()
        self.backbone = backbone


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        yield


FREEZING = {
    'frozen-stem': ({'frozen_stages': 0}, r'freeze the stem of a ResNeSt'),
    'frozen-stage': ({'frozen_stages': 1}, r'freeze the stem and stages 1 to 1 of a ResNeSt'),
    'norm-eval': ({'norm_eval': True}, r'freeze the running statistics of all norms of a ResNeSt'),
    'both': (
        {'frozen_stages': 1, 'norm_eval': True},
        r'frozen_stages=1 and norm_eval=True freeze the stem and stages 1 to 1 and the running statistics of all norms',
    ),
}
freezing = pytest.mark.parametrize(('arguments', 'message'), FREEZING.values(), ids=FREEZING)


@freezing
def test_first_training_warns_once(arguments: dict[str, Any], message: str) -> None:
    backbone = tiny(num_stages=1, **arguments)
    backbone.init_weights()
    with pytest.warns(UserWarning, match=message):
        backbone.train()
    backbone.eval()
    backbone.train()


def test_nothing_frozen_nothing_said() -> None:
    tiny(num_stages=1).train()


@freezing
def test_inference_is_silent(arguments: dict[str, Any], message: str) -> None:
    backbone = tiny(num_stages=1, **arguments)
    backbone.init_weights()
    backbone.eval()(image())


def by_torch(detector: Detector, file: Path) -> None:
    detector.load_state_dict(torch.load(file))


def by_mmengine(detector: Detector, file: Path) -> None:
    load_checkpoint(detector, str(file), map_location='cpu', logger='silent')


def by_backbone(detector: Detector, file: Path) -> None:
    state = {key.removeprefix('backbone.'): value for key, value in torch.load(file).items()}
    detector.backbone.load_state_dict(state)


@pytest.mark.parametrize('load', [by_torch, by_mmengine, by_backbone])
@freezing
def test_loaded_weights_may_be_frozen(
    arguments: dict[str, Any], message: str, load: Callable[[Detector, Path], None], tmp_path: Path
) -> None:
    detector = Detector(tiny(num_stages=1, **arguments))
    torch.save(detector.state_dict(), tmp_path / 'detector.pth')
    detector.init_weights()
    load(detector, tmp_path / 'detector.pth')
    detector.train()


@freezing
def test_pretrained_weights_may_be_frozen(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    torch.save(tiny(num_stages=1).state_dict(), tmp_path / 'backbone.pth')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'backbone.pth')}
    detector = Detector(tiny(num_stages=1, init_cfg=init_cfg, **arguments))
    detector.init_weights()
    detector.train()


def test_configured_but_never_loaded_weights_do_not_count(tmp_path: Path) -> None:
    """A script that builds a model and forgets `init_weights` trains frozen random weights."""
    backbone = tiny(num_stages=1, init_cfg={'type': 'Pretrained', 'checkpoint': 'a.pth'}, frozen_stages=1)
    with pytest.warns(UserWarning, match=MESSAGE):
        backbone.train()


@pytest.mark.parametrize('key', ['neck.stem.weight', 'backbone.layer1.0.bn1.bias'])
@pytest.mark.parametrize('load', [nn.Module.load_state_dict, load_state_dict], ids=['torch', 'mmengine'])
def test_weights_of_other_parts_do_not_count(load: Callable[..., Any], key: str) -> None:
    """What is frozen begins with the stem."""
    detector = Detector(tiny(num_stages=1, frozen_stages=1))
    load(detector, {key: torch.zeros(16)}, strict=False)
    with pytest.warns(UserWarning, match=MESSAGE):
        detector.train()


def test_a_copy_knows_that_weights_were_loaded() -> None:
    backbone = tiny(num_stages=1, frozen_stages=1)
    unloaded = copy.deepcopy(backbone)
    backbone.load_state_dict(backbone.state_dict())
    copy.deepcopy(backbone).train()
    unloaded.load_state_dict(backbone.state_dict())
    unloaded.train()
