"""A weight file comes from the first place that has the right one; no mirror can give its name to a wrong file."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub import cache
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE, fetch
from resnest_mm.weights.hub.checksum import checksum_mismatch
from resnest_mm.weights.hub.download import download
from resnest_mm.weights.hub.limits import DownloadError, Limits, Watch
from resnest_mm.weights.hub.lock import only_here
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.records.record import DownloadSpec
from tests.support.mirrors import (
    Handler,
    Mirrors,
    breaks_off,
    drips,
    fails,
    hangs,
    mirrors_running,
    redirects,
    says,
    serves,
)

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


def get(*mirrors: str, timeout: float = 5.0, patience: float = 60.0, **changes: Any) -> Path:
    return fetch(spec(*mirrors, **changes), timeout=timeout, progress=False, patience=patience)


def saved() -> bytes:
    """Return a checkpoint as torch writes it."""
    stream = io.BytesIO()
    torch.save({'a': torch.zeros(100)}, stream)
    return stream.getvalue()


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
    url = server.plays('/a', serves(saved()))
    hub.mkdir(parents=True)
    (hub / f'{NAME}.part').write_bytes(OTHER[:300])
    assert get(url, digest=None).read_bytes() == saved()
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


NO_CHECKPOINTS = [
    pytest.param(b'<!doctype html><html>', 'it is a web page', id='html'),
    pytest.param(b'\xef\xbb\xbf\n <html>', 'it is a web page', id='html after a byte order mark'),
    pytest.param(b'{"error": {"code": 404}}', 'it is JSON', id='json'),
    pytest.param(b'[[[[[[[[{', 'it is JSON', id='json that begins like safetensors'),
    pytest.param(b'version https://git-lfs.github.com/spec/v1\noid sha256:1', 'it is a Git LFS link', id='git lfs'),
    pytest.param('Zugriff verweigert, bitte später'.encode(), 'it is a text', id='text'),
    pytest.param(('ä' * 400).encode(), 'it is a text', id='text that is cut within a letter'),
    pytest.param('not found'.encode('utf-16'), 'it begins with', id='text of two bytes a letter'),
    pytest.param(b'\x00' * 1000, 'it begins with', id='zeros'),
    pytest.param(b'', 'it is empty', id='empty'),
]


@pytest.mark.parametrize(('content', 'fault'), NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_never_cached(content: bytes, fault: str, server: Mirrors, hub: Path) -> None:
    """A login page or an error of a server, answered with code 200, would be the checkpoint from then on."""
    url = server.plays('/a', says(content, None))
    with pytest.raises(CheckpointError, match=re.escape(f'{url} (not the published file: {fault}')):
        get(url, digest=None)
    assert names(hub) == set()


@pytest.mark.parametrize(
    'kind', ['text/html; charset=utf-8', 'application/json', 'application/problem+json', 'text/xml']
)
def test_a_page_is_told_by_its_header_where_no_checksum_decides(kind: str, server: Mirrors, hub: Path) -> None:
    url = server.plays('/a', says(saved(), kind))
    with pytest.raises(CheckpointError, match=re.escape(f'{url} (the server sent {kind.partition(";")[0]} instead')):
        get(url, digest=None)
    assert names(hub) == set()
    assert get(url, digest=hashlib.sha256(saved()).hexdigest()).read_bytes() == saved()


@pytest.mark.parametrize('kind', [None, 'application/octet-stream', 'text/plain', 'binary/octet-stream'])
def test_a_checkpoint_may_have_any_other_header(kind: str | None, server: Mirrors, hub: Path) -> None:
    """Servers that do not know the ending .pth call it text/plain; the content tells that it is none."""
    assert get(server.plays('/a', says(saved(), kind)), digest=None).read_bytes() == saved()


def test_a_cached_file_that_is_no_checkpoint_is_named_and_set_aside(server: Mirrors, hub: Path) -> None:
    """An earlier version may have cached a page; the message says where it is now."""
    hub.mkdir(parents=True)
    flipped = bytearray(saved())
    flipped[len(flipped) // 2] ^= 1
    for number, (content, fault) in enumerate([(b'<html>', 'it is a web page'), (bytes(flipped), 'checksum')], 1):
        (hub / NAME).write_bytes(content)
        with pytest.raises(CheckpointError, match=f'{re.escape(str(hub / NAME))} .*{fault}.*') as caught:
            get('http://127.0.0.1:9/net.pth', digest=None)
        assert f'moved to {NAME}.corrupt-{number})' in str(caught.value)
        assert (hub / f'{NAME}.corrupt-{number}').read_bytes() == content
    assert get(server.plays('/a', serves(saved())), digest=None).read_bytes() == saved()


def test_a_cached_file_that_cannot_be_opened_is_set_aside(
    server: Mirrors, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.mkdir(parents=True)
    (hub / NAME).write_bytes(OTHER)
    real = cache.checksum_mismatch

    def refuse(file: Path, **arguments: Any) -> str | None:
        if file.read_bytes() == OTHER:
            raise PermissionError(13, 'Permission denied')
        return real(file, **arguments)

    monkeypatch.setattr(cache, 'checksum_mismatch', refuse)
    assert get(server.plays('/a', serves(CONTENT))).read_bytes() == CONTENT
    assert names(hub) == {NAME, f'{NAME}.corrupt-1'}


def test_a_folder_with_the_name_of_the_file_is_one_reason(server: Mirrors, hub: Path) -> None:
    (hub / NAME).mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r'cannot be written: Is a directory'):
        get(server.plays('/a', serves(CONTENT)))


def hold(lock: FileLock, file: Path) -> None:
    lock.acquire()
    file.write_text('pid 12 on node3 since 2026-01-02 03:04:05 +0000\n')


def test_a_lock_that_is_held_without_progress_is_named_with_its_holder(server: Mirrors, hub: Path) -> None:
    hub.mkdir(parents=True)
    lock = FileLock(hub / f'{NAME}.lock')
    hold(lock, hub / f'{NAME}.lock')
    url = server.plays('/a', serves(CONTENT))
    try:
        with pytest.raises(CheckpointError) as caught:
            get(url, patience=0.02)
        holder = 'another process (pid 12 on node3 since 2026-01-02 03:04:05 +0000)'
        assert f'{hub / NAME}.lock is locked by {holder}, whose download has not grown for 0.02 s' in str(caught.value)
        assert 'delete the file if the process is gone' in str(caught.value)
    finally:
        lock.release()
    assert get(url, patience=0.02).read_bytes() == CONTENT
    assert (hub / f'{NAME}.lock').read_text().startswith(f'pid {os.getpid()} on ')


def test_a_lock_is_waited_for_as_long_as_the_download_grows(server: Mirrors, hub: Path) -> None:
    """A large file takes longer than any fixed time."""
    hub.mkdir(parents=True)
    part, lock = hub / f'{NAME}.part', FileLock(hub / f'{NAME}.lock')
    hold(lock, hub / f'{NAME}.lock')
    times = iter(range(0, 10_000, 7))

    def clock() -> float:
        now = next(times)
        if now < 50:
            part.write_bytes(CONTENT[: now + 1])
        elif lock.is_locked:
            (hub / NAME).write_bytes(CONTENT)
            lock.release()
        return float(now)

    with only_here(hub / NAME, patience=0.01, clock=clock):
        pass
    assert next(times) > 50


def test_a_folder_that_cannot_have_locks_is_one_reason(hub: Path, server: Mirrors) -> None:
    (hub / f'{NAME}.lock').mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r'\.lock cannot be locked: '):
        get(server.plays('/a', serves(CONTENT)))


class Clock:
    """A time that moves by some seconds whenever it is asked for."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize(
    ('limits', 'fault'),
    [
        (Limits(slowest=1024, window=60, overall=1e9), 'it sends fewer than 1024 bytes a second'),
        (Limits(slowest=0, window=60, overall=3600), 'it took more than 1 h'),
    ],
    ids=['rate', 'overall'],
)
@pytest.mark.parametrize('headers', [False, True], ids=['content', 'headers'])
def test_a_download_that_drips_ends(headers: bool, limits: Limits, fault: str, server: Mirrors, tmp_path: Path) -> None:
    """One byte every 20 seconds is never silent for 30, and would hold the run, its GPUs and the lock for ever."""
    over = threading.Event()
    url = server.plays('/a', drips(over, headers=headers))
    try:
        with pytest.raises(DownloadError, match=fault):
            download(url, tmp_path / 'a.part', progress=False, limits=limits, clock=Clock(20))
    finally:
        over.set()


