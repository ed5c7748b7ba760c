"""The templates for own images with boxes train and draw, on folders as their first lines describe them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from resnest_mm.training.config.walk import iter_dicts
from tests.support.shipped_configs import CONFIGS, read
from tests.support.tool_runs import run_tool

pytest.importorskip('mmdet', reason='the templates are for mmdet')

SMALLER = """
_base_ = {template!r}
data_root = {data!r}
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
model = dict(
    backbone=dict(variant='resnest14', base_channels=8, init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256]),
    roi_head=dict(bbox_head=dict(fc_out_channels=32)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=50)),
    test_cfg=dict(rpn=dict(max_per_img=50), rcnn=dict(score_thr=0.0, max_per_img=5)),
)
custom_hooks = []
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2))
"""
BOXES = ((4, 4, 40, 30), (50, 20, 90, 60))
CLASSES = ('thing', 'stuff')
SPLITS = (('train', 3), ('val', 2))


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(path)


def write_coco(data: Path) -> None:
    (data / 'annotations').mkdir(parents=True)
    for split, count in SPLITS:
        for index in range(count):
            draw(data / split / f'{index}.jpg', index)
        boxes = [(image, label, box) for image in range(count) for label, box in enumerate(BOXES)]
        content = {
            'images': [{'id': index, 'file_name': f'{index}.jpg', 'width': 96, 'height': 64} for index in range(count)],
            'categories': [{'id': 7 + label, 'name': name} for label, name in enumerate(CLASSES)],
            'annotations': [
                {
                    'id': number + 1,
                    'image_id': image,
                    'category_id': 7 + label,
                    'bbox': [x, y, right - x, bottom - y],
                    'area': (right - x) * (bottom - y),
                    'iscrowd': 0,
                }
                for number, (image, label, (x, y, right, bottom)) in enumerate(boxes)
            ],
        }
        (data / 'annotations' / f'{split}.json').write_text(json.dumps(content), encoding='utf-8')


def write_voc(data: Path) -> None:
    objects = ''.join(
        f'<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>'
        f'<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>'
        for name, (x, y, right, bottom) in zip(CLASSES, BOXES, strict=True)
    )
    size = '<size><width>96</width><height>64</height><depth>3</depth></size>'
    for folder in ('Annotations', 'ImageSets/Main'):
        (data / folder).mkdir(parents=True)
    for split, count in SPLITS:
        names = [f'{split}{index}' for index in range(count)]
        (data / 'ImageSets' / 'Main' / f'{split}.txt').write_text('\n'.join(names), encoding='utf-8')
        for index, name in enumerate(names):
            draw(data / 'JPEGImages' / f'{name}.jpg', index)
            (data / 'Annotations' / f'{name}.xml').write_text(f'<annotation>{size}{objects}</annotation>')


WRITERS = {'coco': write_coco, 'voc': write_voc}
each_kind = pytest.mark.parametrize('kind', WRITERS)


def template(kind: str) -> Path:
    return CONFIGS / 'detection' / f'faster-rcnn_s50_fpn_custom-{kind}.py'


@each_kind
def test_it_is_for_one_gpu_and_small_batches(kind: str) -> None:
    """A user with one GPU gets plain batch norm, a small learning rate, and warm-up to the end."""
    cfg = read(template(kind))
    assert cfg.model.backbone.norm_eval is True
    norms = [cfg.model.backbone.norm_cfg, cfg.model.neck.norm_cfg, cfg.model.roi_head.bbox_head.norm_cfg]
    assert [norm.type for norm in norms] == ['BN'] * 3
    assert cfg.optim_wrapper.optimizer.lr / cfg.train_dataloader.batch_size < 0.02 / 16
    assert cfg.optim_wrapper.clip_grad == {'max_norm': 35.0}
    assert [step.end for step in cfg.param_scheduler] == [1000, cfg.max_iters]


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
@each_kind
def test_it_trains_and_draws_every_image(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands in the template's docstring: train, test, look at the pictures."""
    data = tmp_path / 'data'
    WRITERS[kind](data)
    text = SMALLER.format(template=str(template(kind)), data=f'{data}/')
    if kind == 'coco':
        text += "val_evaluator = dict(ann_file=data_root + 'annotations/val.json')\ntest_evaluator = val_evaluator\n"
    cfg = Config.fromstring(text, '.py')
    for _, node in iter_dicts(cfg._cfg_dict, 'config'):
        if 'scale' in node:
            node['scale'] = [(96, 48), (96, 64)] if node['type'] == 'RandomResize' else (96, 64)
    cfg.dump(tmp_path / 'mine.py')
    monkeypatch.chdir(tmp_path)
    assert run_tool('train', ['mine.py']) == 0
    work_dir = tmp_path / 'work_dirs' / 'mine'
    lines = [
        json.loads(line)
        for path in work_dir.glob('*/vis_data/scalars.json')
        for line in path.read_text(encoding='utf-8').splitlines()
    ]
    (scores,) = (line for line in lines if 'coco/bbox_mAP' in line)
    assert 0 <= scores['coco/bbox_mAP'] <= 1  # -1 where there are no boxes to find
    assert run_tool('test', ['mine.py', (work_dir / 'last_checkpoint').read_text(), '--show-dir', 'drawn']) == 0
    # mmdet draws into a folder below the run's own
    drawn = [path for path in work_dir.rglob('drawn/**/*') if path.suffix in ('.jpg', '.png')]
    assert len(drawn) == 2
