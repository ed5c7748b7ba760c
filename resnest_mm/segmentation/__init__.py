"""What the paper's segmenters need and mmseg lacks; importing it registers every part."""

from resnest_mm.hosts import host_imports

if host_imports('mmseg'):
    from . import deeplabv3_head as deeplabv3_head
    from . import fcn_head as fcn_head
    from . import labelled_cross_entropy as labelled_cross_entropy
    from . import multi_scale as multi_scale
