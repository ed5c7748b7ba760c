"""A published file is found by its name, checked, renamed to this key layout, and loaded completely or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import MMLogger
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.hub import checksum
from resnest_mm.weights.hub import resolve as hub
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE, fetch
from resnest_mm.weights.hub.urls import cache_name
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.pretrained import backbone_of, read_tensors
from resnest_mm.weights.records import lookup as records
from resnest_mm.weights.records.lookup import RECORDS, add_record
from resnest_mm.weights.records.record import Record
from tests.support.mirrors import Mirrors, mirrors_running, serves
from tests.support.tiny_backbones import changed, scatter, snapshot, tiny

DEAD = 'http://127.0.0.1:9'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the weight folder; nothing of this machine is read or written."""
    monkeypatch.setattr(records, '_added', {})
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / 'weights'))
    (tmp_path / 'weights').mkdir()
    return tmp_path / 'weights'


@pytest.fixture
def source() -> nn.Module:
    module = tiny()
    scatter(module)
    return module


@pytest.fixture
def server() -> Iterator[Mirrors]:
    with mirrors_running() as mirrors:
        yield mirrors


def publish(folder: Path, content: Any, **changes: Any) -> Record:
    """Save a file into the folder and make it known as `mine`."""
    torch.save(content, folder / 'mine.pth')
    digest = hashlib.sha256((folder / 'mine.pth').read_bytes()).hexdigest()
    values = {'mirrors': (f'{DEAD}/mine.pth',), 'variant': 'resnest14', 'layout': 'mmdet', 'digest': digest}
    record = Record(**{'name': 'mine', 'file_name': 'mine.pth', **values, **changes})
    add_record(record)
    return record


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ('layout', 'prefix', 'entry', 'beside'),
    [
        ('mmdet', '', None, {}),
        ('mmdet', 'backbone.', 'state_dict', {'neck.conv.weight': torch.zeros(1)}),
        ('official', '', None, {'fc.weight': torch.zeros(10, 512), 'fc.bias': torch.zeros(10)}),
        ('official', 'pretrained.', 'state_dict', {'head.conv5.4.weight': torch.zeros(1)}),
        (
            'mmpretrain',
            'backbone.',
            'state_dict',
            {'head.fc.weight': torch.zeros(10, 512), 'head.fc.bias': torch.zeros(10)},
        ),
        ('detectron2', 'backbone.bottom_up.', 'model', {'backbone.fpn_lateral2.weight': torch.zeros(1)}),
    ],
)
def test_a_record_of_any_layout_fills_the_backbone(
    layout: str, prefix: str, entry: str | None, beside: dict[str, Tensor], source: nn.Module, folder: Path
) -> None:
    state: Any = convert_backbone(source.state_dict(), source='mmdet', target=layout, prefix='', target_prefix=prefix)
    state = {**state, **beside}
    publish(folder, state if entry is None else {entry: state, 'meta': {}}, layout=layout, prefix=prefix)
    for arguments in ({'pretrained': 'mine'}, {'init_cfg': {'type': 'resnest_mm.Pretrained', 'checkpoint': 'mine'}}):
        backbone = tiny(**arguments)
        backbone.init_weights()
        different = changed(snapshot(source), backbone)
        assert all(name.endswith('num_batches_tracked') for name in different)


def test_a_published_backbone_without_the_prefix_of_its_record_is_read(source: nn.Module, folder: Path) -> None:
    """Tools that strip a detector to its backbone leave the prefix out."""
    publish(folder, source.state_dict(), prefix='backbone.')
    backbone = tiny(pretrained='mine')
    backbone.init_weights()
    assert changed(snapshot(source), backbone) == set()


def test_the_same_file_by_its_path_is_not_converted_but_explained(source: nn.Module, folder: Path) -> None:
    """Only a record says which key layout a file has; a path must name a file in this layout."""
    publish(
        folder, convert_backbone(source.state_dict(), source='mmdet', target='official', prefix=''), layout='official'
    )
    backbone = tiny(pretrained=str(folder / 'mine.pth'))
    with pytest.raises(CheckpointError, match=r'official .*layout: .*python tools/convert_checkpoint\.py FILE'):
        backbone.init_weights()


