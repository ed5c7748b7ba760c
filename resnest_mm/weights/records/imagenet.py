"""Records of the networks trained on ImageNet: the authors' files and those converted from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resnest_mm.weights.records.record import GLUON_MEAN, GLUON_STD, Record

_RELEASE: Final = 'https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1'
_TIMM: Final = 'https://github.com/rwightman/pytorch-image-models/releases/download'
_WASABI: Final = 'https://s3.us-west-1.wasabisys.com'
_OPENMMLAB: Final = 'https://download.openmmlab.com'
_ONEDL: Final = 'https://mmassets.onedl.ai'
_WASABI_NOTE: Final = 'The wasabisys host answers 403 since May 2021 (zhanghang1989/ResNeSt#153).'

_OFFICIAL: Final = (
    # name, beginning of the sha256, top-1 of the PyTorch file, parameters in millions
    ('resnest50', '528c19ca', 81.03, 27.5),
    ('resnest101', '22405ba7', 82.83, 48.3),
    ('resnest200', '75117900', 83.84, 70.2),
    ('resnest269', '0cc87c48', 84.54, 110.9),
    ('resnest50_fast_1s1x64d', 'd8fbf808', 80.33, 26.3),
    ('resnest50_fast_2s1x64d', '44938639', 80.53, 27.5),
    ('resnest50_fast_4s1x64d', 'f74f3fc3', 80.76, 31.9),
    ('resnest50_fast_1s2x40d', '32830b84', 80.59, 25.9),
    ('resnest50_fast_2s2x40d', '9d126481', 80.97, 26.9),
    ('resnest50_fast_4s2x40d', '41d14ed0', 80.86, 30.4),
    ('resnest50_fast_1s4x24d', 'd4a4f76f', 80.99, 25.7),
)
_MIRRORED_BY_TIMM: Final = (
    'resnest50',
    'resnest101',
    'resnest200',
    'resnest269',
    'resnest50_fast_4s2x40d',
    'resnest50_fast_1s4x24d',
)
_ENCODING: Final = (
    ('resnest50', 'fb9de5b360976e3e8bd3679d3e93c5409a5eff3c'),
    ('resnest101', '966fb78c22323b0c68097c5c1242bd16d3e07fd5'),
    ('resnest200', 'd7fd712f5a1fcee5b3ce176026fbb6d0d278454a'),
    ('resnest269', '51ae5f19032e22af4ec08e695496547acdba5ce5'),
)
_TIMM_NAMES: Final = (
    # timm's name, variant, file, top-1 as timm measured it, parameters in millions
    ('resnest14d.gluon_in1k', 'resnest14', 'v0.1-weights/gluon_resnest14-9c8fe254.pth', 75.51, 10.61),
    ('resnest26d.gluon_in1k', 'resnest26', 'v0.1-weights/gluon_resnest26-50eb607c.pth', 78.48, 17.07),
    ('resnest50d.in1k', 'resnest50', 'v0.1-resnest/resnest50-528c19ca.pth', 80.96, 27.48),
    ('resnest101e.in1k', 'resnest101', 'v0.1-resnest/resnest101-22405ba7.pth', 82.88, 48.28),
    ('resnest200e.in1k', 'resnest200', 'v0.1-resnest/resnest200-75117900.pth', 83.85, 70.2),
    ('resnest269e.in1k', 'resnest269', 'v0.1-resnest/resnest269-0cc87c48.pth', 84.53, 110.93),
    (
        'resnest50d_4s2x40d.in1k',
        'resnest50_fast_4s2x40d',
        'v0.1-resnest/resnest50_fast_4s2x40d-41d14ed0.pth',
        81.11,
        30.42,
    ),
    (
        'resnest50d_1s4x24d.in1k',
        'resnest50_fast_1s4x24d',
        'v0.1-resnest/resnest50_fast_1s4x24d-d4a4f76f.pth',
        81.0,
        25.68,
    ),
)
_OPENMMLAB_D2: Final = (('resnest50', '7497a55b'), ('resnest101', 'f3b931b2'), ('resnest200', 'ca88e41f'))
_MMCLS: Final = (
    ('resnest50', '1ebf0afe', 81.13, 27.48),
    ('resnest101', '032caa52', 82.32, 48.28),
    ('resnest200', '581a60f2', 82.41, 70.2),
    ('resnest269', '59930960', 82.70, 110.93),
)
_DETECTRON2: Final = (
    ('resnest50', '255b5649'),
    ('resnest101', '486f69a8'),
    ('resnest200', '02644020'),
    ('resnest269', '69df4066'),
)


def imagenet_records() -> Iterator[Record]:
    """Yield the records, the authors' own first."""
    yield from _official()
    yield from _encoding()
    yield from _timm()
    yield from _openmmlab()
    yield from _mmcls()
    yield from _detectron2()


