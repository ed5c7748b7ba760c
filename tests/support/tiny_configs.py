"""Making a shipped config small enough to train in seconds, without touching what it is about.

Types of data sets, heads, norms, losses, pipeline steps and hooks stay; sizes, paths, batch and length change, and all
channels are divided by one number, so that two parts fit each other afterwards where they did before.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
from mmengine.config import Config, ConfigDict

from resnest_mm.annotations.stuff_maps import write_stuff_maps
from resnest_mm.demo_data import CLASSES, SEMANTIC_CLASSES
from resnest_mm.models.variants import VARIANTS, default_stem_channels
from resnest_mm.training.config.walk import type_name
from tests.support.shipped_configs import innermost, many

SIZE = 64  # pixels: every side of every image
SPLITS = ('train', 'val', 'test')
CHANNELS = {
    *('in_channels', 'channels', 'out_channels', 'feat_channels', 'conv_out_channels', 'fc_out_channels'),
    *('inner_channels', 'c1_in_channels', 'c1_channels', 'feedforward_channels'),
}
"""Keys of a model whose values are numbers of channels."""


def shrink(cfg: Config, data: Path, *, whole: bool) -> Config:
    """Return a copy that trains two iterations on a generated data set and evaluates once.

    Args:
        cfg: A shipped config; left unchanged.
        data: Folder of `tools/make_demo_data.py`, with images of `SIZE` pixels.
        whole: Keep the depth and width of the model. Otherwise a backbone of 101 layers and more has 14, and an eighth
            of the channels is left.
    """
    small = copy.deepcopy(cfg)
    small.model = _plain(small.model)
    small.model['backbone'].pop('init_cfg', None)
    if not whole:
        _spell_out(small.model['backbone'])
        if small.model['backbone']['depth'] > 50:
            small.model['backbone']['depth'] = 14
        _narrow(small.model)
    for node in _dicts(small.model):
        if type_name(node).lower().endswith('datapreprocessor') and 'size' in node:
            node['size'] = (SIZE, SIZE)
    move = _move_maps if cfg.default_scope == 'mmseg' else _move_objects
    for split in SPLITS:
        loader = small[f'{split}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.pop('prefetch_factor', None)
        for dataset in innermost(loader.dataset):
            move(dataset, data, split='train' if split == 'train' else 'val', classes=_classes(small))
            dataset.pipeline = [shrink_step(step) for step in dataset.pipeline]
            dataset.indices = 2 if split != 'train' else None  # images
            dataset.serialize_data = False  # it ends with a collection of garbage, half a second in a large process
    if cfg.default_scope == 'mmdet':
        _shrink_counts(small)
        for split in ('val', 'test'):
            for evaluator in many(small[f'{split}_evaluator']):
                if evaluator.get('seg_prefix'):
                    evaluator.ann_file = str(data / 'annotations' / 'panoptic_val.json')
                    evaluator.seg_prefix = str(data / 'panoptic' / 'val')
                elif evaluator.get('ann_file'):
                    evaluator.ann_file = str(data / 'annotations' / 'instances_val.json')
    for hook in small.get('custom_hooks') or []:
        if 'num_iters' in hook:
            hook.num_iters = 2  # batches of precise batch norm
    moving = cfg.default_scope == 'mmdet' and not small.model['backbone'].get('norm_eval')
    if whole and moving and not small.get('custom_hooks'):
        # With running statistics of two iterations a hundred untrained layers end at values beyond 1e13
        small.custom_hooks = [dict(type='resnest_mm.PreciseBNHook', num_iters=2)]
    small.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    small.default_hooks.checkpoint.update(by_epoch=False, interval=2, save_optimizer=False)
    small.default_hooks.logger.interval = 1
    return small


def write_labels(data: Path, classes: int) -> None:
    """Draw the semantic maps once more, with every label below a number of classes."""
    for path in sorted((data / 'semantic').rglob('*.png')):
        target = data / f'semantic_{classes}' / path.relative_to(data / 'semantic')
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) % classes)


def _spell_out(backbone: dict[str, Any]) -> None:
    """Replace a variant's name, which allows no other stem, by what it stands for."""
    if 'variant' in backbone:
        variant = VARIANTS[backbone.pop('variant')]
        backbone.update(dataclasses.asdict(variant), stem_channels=variant.stem_channels)
    if type_name(backbone) == 'ResNeSt':
        backbone.setdefault('stem_channels', default_stem_channels(backbone['depth']))


