"""A weight file comes from the first place that has the right one; no mirror can give its name to a wrong file."""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE, fetch
from resnest_mm.weights.hub.checksum import checksum_mismatch
from resnest_mm.weights.hub.download import DownloadError, download
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.records.record import DownloadSpec
from tests.support.mirrors import Mirrors, breaks_off, fails, hangs, mirrors_running, redirects, serves

CONTENT = bytes(range(256)) * 64
OTHER = b'\x80' + CONTENT[1:]
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f'net-{SHA256[:8]}.pth'


@pytest.fixture
def server() -> Iterator[Mirrors]:
    with mirrors_running() as mirrors:
        yield mirrors


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the torch hub cache, empty, with no weight folder set."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def folder(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the environment names, empty."""
    path = tmp_path / 'weights'
    path.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(path))
    return path


def spec(*mirrors: str, **changes: Any) -> DownloadSpec:
    return DownloadSpec(**{'name': 'net', 'file_name': NAME, 'mirrors': mirrors, 'digest': SHA256[:8], **changes})


def get(*mirrors: str, timeout: float = 5.0, **changes: Any) -> Path:
    return fetch(spec(*mirrors, **changes), timeout=timeout, progress=False)


def names(folder: Path) -> set[str]:
    """Return what lies in a folder, but for the lock, which stays."""
    return {file.name for file in folder.iterdir() if file.suffix != '.lock'}


