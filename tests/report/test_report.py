"""From a work directory to the report, with a detector of known predictions; after a mistake nothing is written."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from PIL import Image

from resnest_mm.drawing.grid import SheetGrid
from resnest_mm.drawing.palette import class_colour
from resnest_mm.errors import UserError
from resnest_mm.report import sections
from resnest_mm.report.figures.detections import PANEL_WIDTH
from resnest_mm.report.logs.run import Run
from resnest_mm.report.predictions.detector import DetectorPredictions
from resnest_mm.report.report import write_report
from resnest_mm.report.request import Request
from tests.support.log_lines import coco_line, stamped, train_line

pytest.importorskip('mmdet')

WIDTH, HEIGHT = 96, 64
TRUTH = (8, 16, 40, 56)


@MODELS.register_module(name='ReportTestDetector', force=True)
class KnownPredictions(BaseModel):
    """Finds the right half of every image, in its original pixels, as class 1, and one box too weak to show."""

    def __init__(self, data_preprocessor: dict[str, Any] | None = None, outputs: int = 3) -> None:
        super().__init__(data_preprocessor)
        self.head = torch.nn.Linear(2, outputs)

    def forward(self, inputs: torch.Tensor, data_samples: list[Any], mode: str) -> list[Any]:
        assert mode == 'predict'
        assert not self.training
        for sample in data_samples:
            height, width = sample.ori_shape
            assert inputs.shape[-1] == 2 * width, 'the test pipeline ran'
            half = [width / 2, 8, width - 8, height - 8]
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([half, [0, 0, 4, 4]]), labels=torch.tensor([1, 0]), scores=torch.tensor([0.9, 0.4])
            )
        return data_samples


def write_voc(root: Path) -> dict[str, Any]:
    names = [f'image_{index}' for index in range(3)]
    (root / 'VOC2007' / 'Annotations').mkdir(parents=True)
    (root / 'list.txt').write_text('\n'.join(names))
    for name in names:
        tree = ElementTree.Element('annotation')
        size = ElementTree.SubElement(tree, 'size')
        for key, value in (('width', WIDTH), ('height', HEIGHT)):
            ElementTree.SubElement(size, key).text = str(value)
        for kind, difficult in (('disc', 0), ('bar', 1)):
            item = ElementTree.SubElement(tree, 'object')
            ElementTree.SubElement(item, 'name').text = kind
            ElementTree.SubElement(item, 'difficult').text = str(difficult)
            box = ElementTree.SubElement(item, 'bndbox')
            # VOC counts pixels from 1.
            for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), TRUTH, strict=True):
                ElementTree.SubElement(box, key).text = str(value + 1)
        ElementTree.ElementTree(tree).write(root / 'VOC2007' / 'Annotations' / f'{name}.xml')
    folder = root / 'VOC2007' / 'JPEGImages'
    write_images(folder, [f'{name}.jpg' for name in names])
    return {'type': 'VOCDataset', 'ann_file': 'list.txt', 'data_prefix': {'sub_data_root': 'VOC2007/'}}


def write_coco(root: Path) -> dict[str, Any]:
    left, top, right, bottom = TRUTH
    box = {'bbox': [left, top, right - left, bottom - top], 'area': (right - left) * (bottom - top)}
    images = [{'id': index, 'file_name': f'{index}.jpg', 'width': WIDTH, 'height': HEIGHT} for index in range(3)]
    annotations = [
        {'id': 10 * index + crowd, 'image_id': index, 'category_id': 1 + crowd, 'iscrowd': crowd, **box}
        for index in range(3)
        for crowd in (0, 1)
    ]
    categories = [{'id': 1, 'name': 'disc'}, {'id': 2, 'name': 'bar'}]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / 'list.json').write_text(json.dumps(content))
    write_images(root / 'images', [str(image['file_name']) for image in images])
    return {'type': 'CocoDataset', 'ann_file': 'list.json', 'data_prefix': {'img': 'images/'}}


def write_images(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new('RGB', (WIDTH, HEIGHT), (200, 200, 200)).save(folder / name)


def tool() -> ModuleType:
    path = Path(__file__).parents[2] / 'tools' / 'report.py'
    spec = importlib.util.spec_from_file_location('report_tool', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=[write_voc, write_coco], ids=['voc', 'coco'])
def training(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Return a config and the work directory of its training."""
    data = tmp_path / 'data'
    data.mkdir()
    dataset = request.param(data)
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'Resize', 'scale': (2 * WIDTH, 2 * HEIGHT), 'keep_ratio': True},
        {'type': 'PackDetInputs', 'meta_keys': ('img_path', 'ori_shape', 'img_shape', 'scale_factor')},
    ]
    common = {'data_root': str(data), 'metainfo': {'classes': ('disc', 'bar')}, 'test_mode': True, 'pipeline': pipeline}
    preprocessor = {'type': 'mmdet.DetDataPreprocessor', 'mean': [0, 0, 0], 'std': [1, 1, 1]}
    cfg = Config(
        {
            'default_scope': 'mmdet',
            'model': {'type': 'mmengine.ReportTestDetector', 'data_preprocessor': preprocessor},
            'val_dataloader': {'batch_size': 1, 'dataset': {**dataset, **common}},
            'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 25, 'val_interval': 25},
        }
    )
    config = tmp_path / 'tiny.py'
    cfg.dump(config)
    work_dir = tmp_path / 'work'
    run = work_dir / '20300102_000000'
    (run / 'vis_data').mkdir(parents=True)
    lines = [train_line(10), train_line(20), coco_line(0, 0.25, 0.5, 0.125)]
    (run / 'vis_data' / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (run / '20300102_000000.log').write_text(stamped('00:00:00', 'a') + '\n' + stamped('00:01:05', 'b') + '\n')
    save(work_dir / 'iter_25.pth')
    (work_dir / 'last_checkpoint').write_text('/moved/elsewhere/iter_25.pth')
    return config, work_dir


def save(path: Path, *, outputs: int = 3) -> None:
    state = KnownPredictions(outputs=outputs).state_dict()
    torch.save({'state_dict': state, 'meta': {'iter': 25, 'score': np.float64(0.5)}}, path)


def test_report(training: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Both boxes lie where the original image has them, though the model saw it at twice the size."""
    config, work_dir = training
    assert tool().main([str(config), str(work_dir), '--images', '2', '--device', 'cpu']) == 0
    printed = capsys.readouterr().out.splitlines()
    expected = f"""\
                        last       best mAP
evaluated at              25             25
mAP                    0.250          0.250
AP50                   0.500          0.500
AP75                   0.125          0.125

iterations          25
duration            1 min 05 s (first to last log line: start-up, training, validation)
time per iteration  0.500 s (mean of the logged times, data loading included)
checkpoint          {work_dir / 'iter_25.pth'}
record              {work_dir / 'report.json'}

{work_dir / 'curves.png'}
{work_dir / 'detections.png'}"""
    assert printed[-len(expected.splitlines()) :] == expected.splitlines()

    record = json.loads((work_dir / 'report.json').read_text())
    assert record['best'] == {'iteration': 25, 'metrics': {'mAP': 0.25, 'AP50': 0.5, 'AP75': 0.125}}
    assert record['checkpoint'] == str(work_dir / 'iter_25.pth')

    pixels = np.asarray(Image.open(work_dir / 'detections.png').convert('RGB'))
    grid = SheetGrid(panel=(480, 320), panels=2, columns=2, rows=1)
    assert pixels.shape[:2] == grid.size[::-1]
    truth_x, y = grid.corner(1, 0)
    predicted_x, _ = grid.corner(1, 1)
    assert tuple(pixels[y + 5 * 36, truth_x + 5 * 8]) == class_colour(0)
    assert tuple(pixels[y + 5 * 56, truth_x + 5 * 24]) == class_colour(0)
    assert tuple(pixels[y + 5 * 36, predicted_x + 5 * 48]) == class_colour(1)
    assert tuple(pixels[y + 5 * 36, predicted_x + 5 * 88]) == class_colour(1)
    panels = pixels[y : y + 320]
    truth, predicted = (panels[:, x : x + PANEL_WIDTH] for x in (truth_x, predicted_x))
    assert not (truth == class_colour(1)).all(-1).any(), 'what evaluation ignores is not shown'
    assert not (predicted == class_colour(0)).all(-1).any(), 'what scores below the threshold is not shown'


@pytest.mark.parametrize('training', [write_coco], indirect=True, ids=['coco'])
def test_the_model_is_built_once(training: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest model takes a second and a gigabyte to build."""
    config, work_dir = training
    built = []
    original = KnownPredictions.__init__

    def count(self: KnownPredictions, *args: Any, **options: Any) -> None:
        built.append(self)
        original(self, *args, **options)

    monkeypatch.setattr(KnownPredictions, '__init__', count)
    assert tool().main([str(config), str(work_dir), '--images', '1', '--device', 'cpu']) == 0
    assert len(built) == 1


def spoil(work_dir: Path, how: str) -> list[str]:
    """Damage a training in one way; return the arguments that lead to the damage."""
    if how == 'no work directory':
        shutil.rmtree(work_dir)
    elif how == 'no scalars':
        shutil.rmtree(work_dir / '20300102_000000' / 'vis_data')
    elif how == 'no pointer':
        (work_dir / 'last_checkpoint').unlink()
    elif how == 'checkpoint gone':
        (work_dir / 'iter_25.pth').unlink()
    elif how == 'other model':
        save(work_dir / 'iter_25.pth', outputs=4)
    elif how == 'no checkpoint file':
        (work_dir / 'iter_25.pth').write_text('text')
    return {
        'absent checkpoint': ['--checkpoint', 'absent.pth'],
        'no such split': ['--split', 'test'],
        'no images': ['--images', '0'],
        'threshold': ['--score-thr', '1.5'],
        'moved data': ['--cfg-options', 'val_dataloader.dataset.data_root=absent'],
        'device': ['--device', 'abacus'],
        'model': ['--cfg-options', 'model.outptus=3'],
        'metric': ['--cfg-options', 'val_evaluator.type=CocoMertic'],
    }.get(how, [])


@pytest.mark.parametrize('training', [write_coco], indirect=True, ids=['coco'])
@pytest.mark.parametrize(
    ('how', 'message'),
    [
        ('no work directory', 'does not exist'),
        ('no scalars', 'no training is logged'),
        ('no pointer', 'no file last_checkpoint'),
        ('checkpoint gone', 'which is gone'),
        (
            'other model',
            'does not fit: it fills 0 of the 2 tensors of the model; 2 of another shape: head.weight',
        ),
        ('no checkpoint file', 'not a PyTorch checkpoint'),
        ('absent checkpoint', 'absent.pth does not exist'),
        ('no such split', 'no test_dataloader'),
        ('no images', 'images=0'),
        ('threshold', 'score_threshold=1.5'),
        ('moved data', 'data root absent does not exist'),
        ('device', "device='abacus'"),
        ('model', 'the model cannot be built: TypeError'),
        ('metric', "val_evaluator.type='CocoMertic' is not in the mmdet::metric registry"),
    ],
)
def test_mistakes(training: tuple[Path, Path], capsys: pytest.CaptureFixture[str], how: str, message: str) -> None:
    config, work_dir = training
    extra = spoil(work_dir, how)
    before = sorted(work_dir.rglob('*'))
    assert tool().main([str(config), str(work_dir), *extra]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith('error: ')
    assert printed.err.count('\n') == 1
    assert message in printed.err
    assert sorted(work_dir.rglob('*')) == before


@pytest.mark.parametrize('training', [write_coco], indirect=True, ids=['coco'])
@pytest.mark.parametrize(
    ('outputs', 'classes', 'message'),
    [
        (4, ('disc', 'bar'), '2 of another shape'),
        (3, ('bar', 'disc'), "label 0 is 'bar' there and 'disc' in the config"),
    ],
    ids=['shape', 'classes'],
)
def test_weights_of_another_model_or_other_classes_are_shown_with_partial_only(
    training: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    outputs: int,
    classes: tuple[str, ...],
    message: str,
) -> None:
    config, work_dir = training
    state = KnownPredictions(outputs=outputs).state_dict()
    meta = {'iter': 25, 'dataset_meta': {'classes': classes}}
    torch.save({'state_dict': state, 'meta': meta}, work_dir / 'iter_25.pth')
    argv = [str(config), str(work_dir), '--images', '1', '--device', 'cpu']
    assert tool().main(argv) == 2
    assert message in capsys.readouterr().err
    assert not (work_dir / 'report.json').exists()
    assert tool().main([*argv, '--partial']) == 0
    assert message in ''.join(capsys.readouterr())
    assert (work_dir / 'report.json').exists()


def test_a_score_threshold_is_refused_for_panoptic_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments have no scores, so that the threshold would change nothing."""
    found = DetectorPredictions((), ('disc',), 3, panoptic=True)
    monkeypatch.setattr(sections, 'predict_detector', lambda *_, **__: found)
    request = Request(cfg=Config({}), work_dir=tmp_path, score_threshold=0.3)
    with pytest.raises(UserError, match=r'--score-thr 0\.3 is for boxes and masks'):
        sections.report_detector(request, tmp_path / 'iter_1.pth', Run((), ()))


@pytest.mark.parametrize('training', [write_coco], indirect=True, ids=['coco'])
def test_a_host_without_section_gets_curves(training: tuple[Path, Path]) -> None:
    config, work_dir = training
    cfg = Config.fromfile(config)
    cfg.default_scope = 'mmpretrain'
    report = write_report(Request(cfg=cfg, work_dir=work_dir))
    assert report.pictures == (work_dir / 'curves.png',)
    assert not (work_dir / 'detections.png').exists()


def test_importing_the_report_needs_no_host() -> None:
    code = 'import sys, resnest_mm.report.report; '
    code += "assert not {'mmdet', 'mmseg', 'matplotlib', 'supervision'} & set(sys.modules)"
    subprocess.run([sys.executable, '-c', code], check=True, cwd=Path(__file__).parents[2])
