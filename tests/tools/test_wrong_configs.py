"""Wrong input to `tools/train.py` and `tools/test.py`: exit code 2, one line that names the culprit, nothing written.

A row is (id, tool, edits, argv, expected): Python lines appended to the config of `tests/support/projects.py`;
arguments, in which `{config}` is its path, `{root}` the project's folder and `{cwd}` the current directory; a part of
the line, with the same placeholders.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.projects import Project
from tests.support.wrong_backbones import WRONG_BACKBONES

Row = tuple[str, str, str, tuple[str, ...], str]

CONFIG = ('{config}',)
TEST = ('{config}', '{root}/good.pth')
DATA = "['train_dataloader']['dataset']['dataset']"

ROWS: list[Row] = [
    ('no arguments', 'train', '', (), 'required: config'),
    ('unknown argument', 'train', '', ('{config}', '--sinle-gpu'), '--sinle-gpu'),
    ('unknown launcher', 'train', '', ('{config}', '--launcher', 'torchrun'), "'torchrun'"),
    ('missing config', 'train', '', ('{root}/none.py',), 'config {root}/none.py does not exist'),
    ('misspelt shipped config', 'train', '', ('demo/faster-rcnn_s14_fpn_dem',), 'config demo/faster-rcnn_s14_fpn_dem'),
    ('folder as config', 'train', '', ('{root}',), 'is a directory'),
    ('config of another kind', 'train', '', ('{root}/data/images/0.npy',), 'cannot be read'),
    ('syntax error', 'train', 'model = dict(\n', CONFIG, 'cannot be read: SyntaxError'),
    ('name error', 'train', 'x = undefined\n', CONFIG, "NameError: name 'undefined' is not defined"),
    ('missing import', 'train', "custom_imports['imports'] = ['no_such_parts']\n", CONFIG, 'no_such_parts'),
    ('part of a config', 'train', 'del train_dataloader\n', CONFIG, 'the config has no train_dataloader'),
    ('incomplete validation', 'train', 'val_cfg = None\n', CONFIG, 'val_dataloader but no val_cfg'),
    ('missing data root', 'train', '', (*CONFIG, '--cfg-options', 'data_root=nowhere'), 'data root nowhere does not'),
    (
        'missing demo data',
        'train',
        '',
        (*CONFIG, '--cfg-options', 'data_root=data/demo'),
        'make the demo data with: python tools/make_demo_data.py data/demo',
    ),
    (
        'missing annotation file',
        'train',
        "dataset['ann_file'] = 'gone.json'\n",
        CONFIG,
        'annotation file {root}/data/gone.json does not exist (train_dataloader.dataset.dataset.ann_file',
    ),
    (
        'missing image folder',
        'train',
        "dataset['data_prefix'] = dict(img_path='gone')\n",
        CONFIG,
        'image folder {root}/data/gone does not exist (train_dataloader.dataset.dataset.data_prefix.img_path',
    ),
    (
        'missing annotation file of the evaluator',
        'train',
        "val_evaluator['ann_file'] = data_root + '/gone.json'\n",
        CONFIG,
        'gone.json does not exist (val_evaluator.ann_file',
    ),
    ('missing load_from', 'train', "load_from = 'gone.pth'\n", CONFIG, 'load_from: checkpoint gone.pth does not exist'),
    ('missing resume path', 'train', '', (*CONFIG, '--resume', 'gone.pth'), '--resume: checkpoint gone.pth does not'),
    ('folder to resume', 'train', '', (*CONFIG, '--resume', '{root}'), '--resume: checkpoint {root} is a folder'),
    (
        'missing pretrained weights',
        'train',
        "model['init_cfg'] = dict(type='Pretrained', checkpoint='gone.pth')\n",
        CONFIG,
        'model.init_cfg.checkpoint: checkpoint gone.pth does not exist',
    ),
    (
        'load_from that mmengine cannot read',
        'train',
        "load_from = data_root + '/../weights.safetensors'\n",
        CONFIG,
        'weights.safetensors is a safetensors file, but mmengine loads this checkpoint',
    ),
    (
        'pretrained weights of another package that mmengine cannot read',
        'train',
        "model['init_cfg'] = dict(type='Pretrained', checkpoint=data_root + '/../weights.safetensors')\n",
        CONFIG,
        'weights.safetensors is a safetensors file, but mmengine loads this checkpoint',
    ),
    (
        'pretrained weights of a backbone that are no checkpoint',
        'train',
        "model['backbone'] = dict(type='resnest_mm.ResNeSt', pretrained=data_root + '/ann.json')\n",
        CONFIG,
        'model.backbone.pretrained: {root}/data/ann.json is not a checkpoint: it begins with',
    ),
    (
        'unsafe pretrained weights of a backbone',
        'train',
        "model['backbone'] = dict(type='resnest_mm.ResNeSt', pretrained=data_root + '/../evil.pth')\n",
        CONFIG,
        'which torch does not load',
    ),
    ('no checkpoint at all', 'train', '', (*CONFIG, '--resume', '{root}/data/ann.json'), 'is not a PyTorch checkpoint'),
    ('unsafe checkpoint to resume', 'train', '', (*CONFIG, '--resume', '{root}/evil.pth'), 'which torch does not load'),
    ('unsafe load_from', 'train', "load_from = data_root + '/../evil.pth'\n", CONFIG, 'which torch does not load'),
    ('unknown model', 'train', "model['type'] = 'NoSuchModel'\n", CONFIG, 'NoSuchModel is not in the'),
    ('unknown backbone', 'train', "model['backbone'] = dict(type='NoSuchNet')\n", CONFIG, 'NoSuchNet is not in the'),
    ('wrong model argument', 'train', "model['width'] = 0\n", CONFIG, 'ValueError: width=0 must be at least 1'),
    ('unknown model argument', 'train', "model['colour'] = 1\n", CONFIG, "unexpected keyword argument 'colour'"),
    ('unknown data set', 'train', "dataset['type'] = 'MicroDatset'\n", CONFIG, "did you mean 'MicroDataset'?"),
    ('unknown transform', 'train', "dataset['pipeline'] = [dict(type='MicroLaod')]\n", CONFIG, "'MicroLoad'?"),
    ('unknown optimizer', 'train', "optim_wrapper['optimizer']['type'] = 'SDG'\n", CONFIG, "optimizer.type='SDG'"),
    ('framework not installed', 'train', "default_scope = 'mmnothing'\n", CONFIG, "'mmnothing' of the config is not"),
    (
        'misspelt option',
        'train',
        '',
        (*CONFIG, '--cfg-options', 'optim_wrapper.optimzer.lr=0.1'),
        'did you mean optim_wrapper.optimizer.lr?',
    ),
    ('option into a number', 'train', '', (*CONFIG, '--cfg-options', 'randomness.seed.a=1'), "has no key 'a'"),
    ('option without a value', 'train', '', (*CONFIG, '--cfg-options', 'randomness.seed'), 'is not KEY=VALUE'),
    ('brackets of an option', 'train', '', (*CONFIG, '--cfg-options', 'a=[1'), 'brackets that do not match'),
    (
        'one GPU and several',
        'train',
        '',
        (*CONFIG, '--single-gpu', '--launcher', 'pytorch'),
        '--single-gpu and --launcher pytorch exclude each other',
    ),
    (
        'lr scaled twice',
        'train',
        '',
        (*CONFIG, '--single-gpu', '--auto-scale-lr'),
        'would both scale the learning rate',
    ),
    ('no base batch size', 'train', 'auto_scale_lr = None\n', (*CONFIG, '--auto-scale-lr'), 'no auto_scale_lr.enable'),
    ('work_dir is a file', 'train', '', (*CONFIG, '--work-dir', '{config}'), 'micro.py is a file'),
    ('test without checkpoint', 'test', '', CONFIG, 'required: checkpoint'),
    ('test with a missing checkpoint', 'test', '', (*CONFIG, 'gone.pth'), 'CHECKPOINT: checkpoint gone.pth does not'),
    ('test with an unsafe checkpoint', 'test', '', (*CONFIG, '{root}/evil.pth'), 'which torch does not load'),
    ('test without test data', 'test', 'test_dataloader = None\n', TEST, 'the config has no test_dataloader'),
    (
        'test without its annotation file',
        'test',
        "test_evaluator['ann_file'] = data_root + '/gone.json'\n",
        TEST,
        'gone.json does not exist (test_evaluator.ann_file',
    ),
    ('out is no pickle', 'test', '', (*TEST, '--out', 'result.json'), '--out result.json must end with .pkl'),
    ('nothing draws', 'test', '', (*TEST, '--show-dir', 'drawn'), 'the config has no default_hooks.visualization'),
    ('no augmentation', 'test', '', (*TEST, '--tta'), '--tta: the config has no tta_model'),
    ('unknown metric', 'test', "test_evaluator['type'] = 'MicroMetrik'\n", TEST, "did you mean 'MicroMetric'?"),
]
if not torch.cuda.is_available():
    ROWS += [
        ('mixed precision on a CPU', 'train', '', (*CONFIG, '--amp'), '--amp needs a GPU'),
        (
            'SyncBN over processes on a CPU',
            'train',
            '',
            (*CONFIG, '--launcher', 'pytorch'),
            'the 1 SyncBN settings of the model work on GPUs only',
        ),
    ]


class Unsafe:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ('trace_of_unsafe', 'w')


THROUGH_THE_TOOL = {'typo', 'unknown-variant', 'norm-groups', 'dcn-keyword'}
"""Of the backbone's rows, a few of each kind of error: tests/models/arguments refuses all of them without a tool."""

