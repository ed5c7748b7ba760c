"""What is known about one published weight file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from resnest_mm.models.variants import VARIANTS

LAYOUTS: Final = ('mmdet', 'official', 'detectron2', 'mmpretrain')
"""Key layouts that released files have; `mmdet` is also mmseg's and this package's own."""

PARTS: Final = ('backbone', 'classifier', 'detector', 'segmentor')
"""What a file can hold. All but the first hold a backbone and more."""

ALGORITHMS: Final[Mapping[str, int]] = MappingProxyType({'sha256': 64, 'sha1': 40, 'md5': 32})
"""Hash functions of published hashes, and their length in hexadecimal digits."""

Triple = tuple[float, float, float]

IMAGENET_MEAN: Final[Triple] = (123.675, 116.28, 103.53)
IMAGENET_STD: Final[Triple] = (58.395, 57.12, 57.375)
GLUON_MEAN: Final[Triple] = (123.68, 116.779, 103.939)
GLUON_STD: Final[Triple] = (58.393, 57.12, 57.375)
"""What the Gluon training script and everything derived from detectron2 normalise by."""

_NO_METRICS: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class Record:
    """A published weight file: where it is, how to know it, what it fits, what its network expects.

    Args:
        name: What a config calls it, unique.
        file_name: Name of the file in a weight folder or the torch hub cache.
        mirrors: URLs in the order in which to try them. One that ends with `.zip`, where `file_name` does not, holds
            the file packed.
        variant: Network of `resnest_mm.models.variants` whose backbone it holds.
        layout: Whose key names it has, one of `LAYOUTS`.
        part: What it holds, one of `PARTS`.
        prefix: Prefix of the backbone's keys, with its dot.
        digest: Published hash in hexadecimal digits, often only its beginning; None where none is published.
        algorithms: What the hash may be of: one name, or several where the publisher does not say.
        mean: What to subtract from an image with values from 0 to 255, in `channel_order`.
        std: What to divide by after that, in `channel_order`.
        channel_order: `RGB` or `BGR`.
        licence: Licence of the repository that published the file.
        metrics: Published results in per cent, by name.
        parameters: Published number of parameters in millions, classifier included.
        note: What else a user should know.
    """

    name: str
    file_name: str
    mirrors: tuple[str, ...]
    variant: str
    layout: str
    part: str = 'backbone'
    prefix: str = ''
    digest: str | None = None
    algorithms: tuple[str, ...] = ('sha256',)
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    channel_order: str = 'RGB'
    licence: str = 'Apache-2.0'
    metrics: Mapping[str, float] = field(default_factory=lambda: _NO_METRICS, hash=False)
    parameters: float | None = None
    note: str = ''

    def __post_init__(self) -> None:
        _one_of(self.name, 'variant', self.variant, VARIANTS)
        _one_of(self.name, 'layout', self.layout, LAYOUTS)
        _one_of(self.name, 'part', self.part, PARTS)
        _one_of(self.name, 'channel_order', self.channel_order, ('RGB', 'BGR'))
        for algorithm in self.algorithms:
            _one_of(self.name, 'algorithms', algorithm, ALGORITHMS)
        if '/' in self.file_name or not self.file_name:
            raise ValueError(f'record {self.name!r}: file_name={self.file_name!r} must be a name without folder')
        if self.digest is not None and not re.fullmatch(r'[0-9a-f]{8,64}', self.digest):
            raise ValueError(
                f'record {self.name!r}: digest={self.digest!r} must be 8 to 64 hexadecimal digits in lower case or None'
            )
        for url in self.mirrors:
            if not url.startswith(('http://', 'https://')):
                raise ValueError(f'record {self.name!r}: mirror {url!r} must be an http(s) URL')


def _one_of(name: str, field_name: str, value: str, allowed: Mapping[str, object] | tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f'record {name!r}: {field_name}={value!r} must be one of {", ".join(allowed)}')
