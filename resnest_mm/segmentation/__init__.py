"""Parts of the paper's segmentors that mmseg does not have; importing this package registers them."""

from resnest_mm.hosts import host_imports

if host_imports('mmseg'):
    import resnest_mm.segmentation.heads.deeplabv3
    import resnest_mm.segmentation.heads.fcn
    import resnest_mm.segmentation.labelled_cross_entropy
    import resnest_mm.segmentation.multi_scale.multi_scale
