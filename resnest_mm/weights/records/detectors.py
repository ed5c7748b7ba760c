"""Records of the authors' detectors, trained on COCO with detectron2, and of mmdet's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resnest_mm.weights.records.record import GLUON_MEAN, GLUON_STD, Record

_WASABI: Final = 'https://s3.us-west-1.wasabisys.com/resnest/detectron'
_MMDET: Final = 'https://download.openmmlab.com/mmdetection/v2.0/resnest'

_DETECTRON2: Final = (
    # name, digits of the hash in the file name, variant
    ('faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x', 'ad123c0b', 'resnest50'),
    ('faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x', None, 'resnest50'),
    ('faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x', 'd8f284b6', 'resnest101'),
    ('faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x', 'e9955232', 'resnest50'),
    ('faster_cascade_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x', '3627ef78', 'resnest101'),
    ('faster_cascade_rcnn_ResNeSt_200_FPN_syncbn_range-scale_1x', '1be2a87e', 'resnest200'),
    ('mask_rcnn_ResNeSt_50_FPN_syncBN_1x', 'f442d863', 'resnest50'),
    ('mask_rcnn_ResNeSt_101_FPN_syncBN_1x', '528502c6', 'resnest101'),
    ('mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x', 'c58bd325', 'resnest50'),
    ('mask_cascade_rcnn_ResNeSt_101_FPN_syncBN_1x', '62448b9c', 'resnest101'),
    ('mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x', None, 'resnest200'),
    ('mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x', 'e1901134', 'resnest200'),
    ('panoptic_ResNeSt_200_FPN_syncBN_tricks_3x', '43f8b731', 'resnest200'),
)
_NOTE: Final = (
    'The only host answers 403 since May 2021 (zhanghang1989/ResNeSt#153); chongruo/detectron2-ResNeSt#56 asks for '
    'another.'
)

_MMDET_FILES: Final = (
    # config, beginning of the file name, its part for the image size, its end, variant
    ('faster-rcnn_s50', 'faster_rcnn_s50', '-range', '20200926_125502-20289c16', 'resnest50'),
    ('faster-rcnn_s101', 'faster_rcnn_s101', '-range', '20201006_021058-421517f1', 'resnest101'),
    ('mask-rcnn_s50', 'mask_rcnn_s50', '', '20200926_125503-8a2c3d47', 'resnest50'),
    ('mask-rcnn_s101', 'mask_rcnn_s101', '', '20201005_215831-af60cdf9', 'resnest101'),
    ('cascade-rcnn_s50', 'cascade_rcnn_s50', '-range', '20201122_213640-763cc7b5', 'resnest50'),
    ('cascade-rcnn_s101', 'cascade_rcnn_s101', '-range', '20201005_113242-b9459f8f', 'resnest101'),
    ('cascade-mask-rcnn_s50', 'cascade_mask_rcnn_s50', '', '20201122_104428-99eca4c7', 'resnest50'),
    ('cascade-mask-rcnn_s101', 'cascade_mask_rcnn_s101', '', '20201005_113243-42607475', 'resnest101'),
)


def detector_records() -> Iterator[Record]:
    """Yield the records, the authors' first."""
    for name, digest, variant in _DETECTRON2:
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
            note=_NOTE,
        )
    for config, beginning, sizes, end, variant in _MMDET_FILES:
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
        )
