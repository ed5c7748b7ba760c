"""No URL writes outside of the cache folder, shares the file of another one, or ends in a traceback."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.hub.cache import FOLDER_VARIABLE
from resnest_mm.weights.hub.resolve import resolve
from resnest_mm.weights.hub.urls import checked_url
from resnest_mm.weights.pretrained import read_tensors
from tests.support.amounts import amount, record_counts
from tests.support.mirrors import Behaviour, Mirrors, fails, mirrors_running, redirects, says, serves
from tests.support.projects import Project

Tool = Callable[[str, Sequence[str]], int]

PARTS = (
    *('epoch_12', 'a', 'best', '.', '..', '...', '', 'CON', 'nul', '-', '--help', '~', '$HOME', '*', '?', 'x' * 300),
    *('%2F', '%2f..%2f', '%2e%2e%2f', '..%5c', '%5C', '\\', '%00', '%0a', '%0D%0a', '%1b[31m', '%7f', '%20', '%'),
    *('%zz', '%C3%A4', '%ff%fe', 'ä', '\u202e', '\U0001f600', ';', '&', '=', '+', ':', '@', '!', "'", '(', '|', '%25'),
)
ENDINGS = (
    '.pth',
    '.pt',
    '.safetensors',
    '',
    '.',
    '.pth.',
    '.PTH',
    '.part',
    '.lock',
    f'.{"y" * 300}',
    '.zip',
    '.p%00th',
)
TAILS = ('', '?raw=1', '?x=../../a', '#part', '?a=%2F..%2Fb#c', ';v=1')


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder that downloads may write to, inside one with files that must stay."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'around' / 'hub'))
    (tmp_path / 'around').mkdir()
    (tmp_path / 'around' / 'kept.pth').write_bytes(b'kept')
    return tmp_path / 'around' / 'hub' / 'checkpoints'


@pytest.fixture
def server() -> Iterator[Mirrors]:
    with mirrors_running() as mirrors:
        yield mirrors


def saved() -> bytes:
    stream = io.BytesIO()
    torch.save({'a': torch.zeros(2)}, stream)
    return stream.getvalue()


class Anything(dict[str, Behaviour]):
    """Answers every path with the same file."""

    def __missing__(self, path: str) -> Behaviour:
        return serves(saved())


def test_every_name_in_a_url_stays_in_the_cache_folder(
    cache: Path, server: Mirrors, record_property: Callable[[str, object], None]
) -> None:
    """Parts that file systems read in another way are mixed at random; each URL gets a file of its own or one error."""
    server.behaviours = Anything()
    chosen = random.Random(0)
    files: dict[str, str] = {}
    outcomes: Counter[str] = Counter()
    for _ in range(amount(250, whole=3000)):
        parts = ''.join(chosen.choices(PARTS, k=chosen.randint(1, 4)))
        url = f'{server.url}/{parts}{chosen.choice(ENDINGS)}{chosen.choice(TAILS)}'
        try:
            file = resolve(url, progress=False).file
        except CheckpointError as error:
            assert '\n' not in str(error)
            assert str(error).isprintable()
            outcomes['refused'] += 1
            continue
        outcomes['downloaded'] += 1
        assert file.parent == cache
        assert file.resolve().parent == cache.resolve()
        assert file.name.isascii() and file.name.isprintable() and not file.name.startswith(('.', '-'))
        assert len(file.name) + len('.corrupt-1000') <= 255
        sent = checked_url(url)  # `ä` and `%C3%A4` are one URL
        assert files.setdefault(file.name, sent) == sent, 'two URLs share a file'
    inside = {path.name for path in cache.iterdir() if path.suffix != '.lock'}
    assert inside == set(files)
    around = {path.name for path in cache.parents[1].iterdir()}
    assert around == {'hub', 'kept.pth'}
    assert [path.name for path in cache.parent.iterdir()] == ['checkpoints']
    assert outcomes['downloaded'] > 5 * outcomes['refused'] > 0
    record_counts(record_property, 'names in URLs', outcomes)


def test_two_urls_with_one_base_name_have_a_file_each(cache: Path, server: Mirrors) -> None:
    """`epoch_12.pth` of one training must not be loaded for that of another."""
    contents = {}
    for number in range(3):
        stream = io.BytesIO()
        torch.save({'a': torch.full((2,), float(number))}, stream)
        contents[server.plays(f'/{number}/epoch_12.pth', serves(stream.getvalue()))] = stream.getvalue()
    for _ in range(2):
        assert {url: resolve(url, progress=False).file.read_bytes() for url in contents} == contents
    assert len(server.requests) == 3


WRONG_URLS = (
    *('http://', 'https://', 'http:///a.pth', 'http://[::1/a.pth', 'http://[bad]/a.pth', 'http://h:0/a.pth'),
    *('http://h:99999/a.pth', 'http://h:port/a.pth', 'http://h:-1/a.pth', 'http://host/', 'http://a..b/a.pth'),
    *('http://user:secret@127.0.0.1/a.pth', 'http://127.0.0.1:9/a b.pth', 'http://127.0.0.1:9/a\n.pth'),
    *(
        'http://127.0.0.1:9/\x00.pth',
        'http://127.0.0.1:9/\x1b[31m.pth',
        f'http://{"h" * 70}/a.pth',
        'http://\udc80/a.pth',
    ),
    *(
        'http://127.0.0.1:9/a.pth',
        'https://127.0.0.1:9/a.pth',
        'http://nowhere.invalid/a.pth',
        'HTTP://127.0.0.1:9/a.pth',
    ),
    *(
        'http://\u2100/a.pth',
        'http://ä.invalid/a.pth',
        f'http://127.0.0.1:9/{"a/" * 5000}a.pth',
        'http://127.0.0.1:9/%2F',
    ),
)
SCHEMES = (
    *('foo://a.pth', 'file:///etc/hostname', 'file://host/a.pth', 's3://bucket/a.pth', 'petrel://bucket/a.pth'),
    *('open-mmlab://nope', 'openmmlab://nope', 'mmcls://nope', 'open-mmlab://', 'torchvision://resnet50'),
    *('modelzoo://x', 'ftp://127.0.0.1/a.pth', 'data:text/plain,x', 'C:\\weights\\x.pth', 'C://x.pth', '://', '://a'),
    *('http:/a.pth', 'http:a.pth', 'pavi://a', 'open-mmlab:s3://a', 'javascript://a', 'ssh://h/a', '\x00', 'a\x00.pth'),
    *('a' * 5000, '', ' ', '~nobody-of-this-name/a.pth', '//a.pth', '\udc80.pth'),
)


def refusals(server: Mirrors) -> list[str]:
    """Return URLs of a server that refuses, and one without TLS."""
    page = b'<!doctype html><title>Sign in</title>'
    urls = [server.plays(f'/{code}', fails(code)) for code in (400, 401, 403, 404, 410, 429, 500, 503)]
    urls += [server.plays('/page.pth', says(page, 'text/html')), server.plays('/json.pth', says(b'{"a": 1}', None))]
    urls += [
        server.plays(f'/r{n}', redirects(to)) for n, to in enumerate(('file:///etc/hostname', 'ftp://h/a', 'foo:a'))
    ]
    urls.append(server.plays('/circle.pth', redirects(f'{server.url}/circle.pth')))
    return [*urls, server.url.replace('http', 'https', 1) + '/a.pth']


def test_every_name_that_leads_to_no_checkpoint_is_one_line(
    cache: Path, server: Mirrors, record_property: Callable[[str, object], None]
) -> None:
    """Through the initialiser, as a model reads its weights; nothing but locks stays in the cache."""
    outcomes: Counter[str] = Counter()
    for name in (*WRONG_URLS, *SCHEMES, *refusals(server)):
        with pytest.raises(CheckpointError) as caught:
            read_tensors(name)
        message = str(caught.value)
        assert '\n' not in message and '\x1b' not in message and '\x00' not in message, message
        assert 'secret' not in message
        assert len(message) < 15_000
        outcomes['refused in one line'] += 1
    assert {path.suffix for path in cache.glob('*')} <= {'.lock'}
    record_counts(record_property, 'names without a checkpoint', outcomes)


DOORS = (
    'http://127.0.0.1:9/a.pth',
    'http://h:port/a.pth',
    'http://[::1/a.pth',
    'foo://a.pth',
    'file:///etc/hostname',
    's3://bucket/a.pth',
    'open-mmlab://nope',
    'C:\\weights\\x.pth',
    'a\x00.pth',
)


@pytest.mark.parametrize('name', DOORS, ids=ascii)
def test_every_door_refuses_it_with_exit_code_2(
    name: str, cache: Path, project: Project, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, and nothing written, whichever tool gets the name."""
    backbone = {'type': 'resnest_mm.ResNeSt', 'depth': 14, 'stem_channels': 8, 'base_channels': 16, 'pretrained': name}
    edits = {'plain': '', 'start': f'load_from = {name!r}\n', 'backbone': f"model['backbone'] = {backbone!r}\n"}
    configs = {key: str(project.config(edit).rename(project.root / f'{key}.py')) for key, edit in edits.items()}
    runs = [
        ('test', [configs['plain'], name, '--work-dir', 'new']),
        ('train', [configs['plain'], '--work-dir', 'new', '--resume', name]),
        ('train', [configs['start'], '--work-dir', 'new']),
        ('train', [configs['backbone'], '--work-dir', 'new']),
        ('inspect_checkpoint', [name]),
        ('convert_checkpoint', [name, 'new.pth']),
        ('publish_checkpoint', [name, 'published']),
    ]
    for door, argv in runs:
        before = project.files()
        capsys.readouterr()
        assert tool(door, argv) == 2, (door, argv)
        error = capsys.readouterr().err
        assert error.startswith('error: ')
        assert error.removesuffix('\n').isprintable()
        assert project.files() == before


@pytest.mark.parametrize('name', ['https://host/a.pth', 's3://bucket/a.pth'])
def test_a_tool_for_files_says_what_to_do_with_a_url(name: str, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool('inspect_checkpoint', [name]) == 2
    assert 'there is no such file (download the file of a URL first)' in capsys.readouterr().err
