"""What the values of all maps of a data set say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from resnest_mm.errors import first_names
from resnest_mm.training.data_check.finding import Finding, Tally
from resnest_mm.training.data_check.segmentation.labels import BYTE, LabelRules
from resnest_mm.training.data_check.segmentation.reading import MapValues

_MOST: Final = 5


@dataclass(frozen=True, kw_only=True)
class ReadMaps:
    """The maps of a data set that were read.

    Args:
        maps: Path and values of each.
        complete: Whether these are all maps of the data set.
        scalable: Whether the pipeline resizes images and maps to a given size, so that a map may be a smaller copy.
    """

    maps: Sequence[tuple[str, MapValues]]
    complete: bool
    scalable: bool = False


def judge(key: str, read: ReadMaps, rules: LabelRules, *, names: Sequence[str]) -> tuple[list[Finding], Counter[int]]:
    """Return the findings about the maps of a data set, and the number of pixels of each class.

    Args:
        key: Where the data set stands in the config.
        read: The maps.
        rules: What the pipeline does with a value.
        names: Names of the classes; empty where they are unknown.
    """
    good = [(path, values) for path, values in read.maps if not values.fault and values.channels == 1]
    pixels: Counter[int] = Counter()
    for _, values in good:
        for value, count in values.counts.items():
            pixels[value] += count
    findings = _check_files(key, read)
    findings += (wrong := _check_values(key, good, rules, pixels))
    labels: Counter[int] = Counter()
    for value, count in pixels.items():
        if value <= BYTE and rules.is_class(rules.label(value)):
            labels[rules.label(value)] += count
    if good and not any(finding.severity == 'error' for finding in wrong):
        findings += _check_classes(key, read, rules, labels, pixels, names)
    return findings, labels


def _check_files(key: str, read: ReadMaps) -> list[Finding]:
    broken = Tally('error', 'label maps cannot be read', 'replace them')
    colours = Tally(
        'error',
        'label maps have several channels, such as colours, where each pixel should be the number of its class',
        'convert them to one channel of class numbers',
    )
    sizes = Tally('error', 'label maps are of another size than their image', 'make both the same size')
    scaled = Tally('warning', 'label maps are copies of another size than their image', 'make both the same size')
    lossy = Tally('warning', 'label maps are JPEG files, which change labels near edges', 'use PNG')
    for path, values in read.maps:
        if values.fault:
            broken.add(f'{path}: {values.fault}')
        elif values.channels > 1:
            colours.add(f'{path}: {values.channels} channels')
        elif values.image_size not in (None, values.size):
            tally = scaled if read.scalable and _same_shape(values) else sizes
            tally.add(f'{path}: {_by(values.size)}, the image {_by(values.image_size)}')
        if values.lossy:
            lossy.add(path)
    total = len(read.maps)
    return [
        finding for tally in (broken, colours, sizes, scaled, lossy) for finding in tally.findings(key, total=total)
    ]


def _check_values(
    key: str, maps: Sequence[tuple[str, MapValues]], rules: LabelRules, pixels: Counter[int]
) -> list[Finding]:
    wide = Tally('error', 'label maps have values above 255, of which mmseg keeps the lower 8 bits', 'use 8 bits')
    unknown = Tally('error', 'label maps hold values that are no class')
    ignored = Tally('warning', 'label maps have only ignored pixels', 'remove them, or correct their values')
    for path, values in maps:
        above = [value for value in values.counts if rules.bytes_only and not 0 <= value <= BYTE]
        wrong = [value for value in values.counts if value not in above and not _is_known(rules, value)]
        if above:
            wide.add(f'{path}: {_numbers(above)}')
        if wrong:
            unknown.add(f'{path}: {_numbers(wrong)}')
        if not above and not wrong and not any(rules.is_class(rules.label(value)) for value in values.counts):
            ignored.add(f'{path}: {_numbers(values.counts)}')
    unknown.remedy = _advice(rules, pixels, most=2 * unknown.count >= len(maps))
    if maps and ignored.count == len(maps):
        ignored.severity = 'error'
    return [finding for tally in (wide, unknown, ignored) for finding in tally.findings(key, total=len(maps))]


def _check_classes(
    key: str, read: ReadMaps, rules: LabelRules, labels: Counter[int], pixels: Counter[int], names: Sequence[str]
) -> list[Finding]:
    """Return findings about the classes in maps whose values are all allowed."""
    where = 'in any map' if read.complete else f'in the {len(read.maps)} maps that were read'
    if set(pixels) == {0, BYTE} and rules.classes > 1 and set(labels) == {0}:
        what = f'the only values {where} are 0 and 255, and 255 is ignored, so class 1 is never learned'
        remedy = 'write 1 where the maps have 255'
        return [Finding(severity='error', key=key, what=what, remedy=remedy)]
    if len(labels) == 1 < rules.classes:
        what = f'there is no other class {where} than {_name(next(iter(labels)), names)}'
        return [Finding(severity='warning', key=key, what=what, remedy='look at the maps')]
    absent = [label for label in range(rules.classes) if label not in labels and label not in rules.ignored]
    if not absent or not read.complete or any(values.fault or values.channels > 1 for _, values in read.maps):
        return []  # the maps that were not read may have a rare class
    remedy = 'look at the values of the maps'
    if rules.reduce_zero_label and absent == [rules.classes - 1]:
        remedy = 'if 0 is a class and not "ignored", set reduce_zero_label=False'
    return [
        Finding(
            severity='warning',
            key=key,
            what='classes do not appear in any map',
            count=len(absent),
            total=rules.classes,
            examples=tuple(_name(label, names) for label in absent[:_MOST]),
            remedy=remedy,
        )
    ]


def _is_known(rules: LabelRules, value: int) -> bool:
    label = rules.label(value)
    return rules.is_class(label) or label in rules.ignored


def _advice(rules: LabelRules, pixels: Counter[int], *, most: bool) -> str:
    """Return what is allowed, and what may be meant where most maps have the same wrong value."""
    wrong = {value for value in pixels if not _is_known(rules, value)}
    hint = ''
    if most and wrong == {rules.classes} and not rules.reduce_zero_label:
        hint = '; if the labels begin at 1, and 0 is ignored, set reduce_zero_label=True'
    elif most and wrong == {BYTE} and set(pixels) == {0, BYTE}:
        hint = '; write 1 where masks have 255'
    return f'allowed are {rules.allowed}{hint}'


def _same_shape(values: MapValues) -> bool:
    width, height = values.size
    assert values.image_size is not None
    whole = values.image_size[0]
    return abs(whole * height - values.image_size[1] * width) <= max(whole, width)


def _numbers(values: Iterable[int]) -> str:
    return first_names(sorted(values), most=_MOST)


def _name(label: int, names: Sequence[str]) -> str:
    return f'{label} {names[label]}' if label < len(names) else str(label)


def _by(size: tuple[int, int] | None) -> str:
    return 'x'.join(map(str, size or ()))
