"""The network: a backbone, and the layer it is made of."""

from .resnest import ResNeSt
from .split_attention import SplitAttention
from .variants import VARIANTS, Variant

__all__ = ['VARIANTS', 'ResNeSt', 'SplitAttention', 'Variant']
