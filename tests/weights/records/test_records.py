"""Every published weight file is described in full, and fits the network that it claims to fit."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from importlib import resources
from typing import Any
from urllib.parse import unquote

import pytest
import torch
from mmengine.runner.checkpoint import get_external_models, get_mmcls_models

from resnest_mm.models import ResNeSt
from resnest_mm.models.variants import VARIANTS
from resnest_mm.weights.records import lookup as records
from resnest_mm.weights.records.lookup import RECORDS, add_record, find_record, nearest_names
from resnest_mm.weights.records.record import ALGORITHMS, Record

EACH = pytest.mark.parametrize('record', RECORDS.values(), ids=RECORDS)
FAMILIES = {'': 11, 'encoding': 14, 'timm': 8, 'open-mmlab': 3, 'mmcls': 4, 'detectron2': 17, 'mmdet': 8, 'mmseg': 8}
UNHASHED = {
    'detectron2/faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x',
    'detectron2/mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x',
}


@pytest.fixture(scope='module')
def parameters() -> dict[str, int]:
    """Return the number of parameters of every variant's backbone."""
    with torch.device('meta'):
        return {name: sum(p.numel() for p in ResNeSt(variant=name).parameters()) for name in VARIANTS}


def test_all_families_are_complete() -> None:
    """No file of a publisher got lost. Records of another publisher need no entry here."""
    found = Counter(name.rpartition('/')[0] for name in RECORDS)
    assert {family: found[family] for family in FAMILIES} == FAMILIES
    assert sum(record.part == 'detector' and record.layout == 'detectron2' for record in RECORDS.values()) == 13
    assert sum(record.part == 'segmentor' and record.layout == 'official' for record in RECORDS.values()) == 10


@EACH
def test_record_names_a_file_its_hash_and_where_it_is(record: Record) -> None:
    assert record.mirrors
    for url in record.mirrors:
        assert re.fullmatch(r'https://[^/]+/.+\.(pth|zip)', url)
        stem = unquote(url).rpartition('/')[2].rpartition('.')[0]
        assert stem == record.file_name.removesuffix('.pth')
    dead = ['wasabisys' in url for url in record.mirrors]
    assert dead == sorted(dead), 'a host that is known to be dead comes last'
    assert not dead[0] or '403' in record.note
    if record.digest is None:
        assert record.name in UNHASHED
        return
    assert record.file_name.endswith(f'-{record.digest[:8]}.pth')
    assert all(len(record.digest) in (8, ALGORITHMS[name]) for name in record.algorithms)


@EACH
def test_record_fits_its_network(record: Record, parameters: dict[str, int]) -> None:
    depth = re.search(r'(?:resnest_s?|ResNeSt_?|_s|resnest)(\d+)', record.name)
    assert depth is not None
    assert VARIANTS[record.variant].depth == int(depth.group(1))
    if record.parameters is None:
        return
    classifier = 2048 * 1000 + 1000
    digits = len(str(record.parameters).partition('.')[2])
    millions = (parameters[record.variant] + classifier) / 1e6
    assert abs(millions - record.parameters) < 10**-digits, 'not even by one in the last digit'


def test_files_of_one_layout_and_part_have_the_backbone_in_one_place() -> None:
    """A wrong prefix would find no key of the backbone, or those of another module."""
    prefixes = {
        ('detectron2', 'backbone'): {'backbone.bottom_up.'},
        ('detectron2', 'detector'): {'backbone.bottom_up.'},
        ('mmdet', 'backbone'): {''},
        ('mmdet', 'detector'): {'backbone.'},
        ('mmdet', 'segmentor'): {'backbone.'},
        ('mmpretrain', 'classifier'): {'backbone.'},
        ('official', 'classifier'): {''},
        ('official', 'segmentor'): {'pretrained.'},
    }
    found = {
        place: {record.prefix for record in RECORDS.values() if (record.layout, record.part) == place}
        for place in prefixes
    }
    assert found == prefixes


@EACH
def test_record_says_what_its_network_expects(record: Record) -> None:
    assert record.channel_order == 'RGB'
    assert record.mean[0] > record.mean[1] > record.mean[2], 'red is the lightest channel of ImageNet'
    assert record.mean == pytest.approx((123.68, 116.5, 103.7), abs=0.3)
    assert record.std == pytest.approx((58.394, 57.12, 57.375), abs=0.0011)
    assert record.licence in ('Apache-2.0', 'MIT')
    assert all(0 < value < 100 for value in record.metrics.values())


