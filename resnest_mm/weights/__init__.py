"""Weights: key layouts, and loading that is complete or an error."""

from .layouts import from_official
from .loading import CheckpointError, Pretrained, load_backbone

__all__ = ['CheckpointError', 'Pretrained', 'from_official', 'load_backbone']
