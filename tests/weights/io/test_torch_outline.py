"""A file of torch is refused before torch reads it, if it would read memory that is not its own or never end."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from resnest_mm.weights.io.contents import FileError
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.io.torch_outline import TensorOutline, outline
from resnest_mm.weights.io.unpickle import allow_mmengine_checkpoints
from tests.support import crafted_pickles as crafted
from tests.support.crafted_pickles import array, call, dtype, entry, group, latin, name, text, whole
from tests.support.made_checkpoints import Tool, expect_refusal

EIGHT = latin(bytes(range(8)))
WRONG = {
    # an entry beside a good tensor, and what is said about it
    'text-of-another-size': array(dtype('U1', size=4096), group(whole(1)), EIGHT),
    'bytes-of-another-size': array(dtype('S1', size=4096), group(whole(1)), EIGHT),
    'number-of-another-size': array(dtype('f8', size=4096), group(whole(8)), EIGHT),
    'objects': array(dtype('O8'), group(whole(1)), EIGHT),
    'fields': array(dtype('V8', state=group(whole(3), text('|'), pickle.NONE)), group(whole(1)), EIGHT),
    'shape-too-large': array(dtype('f8'), group(whole(512)), EIGHT),
    'shape-below-zero': array(dtype('f8'), group(whole(-1)), EIGHT),
    'shape-that-wraps': array(dtype('f8'), group(whole(2**61), whole(8)), EIGHT),
    'many-dimensions': array(dtype('f8'), group(*[whole(1)] * 65), EIGHT),
    'short-scalar': call(name('numpy.core.multiarray', 'scalar'), dtype('f8'), latin(b'ab')),
    'text-scalar': call(name('numpy.core.multiarray', 'scalar'), dtype('U9', size=36), latin(b'ab')),
    'ndarray': call(name('numpy', 'ndarray'), group(whole(1000))),
    'legacy-tensor': call(name('torch', 'FloatTensor'), whole(1000)),
    'new-tensor': call(name('torch', 'Tensor'), whole(1000)),
    'storage': call(name('torch.storage', 'UntypedStorage'), whole(4096)),
    'bytearray': call(name('builtins', 'bytearray'), whole(10**9)),
    'history': call(name('mmengine.logging.history_buffer', 'HistoryBuffer'), crafted.shared_lists(30)),
    'beyond-storage': crafted.tensor(elements=4, shape=(1000,), strides=(1,)),
    'offset-beyond-storage': crafted.tensor(elements=4, offset=4, shape=(1,), strides=(1,)),
    'storage-too-large': crafted.tensor(key='1', elements=1000, shape=(1000,), strides=(1,)),
    'storage-missing': crafted.tensor(key='9', elements=1, shape=(1,), strides=(1,)),
    'negative-offset': crafted.tensor(elements=4, offset=-4, shape=(4,), strides=(1,)),
}
PARTS = {'a/data/1': bytes(16)}


@pytest.mark.parametrize('kind', WRONG)
def test_a_file_made_to_read_other_memory_is_refused(kind: str, tmp_path: Path) -> None:
    """With numpy's dtype of text on the list of admitted names, such a file read the heap, or ended the process."""
    allow_mmengine_checkpoints()
    path = tmp_path / 'crafted.pth'
    crafted.write_zip(path, entry('x', WRONG[kind]), parts=PARTS)
    with pytest.raises(FileError, match=r'crafted.pth: it ') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)


OF_NUMPY = (
    'text-of-another-size',
    'bytes-of-another-size',
    'number-of-another-size',
    'objects',
    'fields',
    'shape-too-large',
    'shape-below-zero',
    'shape-that-wraps',
    'many-dimensions',
    'short-scalar',
    'text-scalar',
    'ndarray',
    'history',
)


