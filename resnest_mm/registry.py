"""The registries of the scope `resnest_mm`, children of mmengine's root registries.

mmengine imports this module when a config has a type such as `resnest_mm.ResNeSt`. It hides an ImportError raised
here and only reports that the type is unknown. This module therefore imports nothing that may be missing.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import TASK_UTILS as ROOT_TASK_UTILS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import WEIGHT_INITIALIZERS as ROOT_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

SCOPE: Final = 'resnest_mm'
HOSTS: Final = {'resnest_mm.detection': 'mmdet', 'resnest_mm.segmentation': 'mmseg'}
"""The host that each package of parts needs."""


def locations(*modules: str) -> list[str]:
    """Return those modules that exist and whose host is installed.

    Args:
        modules: Full module names. A key of `HOSTS` needs the host that is its value.
    """
    return [name for name in modules if _exists(name) and _exists(HOSTS.get(name, SCOPE))]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


_HOST_PARTS = tuple(HOSTS)

MODELS = Registry(
    'model',
    parent=ROOT_MODELS,
    scope=SCOPE,
    locations=locations('resnest_mm.models', *_HOST_PARTS),
)
HOOKS = Registry(
    'hook',
    parent=ROOT_HOOKS,
    scope=SCOPE,
    locations=locations(
        'resnest_mm.training.hooks.exact_resume',
        'resnest_mm.training.hooks.non_finite_guard',
        'resnest_mm.training.hooks.precise_bn',
        'resnest_mm.training.hooks.safe_checkpoint',
    ),
)
DATASETS = Registry('dataset', parent=ROOT_DATASETS, scope=SCOPE, locations=locations(*_HOST_PARTS))
TRANSFORMS = Registry('transform', parent=ROOT_TRANSFORMS, scope=SCOPE, locations=locations(*_HOST_PARTS))
METRICS = Registry('metric', parent=ROOT_METRICS, scope=SCOPE, locations=locations(*_HOST_PARTS))
TASK_UTILS = Registry('task util', parent=ROOT_TASK_UTILS, scope=SCOPE, locations=locations('resnest_mm.detection'))
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=ROOT_WEIGHT_INITIALIZERS, scope=SCOPE, locations=locations('resnest_mm.weights')
)
