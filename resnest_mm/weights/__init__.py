"""Weights: published files, key layouts, and loading that fills a backbone or raises an error."""

from resnest_mm.errors import CheckpointError
from resnest_mm.weights.fit import load_backbone
from resnest_mm.weights.layouts.official import from_official
from resnest_mm.weights.pretrained import Pretrained

__all__ = ['CheckpointError', 'Pretrained', 'from_official', 'load_backbone']