def test_one_flipped_bit_is_refused_and_the_backbone_stays(source: nn.Module, folder: Path) -> None:
    publish(folder, source.state_dict())
    flip(folder / 'mine.pth')
    backbone = tiny(pretrained='mine')
    before = snapshot(backbone)
    with pytest.raises(CheckpointError) as caught:
        backbone.init_weights()
    assert 'its sha256 begins with' in str(caught.value)
    assert f'moved to mine.pth.corrupt-1); {folder.parent / "hub" / "checkpoints" / "mine.pth"}' in str(caught.value)
    assert f'{DEAD}/mine.pth' in str(caught.value)
    assert changed(before, backbone) == set()
    assert not (folder / 'mine.pth').exists()


def test_a_damaged_file_is_replaced_from_a_mirror(source: nn.Module, folder: Path, server: Mirrors) -> None:
    record = publish(folder, source.state_dict(), name='first')
    whole = (folder / 'mine.pth').read_bytes()
    url = server.plays('/mine.pth', serves(whole))
    add_record(dataclasses.replace(record, name='mine', mirrors=(url,)))
    flip(folder / 'mine.pth')
    backbone = tiny(pretrained='mine')
    backbone.init_weights()
    assert changed(snapshot(source), backbone) == set()
    assert server.requests == ['/mine.pth']
    assert (folder / 'mine.pth').read_bytes() == whole


def test_a_record_of_another_network_does_not_fit(folder: Path) -> None:
    publish(folder, tiny(26).state_dict())
    with pytest.raises(CheckpointError, match=r'^mine fills .* its stages have \(2, 2, 2, 2\) blocks'):
        tiny(pretrained='mine').init_weights()


def test_a_record_that_is_wrong_about_its_layout_is_found_out(source: nn.Module) -> None:
    record = dataclasses.replace(RECORDS['resnest50'], layout='detectron2')
    with pytest.raises(CheckpointError, match=r'resnest50-528c19ca\.pth is not in the detectron2 layout: '):
        backbone_of(source.state_dict(), record)


