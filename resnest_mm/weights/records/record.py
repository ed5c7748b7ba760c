"""The record of a published weight file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from resnest_mm.models.variants import VARIANTS

PUBLISHED_LAYOUTS: Final = ('mmdet', 'official', 'detectron2', 'mmpretrain')
"""Key layouts of published files, some of `layouts.tables.LAYOUTS`. `mmdet` is also mmseg's and this package's."""

PUBLISHED_PARTS: Final = ('backbone', 'classifier', 'detector', 'segmentor')
"""The networks that published files hold. All but the first have a backbone and more."""

ALGORITHMS: Final[Mapping[str, int]] = MappingProxyType({'sha256': 64, 'sha1': 40, 'md5': 32})
"""Hash functions of published checksums, and the length of their hashes in hexadecimal digits."""

Triple = tuple[float, float, float]

IMAGENET_MEAN: Final[Triple] = (123.675, 116.28, 103.53)
IMAGENET_STD: Final[Triple] = (58.395, 57.12, 57.375)
GLUON_MEAN: Final[Triple] = (123.68, 116.779, 103.939)
GLUON_STD: Final[Triple] = (58.393, 57.12, 57.375)
"""Mean and std of the Gluon training script, which everything derived from detectron2 uses, too."""

_NO_METRICS: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class DownloadSpec:
    """A file to download and how to check it.

    Args:
        name: Name in messages.
        file_name: Name of the file in a weight folder or the torch hub cache.
        mirrors: URLs in the order in which to try them. If one ends with `.zip` and `file_name` does not, it is an
            archive with the file.
        digest: Published hash in hexadecimal digits, often only its beginning; None if there is none.
        algorithms: Hash function of the digest; several if the publisher does not say which one.
    """

    name: str
    file_name: str
    mirrors: tuple[str, ...] = ()
    digest: str | None = None
    algorithms: tuple[str, ...] = ('sha256',)


@dataclass(frozen=True, kw_only=True)
class Record(DownloadSpec):
    """A published weight file: where to download it, how to check it, and the network and images that it is for.

    Args:
        name: Name in a config, unique.
        file_name: As in `DownloadSpec`.
        mirrors: As in `DownloadSpec`.
        digest: As in `DownloadSpec`.
        algorithms: As in `DownloadSpec`.
        variant: Network of `resnest_mm.models.variants` whose backbone the file holds.
        layout: Key layout of the file, one of `PUBLISHED_LAYOUTS`.
        part: Network in the file, one of `PUBLISHED_PARTS`.
        prefix: Prefix of the backbone's keys, with its dot.
        mean: Mean of images with values from 0 to 255, in `channel_order`; it is subtracted.
        std: Standard deviation of these images, in `channel_order`; they are divided by it afterwards.
        channel_order: `RGB` or `BGR`.
        licence: Licence of the repository that published the file.
        metrics: Published accuracies of a classifier in per cent, by name. The `metafile.yml` of a config has those of
            detectors and segmentors.
        parameters: Published number of parameters in millions, with the classifier.
        note: Anything else that a user should know.
    """

    variant: str
    layout: str
    part: str = 'backbone'
    prefix: str = ''
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    channel_order: str = 'RGB'
    licence: str = 'Apache-2.0'
    metrics: Mapping[str, float] = field(default_factory=lambda: _NO_METRICS, hash=False)
    parameters: float | None = None
    note: str = ''

    def __post_init__(self) -> None:
        _one_of(self.name, 'variant', self.variant, VARIANTS)
        _one_of(self.name, 'layout', self.layout, PUBLISHED_LAYOUTS)
        _one_of(self.name, 'part', self.part, PUBLISHED_PARTS)
        _one_of(self.name, 'channel_order', self.channel_order, ('RGB', 'BGR'))
        for algorithm in self.algorithms:
            _one_of(self.name, 'algorithms', algorithm, ALGORITHMS)
        if not re.fullmatch(r'(?!\.)[^/\\\x00-\x1f\x7f]{1,200}', self.file_name):
            raise ValueError(
                f'record {self.name!r}: file_name={self.file_name!r} must be a name without folder, of at most 200 '
                'characters, none of them a control character, and not begin with a dot'
            )
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
