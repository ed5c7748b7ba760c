"""Records of the authors' detectors, trained on COCO with detectron2, and of mmdet's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resnest_mm.weights.records.record import GLUON_MEAN, GLUON_STD, Record

_WASABI: Final = 'https://s3.us-west-1.wasabisys.com/resnest/detectron'
_MMDET: Final = 'https://download.openmmlab.com/mmdetection/v2.0/resnest'
_BOX: Final = ('box AP',)
_BOTH: Final = ('box AP', 'mask AP')
_PANOPTIC: Final = ('PQ', 'box AP', 'mask AP')

_DETECTRON2: Final = (
    # name, digits of the hash in the file name, variant, metrics and their values in per cent
    ('faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x', 'ad123c0b', 'resnest50', _BOX, (42.33,)),
    ('faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x', None, 'resnest50', _BOX, (44.11,)),
    ('faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x', 'd8f284b6', 'resnest101', _BOX, (44.72,)),
    ('faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x', 'e9955232', 'resnest50', _BOX, (45.41,)),
    ('faster_cascade_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x', '3627ef78', 'resnest101', _BOX, (47.50,)),
    ('faster_cascade_rcnn_ResNeSt_200_FPN_syncbn_range-scale_1x', '1be2a87e', 'resnest200', _BOX, (49.03,)),
    ('mask_rcnn_ResNeSt_50_FPN_syncBN_1x', 'f442d863', 'resnest50', _BOTH, (42.81, 38.14)),
    ('mask_rcnn_ResNeSt_101_FPN_syncBN_1x', '528502c6', 'resnest101', _BOTH, (45.75, 40.65)),
    ('mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x', 'c58bd325', 'resnest50', _BOTH, (46.19, 39.55)),
    ('mask_cascade_rcnn_ResNeSt_101_FPN_syncBN_1x', '62448b9c', 'resnest101', _BOTH, (48.30, 41.56)),
    ('mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x', None, 'resnest200', _BOTH, (50.54, 44.21)),
    ('mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x', 'e1901134', 'resnest200', _BOTH, (50.91, 44.50)),
    ('panoptic_ResNeSt_200_FPN_syncBN_tricks_3x', '43f8b731', 'resnest200', _PANOPTIC, (47.90, 51.00, 43.68)),
)
_NOTE: Final = (
    'The only host answers 403 since May 2021 (zhanghang1989/ResNeSt#153); chongruo/detectron2-ResNeSt#56 asks for '
    'another.'
)

_MMDET_FILES: Final = (
    # config, beginning of the file name, its part for the image size, its end, variant, metrics, values in per cent
    ('faster-rcnn_s50', 'faster_rcnn_s50', '-range', '20200926_125502-20289c16', 'resnest50', _BOX, (42.0,)),
    ('faster-rcnn_s101', 'faster_rcnn_s101', '-range', '20201006_021058-421517f1', 'resnest101', _BOX, (44.5,)),
    ('mask-rcnn_s50', 'mask_rcnn_s50', '', '20200926_125503-8a2c3d47', 'resnest50', _BOTH, (42.6, 38.1)),
    ('mask-rcnn_s101', 'mask_rcnn_s101', '', '20201005_215831-af60cdf9', 'resnest101', _BOTH, (45.2, 40.2)),
    ('cascade-rcnn_s50', 'cascade_rcnn_s50', '-range', '20201122_213640-763cc7b5', 'resnest50', _BOX, (44.5,)),
    ('cascade-rcnn_s101', 'cascade_rcnn_s101', '-range', '20201005_113242-b9459f8f', 'resnest101', _BOX, (46.8,)),
    (
        'cascade-mask-rcnn_s50',
        'cascade_mask_rcnn_s50',
        '',
        '20201122_104428-99eca4c7',
        'resnest50',
        _BOTH,
        (45.4, 39.5),
    ),
    (
        'cascade-mask-rcnn_s101',
        'cascade_mask_rcnn_s101',
        '',
        '20201005_113243-42607475',
        'resnest101',
        _BOTH,
        (47.7, 41.4),
    ),
)


def detector_records() -> Iterator[Record]:
    """Yield the records, the authors' first."""
    for name, digest, variant, metrics, values in _DETECTRON2:
        file_name = f'{name}-{digest}.pth' if digest else f'{name}.pth'
        yield Record(
            name=f'detectron2/{name}',
            file_name=file_name,
            mirrors=(f'{_WASABI}/{file_name}',),
            variant=variant,
            layout='detectron2',
            part='detector',
            prefix='backbone.bottom_up.',
            digest=digest,
            # the authors do not say which hash function the digits in the name come from
            algorithms=('sha256', 'sha1', 'md5'),
            mean=GLUON_MEAN,
            std=GLUON_STD,
            metrics=dict(zip(metrics, values, strict=True)),
            note=_NOTE,
        )
    for config, beginning, sizes, end, variant, metrics, values in _MMDET_FILES:
        folder = f'{beginning}_fpn_syncbn-backbone%2Bhead_mstrain{sizes}_1x_coco'
        yield Record(
            name=f'mmdet/{config}_fpn_syncbn-backbone+head_ms{sizes}-1x_coco',
            file_name=f'{folder}_{end}.pth'.replace('%2B', '+'),
            mirrors=(f'{_MMDET}/{folder}/{folder}_{end}.pth',),
            variant=variant,
            layout='mmdet',
            part='detector',
            prefix='backbone.',
            digest=end.rpartition('-')[2],
            mean=GLUON_MEAN,
            std=GLUON_STD,
            metrics=dict(zip(metrics, values, strict=True)),
        )
