"""Converting backbones between key layouts, through this package's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from resnest_mm.errors import ConversionError, first_names
from resnest_mm.weights.convert.architecture import BackboneArchitecture, known_depths
from resnest_mm.weights.convert.check import check_backbone
from resnest_mm.weights.convert.offsets import expand_offsets, group_offsets
from resnest_mm.weights.convert.tensors import Value, as_tensors, check_dtypes, refuse
from resnest_mm.weights.layouts.detect import DetectedLayout, count_markers, detect_layout, find_prefixes, other_keys
from resnest_mm.weights.layouts.key_layout import KeyLayout, WholeModel
from resnest_mm.weights.layouts.names import COUNTER, OFFSET, STAGES, with_dot
from resnest_mm.weights.layouts.tables import OWN, find_layout

RELEASED_STRIDES = (1, 2, 2, 2)
"""Strides of the stages in the networks trained on ImageNet."""


@dataclass(frozen=True)
class Backbone:
    """A complete backbone, read from a checkpoint.

    Args:
        tensors: Its tensors by their names in this package.
        classifier: `weight` and `bias` of its classifier; empty where there is none.
        architecture: What the shapes show.
        dropped: Keys of the checkpoint that were left out.
    """

    tensors: dict[str, Tensor]
    classifier: dict[str, Tensor]
    architecture: BackboneArchitecture
    dropped: tuple[str, ...]


def convert_backbone(
    state: Mapping[str, Value],
    *,
    source: str = 'auto',
    target: str = 'mmdet',
    prefix: str | None = None,
    target_prefix: str | None = None,
    strides: Sequence[int] = RELEASED_STRIDES,
    dense_offsets: bool | None = None,
    dropped: list[str] | None = None,
) -> dict[str, Tensor]:
    """Return a backbone in another key layout, with its classifier where that layout has one.

    Args:
        state: Tensors or numpy arrays by name, also inside a dict such as `{'state_dict': ...}`. Not modified.
        source: Layout of `state`, a key of `LAYOUTS` or `ALIASES`; 'auto' detects it from the keys.
        target: Layout of the result.
        prefix: Prefix of the backbone's keys; all other keys are left out. None finds the prefix, and refuses a model
            that is more than a backbone.
        target_prefix: Prefix of the keys in the result; None takes that of the target layout's files.
        strides: Strides of the stages. mmpretrain and ZCls number a shortcut by whether its stage has a stride, so
            that only dilated networks need other values.
        dense_offsets: Whether the result predicts deformable offsets by ungrouped convolutions, as mmcv has them
            (True), or by grouped ones, as the authors have them (False). None leaves them as they are.
        dropped: A list to which the keys left out are added.

    Raises:
        ConversionError: On unknown or missing keys, other shapes, and values without an equal in the target layout.
    """
    tensors = as_tensors(state, dropped=dropped)
    layout, found = _locate(tensors, source, prefix)
    others = other_keys(tensors, layout, found)
    if others and prefix is None:
        raise ConversionError(
            f'the checkpoint is more than a backbone: {len(others)} other keys: {first_names(others)}. Convert all '
            f'of it as a detector or segmentor, or say prefix={found!r} to take the backbone only'
        )
    backbone = read_backbone(tensors, layout, prefix=found)
    target_layout = find_layout(target)
    if target_prefix is None:
        target_prefix = target_layout.aliases.get(target, target_layout.prefix)
    result = write_backbone(
        backbone, target_layout, prefix=target_prefix, strides=strides, dense_offsets=dense_offsets, classifier=True
    )
    if dropped is not None:
        dropped += [*others, *backbone.dropped]
        if target_layout.classifier is None:
            dropped += [key for key in tensors if key.rpartition('.')[0] in layout.classifier_modules(found)]
        dropped[:] = dict.fromkeys(dropped)
    return result


def read_backbone(tensors: Mapping[str, Tensor], layout: KeyLayout, *, prefix: str) -> Backbone:
    """Return the complete backbone that a checkpoint has under a prefix.

    Args:
        tensors: All tensors of the checkpoint; not modified.
        layout: Layout of the backbone.
        prefix: Prefix of the backbone's keys.

    Raises:
        ConversionError: On unknown or missing keys, other shapes, and values that compute something else than any
            backbone of this package.
    """
    modules = layout.classifier_modules(prefix)
    classifier_keys = [key for key in tensors if key.rpartition('.')[0] in modules]
    given = [key[len(prefix) :] for key in tensors if key.startswith(prefix) and key not in classifier_keys]
    check_dtypes({key: tensors[key] for key in (*(prefix + key for key in given), *classifier_keys)})
    names = layout.own_keys(given)
    renamed = {own: tensors[prefix + key] for key, own in names.items() if own is not None}
    backbone = layout.read(renamed)
    problems = check_backbone({key: tuple(value.shape) for key, value in backbone.items()})
    originals = {own: f'{prefix}{key}' for key, own in names.items() if own is not None}
    unnamed = [f'{prefix}{key}' for key, own in names.items() if own is None]
    classifier = {key.rpartition('.')[2]: tensors[key] for key in classifier_keys} if layout.classifier else {}
    missing, reshaped = _check_classifier(classifier, problems.architecture, modules)
    refuse(
        f'ResNeSt of the {layout.title}',
        unknown=[*unnamed, *(originals.get(key, key) for key in problems.unknown)],
        missing=[*(f'{prefix}{layout.foreign_key(key) or key}' for key in problems.missing), *missing],
        reshaped=[*(_renamed(text, originals) for text in problems.reshaped), *reshaped],
    )
    assert problems.architecture is not None
    blocks = problems.architecture.blocks
    if not known_depths(blocks):
        raise ConversionError(f'no ResNeSt has {", ".join(map(str, blocks))} blocks in its stages: some are missing')
    return Backbone(backbone, classifier, problems.architecture, () if layout.classifier else tuple(classifier_keys))


def split_model(
    tensors: Mapping[str, Tensor], part: WholeModel, *, source: str
) -> tuple[DetectedLayout, Backbone, dict[str, Tensor]]:
    """Return the layout of a detector or segmentor, its backbone, and its heads without the prefix of all keys.

    Args:
        tensors: All tensors of the checkpoint; not modified.
        part: What the checkpoint must be.
        source: Its layout; 'auto' detects it from the keys.

    Raises:
        ConversionError: If it is something else, its backbone is not complete, or keys are outside the model.
    """
    found = detect_layout(tensors)
    if source != 'auto' and find_layout(source) is not found.layout:
        raise ConversionError(f'the checkpoint has the {found.layout.title}, not that of source={source!r}')
    if found.part != part:
        raise ConversionError(f'this is a {found.part} in the {found.layout.title}, not a {part}: {found.evidence[-1]}')
    backbone = read_backbone(tensors, found.layout, prefix=found.prefix)
    base = found.layout.before_model(found.prefix)
    others = [key for key in tensors if not key.startswith(found.prefix) and key not in backbone.dropped]
    refuse(f'{part} under {base!r}', unknown=[key for key in others if not key.startswith(base)])
    return found, backbone, {key[len(base) :]: tensors[key] for key in others}


def write_backbone(
    backbone: Backbone,
    layout: KeyLayout,
    *,
    prefix: str,
    strides: Sequence[int] = RELEASED_STRIDES,
    dense_offsets: bool | None = None,
    classifier: bool = False,
) -> dict[str, Tensor]:
    """Return the tensors of a backbone in a layout.

    Args:
        backbone: The backbone; not modified.
        layout: Layout of the result.
        prefix: Prefix of the keys.
        strides: Strides of the stages.
        dense_offsets: As in `convert_backbone`. In a layout that mmcv does not read, offsets are always grouped.
        classifier: Whether to add the classifier, where the layout has one.

    Raises:
        ConversionError: On values without an equal in the layout.
    """
    tensors = dict(backbone.tensors)
    if any(f'.{OFFSET}.' in key for key in tensors):
        if OFFSET not in layout.block:
            raise ConversionError(f'deformable convolutions have no place in the {layout.title}')
        if dense_offsets is not None or layout is not OWN:
            change = expand_offsets if dense_offsets and layout is OWN else group_offsets
            tensors = change(tensors, radix=backbone.architecture.radix)
    result: dict[str, Tensor] = {}
    for key, value in layout.write(tensors).items():
        stage = key.partition('.')[0]
        pooled = stage not in STAGES or strides[STAGES.index(stage)] != 1
        name = layout.foreign_key(key, pooled=pooled)
        if name is not None:
            result[f'{prefix}{name}'] = value
        else:
            assert key.endswith(COUNTER), key
    if classifier and layout.classifier is not None:
        start = layout.before_model(prefix) if layout.prefix else prefix
        result.update({f'{start}{layout.classifier}.{name}': value for name, value in backbone.classifier.items()})
    return result


def _locate(tensors: Mapping[str, Tensor], source: str, prefix: str | None) -> tuple[KeyLayout, str]:
    if source == 'auto':
        start = '' if prefix is None else with_dot(prefix)
        found = detect_layout(key[len(start) :] for key in tensors if key.startswith(start))
        return found.layout, start + found.prefix
    layout = find_layout(source)
    if prefix is not None:
        return layout, with_dot(prefix)
    prefixes = find_prefixes(tensors, layout)
    if len(prefixes) > 1:
        raise ConversionError(f'the checkpoint holds several ResNeSts, name the prefix of one: {first_names(prefixes)}')
    # Without all markers, the prefix with most of them: the message then says which keys it lacks.
    closest = count_markers(tensors, layout).most_common(1)
    return layout, closest[0][0] if closest else ''


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a text that begins with a key, with the key's other name."""
    key, space, rest = text.partition(' ')
    return f'{names.get(key, key)}{space}{rest}'


def _check_classifier(
    classifier: Mapping[str, Tensor], architecture: BackboneArchitecture | None, modules: Sequence[str]
) -> tuple[list[str], list[str]]:
    if not classifier:
        return [], []
    missing = [f'{modules[-1]}.{name}' for name in ('weight', 'bias') if name not in classifier]
    shapes = {name: tuple(value.shape) for name, value in classifier.items()}
    weight, bias = shapes.get('weight', ()), shapes.get('bias', ())
    width = architecture.stages[-1].out_channels if architecture else None
    fits = missing or width is None or (len(bias) == 1 and weight == (*bias, width))
    return missing, [] if fits else [f'{modules[-1]}.weight {weight} with bias {bias}']