def test_means_are_those_of_the_code_that_trained() -> None:
    assert RECORDS['resnest50'].mean == tuple(255 * value for value in (0.485, 0.456, 0.406))
    assert RECORDS['resnest50'].std == pytest.approx([255 * value for value in (0.229, 0.224, 0.225)])
    for name in ('open-mmlab/resnest50', 'detectron2/resnest50', 'detectron2/mask_rcnn_ResNeSt_50_FPN_syncBN_1x'):
        assert (RECORDS[name].mean, RECORDS[name].std) == ((123.68, 116.779, 103.939), (58.393, 57.12, 57.375))


def test_urls_and_hashes_equal_those_of_the_official_package() -> None:
    pytest.importorskip('resnest')
    from resnest.torch import ablation, resnest

    urls = {**resnest.resnest_model_urls, **ablation.resnest_model_urls}
    hashes = {**resnest._model_sha256, **ablation._model_sha256}
    assert set(urls) == {name for name in RECORDS if '/' not in name}
    for name, url in urls.items():
        assert RECORDS[name].mirrors[-1] == url
        assert RECORDS[name].digest == hashes[name]


def test_urls_equal_those_of_mmengine() -> None:
    for family, models in (('open-mmlab', get_external_models()), ('mmcls', get_mmcls_models())):
        urls = {name: url for name, url in models.items() if 'resnest' in name}
        assert len(urls) == FAMILIES[family]
        for name, url in urls.items():
            assert url in RECORDS[f'{family}/{name}'].mirrors


@pytest.mark.parametrize(('host', 'file'), [('mmdet', 'metafile.yml'), ('mmseg', 'metafile.yaml')])
def test_urls_equal_those_of_the_hosts(host: str, file: str) -> None:
    pytest.importorskip(host)
    from mmengine.fileio import load

    models = load(str(resources.files(host) / '.mim' / 'configs' / 'resnest' / file))['Models']
    assert len(models) == FAMILIES[host]
    for model in models:
        record = RECORDS[f'{host}/{model["Name"]}']
        assert record.mirrors == (model['Weights'],)


@pytest.mark.parametrize(
    ('checkpoint', 'name'),
    [
        ('resnest50', 'resnest50'),
        ('open-mmlab://resnest101', 'open-mmlab/resnest101'),
        ('openmmlab://resnest101', 'open-mmlab/resnest101'),
        ('mmcls://resnest269', 'mmcls/resnest269'),
        ('https://s3.us-west-1.wasabisys.com/resnest/torch/resnest50-528c19ca.pth', 'resnest50'),
        ('https://download.openmmlab.com/pretrain/third_party/resnest50_d2-7497a55b.pth', 'open-mmlab/resnest50'),
        ('./resnest50', None),
        ('resnest50.pth', None),
        ('open-mmlab://resnet50', None),
        ('https://example.org/resnest50-528c19ca.pth', None),
    ],
)
def test_what_a_config_writes_finds_its_record(checkpoint: str, name: str | None) -> None:
    found = find_record(checkpoint)
    assert (found.name if found else None) == name


def test_own_records_are_added_and_do_not_replace_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, '_added', {})
    own = dataclasses.replace(RECORDS['resnest50'], name='mine', digest='0' * 64)
    add_record(own)
    add_record(own)
    assert find_record('mine') is own
    for other in (dataclasses.replace(own, digest='1' * 64), dataclasses.replace(own, name='resnest50')):
        with pytest.raises(ValueError, match=r'the name .* is taken by resnest50-528c19ca\.pth; give'):
            add_record(other)
    assert nearest_names('mime') == ['mine']
    assert nearest_names('resnset50')[0] == 'resnest50'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'variant': 'resnest51'}, "variant='resnest51' must be one of resnest14"),
        ({'layout': 'caffe'}, "layout='caffe' must be one of mmdet, official"),
        ({'part': 'half'}, "part='half' must be one of backbone"),
        ({'channel_order': 'GRB'}, "channel_order='GRB' must be one of RGB, BGR"),
        ({'algorithms': ('crc',)}, "algorithms='crc' must be one of sha256"),
        ({'digest': 'ABCDEF01'}, "digest='ABCDEF01' must be 8 to 64 hexadecimal digits in lower case"),
        ({'digest': '1234567'}, 'must be 8 to 64 hexadecimal digits'),
        ({'file_name': 'a/b.pth'}, "file_name='a/b.pth' must be a name without folder"),
        ({'mirrors': ('ftp://a/b.pth',)}, r"mirror 'ftp://a/b.pth' must be an http\(s\) URL"),
    ],
)
def test_a_wrong_record_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"record 'resnest50': .*{message}"):
        dataclasses.replace(RECORDS['resnest50'], **change)
