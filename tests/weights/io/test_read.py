"""Checkpoint files: every kind gives the same tensors, damaged files and payloads are refused, writing is atomic."""

from __future__ import annotations

import codecs
import hashlib
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from tqdm import tqdm

from resnest_mm.weights.io.contents import FileError
from resnest_mm.weights.io.hashing import file_digest
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.io.write import cast, check_target, write_checkpoint
from tests.support.hostile_files import EXAMPLES, HOSTILE, Payload, files_in, payloads

STATE = {
    'stem.0.weight': torch.arange(6, dtype=torch.float32).view(1, 2, 3) / 7,
    'bn.num_batches_tracked': torch.tensor(5),
    'flags': torch.tensor([True, False]),
    'half': torch.tensor([0.5, -2.0], dtype=torch.float16),
}
ARRAYS = {name: value.numpy() for name, value in STATE.items()}
Save = Callable[[Path], object]


def torch_file(content: object, **options: Any) -> Save:
    return lambda path: torch.save(content, path, **options)


def pickle_file(content: object, protocol: int = 2) -> Save:
    return lambda path: path.write_bytes(pickle.dumps(content, protocol=protocol))


def npz_file(path: Path) -> None:
    with path.open('wb') as stream:
        np.savez(stream, **ARRAYS)


def compressed_npz_file(path: Path) -> None:
    with path.open('wb') as stream:
        np.savez_compressed(stream, **ARRAYS)


D2 = {'model': ARRAYS, '__author__': 'someone', 'matching_heuristics': True}
KINDS: dict[str, tuple[Save, str | None, list[str]]] = {
    # how it is written, where its tensors lie, the names of the rest
    'bare': (torch_file(STATE), None, []),
    'ordered': (torch_file(OrderedDict(STATE)), None, []),
    'state_dict': (
        torch_file({'state_dict': STATE, 'meta': {'epoch': 3}, 'optimizer': {}}),
        'state_dict',
        ['meta', 'optimizer'],
    ),
    'model': (torch_file({'model': STATE, 'iteration': 7}), 'model', ['iteration']),
    'nested': (torch_file({'model': {'state_dict': STATE}, 'epoch': 1}), 'model.state_dict', ['epoch']),
    'ema-only': (torch_file({'ema_state_dict': STATE}), 'ema_state_dict', []),
    'legacy': (torch_file(STATE, _use_new_zipfile_serialization=False), None, []),
    'parameters': (torch_file({n: nn.Parameter(v, requires_grad=False) for n, v in STATE.items()}), None, []),
    'arrays-in-pth': (pickle_file(ARRAYS), None, []),
    'npz': (npz_file, None, []),
    'npz-compressed': (compressed_npz_file, None, []),
    **{
        f'detectron2-protocol-{protocol}': (pickle_file(D2, protocol), 'model', ['__author__', 'matching_heuristics'])
        for protocol in (2, 3, 4, 5)
    },
}


