"""Weights: key layouts, and loading that is complete or an error."""

from resnest_mm.weights.layouts.tables import from_official
from resnest_mm.weights.pretrained import CheckpointError, Pretrained, load_backbone

__all__ = ['CheckpointError', 'Pretrained', 'from_official', 'load_backbone']
