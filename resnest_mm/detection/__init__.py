"""What the paper's detectors need and mmdet lacks; importing it registers every part."""

from resnest_mm.hosts import host_imports

if host_imports('mmdet'):
    from . import anchor_generator as anchor_generator
    from . import cascade_roi_head as cascade_roi_head
    from . import crop as crop
    from . import mask_head as mask_head
    from . import mask_tta as mask_tta
    from . import panoptic_fpn as panoptic_fpn
    from . import panoptic_fusion as panoptic_fusion
    from . import rpn_assigner as rpn_assigner
    from . import semantic_head as semantic_head