def same(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    """Return whether two state dicts have equal names, types, shapes and values."""
    return given.keys() == wanted.keys() and all(
        given[name].dtype == value.dtype and given[name].shape == value.shape and torch.equal(given[name], value)
        for name, value in wanted.items()
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('ending', ['.pth', '.pkl', '.bin'])
def test_every_kind_is_read_whatever_its_ending(kind: str, ending: str, tmp_path: Path) -> None:
    save, entry, extras = KINDS[kind]
    path = tmp_path / f'file{ending}'
    save(path)
    read = read_checkpoint(path)
    assert same(read.tensors, STATE)
    assert read.entry == entry
    assert sorted(read.extras) == extras
    assert read.skipped == ()
    read.tensors['flags'][0] = False  # a tensor of one's own: it can be written to


def test_safetensors_are_read_and_written_with_their_notes(tmp_path: Path) -> None:
    safetensors = pytest.importorskip('safetensors')
    path = tmp_path / 'file.safetensors'
    write_checkpoint(path, STATE, meta={'source': 'there', 'epoch': 3})
    assert same(read_checkpoint(path).tensors, STATE)
    with safetensors.safe_open(path, 'pt') as opened:
        assert opened.metadata() == {'source': 'there', 'epoch': '3'}


def test_without_safetensors_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(FileError, match=r'pip install "resnest_mm\[weights\]"'):
        check_target(tmp_path / 'file.safetensors')
    path = tmp_path / 'in.safetensors'
    path.write_bytes((2).to_bytes(8, 'little') + b'{}')
    with pytest.raises(FileError, match=r'in.safetensors: .*pip install "resnest_mm\[weights\]"'):
        read_checkpoint(path)


MATRIX = torch.tensor([[1.5, 2.5], [-3.5, 4.0], [0.0, 9.0]])


@pytest.mark.parametrize('module', ['numpy._core', 'numpy.core'])
def test_arrays_in_fortran_order_and_of_other_byte_orders_are_read(module: str, tmp_path: Path) -> None:
    values = np.array(MATRIX.numpy(), dtype='>f4', order='F')
    pickled = pickle.dumps({'model': {'a': values, 'b': np.float64(0.25)}}, protocol=2)
    own = np.zeros(1).__reduce__()[0].__module__.encode()
    (tmp_path / 'file.pkl').write_bytes(pickled.replace(own, f'{module}.multiarray'.encode()))
    read = read_checkpoint(tmp_path / 'file.pkl').tensors
    assert torch.equal(read['a'], MATRIX)
    assert read['b'].item() == 0.25


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_empty_arrays_are_read(protocol: int, tmp_path: Path) -> None:
    pickle_file({'a': np.zeros((0, 3), np.float32)}, protocol)(tmp_path / 'file.pkl')
    assert read_checkpoint(tmp_path / 'file.pkl').tensors['a'].shape == (0, 3)


def test_an_array_that_python_2_pickled_is_read(tmp_path: Path) -> None:
    """Python 2 knew no bytes: the array's content, the names and the dtype are strings without an encoding."""
    raw = MATRIX.numpy().tobytes()
    array = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR'
    dtype = b'cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'
    state = b'(K\x01K\x03K\x02\x86' + dtype + b'I00\nU' + bytes([len(raw)]) + raw + b'tb'
    (tmp_path / 'file.pkl').write_bytes(b'\x80\x02}U\x01a' + array + state + b's.')
    assert torch.equal(read_checkpoint(tmp_path / 'file.pkl').tensors['a'], MATRIX)


@pytest.mark.parametrize(
    ('entry', 'value'), [(None, 1.0), ('state_dict', 1.0), ('ema_state_dict', 2.0), ('state_dict_ema', 3.0)]
)
def test_an_entry_can_be_chosen(entry: str | None, value: float, tmp_path: Path) -> None:
    content = {
        'ema_state_dict': {'a': torch.tensor(2.0)},
        'state_dict_ema': {'a': torch.tensor(3.0)},
        'state_dict': {'a': torch.tensor(1.0), 'steps': 3, 'names': ['x']},
    }
    torch.save(content, tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth', entry=entry)
    assert read.tensors == {'a': torch.tensor(value)}
    assert read.entry == (entry or 'state_dict')
    assert read.skipped == (('steps', 'names') if read.entry == 'state_dict' else ())
    with pytest.raises(FileError, match=r"no entry 'net' with tensors; its entries are ema_state_dict, state_dict, "):
        read_checkpoint(tmp_path / 'a.pth', entry='net')


REFUSED: dict[str, tuple[Save, str]] = {
    'folder': (lambda path: path.mkdir(), 'it is a folder; name a file in it'),
    'missing': (lambda path: None, 'there is no such file'),
    'empty': (lambda path: path.touch(), 'it is empty'),
    'page': (lambda path: path.write_text('<html>404</html>'), r"begins with b'<html>404</html>'"),
    'zip-of-text': (lambda path: zipfile.ZipFile(path, 'w').writestr('a.txt', 'a'), 'zip archive without weights'),
    'list': (torch_file([torch.ones(1)]), 'holds a list, not a dict of tensors'),
    'tensor': (torch_file(torch.ones(1)), 'holds a Tensor, not a dict'),
    'no-tensors': (torch_file({'state_dict': {}, 'epoch': 1}), "its entry 'state_dict' holds no tensors, only nothing"),
    'text': (torch_file({'a': 'b'}), 'it holds no tensors, only a'),
    'sparse': (torch_file({'a': torch.eye(3).to_sparse()}), 'a is a sparse'),
    'meta': (torch_file({'a': torch.ones(3, device='meta')}), r'a is a tensor on the meta device'),
    'expanded': (
        torch_file({'a': torch.ones(1).expand(10**12)}),
        'a has 1000000000000 elements, but the file holds fewer',
    ),
    'text-array': (pickle_file({'a': np.array(['x'])}), r"dtype 'U1', which is not numeric"),
    'long-double': (pickle_file({'a': np.ones(2, np.longdouble)}), 'dtype float128, which no tensor has'),
    'dates': (pickle_file({'a': np.array(['2020'], 'M8[Y]')}), r"dtype 'M8', which is not numeric"),
    'module': (torch_file(nn.Linear(1, 1)), r'it holds torch.nn.modules.linear.Linear, .* say --trust'),
    'set': (pickle_file({'a': np.ones(1), 'b': {1, 2}}), r'it holds __builtin__.set, .* say --trust'),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_what_is_no_checkpoint_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    save, message = REFUSED[kind]
    save(tmp_path / 'file.pth')
    with pytest.raises(FileError, match=message) as caught:
        read_checkpoint(tmp_path / 'file.pth')
    assert str(tmp_path / 'file.pth') in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', HOSTILE)
@pytest.mark.parametrize('payload', payloads(Path()))
def test_a_payload_is_named_and_not_run(payload: str, name: str, tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    evil = payloads(trace)[payload]
    HOSTILE[name](tmp_path / name, evil)
    with pytest.raises(FileError, match=r'which is refused because loading it could run code; .* say --trust'):
        read_checkpoint(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize('name', ['zip.pth', 'legacy.pth', 'detectron2.pkl'])
def test_trust_runs_what_the_file_asks_for(name: str, tmp_path: Path) -> None:
    """The payloads above are real: with trust they do what they try to do."""
    trace = tmp_path / 'trace'
    HOSTILE[name](tmp_path / name, payloads(trace)['system'])
    assert torch.equal(read_checkpoint(tmp_path / name, trust=True).tensors['a'], torch.ones(1))
    assert trace.exists()


def test_a_trusted_file_that_fails_is_not_advised_to_be_trusted(tmp_path: Path) -> None:
    """The advice to use --trust would send a user in a circle."""
    path = tmp_path / 'file.pkl'
    path.write_bytes(pickle.dumps(Payload(exec, 'raise ValueError("Unsupported global: GLOBAL a.b")')))
    with pytest.raises(FileError, match=r'it is damaged or no checkpoint: Unsupported global') as caught:
        read_checkpoint(path, trust=True)
    assert '--trust' not in str(caught.value)


def test_trust_reads_a_whole_pickled_network(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    torch.save({'model': net, 'epoch': 1}, tmp_path / 'net.pth')
    assert same(read_checkpoint(tmp_path / 'net.pth', trust=True).tensors, dict(net.state_dict()))


@pytest.mark.parametrize(
    'call',
    [
        Payload(np.ndarray, (2,), np.dtype('O')),
        Payload(np.dtype, 'O'),
        Payload(np.dtype, [('a', 'f4')]),
        Payload(np.zeros(1).__reduce__()[0], np.ndarray, (0,), np.dtype('O')),
        Payload(codecs.encode, 'a', 'rot13'),
    ],
    ids=['ndarray', 'object-dtype', 'fields', 'objects', 'codec'],
)
def test_numpy_itself_is_out_of_a_pickles_reach(call: Payload, tmp_path: Path) -> None:
    """Numpy's own unpickling takes flags and fields from the file; only plain numbers are admitted."""
    path = tmp_path / 'file.pkl'
    path.write_bytes(pickle.dumps({'a': call}, protocol=2))
    with pytest.raises(FileError, match='refused because'):
        read_checkpoint(path)


def _valid(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == 'torch':
        torch.save({'state_dict': STATE}, stream)
    elif kind == 'legacy':
        torch.save({'state_dict': STATE}, stream, _use_new_zipfile_serialization=False)
    elif kind == 'npz':
        np.savez(stream, **ARRAYS)
    elif kind == 'pickle':
        stream.write(pickle.dumps(D2, protocol=2))
    else:
        safetensors = pytest.importorskip('safetensors.torch')
        stream.write(safetensors.save(STATE))
    return stream.getvalue()


VALID = ('torch', 'legacy', 'npz', 'pickle', 'safetensors')


@EXAMPLES
@given(data=st.data())
@pytest.mark.parametrize('kind', VALID)
def test_a_file_cut_short_is_refused(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    whole = _valid(kind)
    path = tmp_path / 'cut.pth'
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(FileError):
        read_checkpoint(path)


@EXAMPLES
@given(data=st.data())
@pytest.mark.parametrize('kind', VALID)
def test_a_changed_file_is_read_or_refused(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(_valid(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / 'changed.pth'
    path.write_bytes(content)
    try:
        read = read_checkpoint(path)
    except FileError as error:
        assert '\n' not in str(error)
    else:
        assert all(isinstance(value, Tensor) for value in read.tensors.values())


BEGINNINGS = st.sampled_from(
    [b'', b'PK\x03\x04', b'\x80\x02', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.', b'\x10' * 8 + b'{']
)


@EXAMPLES
@given(start=BEGINNINGS, content=st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path: Path, start: bytes, content: bytes) -> None:
    path = tmp_path / 'noise.pth'
    path.write_bytes(start + content)
    with pytest.raises(FileError, match=r'noise\.pth'):
        read_checkpoint(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@EXAMPLES
@given(content=VALUES)
@pytest.mark.parametrize('save', [torch_file, pickle_file], ids=['torch', 'pickle'])
def test_data_without_tensors_is_refused(save: Callable[[object], Save], tmp_path: Path, content: object) -> None:
    path = tmp_path / 'data.pth'
    save(content)(path)
    with pytest.raises(FileError, match=r'data\.pth: .*(holds|entry)'):
        read_checkpoint(path)


def test_a_written_file_holds_the_tensors_and_its_hash_is_returned(tmp_path: Path) -> None:
    path = tmp_path / 'out.pth'
    digest = write_checkpoint(path, STATE, meta={'source': 'there'}, extras={'epoch': 3})
    assert digest == file_digest(path)
    written = torch.load(path, weights_only=True)
    assert same(written.pop('state_dict'), STATE)
    assert written == {'meta': {'source': 'there'}, 'epoch': 3}
    write_checkpoint(tmp_path / 'bare.pth', STATE, entry=None)
    assert same(torch.load(tmp_path / 'bare.pth', weights_only=True), STATE)


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    hashes = {write_checkpoint(tmp_path / name, STATE, meta={'a': 1}) for name in ('one.pth', 'another.pth')}
    assert len(hashes) == 1


def test_a_view_is_written_without_the_memory_it_looks_into(tmp_path: Path) -> None:
    large = torch.zeros(100_000)
    write_checkpoint(tmp_path / 'view.pth', {'a': large[:2], 'b': large[:2].view(2, 1), 'c': torch.ones(2, 3).T})
    assert (tmp_path / 'view.pth').stat().st_size < 5_000
    assert read_checkpoint(tmp_path / 'view.pth').tensors['c'].is_contiguous()


def test_a_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / 'out.pth'
    path.write_bytes(b'precious')
    with pytest.raises(FileError, match=r'exists already; say --force'):
        write_checkpoint(path, STATE)
    assert files_in(tmp_path) == {str(path): b'precious'}
    write_checkpoint(path, STATE, force=True)
    assert same(read_checkpoint(path).tensors, STATE)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('out.pkl', r"the ending '.pkl' is unknown; end the name in one of .pth, .pt, .safetensors"),
        ('out', r"the ending '' is unknown"),
        ('nowhere/out.pth', 'there is no folder .*nowhere; make it first'),
        ('folder.pth', 'is a folder; name a file in it'),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_any_work(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / 'folder.pth').mkdir()
    with pytest.raises(FileError, match=message):
        check_target(tmp_path / name)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'out.pth'
    path.write_bytes(b'precious')

    def full(content: object, stream: io.BufferedWriter) -> None:
        stream.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(FileError, match=r'out.pth: it cannot be written: .*No space left'):
        write_checkpoint(path, STATE, force=True)
    assert files_in(tmp_path) == {str(path): b'precious'}


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
def test_cast_changes_floating_point_only(dtype: str) -> None:
    result = cast(STATE, dtype)
    assert result['stem.0.weight'].dtype is result['half'].dtype is getattr(torch, dtype)
    assert torch.equal(result['stem.0.weight'].float(), STATE['stem.0.weight'].to(getattr(torch, dtype)).float())
    assert result['flags'] is STATE['flags']
    assert result['bn.num_batches_tracked'].dtype is torch.int64


def test_cast_refuses_to_make_infinities() -> None:
    state = {'a': torch.tensor([1.0, 70_000.0]), 'b': torch.tensor([float('inf')])}
    with pytest.raises(FileError, match=r'float16 cannot hold the numbers of 1 tensors, e.g. a; choose bfloat16'):
        cast(state, 'float16')
    assert cast(state, 'bfloat16')['a'].isfinite().all()


def test_a_large_file_is_read_with_a_progress_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar wraps the file, so hashing and all readers must work through it, and it must move."""
    bars: list[tqdm[Any]] = []

    class Recorded(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            bars.append(self)

    shown = io.StringIO()
    shown.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr('resnest_mm.weights.io.hashing.LARGE', 1)
    monkeypatch.setattr('resnest_mm.weights.io.hashing.tqdm', Recorded)
    monkeypatch.setattr('sys.stderr', shown)
    for kind in ('torch', 'legacy', 'npz', 'pickle'):
        path = tmp_path / f'{kind}.pth'
        path.write_bytes(_valid(kind))
        plain = hashlib.sha256(path.read_bytes()).hexdigest()
        assert file_digest(path) == plain
        assert same(read_checkpoint(path).tensors, STATE)
        hashed, read = bars[-2:]
        assert hashed.n == hashed.total == path.stat().st_size
        assert read.n >= read.total / 2, 'a reader may skip parts of an archive'
    assert f'hashing {path.name}' in shown.getvalue()
    assert f'reading {path.name}' in shown.getvalue()
