"""The demo data set: small generated scenes for a first training without a download."""

from __future__ import annotations

from resnest_mm.datasets.classes import CLASSES, PALETTE, SEMANTIC_CLASSES
from resnest_mm.datasets.demo import holds_demo_data, write_demo_data
from resnest_mm.datasets.scenes import Instance, Scene, draw_scene
from resnest_mm.datasets.settings import DemoSettings

__all__ = [
    'CLASSES',
    'PALETTE',
    'SEMANTIC_CLASSES',
    'DemoSettings',
    'Instance',
    'Scene',
    'draw_scene',
    'holds_demo_data',
    'write_demo_data',
]
