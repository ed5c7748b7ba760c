"""Records of the authors' segmentors, trained with PyTorch-Encoding, and of mmseg's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from resnest_mm.weights.records.record import Record

_WASABI: Final = 'https://s3.us-west-1.wasabisys.com/encoding/models'
_MMSEG: Final = 'https://download.openmmlab.com/mmsegmentation/v0.5/resnest'

_ENCODING: Final = (
    # name, sha1, variant
    ('FCN_ResNeSt50_ADE', '4aba491aaf8e4866a9c9981b210e3e3266ac1f2a', 'resnest50'),
    ('DeepLab_ResNeSt50_ADE', '2225f09d0f40b9a168d9091652194bc35ec2a5a9', 'resnest50'),
    ('DeepLab_ResNeSt101_ADE', '06ca799c8cc148fe0fafb5b6d052052935aa3cc8', 'resnest101'),
    ('DeepLab_ResNeSt200_ADE', '7b9e7d3e6f0e2c763c7d77cad14d306c0a31fe05', 'resnest200'),
    ('DeepLab_ResNeSt269_ADE', '0074dd10a6e6696f6f521653fb98224e75955496', 'resnest269'),
    ('FCN_ResNeSt50_PContext', '77a2161deeb1564e8b9c41a4bb7a3f33998b00ad', 'resnest50'),
    ('DeepLab_ResNeSt50_PContext', '08dccbc4f4694baab631e037a374d76d8108c61f', 'resnest50'),
    ('DeepLab_ResNeSt101_PContext', 'faf5841853aae64bd965a7bdc2cdc6e7a2b5d898', 'resnest101'),
    ('DeepLab_ResNeSt200_PContext', 'fe76a26551dd5dcf2d474fd37cba99d43f6e984e', 'resnest200'),
    ('DeepLab_ResNeSt269_PContext', 'b661fd26c49656e01e9487cd9245babb12f37449', 'resnest269'),
)

_CITYSCAPES: Final = '512x1024_80k_cityscapes'
_ADE: Final = '512x512_160k_ade20k'
_MMSEG_FILES: Final = (
    # config, folder and beginning of the file name, end of the file name
    ('fcn_4xb2-80k_cityscapes-512x1024', f'fcn_s101-d8_{_CITYSCAPES}', '20200807_140631-f8d155b3'),
    ('pspnet_4xb2-80k_cityscapes512x1024', f'pspnet_s101-d8_{_CITYSCAPES}', '20200807_140631-c75f3b99'),
    (
        'deeplabv3_4xb2-80k_cityscapes-512x1024',
        f'deeplabv3_s101-d8_{_CITYSCAPES}',
        '20200807_144429-b73c4270',
    ),
    (
        'deeplabv3plus_4xb2-80k_cityscapes-512x1024',
        f'deeplabv3plus_s101-d8_{_CITYSCAPES}',
        '20200807_144429-1239eb43',
    ),
    ('fcn_4xb4-160k_ade20k-512x512', f'fcn_s101-d8_{_ADE}', '20200807_145416-d3160329'),
    ('pspnet_4xb4-160k_ade20k-512x512', f'pspnet_s101-d8_{_ADE}', '20200807_145416-a6daa92a'),
    ('deeplabv3_4xb4-160k_ade20k-512x512', f'deeplabv3_s101-d8_{_ADE}', '20200807_144503-17ecabe5'),
    (
        'deeplabv3plus_4xb4-160k_ade20k-512x512',
        f'deeplabv3plus_s101-d8_{_ADE}',
        '20200807_144503-27b26226',
    ),
)


def segmentor_records() -> Iterator[Record]:
    """Yield the records, the authors' first."""
    for name, sha1, variant in _ENCODING:
        stem = f'{name.lower()}-{sha1[:8]}'
        yield Record(
            name=f'encoding/{name}',
            file_name=f'{stem}.pth',
            mirrors=(f'{_WASABI}/{stem}.zip',),
            variant=variant,
            layout='official',
            part='segmentor',
            prefix='pretrained.',
            digest=sha1,
            algorithms=('sha1',),
            licence='MIT',
            note='The only host answers 403 since May 2021 (zhanghang1989/ResNeSt#153).',
        )
    for config, beginning, end in _MMSEG_FILES:
        yield Record(
            name=f'mmseg/resnest_s101-d8_{config}',
            file_name=f'{beginning}_{end}.pth',
            mirrors=(f'{_MMSEG}/{beginning}/{beginning}_{end}.pth',),
            variant='resnest101',
            layout='mmdet',
            part='segmentor',
            prefix='backbone.',
            digest=end.rpartition('-')[2],
            note='Trained without the average pool of dilated stages: avd_in_dilated=False.',
        )
