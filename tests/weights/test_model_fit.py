"""Whether a checkpoint fills a whole model is told as mmengine would load it, and what would make it fit is named."""

from __future__ import annotations

import shlex
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from torch import Tensor, nn

from resnest_mm.weights.convert.api import convert
from resnest_mm.weights.convert.tensors import Shape
from resnest_mm.weights.fit_advice import advise
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.model_fit import fill_model
from tests.support.made_checkpoints import OWN, encoding_segmentor, mmdet_detector, official
from tests.support.slim_models import CASCADE, DCN, FASTER, slim_detector

Tool = Callable[[str, Sequence[str]], int]


def small() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 1), norm=nn.BatchNorm2d(2)))


def test_what_fits_is_loaded_and_the_rest_is_counted() -> None:
    model, state = small(), {key: value + 1 for key, value in small().state_dict().items()}
    state.pop('norm.weight')
    state['conv.bias'] = torch.ones(3)
    state['other'] = torch.ones(1)
    fit = fill_model(model, state)
    assert (fit.total, fit.filled) == (6, 4)
    assert (fit.missing, fit.unknown, fit.reshaped) == (('norm.weight',), ('other',), (('conv.bias', (3,), (2,)),))
    assert not fit.is_complete
    for key in ('conv.weight', 'norm.bias', 'norm.running_mean', 'norm.running_var'):
        assert torch.equal(model.state_dict()[key], state[key]), key


class Renaming(nn.Module):
    """Keeps the name that a parameter had in version 1, and creates a buffer in its first forward pass."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.new = nn.Parameter(torch.zeros(2))

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        if metadata.get('version', 1) < 2:
            state[f'{prefix}new'] = state.pop(f'{prefix}old')
        super()._load_from_state_dict(state, prefix, metadata, *rest)  # type: ignore[no-untyped-call]


def test_a_model_that_renames_keys_of_earlier_versions_is_filled(tmp_path: Path) -> None:
    """mmdet's heads do so by the versions that torch keeps beside a state dict, also in a file."""
    assert fill_model(Renaming(), {'old': torch.ones(2)}).is_complete
    torch.save({'state_dict': Renaming().state_dict()}, tmp_path / 'a.pth')
    current = read_checkpoint(tmp_path / 'a.pth')
    assert fill_model(Renaming(), current.tensors, metadata=current.metadata).is_complete


def test_a_buffer_that_appears_in_the_first_forward_pass_is_unknown() -> None:
    model = small()
    model.register_buffer('seen', torch.ones(1))
    assert fill_model(small(), model.state_dict()).unknown == ('seen',)


class Inner(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


class Average(BaseTTAModel):
    def merge_preds(self, data_samples_list: Any) -> Any:
        return data_samples_list


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_model_for_test_time_augmentation_is_filled_like_the_one_inside(prefix: str) -> None:
    model = Inner()
    state = {f'{prefix}{key}': value for key, value in Inner().state_dict().items()}
    assert fill_model(Average(model), state).is_complete
    assert torch.equal(model.state_dict()['conv.weight'], state[f'{prefix}conv.weight'])


@pytest.mark.parametrize(
    ('given', 'own', 'differs'),
    [((81, 4), (6, 4), True), ((81,), (6,), True), ((81, 4), (6, 5), False), ((4, 4), (4, 5), False)],
)
def test_other_classes_are_told_by_the_first_size_alone(given: Shape, own: Shape, differs: bool) -> None:
    model = nn.Module()
    model.register_buffer('layer', torch.zeros(own))
    assert fill_model(model, {'layer': torch.zeros(given)}).differs_in_classes is differs


def shapes(state: dict[str, Tensor]) -> dict[str, Shape]:
    return {key: tuple(value.shape) for key, value in state.items()}


@pytest.mark.parametrize(
    ('state', 'wanted', 'flags'),
    [
        pytest.param(lambda: slim_detector(FASTER), {}, '', id='detector'),
        pytest.param(lambda: slim_detector(CASCADE), {'stock_heads': True}, ' --stock-heads', id="mmdet's own heads"),
        pytest.param(lambda: slim_detector(CASCADE), {}, '', id='cascade'),
        pytest.param(lambda: slim_detector(DCN), {'dense_offsets': True}, ' --offsets dense', id='dense offsets'),
        pytest.param(encoding_segmentor, {}, '', id='segmentor'),
    ],
)
def test_the_command_that_is_named_fills_the_model(
    state: Callable[[], dict[str, Tensor]], wanted: dict[str, Any], flags: str, tmp_path: Path, tool: Tool
) -> None:
    """A known key layout is converted by the very command of the message, with the options that this model needs."""
    tensors = state()
    own = shapes(convert(tensors, **wanted).tensors)
    torch.save({'model': tensors}, tmp_path / 'a file.pth')
    advice = advise(tensors, own, file=tmp_path / 'a file.pth', entry='model')
    assert advice is not None
    assert '; convert it first: python tools/convert_checkpoint.py ' in advice
    command = advice.partition('convert it first: ')[2]
    assert command.endswith(f"'a file_mmdet.pth'{flags}")
    argv = shlex.split(command)[2:]
    argv[1] = str(tmp_path / argv[1])
    assert tool('convert_checkpoint', argv) == 0
    converted = torch.load(argv[1], weights_only=True)['state_dict']
    counted = {key: shape for key, shape in own.items() if 'num_batches_tracked' not in key}
    assert {key: shape for key, shape in shapes(converted).items() if 'num_batches_tracked' not in key} == counted


OWNED = shapes({f'backbone.{key}': value for key, value in OWN.items()})


@pytest.mark.parametrize(
    ('state', 'entry', 'words'),
    [
        (official(), None, ['official', '--part backbone; then name it in model.backbone.init_cfg=', "'b_mmdet.pth'"]),
        (OWN, None, ["model.backbone.init_cfg=dict(type='resnest_mm.Pretrained', checkpoint='a/b.pth')"]),
        (mmdet_detector(), 'model', ["entry 'model', where mmengine does not look", "torch.load('a/b.pth')['model']}"]),
    ],
    ids=['official backbone', 'own backbone', 'other entry'],
)
def test_other_ways_out_are_named(state: dict[str, Tensor], entry: str | None, words: list[str]) -> None:
    advice = advise(state, OWNED, file=Path('a/b.pth'), entry=entry)
    assert advice is not None
    assert all(word in advice for word in words), advice


def test_nothing_is_advised_where_nothing_is_known() -> None:
    assert advise({'a': torch.ones(1)}, {'b': (1,)}, file=Path('a.pth'), entry=None) is None
    assert advise(mmdet_detector(), OWNED, file=Path('a.pth'), entry='state_dict') is None
