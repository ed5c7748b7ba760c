"""What a panoptic config really builds beside boxes and masks, and the files that it reads for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from tests.support.recipes.detection_heads import count_norms, name_of, shapes

STUFF_IDS = range(101, 154)
"""Of 53 kinds of stuff."""


def write_panoptic(root: Path, files: Mapping[str, tuple[int, int]], classes: Sequence[str]) -> None:
    """Write the panoptic file of the validation and the stuff maps of the training, beside the images.

    Args:
        root: Folder of the images and of `annotations`.
        files: Width and height of every image.
        classes: Names of the things and, after them, of the stuff.
    """
    things = len(classes) - len(STUFF_IDS)
    ids = [*range(1, things + 1), *STUFF_IDS]
    categories = [
        {'id': index, 'name': name, 'isthing': int(place < things)}
        for place, (index, name) in enumerate(zip(ids, classes, strict=True))
    ]
    images = [
        {'id': index, 'file_name': name, 'width': width, 'height': height}
        for index, (name, (width, height)) in enumerate(files.items())
    ]
    segment = {'id': 1, 'category_id': 1, 'iscrowd': 0, 'bbox': [0, 0, 4, 4], 'area': 16}
    annotations = [
        {'image_id': image['id'], 'file_name': f'{Path(image["file_name"]).stem}.png', 'segments_info': [segment]}
        for image in images
    ]
    whole = {'images': images, 'annotations': annotations, 'categories': categories}
    (root / 'annotations' / 'panoptic_val2017.json').write_text(json.dumps(whole))
    folder = root / 'annotations' / 'panoptic_stuff_train2017'
    folder.mkdir()
    for name, (width, height) in files.items():
        labels = np.full((height, width), 255, np.uint8)
        for column, label in enumerate((0, 1, 53)):
            labels[:, column * width // 4 : (column + 1) * width // 4] = label
        Image.fromarray(labels).save(folder / f'{Path(name).stem}.png')


def observe_stuff(cfg: Config, model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the semantic head and the fusion."""
    head = getattr(model, 'semantic_head', None)
    if head is None:
        yield 'stuff, head', None
        return
    convs = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)]
    loss, fusion = head.loss_seg, model.panoptic_fusion_head
    yield 'stuff, head', name_of(head)
    yield 'stuff, head: convolutions (in, out, kernel)', shapes(head)
    yield 'stuff, head: norms, biases', (count_norms(head), sum(conv.bias is not None for conv in convs))
    pyramid = [torch.empty(1, 256, side, side, device='meta') for side in (32, 16, 8, 4, 2)]
    yield 'stuff, head: pixels of the logits of an image of 128', head(pyramid)['seg_preds'].shape[-1]
    yield (
        'stuff, loss: kind, weight, ignored label, averages over labelled pixels',
        (name_of(loss), loss.loss_weight, loss.ignore_index, loss.avg_non_ignore),
    )
    yield 'panoptic, things, stuff', (fusion.num_things_classes, fusion.num_stuff_classes)
    test = fusion.test_cfg
    yield (
        'panoptic, least score, most overlap, least pixels of stuff',
        (test['score_thr'], test['mask_overlap'], test['stuff_area_limit']),
    )


def observe_stuff_data(cfg: Config, train: Any, test: Any, root: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the pipelines make of the maps, where the config has some."""
    from mmdet.registry import MODELS

    if not train.data_prefix.get('seg'):
        return
    yield 'stuff, training files', str(Path(train.data_prefix['seg']).relative_to(root))
    sample = train[0]
    labels = sample['data_samples'].gt_sem_seg.sem_seg
    assert labels.shape[1:] == sample['inputs'].shape[1:]
    yield 'stuff, labels of the training: things, stuff, neither', set(labels.unique().tolist())
    ready = MODELS.build(cfg.model.data_preprocessor)(
        {'inputs': [sample['inputs']], 'data_samples': [sample['data_samples']]}, training=True
    )
    padded = ready['data_samples'][0].gt_sem_seg.sem_seg
    assert padded.shape[1:] == ready['inputs'].shape[2:]
    rows, columns = labels.shape[1:]
    border = torch.cat([padded[:, rows:].flatten(), padded[:, :, columns:].flatten()])
    yield 'stuff, border of the labels', set(border.tolist())
    classes = test.metainfo['classes']
    things = len(test.metainfo['thing_classes'])
    yield 'panoptic, classes of the test, first stuff, last', (len(classes), classes[things], classes[-1])
