"""The panoptic detector is a cascade, a semantic head and the fusion of both, and hides nothing of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mmdet', reason='the detector builds on mmdet')

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from torch import nn
from torch.nn import functional as F

from tests.support import tiny_cascade as tiny
from tests.support.panoptic_loops import fuse

STUFF = 4


def config(**changes: Any) -> ConfigDict:
    """Return the tiny cascade with a semantic head and a fusion."""
    settings = tiny.model_config()
    settings.update(
        type='resnest_mm.Detectron2PanopticFPN',
        semantic_head=dict(
            type='resnest_mm.Detectron2SemanticHead', num_stuff_classes=STUFF, in_channels=8, inner_channels=4
        ),
        panoptic_fusion_head=dict(
            type='resnest_mm.Detectron2FusionHead', num_things_classes=tiny.CLASSES, num_stuff_classes=STUFF
        ),
    )
    settings.test_cfg.panoptic = dict(score_thr=0.4, stuff_area_limit=40)
    settings.data_preprocessor.update(pad_mask=True, pad_seg=True, seg_pad_value=255)
    for name, value in changes.items():
        settings[name] = ConfigDict(copy.deepcopy(value))
    return settings


def build(**changes: Any) -> Any:
    model = tiny.build(config(**changes))
    nn.init.normal_(model.semantic_head.conv_logits.weight, std=2)
    return model


def labelled(*, empty: tuple[int, ...] = ()) -> list[Any]:
    samples = tiny.data_samples(empty=empty)
    generator = torch.Generator().manual_seed(3)
    for sample in samples:
        labels = torch.randint(0, STUFF + 1, (1, *tiny.PADDED), generator=generator)
        height, width = sample.img_shape
        labels[:, height:], labels[:, :, width:] = 255, 255
        sample.gt_sem_seg = PixelData(sem_seg=labels)
    return samples


def cascade_twin(model: Any) -> Any:
    """Return the cascade detector alone with the same weights."""
    twin = tiny.build(tiny.model_config())
    missing, unexpected = twin.load_state_dict(model.state_dict(), strict=False)
    assert not missing and {name.split('.')[0] for name in unexpected} == {'semantic_head'}
    return twin


@pytest.mark.parametrize('empty', [(), (0,), (0, 1)])
def test_losses_are_the_cascades_and_the_semantic_heads(empty: tuple[int, ...]) -> None:
    """Also where images have no object, which the recipe keeps."""
    model = build().train()
    twin = cascade_twin(model).train()
    torch.manual_seed(5)
    given = model.loss(tiny.images(), labelled(empty=empty))
    torch.manual_seed(5)
    wanted = twin.loss(tiny.images(), tiny.data_samples(empty=empty))
    wanted.update(model.semantic_head.loss(model.extract_feat(tiny.images()), labelled(empty=empty)))
    assert given.keys() == wanted.keys() and len(given) > 9
    for name, value in wanted.items():
        torch.testing.assert_close(given[name], value, rtol=1e-5, atol=1e-6, msg=name)
    total, _ = model.parse_losses(given)
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(entry.grad).all() for entry in model.parameters() if entry.grad is not None)
    assert model.semantic_head.conv_upsample_layers[3].conv[0].conv.weight.grad.any()


def test_prediction_holds_boxes_stuff_and_the_map_of_both() -> None:
    """Boxes are those of the cascade at its own threshold; logits are cut to the image before they are enlarged."""
    model = build().eval()
    with torch.no_grad():
        results = model.predict(tiny.images(), tiny.data_samples())
        wanted = cascade_twin(model).eval().predict(tiny.images(), tiny.data_samples())
        logits = model.semantic_head(model.extract_feat(tiny.images()))['seg_preds']
    logits = F.interpolate(logits, scale_factor=4, mode='bilinear', align_corners=False)
    used = 0
    for result, alone, whole in zip(results, wanted, logits, strict=True):
        found = result.pred_instances
        for name in ('bboxes', 'scores', 'labels', 'masks'):
            assert torch.equal(found[name], alone.pred_instances[name]), name
        height, width = result.img_shape
        scores = F.interpolate(whole[None, :, :height, :width], result.ori_shape, mode='bilinear', align_corners=False)[
            0
        ]
        panoptic = result.pred_panoptic_seg.sem_seg
        assert panoptic.shape == (1, *result.ori_shape)
        rules = dict(score_thr=0.4, mask_overlap=0.5, stuff_area_limit=40)
        assert panoptic[0].tolist() == fuse(found, scores, things=tiny.CLASSES, **rules)
        kinds = scores.argmax(0)
        labels = torch.where(kinds == 0, tiny.CLASSES + STUFF, kinds + tiny.CLASSES - 1)
        assert torch.equal(result.pred_sem_seg.sem_seg[0], labels)
        assert found.scores.min() < 0.4 < found.scores.max()
        used += len(panoptic.unique())
    assert used > 6


def test_mmdets_visualizer_draws_a_prediction() -> None:
    """It looks up a name for every label of `pred_sem_seg`, and void has none."""
    from mmdet.visualization import DetLocalVisualizer

    model = build().eval()
    nn.init.constant_(model.semantic_head.conv_logits.bias[:1], 5.0)
    with torch.no_grad():
        (result, _) = model.predict(tiny.images(), tiny.data_samples())
    assert (result.pred_sem_seg.sem_seg == tiny.CLASSES + STUFF).any()
    visualizer = DetLocalVisualizer()
    names = [f'class{index}' for index in range(tiny.CLASSES + STUFF)]
    visualizer.dataset_meta = {'classes': names, 'palette': [(20 * index, 200, 90) for index in range(len(names))]}
    image = np.zeros((*result.ori_shape, 3), np.uint8)
    visualizer.add_datasample('one', image, data_sample=result, draw_gt=False)
    drawn = visualizer.get_image()
    assert drawn.shape == image.shape and (drawn > 0).any(2).mean() > 0.5


def test_maps_of_the_resized_images() -> None:
    model = build().eval()
    with torch.no_grad():
        results = model.predict(tiny.images(), tiny.data_samples(), rescale=False)
    for result in results:
        assert result.pred_panoptic_seg.sem_seg.shape == (1, *result.img_shape)
        assert result.pred_instances.masks.shape[1:] == result.img_shape


def test_raw_outputs_are_the_heads() -> None:
    """Tools that count operations call the model so."""
    model = build().eval()
    with torch.no_grad():
        (logits, deltas, masks), scores = model(tiny.images(), tiny.data_samples(), mode='tensor')
        wanted = model.semantic_head(model.extract_feat(tiny.images()))['seg_preds']
    assert [len(entry) for entry in (logits, deltas, masks)] == [2, 2, 2]
    assert torch.equal(scores, wanted)


def test_plain_dicts_and_no_thresholds_are_enough() -> None:
    settings = config()
    settings.test_cfg.pop('panoptic')
    plain = settings.to_dict()
    plain.pop('type')
    cls = MODELS.get('resnest_mm.Detectron2PanopticFPN')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = cls(**plain | {'train_cfg': settings.train_cfg, 'test_cfg': settings.test_cfg, 'neck': settings.neck})
    assert model.panoptic_fusion_head.test_cfg == {'score_thr': 0.5, 'mask_overlap': 0.5, 'stuff_area_limit': 4096}
    assert 'panoptic' not in settings.test_cfg


STOCK_STUFF = dict(
    type='PanopticFPNHead', num_things_classes=3, num_stuff_classes=STUFF, in_channels=8, inner_channels=4
)
STOCK_FUSION = dict(type='HeuristicFusionHead', num_things_classes=tiny.CLASSES, num_stuff_classes=STUFF)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'semantic_head': {**STOCK_STUFF, 'norm_cfg': None}}, 'semantic_head is a PanopticFPNHead'),
        ({'panoptic_fusion_head': STOCK_FUSION}, 'panoptic_fusion_head is a HeuristicFusionHead'),
        (
            {'panoptic_fusion_head': dict(type='resnest_mm.Detectron2FusionHead', num_stuff_classes=STUFF)},
            r'roi_head has \[3\] classes, but panoptic_fusion_head.num_things_classes is 80',
        ),
        (
            {'panoptic_fusion_head': dict(type='resnest_mm.Detectron2FusionHead', num_things_classes=3)},
            r'num_stuff_classes is 4, but that of panoptic_fusion_head is 53',
        ),
        ({'roi_head': tiny.model_config(masks=False).roi_head}, 'roi_head has no mask_head'),
    ],
)
def test_heads_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message), DefaultScope.overwrite_default_scope('mmdet'):
        MODELS.build(config(**changes))
