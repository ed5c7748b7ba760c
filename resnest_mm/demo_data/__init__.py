"""The demo data set: small generated scenes for a first training without a download."""

from __future__ import annotations

from resnest_mm.demo_data.classes import CLASSES, PALETTE, SEMANTIC_CLASSES
from resnest_mm.demo_data.scenes import Instance, Scene, draw_scene
from resnest_mm.demo_data.settings import DemoSettings
from resnest_mm.demo_data.write import holds_demo_data, write_demo_data

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
