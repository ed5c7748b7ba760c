"""`tools/train.py` and `tools/test.py` from start to end: train, resume, test, from an unrelated folder."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from tests.support.projects import Project
from tests.support.tiny_backbones import scatter, tiny

Tool = Callable[[str, Sequence[str]], int]


def load(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    loaded: dict[str, dict[str, torch.Tensor]] = torch.load(path, weights_only=True)
    return loaded


def test_training_writes_a_checkpoint_and_says_where(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last lines tell where the results are; synchronised norms train in one process."""
    assert tool('train', [str(project.config())]) == 0
    work_dir = project.cwd / 'work_dirs' / 'micro'
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [f'work_dir: {work_dir}', f'last checkpoint: {work_dir / "epoch_1.pth"}']
    notice = '1 SyncBN settings act as BN in this single process; --single-gpu also scales the lr to it'
    assert out.count(notice) == 1
    # SyncBN kept statistics without a process group: they moved away from 0.
    assert load(work_dir / 'epoch_1.pth')['state_dict']['norm.running_mean'].abs().sum() > 0


def test_single_gpu_trains_with_the_scaled_learning_rate(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate reaches the optimizer, and the copy of the config says so."""
    assert tool('train', [str(project.config()), '--single-gpu', '--work-dir', 'run']) == 0
    line = '--single-gpu: 1 SyncBN settings -> BN; lr 0.08 -> 0.01 (batch size 2 instead of 16)'
    assert capsys.readouterr().out.splitlines().count(line) == 1
    used = Config.fromfile(project.cwd / 'run' / 'micro.py')
    assert used.model.norm_cfg == {'type': 'BN'}
    assert used.optim_wrapper.optimizer.lr == pytest.approx(0.01)
    groups = load(project.cwd / 'run' / 'epoch_1.pth')['optimizer']['param_groups']
    assert [group['lr'] for group in groups] == pytest.approx([0.01])


def test_auto_scale_lr_reaches_the_optimizer(project: Project, tool: Tool) -> None:
    """The rate is divided as the batch is."""
    assert tool('train', [str(project.config()), '--auto-scale-lr', '--work-dir', 'run']) == 0
    groups = load(project.cwd / 'run' / 'epoch_1.pth')['optimizer']['param_groups']
    assert [group['lr'] for group in groups] == pytest.approx([0.01])


@pytest.mark.parametrize('resume', [(), ('run/epoch_1.pth',)], ids=['auto', 'path'])
def test_a_resumed_training_equals_one_without_a_break(project: Project, tool: Tool, resume: tuple[str, ...]) -> None:
    """Weights, optimizer and iteration go on where they were."""
    config = str(project.config())
    two = ('--cfg-options', 'train_cfg.max_epochs=2')
    assert tool('train', [config, '--work-dir', 'run']) == 0
    assert tool('train', [config, '--work-dir', 'run', '--resume', *resume, *two]) == 0
    assert tool('train', [config, '--work-dir', 'whole', *two]) == 0
    resumed, whole = (load(project.cwd / folder / 'epoch_2.pth') for folder in ('run', 'whole'))
    assert resumed['meta']['iter'] == whole['meta']['iter'] == 4
    for name, value in whole['state_dict'].items():
        torch.testing.assert_close(resumed['state_dict'][name], value)
    before = load(project.cwd / 'run' / 'epoch_1.pth')['state_dict']
    assert not torch.equal(before['conv.bias'], whole['state_dict']['conv.bias'])


def test_resume_without_a_checkpoint_says_that_it_starts_anew(
    project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that always resumes can start with it."""
    assert tool('train', [str(project.config()), '--work-dir', 'run', '--resume']) == 0
    assert '--resume: no checkpoint in run; training starts from the beginning' in capsys.readouterr().out


def test_a_backbone_starts_from_a_safetensors_file(project: Project, tool: Tool) -> None:
    """What the initialiser reads, the checks before a training accept."""
    weights = tiny()
    scatter(weights)
    save_file(weights.state_dict(), project.root / 'weights.safetensors')
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(project.root / 'weights.safetensors')}
    narrow = {'type': 'resnest_mm.ResNeSt', 'depth': 14, 'stem_channels': 8, 'base_channels': 16, 'init_cfg': init_cfg}
    config = project.config(f"model['backbone'] = {narrow!r}\n")
    assert tool('train', [str(config), '--work-dir', 'run']) == 0
    trained = load(project.cwd / 'run' / 'epoch_1.pth')['state_dict']
    # The model never calls its backbone, so the weights stay as they were loaded.
    for name, value in weights.state_dict().items():
        assert torch.equal(trained[f'backbone.{name}'], value), name