BACKBONE_ROWS: list[Row] = [
    (
        f'backbone {name}',
        'train',
        f"model['backbone'] = {dict(type='resnest_mm.ResNeSt', **arguments)!r}\n",
        CONFIG,
        message.replace('{', '{{').replace('}', '}}'),
    )
    for name, arguments, _, message in WRONG_BACKBONES
    if name in THROUGH_THE_TOOL
]
assert len(BACKBONE_ROWS) == len(THROUGH_THE_TOOL)


@pytest.mark.parametrize(
    ('name', 'edits', 'argv', 'expected'),
    [pytest.param(*row[1:], id=row[0]) for row in (*ROWS, *BACKBONE_ROWS)],
)
def test_wrong_input_is_refused_in_one_line(
    name: str,
    edits: str,
    argv: tuple[str, ...],
    expected: str,
    project: Project,
    tool: Callable[[str, Sequence[str]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line that names the culprit, and no file or folder more than before."""
    places = {'config': project.config(edits), 'root': project.root, 'cwd': project.cwd}
    torch.save({'state_dict': {}}, project.root / 'good.pth')
    torch.save({'meta': Unsafe()}, project.root / 'evil.pth')
    save_file({'weight': torch.zeros(1)}, project.root / 'weights.safetensors')
    before = project.files()

    assert tool(name, [argument.format(**places) for argument in argv]) == 2

    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.count('\n') == 1 and err.endswith('\n'), err
    assert expected.format(**places) in err
    assert project.files() == before
    assert Path.cwd() == project.cwd


def test_a_process_of_its_own_prints_nothing_but_the_line(project: Project, repository: Path) -> None:
    """Protects against warnings at import, which pytest would keep from stderr."""
    pytest.importorskip('mmdet')
    config = project.root / 'inherits.py'
    config.write_text("_base_ = ['mmdet::_base_/default_runtime.py']\nmodel = dict(type='A')\n", encoding='utf-8')
    before = project.files()
    command = [sys.executable, str(repository / 'tools' / 'train.py'), str(config)]
    done = subprocess.run(command, cwd=project.cwd, capture_output=True, text=True, check=False)
    line = 'error: the config has no train_dataloader, which training needs (is it a _base_ file?)\n'
    assert (done.returncode, done.stderr) == (2, line)
    assert project.files() == before
