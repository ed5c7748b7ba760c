"""The settings of a demo data set: the same settings give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from resnest_mm.demo_data.classes import PALETTE, SEMANTIC_CLASSES

GENERATOR: Final = 'resnest_mm demo data'
VERSION: Final = 1
SPLITS: Final = ('train', 'val')
MIN_SIZE: Final = 64
MAX_SIZE: Final = 1024


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Number, size and seed of the images; the same settings always give the same files.

    Args:
        images: Training images, at least 1; a sixth as many, but at least 8, are drawn for validation.
        size: Width and height of an image in pixels, 64 to 1024; the objects grow with it.
        seed: Seed of the random numbers, at least 0.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: An argument is outside its range.
    """

    images: int = 600
    size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (('images', 1, None), ('size', MIN_SIZE, MAX_SIZE), ('seed', 0, None)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f'{name}={value!r} must be an integer, not {type(value).__name__}')
            if value < least or (most is not None and value > most):
                allowed = f'at least {least}' if most is None else f'{least} to {most}'
                raise ValueError(f'{name}={value} is out of range; choose {allowed}')

    def count(self, split: str) -> int:
        """Return how many images a split holds.

        Args:
            split: 'train' or 'val'.
        """
        check_split(split)
        return self.images if split == 'train' else max(8, self.images // 6)

    def meta(self) -> dict[str, Any]:
        """Return the content of meta.json: all values that the files depend on, in JSON types."""
        return {
            'generator': GENERATOR,
            'version': VERSION,
            'seed': self.seed,
            'size': self.size,
            'images': {split: self.count(split) for split in SPLITS},
            'classes': list(SEMANTIC_CLASSES),
            'palette': [list(colour) for colour in PALETTE],
        }


def check_split(split: str) -> None:
    """Refuse a split that does not exist.

    Args:
        split: 'train' or 'val'.

    Raises:
        ValueError: It is neither.
    """
    if split not in SPLITS:
        raise ValueError(f'split={split!r} is unknown; choose one of {list(SPLITS)}')


def settings_from_meta(meta: Mapping[str, Any]) -> DemoSettings:
    """Return the settings that a meta.json of this generator records.

    Args:
        meta: Parsed meta.json.

    Raises:
        KeyError, TypeError, ValueError: The file is not from this generator.
    """
    if meta['generator'] != GENERATOR:
        raise ValueError(f'meta.json names generator={meta["generator"]!r}, not {GENERATOR!r}')
    return DemoSettings(images=meta['images']['train'], size=meta['size'], seed=meta['seed'])
