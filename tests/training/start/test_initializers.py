"""mmengine's own `Pretrained` loads what fits and tells its log alone; a file that fills nothing ends the training."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel, BaseModule
from torch import nn

from resnest_mm.errors import CheckpointError
from resnest_mm.training.pretrained import find_pretrained
from resnest_mm.training.start.initializers import check_initializers, localize_initializers
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE
from tests.support.mirrors import mirrors_running, serves
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]


class Part(BaseModule):
    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)


class OwnWay(Part):
    """Reads its weights itself, under other names."""

    def init_weights(self) -> None:
        pass


class Whole(BaseModel):
    def __init__(self, part: nn.Module, init_cfg: Any = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.part = part

    def forward(self, inputs: Any) -> Any:
        return inputs


def save(folder: Path, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the initialiser of a file with these tensors."""
    torch.save({'state_dict': state}, folder / 'a.pth')
    return {'type': 'Pretrained', 'checkpoint': str(folder / 'a.pth'), **more}


def under(prefix: str, part: nn.Module, *, but: Sequence[str] = ()) -> dict[str, Any]:
    return {f'{prefix}{key}': value for key, value in part.state_dict().items() if key not in but}


CASES = [
    pytest.param(under('', Part()), {}, None, id='whole'),
    pytest.param({**under('', Part()), 'fc.weight': torch.ones(1)}, {}, None, id='with a classifier'),
    pytest.param(under('backbone.', Part()), {'prefix': 'backbone.'}, None, id='prefix'),
    pytest.param(under('backbone.', Part()), {'prefix': 'backbone'}, None, id='prefix without a dot'),
    pytest.param(under('backbone.', Part()), {}, 'fills 0 of the 6 tensors of the model; 6 missing', id='no prefix'),
    pytest.param(under('', Part()), {'prefix': 'backbone.'}, "has no key with prefix='backbone.'", id='wrong prefix'),
]


@pytest.mark.parametrize(('state', 'more', 'message'), CASES)
@pytest.mark.parametrize('listed', [False, True], ids=['one', 'list'])
def test_a_file_that_fills_nothing_is_refused(
    listed: bool, state: dict[str, Any], more: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    init_cfg = save(tmp_path, state, **more)
    model = Whole(Part([{'type': 'Kaiming', 'layer': 'Conv2d'}, init_cfg] if listed else init_cfg))
    if message is None:
        assert check_initializers(model, {}) == ()
        return
    with pytest.raises(CheckpointError, match=message) as caught:
        check_initializers(model, {})
    if 'fills' in message:
        assert str(caught.value).startswith(f'init_cfg of part (Part): {tmp_path / "a.pth"} ')
        (note,) = check_initializers(model, {}, partial=True)
        assert message in note


def test_a_file_that_fills_a_part_is_a_note(tmp_path: Path) -> None:
    """Published weights of other libraries often lack a norm; a training may start from them."""
    init_cfg = save(tmp_path, under('', Part(), but=('norm.weight', 'norm.bias')))
    (note,) = check_initializers(Whole(Part(init_cfg)), {})
    assert note.startswith('warning: init_cfg of part (Part): ')
    assert 'fills 4 of the 6 tensors of the model; 2 missing: norm.weight, norm.bias' in note
    (note,) = check_initializers(Whole(Part(), save(tmp_path, under('part.', Part(), but=('conv.bias',)))), {})
    assert note.startswith('warning: init_cfg of the model (Whole): ')


def test_a_part_that_reads_its_weights_itself_is_left_alone(tmp_path: Path) -> None:
    init_cfg = save(tmp_path, {'patch_embed.projection.weight': torch.ones(1)})
    assert check_initializers(Whole(OwnWay(init_cfg)), {}) == ()


def test_files_of_torchvision_and_of_published_names_are_left_to_their_readers() -> None:
    for name in ('torchvision://resnet50', 'open-mmlab://resnest50'):
        init_cfg = {'type': 'Pretrained', 'checkpoint': name}
        cfg = Config({'model': {'type': 'ResNet', 'init_cfg': init_cfg}})
        changed, files = localize_initializers(cfg, find_pretrained(cfg))
        assert (changed.to_dict(), files) == (cfg.to_dict(), {})
        assert check_initializers(Whole(Part(init_cfg)), {}) == ()


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Return the URLs of two files with one name and other weights."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    with mirrors_running() as server:
        made = []
        for number in (1.0, 2.0):
            stream = io.BytesIO()
            torch.save(
                {'state_dict': {key: torch.full_like(value, number) for key, value in under('', Part()).items()}},
                stream,
            )
            made.append(server.plays(f'/{number}/best.pth', serves(stream.getvalue())))
        yield made[0], made[1]


def test_two_urls_with_one_name_initialise_two_parts_with_their_own_weights(urls: tuple[str, str]) -> None:
    """mmengine alone would load the first file into both."""
    parts = [{'type': 'Part', 'init_cfg': {'type': 'Pretrained', 'checkpoint': url}} for url in urls]
    cfg = Config({'model': {'first': parts[0], 'second': [parts[1]]}})
    changed, files = localize_initializers(cfg, find_pretrained(cfg))
    assert list(files) == list(urls)
    assert cfg.model.first.init_cfg.checkpoint == urls[0], 'the config that was handed in stays'
    for node, value in ((changed.model.first, 1.0), (changed.model.second[0], 2.0)):
        part = Part(dict(node.init_cfg))
        part.init_weights()
        assert set(part.conv.weight.unique().tolist()) == {value}
        assert check_initializers(Part({'type': 'Pretrained', 'checkpoint': urls[int(value) - 1]}), files) == ()


def test_a_training_is_refused_before_it_writes(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    init_cfg = save(tmp_path, {'encoder.weight': torch.ones(1)})
    config = project.config(f"model['init_cfg'] = {init_cfg!r}\n")
    before = project.files()
    assert tool('train', [str(config), '--work-dir', 'new']) == 2
    assert 'init_cfg of the model (MicroModel): ' in capsys.readouterr().err
    assert project.files() == before
    assert tool('train', [str(config), '--work-dir', 'new', '--partial']) == 0
    assert 'warning: init_cfg of the model (MicroModel): ' in capsys.readouterr().out
