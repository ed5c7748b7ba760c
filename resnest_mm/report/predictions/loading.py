"""Loading images of a data set for a model; an image that cannot be loaded is an error of the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from resnest_mm.errors import UserError, one_line


@dataclass(frozen=True)
class _Failure:
    message: str


class _Guarded:
    """Some images of a data set, with failures as values: workers can hand on no exception without its traceback."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, place: int) -> Any:
        index = self._indices[place]
        try:
            return self._dataset[index]
        except Exception as error:
            return _Failure(f'image {index}{_name(self._dataset, index)}: {type(error).__name__}: {one_line(error)}')


def load_batches(dataset: Any, indices: Sequence[int], *, split: str, size: int, workers: int) -> Iterator[Any]:
    """Yield batches for `model.test_step`.

    Args:
        dataset: A built data set with its pipeline.
        indices: Which images, in this order.
        split: Its name, for the error.
        size: Images in a batch, at least 1.
        workers: Processes that load; 0 loads in this one.

    Raises:
        UserError: An image or its annotations cannot be loaded.
    """
    from torch.utils.data import DataLoader

    for batch in DataLoader(
        _Guarded(dataset, indices),  # type: ignore[arg-type]
        batch_size=size,
        num_workers=workers,
        collate_fn=_collate,
    ):
        if isinstance(batch, _Failure):
            raise UserError(f'the {split} data cannot be loaded: {batch.message}; tools/check_data.py finds such files')
        yield batch


def _collate(items: Sequence[Any]) -> Any:
    from mmengine.dataset import pseudo_collate

    failed = next((item for item in items if isinstance(item, _Failure)), None)
    return pseudo_collate(items) if failed is None else failed


def _name(dataset: Any, index: int) -> str:
    try:
        return f' ({dataset.get_data_info(index)["img_path"]})'
    except Exception:  # the data set itself is what fails, or it has no paths
        return ''