def _narrow(model: dict[str, Any]) -> None:
    """Divide all channels of a model by one number, unless it is narrow already."""
    backbone = model['backbone']
    if 'base_channels' in backbone:
        return
    divisor = 8 if backbone.get('groups', 1) == 1 else 2  # groups must still divide their channels
    backbone['base_channels'] = 64 // divisor
    backbone['stem_channels'] = backbone.get('stem_channels', 64) // divisor
    # mmdet's DINO encodes boxes for a transformer of 256 channels, whatever its config says.
    keys = CHANNELS - {'out_channels'} if type_name(model) == 'DINO' else CHANNELS
    for node in _dicts({name: part for name, part in model.items() if name != 'backbone'}):
        for key in keys & node.keys():
            value = node[key]
            node[key] = [n // divisor for n in value] if isinstance(value, (list, tuple)) else value // divisor


def _classes(cfg: Config) -> int:
    heads = [node['num_classes'] for node in _dicts(cfg.model) if 'num_classes' in node]
    return int(min(heads))


def _move_maps(dataset: ConfigDict, data: Path, *, split: str, classes: int) -> None:
    """Point a data set at the generated images and labels, whatever files its own would have."""
    labels = 'semantic' if classes >= 6 else f'semantic_{classes}'
    if not (data / labels).exists():
        write_labels(data, classes)
    dataset.pop('ann_file', None)
    dataset.update(
        data_root=str(data),
        data_prefix=dict(img_path=split, seg_map_path=f'{labels}/{split}'),
        img_suffix='.jpg',
        seg_map_suffix='.png',
    )


def _move_objects(dataset: ConfigDict, data: Path, *, split: str, classes: int) -> None:
    """Point a data set at the generated boxes, in the format that its type reads."""
    if type_name(dataset) == 'VOCDataset':
        folder = data / f'voc_{classes}'
        if not folder.exists():
            write_voc(data, folder, names=dataset.metainfo['classes'])
        dataset.update(data_root=str(folder), ann_file=f'ImageSets/Main/{split}.txt')
    elif type_name(dataset) == 'CocoPanopticDataset':
        names, stuff = (*CLASSES, SEMANTIC_CLASSES[0]), SEMANTIC_CLASSES[:1]
        dataset.update(
            data_root=str(data),
            ann_file=f'annotations/panoptic_{split}.json',
            data_prefix=dict(img=f'{split}/', seg=f'panoptic/{split}/'),
            metainfo=dict(classes=names, thing_classes=CLASSES, stuff_classes=stuff),
        )
    else:
        prefix = dict(img=f'{split}/')
        if dataset.get('data_prefix', {}).get('seg'):
            prefix['seg'] = f'stuff/{split}/'
            if not (data / 'stuff' / split).exists():
                annotations = data / 'annotations' / f'panoptic_{split}.json'
                write_stuff_maps(annotations, data / 'panoptic' / split, data / 'stuff' / split)
        dataset.update(
            data_root=str(data),
            ann_file=f'annotations/instances_{split}.json',
            data_prefix=prefix,
            metainfo=dict(classes=CLASSES),
        )


def write_voc(data: Path, folder: Path, *, names: Sequence[str]) -> None:
    """Write the generated boxes as a Pascal VOC folder whose objects bear the names in turn."""
    for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (folder / part).mkdir(parents=True)
    for split in ('train', 'val'):
        content = json.loads((data / 'annotations' / f'instances_{split}.json').read_text(encoding='utf-8'))
        stems = []
        for image in content['images']:
            stem = f'{split}_{Path(image["file_name"]).stem}'
            shutil.copy(data / split / image['file_name'], folder / 'JPEGImages' / f'{stem}.jpg')
            root = ElementTree.Element('annotation')
            _add(_add(root, 'size'), width=image['width'], height=image['height'], depth=3)
            for entry in content['annotations']:
                if entry['image_id'] == image['id']:
                    x, y, width, height = entry['bbox']
                    item = _add(root, 'object')
                    _add(item, name=names[entry['category_id'] % len(names)], difficult=0)
                    _add(_add(item, 'bndbox'), xmin=x + 1, ymin=y + 1, xmax=x + width, ymax=y + height)
            ElementTree.ElementTree(root).write(folder / 'Annotations' / f'{stem}.xml')
            stems.append(stem)
        (folder / 'ImageSets' / 'Main' / f'{split}.txt').write_text('\n'.join(stems) + '\n', encoding='utf-8')
    shutil.copy(folder / 'ImageSets' / 'Main' / 'val.txt', folder / 'ImageSets' / 'Main' / 'test.txt')


def _add(parent: ElementTree.Element, tag: str | None = None, **texts: Any) -> ElementTree.Element:
    node = parent if tag is None else ElementTree.SubElement(parent, tag)
    for name, text in texts.items():
        ElementTree.SubElement(node, name).text = str(text)
    return node


def _shrink_counts(cfg: Config) -> None:
    """Keep few proposals and regions: the heads' cost is theirs, not the images'."""
    own_classes = any(type_name(dataset) == 'VOCDataset' for dataset in innermost(cfg.train_dataloader.dataset))
    for node in _dicts(cfg.model):
        if 'num_classes' in node and not own_classes:
            node['num_classes'] = len(CLASSES)
        for name, count in (('num_things_classes', len(CLASSES)), ('num_stuff_classes', 1)):
            if name in node:
                node[name] = count
        if type_name(node) == 'RandomSampler':
            node['num'] = 8
        for key in ('nms_pre', 'max_per_img', 'num_queries'):
            if key in node:
                node[key] = min(node[key], 20)
        if 'score_thr' in node:
            node['score_thr'] = 0.0  # without a single box COCO's metric is not even logged


def shrink_step(step: ConfigDict) -> ConfigDict:
    """Return a pipeline step, and the steps that it chooses from, with the same meaning at `SIZE` pixels."""
    small = copy.deepcopy(step)
    for node in _dicts(small):
        for key in ('scale', 'crop_size', 'size'):
            if key in node:
                node[key] = [(SIZE, SIZE)] * 2 if isinstance(node[key], list) else (SIZE, SIZE)
        if 'scales' in node:
            node['scales'] = [(SIZE, SIZE)] * len(node['scales'])
    return small


def _dicts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for entry in many(node) if isinstance(node, (list, tuple)) else ():
        yield from _dicts(entry)


def _plain(node: Any) -> Any:
    """Return a copy in which no two places share one dict."""
    if isinstance(node, dict):
        return ConfigDict({key: _plain(value) for key, value in node.items()})
    if isinstance(node, type):  # a pure-Python config holds classes, which a copied file can only name
        return f'{node.__module__.partition(".")[0]}.{node.__name__}'
    return type(node)(_plain(value) for value in node) if isinstance(node, (list, tuple)) else node