def test_the_rate_is_measured_anew_in_each_window() -> None:
    """A fast beginning does not pay for a server that drips afterwards, and a slow minute is not counted twice."""
    times = iter([0, 60, 119, 120, 180, 240])
    watch = Watch(Limits(slowest=10, window=60, overall=1e9), clock=lambda: next(times))
    watch.count(100_000)
    watch.count(100)
    watch.count(500)
    watch.count(600)
    with pytest.raises(DownloadError, match='fewer than 10 bytes a second'):
        watch.count(599)


def test_a_slow_download_within_the_limits_is_whole(server: Mirrors, tmp_path: Path) -> None:
    """The rate is an average over a window, so that a pause in a fast download does not end it."""
    url = server.plays('/a', serves(CONTENT))
    limits = Limits(slowest=len(CONTENT) / 60 / 4, window=60, overall=1e9)
    assert download(url, tmp_path / 'a.part', progress=False, limits=limits, clock=Clock(59)) is False
    assert (tmp_path / 'a.part').read_bytes() == CONTENT


def test_a_mirror_that_drips_is_passed_over_and_its_part_continued(
    server: Mirrors, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, 'download', functools.partial(download, clock=Clock(20)))
    over = threading.Event()
    bad, good = server.plays('/bad', drips(over)), server.plays('/good', serves(CONTENT))
    try:
        # A byte of the drip is not the first of the file, so the sum is wrong, and the mirror is asked again for all.
        assert get(bad, good).read_bytes() == CONTENT
    finally:
        over.set()
    assert server.asked('/bad') == 1
    assert server.ranges[1] is not None


