"""The network: a backbone, the layer it is made of, and a norm that exchanges statistics between processes."""

import resnest_mm.models.layers.naive_sync_bn  # registers NaiveSyncBN
from resnest_mm.models.resnest import ResNeSt
from resnest_mm.models.split_attention import SplitAttention
from resnest_mm.models.variants import VARIANTS, Variant

__all__ = ['VARIANTS', 'ResNeSt', 'SplitAttention', 'Variant']
