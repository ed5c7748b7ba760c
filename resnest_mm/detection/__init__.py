"""Parts of the paper's detectors that mmdet does not have; importing this package registers them."""

from resnest_mm.hosts import host_imports

if host_imports('mmdet'):
    import resnest_mm.detection.box_head
    import resnest_mm.detection.cascade.roi_head
    import resnest_mm.detection.coco
    import resnest_mm.detection.crop
    import resnest_mm.detection.mask_head
    import resnest_mm.detection.panoptic.fpn
    import resnest_mm.detection.panoptic.fusion
    import resnest_mm.detection.panoptic.semantic_head
    import resnest_mm.detection.rpn_anchors
    import resnest_mm.detection.rpn_assigner
    import resnest_mm.detection.rpn_head
    import resnest_mm.detection.test_time.mask_tta