def test_a_missing_file_is_downloaded_into_the_cache_and_then_stays(server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', serves(CONTENT))
    assert get(url) == hub / NAME
    assert (hub / NAME).read_bytes() == CONTENT
    assert names(hub) == {NAME}
    assert get(url) == hub / NAME
    assert server.asked('/a') == 1


def test_the_weight_folder_comes_first_then_the_cache_then_the_mirrors(
    server: Mirrors, folder: Path, hub: Path
) -> None:
    url = server.plays('/a', serves(CONTENT))
    assert get(url) == folder / NAME, 'downloads go where the user keeps weights'
    hub.mkdir(parents=True)
    (hub / NAME).write_bytes(CONTENT)
    assert get(url) == folder / NAME
    (folder / NAME).unlink()
    assert get(url) == hub / NAME
    assert server.asked('/a') == 1


@pytest.mark.parametrize(
    ('spoilt', 'why'),
    [
        pytest.param(CONTENT[:-1] + b'x', f'but the sha256 of the published file with {SHA256[:8]}', id='flipped'),
        pytest.param(CONTENT[: len(CONTENT) // 2], 'its sha256 begins with', id='cut short'),
        pytest.param(b'', 'its sha256 begins with e3b0c442', id='empty'),
    ],
)
def test_a_damaged_file_is_set_aside_and_fetched_again_once(
    spoilt: bytes, why: str, server: Mirrors, folder: Path
) -> None:
    url = server.plays('/a', serves(CONTENT))
    (folder / NAME).write_bytes(spoilt)
    (folder / f'{NAME}.corrupt-1').write_bytes(b'an earlier one')
    assert get(url).read_bytes() == CONTENT
    assert (folder / f'{NAME}.corrupt-2').read_bytes() == spoilt
    assert (folder / f'{NAME}.corrupt-1').read_bytes() == b'an earlier one'
    assert server.asked('/a') == 1
    checked = (folder / NAME).stat().st_mtime_ns
    (folder / NAME).write_bytes(spoilt)
    os.utime(folder / NAME, ns=(checked, checked + 1))  # a clock may be too coarse to tell the writes apart
    with pytest.raises(CheckpointError, match=re.escape(why)) as caught:
        get()
    assert f'{folder / NAME} (its' in str(caught.value)
    assert f'moved to {NAME}.corrupt-3' in str(caught.value)
    assert NAME not in names(folder)


def test_a_damaged_file_in_the_folder_does_not_hide_a_good_one_in_the_cache(folder: Path, hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / NAME).write_bytes(CONTENT)
    (folder / NAME).write_bytes(OTHER)
    assert get() == hub / NAME
    assert names(folder) == {NAME}, 'nothing is moved while another copy is good'


@pytest.mark.parametrize('code', [403, 404, 500])
def test_a_mirror_that_refuses_is_passed_over(code: int, server: Mirrors, hub: Path) -> None:
    bad, good = server.plays('/bad', fails(code)), server.plays('/good', serves(CONTENT))
    assert get(bad, good).read_bytes() == CONTENT
    assert server.requests == ['/bad', '/good']


def test_a_mirror_that_sends_another_file_is_passed_over(server: Mirrors, hub: Path) -> None:
    bad, good = server.plays('/bad', serves(OTHER)), server.plays('/good', serves(CONTENT))
    assert get(bad, good).read_bytes() == CONTENT
    assert server.requests == ['/bad', '/good']
    assert names(hub) == {NAME}


def test_a_slow_mirror_is_given_up_after_the_timeout(server: Mirrors, hub: Path) -> None:
    over = threading.Event()
    bad, good = server.plays('/bad', hangs(over)), server.plays('/good', serves(CONTENT))
    try:
        assert get(bad, good, timeout=0.2).read_bytes() == CONTENT
        assert server.requests == ['/bad', '/good']
        with pytest.raises(CheckpointError, match=re.escape(f'{bad} (no answer within 0.2 s)')):
            get(bad, timeout=0.2, file_name=f'other-{NAME}')
    finally:
        over.set()


def test_a_redirection_is_followed(server: Mirrors, hub: Path) -> None:
    url = server.plays('/old', redirects(server.plays('/new', serves(CONTENT))))
    assert get(url).read_bytes() == CONTENT
    assert server.requests == ['/old', '/new']


@pytest.mark.parametrize('after', [1, 1000, len(CONTENT) - 1])
def test_a_broken_connection_is_resumed_byte_by_byte(after: int, server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', breaks_off(CONTENT, after), serves(CONTENT))
    assert get(url).read_bytes() == CONTENT
    assert server.requests == ['/a', '/a']
    assert server.ranges == [None, f'bytes={after}-']
    assert names(hub) == {NAME}


def test_a_connection_that_stops_is_resumed_elsewhere(server: Mirrors, hub: Path) -> None:
    over = threading.Event()
    bad = server.plays('/bad', hangs(over, content=CONTENT, after=700))
    good = server.plays('/good', serves(CONTENT))
    try:
        assert get(bad, good, timeout=0.2).read_bytes() == CONTENT
    finally:
        over.set()
    assert server.ranges[0] is None
    assert server.ranges[-1] == 'bytes=700-'


def test_an_interrupted_download_goes_on_next_time_and_has_no_final_name(server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', breaks_off(CONTENT, 500), fails(503), serves(CONTENT))
    with pytest.raises(CheckpointError, match='HTTP 503'):
        get(url)
    assert names(hub) == {f'{NAME}.part'}
    assert (hub / f'{NAME}.part').read_bytes() == CONTENT[:500]
    assert get(url).read_bytes() == CONTENT
    assert server.ranges == [None, 'bytes=500-', 'bytes=500-']
    assert names(hub) == {NAME}


def test_a_server_without_ranges_starts_again(server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', breaks_off(CONTENT, 500), serves(CONTENT, ranges=False))
    assert get(url).read_bytes() == CONTENT
    assert server.ranges == [None, 'bytes=500-']


@pytest.mark.parametrize('left', [OTHER[:300], OTHER, OTHER + b'more'], ids=['beginning', 'as long', 'longer'])
def test_a_leftover_of_another_file_is_noticed_and_fetched_anew(left: bytes, server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', serves(CONTENT))
    hub.mkdir(parents=True)
    (hub / f'{NAME}.part').write_bytes(left)
    assert get(url).read_bytes() == CONTENT
    assert names(hub) == {NAME}


def test_a_leftover_that_is_already_whole_gets_its_name(server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', serves(CONTENT))
    hub.mkdir(parents=True)
    (hub / f'{NAME}.part').write_bytes(CONTENT)
    assert get(url).read_bytes() == CONTENT
    assert server.ranges == [f'bytes={len(CONTENT)}-']


def test_a_file_without_hash_is_not_pieced_together(server: Mirrors, hub: Path) -> None:
    """Nothing could tell that the halves are of one file."""
    url = server.plays('/a', serves(CONTENT))
    hub.mkdir(parents=True)
    (hub / f'{NAME}.part').write_bytes(OTHER[:300])
    assert get(url, digest=None).read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_packed_file_is_unpacked_and_its_own_hash_checked(server: Mirrors, hub: Path) -> None:
    def packed(**files: bytes) -> bytes:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, 'w') as opened:
            for name, content in files.items():
                opened.writestr(name, content)
        return archive.getvalue()

    wrong = server.plays('/wrong.zip', serves(packed(**{NAME: OTHER})))
    lacking = server.plays('/lacking.zip', serves(packed(readme=b'')))
    broken = server.plays('/broken.zip', serves(CONTENT))
    good = server.plays('/good.zip', serves(packed(**{f'models/{NAME}': CONTENT})))
    assert get(wrong, lacking, broken, good).read_bytes() == CONTENT
    assert set(server.requests) == {'/wrong.zip', '/lacking.zip', '/broken.zip', '/good.zip'}
    assert names(hub) == {NAME}
    with pytest.raises(CheckpointError, match='the archive holds no other'):
        get(lacking, file_name='other.pth')


def test_with_nothing_to_be_had_one_error_names_every_place_and_the_file(
    server: Mirrors, folder: Path, hub: Path
) -> None:
    dead = 'http://127.0.0.1:9/net.pth'
    bad = [server.plays('/403', fails(403)), server.plays('/404', fails(404)), server.plays('/html', serves(b'<html>'))]
    with pytest.raises(CheckpointError) as caught:
        get(dead, *bad)
    message = str(caught.value)
    assert '\n' not in message
    places = [str(folder / NAME), str(hub / NAME), dead, *bad]
    assert [message.index(place) for place in places] == sorted(message.index(place) for place in places)
    for reason in ('(not there)', 'refused', 'HTTP 403 Forbidden', 'HTTP 404 Not Found', 'not the published file'):
        assert reason in message
    assert message.endswith(
        f'bring {NAME} (sha256 {SHA256[:8]}...) to this machine and set {FOLDER_VARIABLE} to its folder'
    )
    assert names(folder) == set()


def test_several_at_once_download_once(server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', serves(CONTENT, pause=0.2))
    with ThreadPoolExecutor(6) as pool:
        files = list(pool.map(lambda _: get(url), range(6)))
    assert files == [hub / NAME] * 6
    assert server.asked('/a') == 1


def test_a_lock_that_a_dead_process_left_does_not_block(server: Mirrors, hub: Path) -> None:
    hub.mkdir(parents=True)
    (hub / f'{NAME}.lock').touch()
    assert get(server.plays('/a', serves(CONTENT))).read_bytes() == CONTENT


def test_a_folder_that_is_none_is_refused(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / 'absent'))
    with pytest.raises(CheckpointError, match=r'RESNEST_MM_WEIGHTS=.*absent is no folder'):
        get()


def test_a_folder_that_cannot_be_written_to_is_read_and_downloads_go_to_the_cache(
    server: Mirrors, folder: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = __import__('os').access
    monkeypatch.setattr('os.access', lambda path, mode: Path(path) != folder and real(path, mode))
    assert get(server.plays('/a', serves(CONTENT))) == hub / NAME
    assert names(folder) == set()


def test_without_a_folder_to_write_to_the_error_names_every_folder(
    server: Mirrors, folder: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded then, because there is no place to keep it."""
    url = server.plays('/a', serves(CONTENT))
    monkeypatch.setattr('os.access', lambda path, mode: False)
    places = '; '.join(f'{place} (no {NAME}, and cannot be written to)' for place in (folder, hub))
    with pytest.raises(CheckpointError, match=re.escape(f"checkpoint 'net' cannot be found; tried {places}. ")):
        get(url)
    assert server.asked('/a') == 0


@pytest.mark.parametrize('algorithm', ['sha256', 'sha1', 'md5'])
@pytest.mark.parametrize('length', [8, None], ids=['beginning', 'whole'])
def test_a_hash_is_checked_whole_or_by_its_beginning(algorithm: str, length: int | None, tmp_path: Path) -> None:
    (tmp_path / 'file').write_bytes(CONTENT)
    digest = hashlib.new(algorithm, CONTENT).hexdigest()[:length]
    assert file_digest(tmp_path / 'file', algorithm).startswith(digest)
    assert checksum_mismatch(tmp_path / 'file', digest=digest, algorithms=(algorithm,)) is None
    assert checksum_mismatch(tmp_path / 'file', digest=digest, algorithms=('sha256', 'sha1', 'md5')) is None
    other = '0' * 8 if not digest.startswith('0' * 8) else '1' * 8
    assert checksum_mismatch(tmp_path / 'file', digest=other, algorithms=(algorithm,)) == (
        f'its {algorithm} begins with {digest[:8]}, but the {algorithm} of the published file with {other}'
    )


def test_without_a_hash_the_obvious_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / 'file.pth'
    torch.save({'a': torch.zeros(100)}, file)
    whole = file.read_bytes()
    assert checksum_mismatch(file, digest=None) is None
    for content, fault in ((whole[:-20], 'it is cut short'), (b'<html>', 'it is a web page'), (b'', 'it is empty')):
        file.write_bytes(content)
        assert checksum_mismatch(file, digest=None) == fault


def test_a_name_that_no_server_has_is_one_reason(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match='refused'):
        download('http://127.0.0.1:9/a', tmp_path / 'a.part', timeout=1, progress=False)
    assert not (tmp_path / 'a.part').exists()
