"""Arguments that the backbone does not support raise an error that names them, before a layer is built."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn

from resnest_mm.models import ResNeSt
from tests.support.tiny_backbones import tiny
from tests.support.wrong_backbones import WRONG_BACKBONES

rows = pytest.mark.parametrize(
    ('arguments', 'error', 'message'), [row[1:] for row in WRONG_BACKBONES], ids=[row[0] for row in WRONG_BACKBONES]
)


@pytest.fixture
def no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a backbone begins to build."""
    monkeypatch.setattr('resnest_mm.models.resnest.build_stem', lambda *_, **__: pytest.fail('a layer was built'))


@rows
def test_refusal_says_why(arguments: dict[str, Any], error: type[Exception], message: str, no_layers: None) -> None:
    before = torch.get_rng_state()
    with pytest.raises(error) as raised:
        ResNeSt(**copy.deepcopy(arguments))
    assert type(raised.value) is error
    assert message in str(raised.value)
    assert '\n' not in str(raised.value)
    assert torch.equal(before, torch.get_rng_state())


@rows
def test_refusal_passes_through_the_registry(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        MODELS.build({'type': 'resnest_mm.ResNeSt', **copy.deepcopy(arguments)})
    assert type(raised.value) is error
    assert message in str(raised.value)


def test_every_argument_has_a_refused_value() -> None:
    tried = {name for _, arguments, _, _ in WRONG_BACKBONES for name in arguments}
    assert set(inspect.signature(ResNeSt.__init__).parameters) - {'self'} <= tried


def test_only_depth_is_positional() -> None:
    kinds = {name: parameter.kind for name, parameter in inspect.signature(ResNeSt).parameters.items()}
    assert kinds.pop('depth') is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(TypeError, match='positional'):
        ResNeSt(50, 'resnest50')  # type: ignore[misc]


def test_trials_do_not_shift_the_weights() -> None:
    """Checking norms, convolutions and plugins by building them must not change what a seed gives."""
    torch.manual_seed(3)
    plain = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
    torch.manual_seed(3)
    assert torch.equal(ResNeSt(14, stem_channels=8, num_stages=1).stem[0].weight, plain.weight)


HANDED_IN: dict[str, Any] = {
    'dcn': {'type': 'DCNv2', 'deform_groups': 2, 'fallback_on_stride': True},
    'stage_with_dcn': [False, True],
    'plugins': [
        {
            'cfg': {'type': 'ContextBlock', 'ratio': 0.25, 'postfix': '_a'},
            'position': 'after_conv2',
            'stages': [False, True],
        }
    ],
    'norm_cfg': {'type': 'BN', 'requires_grad': True, 'eps': 1e-4},
    'attn_norm_cfg': {'type': 'GN', 'num_groups': 1},
    'conv_cfg': {'type': 'Conv2d'},
    'init_cfg': [{'type': 'Kaiming', 'layer': 'Conv2d'}, {'type': 'Constant', 'val': 1, 'layer': '_BatchNorm'}],
    'strides': [1, 2],
    'dilations': [1, 1],
    'out_indices': [0, 1],
    'multi_grid': [2],
}


@pytest.mark.parametrize('kind', [dict, ConfigDict])
def test_what_is_handed_in_stays_as_it_was(kind: type[dict[str, Any]]) -> None:
    config = kind(copy.deepcopy(HANDED_IN))
    backbone = tiny(num_stages=2, **config)
    backbone.init_weights()
    assert config == kind(HANDED_IN)


def test_pretrained_config_stays_as_it_was(tmp_path: Any) -> None:
    torch.save(tiny(num_stages=1).state_dict(), tmp_path / 'a.pth')
    config = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'a.pth')}
    tiny(num_stages=1, init_cfg=config).init_weights()
    assert config == {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'a.pth')}


def test_narrow_groups_are_questioned() -> None:
    """`base_width` meant for ResNeXt makes a network of a few channels."""
    with pytest.warns(UserWarning, match='base_width=4 with groups=32 makes the first stage 128 channels wide'):
        ResNeSt(14, groups=32, base_width=4, num_stages=1)


def test_residuals_that_can_never_start_are_pointed_out() -> None:
    """Frozen weights of zero would leave every block its shortcut, without an error."""
    with pytest.warns(UserWarning, match='whose weights are frozen: .* each block stays its shortcut'):
        tiny(num_stages=1, zero_init_residual=True, norm_cfg={'type': 'BN', 'requires_grad': False})


def test_lists_are_as_good_as_tuples() -> None:
    assert tiny(num_stages=2, strides=[1, 1]).out_strides == tiny(num_stages=2, strides=(1, 1)).out_strides == (4, 4)
