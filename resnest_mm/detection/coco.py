"""COCO as the authors' detectors are trained on it: only objects with an outline, only images with objects."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log

from resnest_mm.registry import DATASETS

LEAST: Final = 6
"""Numbers of the shortest polygon, x and y of three points."""


@DATASETS.register_module()
class Detectron2CocoDataset(CocoDataset):
    """`CocoDataset` without objects whose polygons all have fewer than three points.

    The rule also holds for a detector without masks. An object without `segmentation` is kept. With
    `filter_cfg=dict(filter_empty_gt=True)`, training leaves out images on which only crowds or no objects at all
    remain. mmdet's data set keeps the boxes of such objects, and such images. The arguments are those of `CocoDataset`.

    Source: detectron2-ResNeSt@54ec876, detectron2/data/datasets/coco.py and detectron2/data/build.py.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one entry for each image, and log a warning with the number of dropped objects."""
        self._objects = self._dropped = 0
        self._with_objects: set[int] = set()
        images: list[dict[str, Any]] = super().load_data_list()
        if self._dropped:
            print_log(
                f'{self.ann_file}: {self._dropped} of {self._objects} objects are left out, because all their polygons '
                f"have fewer than three points. If the file has boxes only, use type='CocoDataset' for this data set",
                logger='current',
                level=logging.WARNING,
            )
        return images

    def parse_data_info(self, raw_data_info: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry of an image.

        Args:
            raw_data_info: `raw_img_info` and `raw_ann_info` as they are in the annotation file.
        """
        objects = raw_data_info['raw_ann_info']
        valid = [each for each in objects if self.has_outline(each.get('segmentation'))]
        self._objects += len(objects)
        self._dropped += len(objects) - len(valid)
        if any(not each.get('iscrowd', False) and each['category_id'] in self.cat2label for each in valid):
            self._with_objects.add(raw_data_info['raw_img_info']['img_id'])
        entry: dict[str, Any] = super().parse_data_info({**raw_data_info, 'raw_ann_info': valid})
        return entry

    def filter_data(self) -> list[dict[str, Any]]:
        """Return the entries of the images that are used."""
        images: list[dict[str, Any]] = super().filter_data()
        if self.test_mode or not (self.filter_cfg or {}).get('filter_empty_gt', False):
            return images
        return [image for image in images if image['img_id'] in self._with_objects]

    @staticmethod
    def has_outline(segmentation: Any) -> bool:
        """Return whether an object is kept: one of its polygons has three points, or it has no list of polygons.

        Args:
            segmentation: `segmentation` of the annotation; None where it has none.
        """
        if not isinstance(segmentation, list) or not segmentation:
            return True
        if not all(isinstance(each, list) for each in segmentation):
            return True
        return any(len(polygon) >= LEAST and len(polygon) % 2 == 0 for polygon in segmentation)