def test_a_record_is_looked_up_once_and_its_file_hashed_once(
    source: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is not hashed again by the initialisation after the check before a training; a changed one is."""
    counts = {'hash': 0, 'lookup': 0}

    def counted(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            counts[name] += 1
            return function(*args)

        return call

    record = publish(folder, source.state_dict())
    monkeypatch.setattr(checksum, 'file_digest', counted('hash', checksum.file_digest))
    monkeypatch.setattr(hub, 'find_record', counted('lookup', hub.find_record))
    fetch(record)
    assert counts == {'hash': 1, 'lookup': 0}
    tiny(pretrained='mine').init_weights()
    assert counts == {'hash': 1, 'lookup': 1}
    state = (folder / 'mine.pth').stat()
    os.utime(folder / 'mine.pth', ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    tiny(pretrained='mine').init_weights()
    assert counts == {'hash': 2, 'lookup': 2}
    add_record(dataclasses.replace(record, name='other', digest='0' * 64))
    with pytest.raises(CheckpointError, match='of the published file with 00000000'):
        tiny(pretrained='other').init_weights()


def test_a_download_is_hashed_once(
    source: nn.Module, folder: Path, server: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checksum of a download is remembered for the file under its final name."""
    hashed: list[Path] = []
    record = publish(folder, source.state_dict(), name='first')
    url = server.plays('/mine.pth', serves((folder / 'mine.pth').read_bytes()))
    (folder / 'mine.pth').unlink()
    digest = checksum.file_digest
    monkeypatch.setattr(checksum, 'file_digest', lambda *args: (hashed.append(args[0]), digest(*args))[1])
    for _ in range(2):
        assert fetch(dataclasses.replace(record, mirrors=(url,)), progress=False) == folder / 'mine.pth'
    assert hashed == [folder / 'mine.pth.part']


def test_a_file_of_another_backend_of_mmengine_is_read_and_runs_nothing(source: nn.Module, tmp_path: Path) -> None:
    """A file from `s3://` and the like is read by the same restricted reader as a local one."""

    class Shelf(LocalBackend):  # type: ignore[misc]
        @contextmanager
        def get_local_path(self, filepath: str) -> Iterator[str]:
            yield str(tmp_path / filepath.removeprefix('shelf://'))

    register_backend('shelf', Shelf, force=True, prefixes='shelf')
    torch.save(source.state_dict(), tmp_path / 'good.pth')
    torch.save({'state_dict': {'a': torch.ones(1)}, 'meta': Malicious(tmp_path / 'trace')}, tmp_path / 'bad.pth')
    backbone = tiny(pretrained='shelf://good.pth')
    backbone.init_weights()
    assert changed(snapshot(source), backbone) == set()
    with pytest.raises(CheckpointError, match=r"'shelf://bad\.pth' cannot be read: it .* could run code; .*--trust"):
        tiny(pretrained='shelf://bad.pth').init_weights()
    assert not (tmp_path / 'trace').exists()


def test_a_prefix_chooses_another_part_of_a_published_file(source: nn.Module, folder: Path) -> None:
    other = tiny()
    state = {f'ema.{key}': value for key, value in source.state_dict().items()}
    publish(
        folder, {**state, **{f'backbone.{key}': value for key, value in other.state_dict().items()}}, prefix='backbone.'
    )
    for prefix in ('ema', 'ema.'):
        backbone = tiny(init_cfg={'type': 'Pretrained', 'checkpoint': 'mine', 'prefix': prefix})
        backbone.init_weights()
        assert changed(snapshot(source), backbone) == set()


def test_what_the_weights_expect_is_logged(source: nn.Module, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(folder, source.state_dict())
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO):
            tiny(pretrained='mine').init_weights()
    finally:
        logger.removeHandler(caplog.handler)
    expected = 'which expects RGB images, mean [123.675, 116.28, 103.53], std [58.395, 57.12, 57.375]'
    assert expected in caplog.text


def test_a_url_is_downloaded_once_and_read(source: nn.Module, folder: Path, server: Mirrors) -> None:
    torch.save(source.state_dict(), folder.parent / 'elsewhere.pth')
    url = server.plays('/a%2Bb.pth?raw=1', serves((folder.parent / 'elsewhere.pth').read_bytes()))
    for _ in range(2):
        backbone = tiny(pretrained=url)
        backbone.init_weights()
        assert changed(snapshot(source), backbone) == set()
    assert len(server.requests) == 1
    assert [file.name for file in folder.glob('*.pth')] == [cache_name(url)]


def test_names_in_schemes_of_mmengine_are_found_offline(folder: Path) -> None:
    (folder / 'resnest50_d2-7497a55b.pth').write_bytes(b'not the published file')
    with pytest.raises(CheckpointError, match=r'its sha256 begins with [0-9a-f]{8}, but .* with 7497a55b; moved to '):
        fetch_without_network('open-mmlab://resnest50')


@pytest.mark.parametrize(
    'name', ['resnest50', 'mmcls://resnest101', 'detectron2/resnest200', 'encoding/FCN_ResNeSt50_ADE']
)
def test_with_no_network_the_file_that_would_do_is_named(name: str, folder: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        fetch_without_network(name)
    record = records.find_record(name)
    assert record is not None
    message = str(caught.value)
    assert '\n' not in message
    for place in (str(folder / record.file_name), *record.mirrors, f'bring {record.file_name} (', FOLDER_VARIABLE):
        assert place in message


def fetch_without_network(name: str) -> None:
    """Resolve a name where every connection is refused at once."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ('http_proxy', 'https_proxy'):
            patch.setenv(variable, DEAD)
        hub.resolve(name, timeout=1, progress=False)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('resnset50', r"'resnset50' cannot be found: no such file, and no known name; did you mean resnest50"),
        (
            'open-mmlab://resnest51',
            r"'open-mmlab://resnest51' cannot be read: open-mmlab:// has no resnest51; did you",
        ),
        ('torchvision://resnest50', r'is of torchvision, which has no ResNeSt; use resnest50 or the like'),
        ('http://127.0.0.1:9/', 'the URL names no file'),
        ('.', 'it is a folder; name a file in it'),
        ('nowhere://a.pth', "'nowhere://a.pth' cannot be read"),
        ('s3://bucket/a.pth', "'s3://bucket/a.pth' cannot be read"),
    ],
)
def test_what_is_no_checkpoint_is_explained_in_one_line(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(name)
    assert '\n' not in str(caught.value)


class Malicious:
    """Unpickles to a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_a_file_that_would_run_code_runs_none_unless_trusted(legacy: bool, folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    file = folder / 'mine.pth'
    torch.save(
        {'state_dict': {'a': torch.ones(1)}, 'meta': Malicious(trace)}, file, _use_new_zipfile_serialization=not legacy
    )
    with pytest.raises(CheckpointError, match=r'could run code; .*--trust.* to tools/convert_checkpoint\.py'):
        read_tensors(str(file))
    assert not trace.exists()
    assert read_checkpoint(file, trust=True).tensors == {'a': torch.ones(1)}
    assert trace.exists()


def test_a_bare_pickle_runs_nothing(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    (folder / 'mine.pth').write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(CheckpointError):
        read_tensors(str(folder / 'mine.pth'))
    assert not trace.exists()