@pytest.mark.parametrize('kind', OF_NUMPY)
def test_torch_alone_does_not_read_it_either(kind: str, tmp_path: Path) -> None:
    """mmengine calls `torch.load` by itself; what it may call is safe without the check before it."""
    allow_mmengine_checkpoints()
    crafted.write_zip(tmp_path / 'crafted.pth', entry('x', WRONG[kind]), parts=PARTS)
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        torch.load(tmp_path / 'crafted.pth', weights_only=True)


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (crafted.shared_lists(60), 'its entries unfold to more than 10000000 values'),
        (pickle.EMPTY_LIST * 2000 + pickle.APPEND * 1999, 'its entries are nested deeper than 100 levels'),
    ],
    ids=['shared', 'deep'],
)
@pytest.mark.parametrize('tool_name', ['inspect_checkpoint', 'publish_checkpoint', 'convert_checkpoint'])
def test_what_would_take_for_ever_to_look_at_is_refused_by_each_tool(
    tool_name: str, value: bytes, message: str, tool: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The notes of this file double with each level: publish, which copies them, did not come to an end."""
    crafted.write_zip(tmp_path / 'in.pth', entry('meta', pickle.EMPTY_DICT + text('a') + value + pickle.SETITEM))
    targets = {'inspect_checkpoint': [], 'publish_checkpoint': ['out'], 'convert_checkpoint': ['out.pth']}
    argv = [tmp_path / 'in.pth', *(tmp_path / target for target in targets[tool_name])]
    assert message in expect_refusal(tool, tool_name, argv, tmp_path, capsys)


def test_names_that_hash_for_ever_are_refused(tmp_path: Path) -> None:
    """The hash of a tuple visits what it holds as often as it is held."""
    nested = whole(0)
    for _ in range(60):
        nested = nested + pickle.BINPUT + b'\x01' + pickle.BINGET + b'\x01' + pickle.TUPLE2
    path = tmp_path / 'names.pth'
    crafted.write_zip(path, pickle.EMPTY_DICT + nested + whole(1) + pickle.SETITEM)
    with pytest.raises(FileError, match='it has a tuple as a name'):
        read_checkpoint(path)
    (tmp_path / 'names.pkl').write_bytes(b'\x80\x02' + pickle.EMPTY_DICT + nested + whole(1) + pickle.SETITEM + b'.')
    with pytest.raises(FileError, match='it has a tuple as a name'):
        read_checkpoint(tmp_path / 'names.pkl')


def test_a_list_that_holds_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'circle.pth'
    itself = pickle.EMPTY_LIST + pickle.BINPUT + b'\x01' + pickle.BINGET + b'\x01' + pickle.APPEND
    crafted.write_zip(path, entry('x', itself))
    with pytest.raises(FileError, match='a container that holds itself'):
        read_checkpoint(path)


def test_a_pickle_cannot_ask_for_room_for_the_memory_of_names(tmp_path: Path) -> None:
    """The standard library's own unpickler takes 64 GB for a number of this size."""
    path = tmp_path / 'memo.pkl'
    path.write_bytes(b'\x80\x02}' + pickle.LONG_BINPUT + b'\xff\xff\xff\xff' + b'.')
    with pytest.raises(FileError, match='holds no tensors'):
        read_checkpoint(path)


@pytest.mark.parametrize('legacy', [False, True])
def test_the_outline_has_every_name_and_shape(legacy: bool, tmp_path: Path) -> None:
    base = torch.arange(12.0)
    content = {
        'state_dict': {
            'a': base.view(3, 4),
            'b': base[2:5],
            'c': base.view(3, 4).T,
            'd': torch.ones((), dtype=torch.half),
        },
        'parameter': torch.nn.Parameter(torch.ones(2)),
        'empty': torch.zeros(0, 3),
        'meta': {'epoch': 3, 'device': torch.device('cpu'), 'dtype': torch.float16, 'size': torch.Size([1, 2])},
    }
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=not legacy)
    found = outline(tmp_path / 'a.pth')
    assert isinstance(found, dict)
    shapes = {'a': (3, 4), 'b': (3,), 'c': (4, 3), 'd': ()}
    assert found['state_dict'] == {key: TensorOutline(shape) for key, shape in shapes.items()}
    assert found['parameter'] == TensorOutline((2,))
    assert found['empty'] == TensorOutline((0, 3))
    assert found['meta']['epoch'] == 3
    assert found['meta']['size'] == (1, 2)


def test_a_legacy_file_that_lacks_the_values_of_a_tensor_is_refused(tmp_path: Path) -> None:
    """Torch would leave such a tensor as it found the memory."""
    path = tmp_path / 'legacy.pth'
    torch.save({'a': torch.ones(5)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    keys = content.rindex(b'\x80\x02]')
    path.write_bytes(content[:keys] + b'\x80\x02].')
    with pytest.raises(FileError, match='does not hold the values of each of its tensors'):
        read_checkpoint(path)


def test_a_tensor_of_a_legacy_file_lies_within_its_storage(tmp_path: Path) -> None:
    """Torch would make the storage of a legacy file larger, and leave the rest of it as it found the memory."""
    path = tmp_path / 'legacy.pth'
    torch.save({'a': torch.ones(5)}, path, _use_new_zipfile_serialization=False)
    shape = pickle.BININT1 + b'\x05' + pickle.TUPLE1
    content = path.read_bytes()
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, whole(1000) + pickle.TUPLE1))
    with pytest.raises(FileError, match='a tensor that is larger than its storage'):
        read_checkpoint(path)


def test_what_a_name_stands_for_is_called_and_nothing_else(tmp_path: Path) -> None:
    """A file gets a method of `HistoryBuffer` by its name, but cannot call it."""
    history = name('mmengine.logging.history_buffer', 'HistoryBuffer')
    method = call(name('builtins', 'getattr'), history, text('mean'))
    crafted.write_zip(tmp_path / 'good.pth', entry('x', method))
    assert outline(tmp_path / 'good.pth') is not None
    crafted.write_zip(tmp_path / 'wrong.pth', entry('x', call(method, whole(1))))
    with pytest.raises(FileError, match='it calls a function, which is refused'):
        read_checkpoint(tmp_path / 'wrong.pth')