@pytest.mark.parametrize(('rank', 'times'), [(0, 1), (1, 0)])
def test_only_the_first_process_prints_the_notes(
    rank: int,
    times: int,
    project: Project,
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A run of eight processes would print each note eight times."""

    class Stopped:
        work_dir = 'run'

        def __init__(self) -> None:
            self.rank = rank

        def register_hook(self, hook: object) -> None:
            pass

        def train(self) -> None:
            pass

    monkeypatch.setattr('resnest_mm.training.launcher.get_device', lambda: 'cuda')
    monkeypatch.setattr('resnest_mm.training.plan.RunPlan.build_runner', lambda plan: Stopped())
    monkeypatch.setenv('RANK', str(rank))
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert tool('train', [str(project.config()), '--launcher', 'pytorch', '--resume', '--work-dir', 'run']) == 0
    assert capsys.readouterr().out.count('--resume: no checkpoint in run') == times


def test_test_repeats_the_metric_of_the_training_and_dumps_predictions(project: Project, tool: Tool) -> None:
    """The numbers of a training can be had again from its checkpoint."""
    config = str(project.config())
    assert tool('train', [config, '--work-dir', 'run']) == 0
    assert tool('test', [config, 'run/epoch_1.pth', '--work-dir', 'tested', '--out', 'out/predictions.pkl']) == 0
    trained = [
        json.loads(line)
        for path in (project.cwd / 'run').glob('*/vis_data/scalars.json')
        for line in path.read_text(encoding='utf-8').splitlines()
    ]
    with (project.cwd / 'out' / 'predictions.pkl').open('rb') as file:
        predictions = pickle.load(file)
    (tested,) = (project.cwd / 'tested').glob('*/*.json')
    metrics = json.loads(tested.read_text(encoding='utf-8'))
    assert metrics['seen'] == 4.0
    assert metrics['score'] == pytest.approx(next(entry['score'] for entry in trained if 'score' in entry))
    assert [prediction['label'] for prediction in predictions] == [0.0, 1.0, 2.0, 3.0]
    assert sum(prediction['score'] for prediction in predictions) == pytest.approx(metrics['score'])


def test_data_root_option_trains_on_the_other_folder(project: Project, tool: Tool) -> None:
    """Paths that are derived from data_root follow it."""
    config = str(project.config())
    other = project.cwd / 'other'
    (project.root / 'data').rename(other)
    assert tool('train', [config, '--work-dir', 'run', '--cfg-options', 'data_root=other']) == 0
    assert Config.fromfile(project.cwd / 'run' / 'micro.py').val_evaluator.ann_file == 'other/ann.json'


@pytest.mark.parametrize('name', ['train', 'test'])
def test_help_has_an_example(name: str, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """A user copies a command sooner than he reads options."""
    with pytest.raises(SystemExit) as caught:
        tool(name, ['--help'])
    assert caught.value.code == 0
    assert f'python tools/{name}.py configs/' in capsys.readouterr().out


DETECTOR = """\
default_scope = 'mmdet'
data_root = 'data/'
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[123.] * 3, std=[58.] * 3, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=8, norm_cfg=norm_cfg),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=5),
    bbox_head=dict(type='RetinaHead', num_classes=1, in_channels=8, stacked_convs=1, feat_channels=8),
    train_cfg=dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
                   sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(nms_pre=50, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10))
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)),
            dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
dataset = dict(type='CocoDataset', data_root=data_root, ann_file='ann.json', data_prefix=dict(img='images/'),
               metainfo=dict(classes=('box',)), pipeline=pipeline)
train_dataloader = dict(batch_size=3, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(dataset, test_mode=True),
                      sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'ann.json', metric='bbox')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02))
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best='auto'),
                     logger=dict(type='LoggerHook', interval=1), visualization=dict(type='DetVisualizationHook'))
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
"""


@pytest.mark.slow
@pytest.mark.usefixtures('clean_process')
def test_a_detector_is_trained_resumed_and_tested_from_another_folder(
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    tool: Tool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Training and test run as a user starts them, in processes of their own; what follows each runs in this one."""
    cv2 = pytest.importorskip('cv2')
    pytest.importorskip('mmdet')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        cv2.imwrite(str(tmp_path / 'data' / 'images' / f'{index}.png'), image)
    box = {'category_id': 1, 'bbox': [10, 10, 30, 30], 'area': 900, 'iscrowd': 0}
    content = {
        'images': [{'id': index, 'file_name': f'{index}.png', 'width': 64, 'height': 64} for index in range(6)],
        'annotations': [{**box, 'id': index + 1, 'image_id': index} for index in range(6)],
        'categories': [{'id': 1, 'name': 'box'}],
    }
    (tmp_path / 'data' / 'ann.json').write_text(json.dumps(content), encoding='utf-8')
    (tmp_path / 'tiny.py').write_text(DETECTOR, encoding='utf-8')
    data = f'data_root={tmp_path / "data"}'

    monkeypatch.chdir(tmp_path / 'elsewhere')

    def start(name: str, *argv: str) -> str:
        command = [sys.executable, str(repository / 'tools' / f'{name}.py'), '../tiny.py', *argv]
        env = {key: value for key, value in os.environ.items() if key != 'LOCAL_RANK'}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(name: str, *argv: str) -> str:
        assert tool(name, ['../tiny.py', *argv]) == 0
        return capsys.readouterr().out

    trained = start('train', '--single-gpu', '--work-dir', 'run', '--cfg-options', data)
    assert '--single-gpu: 1 SyncBN settings -> BN; lr 0.02 -> 0.00375 (batch size 3 instead of 16)' in trained
    resumed = run('train', '--work-dir', 'run', '--resume', '--cfg-options', data, 'train_cfg.max_epochs=2')
    assert 'resumed epoch: 1, iter: 2' in resumed
    last = tmp_path / 'elsewhere' / 'run' / 'epoch_2.pth'
    assert resumed.splitlines()[-1] == f'last checkpoint: {last}'
    argv = (str(last), '--work-dir', 'tested', '--out', 'boxes.pkl', '--show-dir', 'drawn', '--cfg-options', data)
    tested = start('test', *argv)
    pattern = r'coco/bbox_mAP: (-?[\d.]+)'
    assert re.findall(pattern, tested)[-1] == re.findall(pattern, resumed)[-1]
    with (tmp_path / 'elsewhere' / 'boxes.pkl').open('rb') as file:
        boxes = pickle.load(file)
    assert [entry['img_id'] for entry in boxes] == list(range(6))
    assert len(list((tmp_path / 'elsewhere' / 'tested').glob('*/drawn/*.png'))) == 6
    run('test', str(last), '--work-dir', 'flipped', '--tta', '--out', 'flipped.pkl', '--cfg-options', data)
    with (tmp_path / 'elsewhere' / 'flipped.pkl').open('rb') as file:
        assert len(pickle.load(file)) == 6