@pytest.mark.parametrize('target', ['file:///etc/passwd', 'ftp://127.0.0.1/a', 'data:,x', 'gopher://127.0.0.1/'])
def test_a_redirection_leads_to_http_only(target: str, server: Mirrors, tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        download(server.plays('/a', redirects(target)), tmp_path / 'a.part', progress=False)
    assert not (tmp_path / 'a.part').exists()


def test_a_circle_of_redirections_is_one_reason(server: Mirrors, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match='infinite loop') as caught:
        download(server.plays('/a', redirects(f'{server.url}/a')), tmp_path / 'a.part', progress=False)
    assert '\n' not in str(caught.value)


def test_an_error_of_a_server_is_shown_without_control_characters(server: Mirrors, tmp_path: Path) -> None:
    """A terminal would follow the escape sequences in it."""

    def answer(handler: Handler) -> None:
        handler.send_response(404, 'no\x1b[31m\x07 file')
        handler.send_header('Content-Length', '0')
        handler.end_headers()

    with pytest.raises(DownloadError, match=r'^HTTP 404 no \[31m file$'):
        download(server.plays('/a', answer), tmp_path / 'a.part', progress=False)


def test_ctrl_c_leaves_the_part_alone(server: Mirrors, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run continues; nothing else lies about, and the lock is free."""
    over = threading.Event()
    url = server.plays('/a', hangs(over, content=CONTENT, after=700), serves(CONTENT))

    def interrupt(self: Watch, size: int) -> None:
        if (hub / f'{NAME}.part').exists() and size:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Watch, 'count', interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(url)
    over.set()
    assert names(hub) == {f'{NAME}.part'}
    assert get(url).read_bytes() == CONTENT


@pytest.mark.slow
def test_sigterm_leaves_the_part_alone(server: Mirrors, folder: Path) -> None:
    """A cluster ends a job in this way; its next start continues the download."""
    over = threading.Event()
    url = server.plays('/a', hangs(over, content=CONTENT, after=700), serves(CONTENT))
    code = (
        'from resnest_mm.weights.hub.cache import fetch; from resnest_mm.weights.records.record import DownloadSpec; '
        f'fetch(DownloadSpec(name="net", file_name={NAME!r}, mirrors=({url!r},), digest={SHA256!r}), progress=False)'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not (folder / f'{NAME}.part').exists() and process.poll() is None:
            over.wait(0.05)
        process.terminate()
        assert process.wait() == -signal.SIGTERM
    over.set()
    assert names(folder) == {f'{NAME}.part'}
    assert get(url, patience=1.0).read_bytes() == CONTENT
