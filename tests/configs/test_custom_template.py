"""The template for own images does what its first lines say, on a folder as they describe it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.shipped_configs import CONFIGS
from tests.support.tool_runs import run_tool

pytest.importorskip('mmseg', reason='the template is for mmseg')

SMALLER = """
_base_ = {template!r}
data_root = {data!r}
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
model = dict(
    backbone=dict(variant='resnest14', base_channels=8, init_cfg=None),
    decode_head=dict(in_channels=256, channels=8),
    auxiliary_head=dict(in_channels=128, channels=8),
)
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a folder with a config that makes the template small, and data of three and two images of 64x48."""
    generator = np.random.default_rng(0)
    for split, count in (('train', 3), ('val', 2)):
        for kind in ('images', 'labels'):
            (tmp_path / 'data' / kind / split).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            labels = generator.choice(np.array([0, 1, 2, 255], np.uint8), (48, 64))
            Image.fromarray(pixels).save(tmp_path / 'data' / 'images' / split / f'{index}.jpg')
            Image.fromarray(labels).save(tmp_path / 'data' / 'labels' / split / f'{index}.png')
    path = CONFIGS / 'segmentation' / 'deeplabv3_s50-d8_custom.py'
    text = SMALLER.format(template=str(path), data=str(tmp_path / 'data'))
    (tmp_path / 'mine.py').write_text(text, encoding='utf-8')
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
def test_it_trains_and_draws_every_image_beside_its_labels(
    template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The steps in the template's docstring, on data of the smallest size: train, test, look at the pictures."""
    monkeypatch.chdir(template)
    assert run_tool('train', ['mine.py']) == 0
    said = capsys.readouterr().out
    assert 'mIoU' in said
    assert all(name in said for name in ('background', 'thing', 'stuff'))
    checkpoint = (template / 'work_dirs' / 'mine' / 'last_checkpoint').read_text()
    assert run_tool('test', ['mine.py', checkpoint, '--show-dir', 'drawn']) == 0
    drawn = sorted((template / 'drawn').rglob('*.png'))
    assert len(drawn) == 2
    assert [Image.open(path).size for path in drawn] == [(128, 48)] * 2
