"""The network: the ResNeSt backbone, the split attention layer, and a batch norm over several processes."""

import resnest_mm.models.layers.naive_sync_bn  # registers NaiveSyncBN
from resnest_mm.models.resnest import ResNeSt
from resnest_mm.models.split_attention import SplitAttention
from resnest_mm.models.variants import VARIANTS, Variant

__all__ = ['VARIANTS', 'ResNeSt', 'SplitAttention', 'Variant']