def _official() -> Iterator[Record]:
    for name, digest, top1, parameters in _OFFICIAL:
        file_name = f'{name}-{digest}.pth'
        mirrors = [f'{_RELEASE}/{file_name}']
        if name in _MIRRORED_BY_TIMM:
            mirrors.append(f'{_TIMM}/v0.1-resnest/{file_name}')
        yield Record(
            name=name,
            file_name=file_name,
            mirrors=(*mirrors, f'{_WASABI}/resnest/torch/{file_name}'),
            variant=name,
            layout='official',
            part='classifier',
            digest=digest,
            metrics={'top-1': top1},
            parameters=parameters,
            note=_WASABI_NOTE,
        )


def _encoding() -> Iterator[Record]:
    for name, sha1 in _ENCODING:
        yield Record(
            name=f'encoding/{name}',
            file_name=f'{name}-{sha1[:8]}.pth',
            mirrors=(f'{_WASABI}/encoding/models/{name}-{sha1[:8]}.zip',),
            variant=name,
            layout='official',
            part='classifier',
            digest=sha1,
            algorithms=('sha1',),
            licence='MIT',
            note=f'The segmentors of PyTorch-Encoding are trained from it. {_WASABI_NOTE}',
        )


def _timm() -> Iterator[Record]:
    for name, variant, file, top1, parameters in _TIMM_NAMES:
        file_name = file.rpartition('/')[2]
        yield Record(
            name=f'timm/{name}',
            file_name=file_name,
            mirrors=(f'{_TIMM}/{file}',),
            variant=variant,
            layout='official',
            part='classifier',
            digest=file_name.removesuffix('.pth').rpartition('-')[2],
            metrics={'top-1': top1},
            parameters=parameters,
            note=f'timm itself now reads another file, from the hub repository timm/{name}.',
        )


def _openmmlab() -> Iterator[Record]:
    for name, digest in _OPENMMLAB_D2:
        file = f'pretrain/third_party/{name}_d2-{digest}.pth'
        yield Record(
            name=f'open-mmlab/{name}',
            file_name=f'{name}_d2-{digest}.pth',
            mirrors=(f'{_OPENMMLAB}/{file}', f'{_ONEDL}/{file}'),
            variant=name,
            layout='mmdet',
            digest=digest,
            mean=GLUON_MEAN,
            std=GLUON_STD,
            note='Also open-mmlab://NAME. Mean and std are those of the detectors trained from it.',
        )


def _mmcls() -> Iterator[Record]:
    for name, digest, top1, parameters in _MMCLS:
        file = f'mmclassification/v0/resnest/{name}_imagenet_converted-{digest}.pth'
        yield Record(
            name=f'mmcls/{name}',
            file_name=f'{name}_imagenet_converted-{digest}.pth',
            mirrors=(f'{_OPENMMLAB}/{file}', f'{_ONEDL}/{file}'),
            variant=name,
            layout='mmpretrain',
            part='classifier',
            prefix='backbone.',
            digest=digest,
            metrics={'top-1': top1},
            parameters=parameters,
            note="Also mmcls://NAME. Its key layout is taken from mmpretrain's source, not from the file.",
        )


def _detectron2() -> Iterator[Record]:
    for name, digest in _DETECTRON2:
        yield Record(
            name=f'detectron2/{name}',
            file_name=f'{name}_detectron-{digest}.pth',
            mirrors=(f'{_WASABI}/resnest/detectron/{name}_detectron-{digest}.pth',),
            variant=name,
            layout='detectron2',
            prefix='backbone.bottom_up.',
            digest=digest,
            # the authors do not say which hash function the digits in the name come from
            algorithms=('sha256', 'sha1', 'md5'),
            mean=GLUON_MEAN,
            std=GLUON_STD,
            note=f'{_WASABI_NOTE} The authors posted copies on a drive in zhanghang1989/ResNeSt#154.',
        )
