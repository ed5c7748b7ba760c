"""Child registries of mmengine's roots under the scope `resnest_mm`.

mmengine imports this module by itself when it meets a type such as `resnest_mm.ResNeSt`. It swallows an ImportError
raised here and then reports only that the type is unknown, so nothing that may be missing is imported at this point.
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


def locations(*modules: str) -> list[str]:
    """Return the modules that can be imported here, in the order given.

    Args:
        modules: Full module names; one listed in `HOSTS` also needs its host to be installed.
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
HOOKS = Registry('hook', parent=ROOT_HOOKS, scope=SCOPE, locations=locations('resnest_mm.training.hooks.precise_bn'))
DATASETS = Registry('dataset', parent=ROOT_DATASETS, scope=SCOPE, locations=locations(*_HOST_PARTS))
TRANSFORMS = Registry('transform', parent=ROOT_TRANSFORMS, scope=SCOPE, locations=locations(*_HOST_PARTS))
METRICS = Registry('metric', parent=ROOT_METRICS, scope=SCOPE, locations=locations(*_HOST_PARTS))
TASK_UTILS = Registry('task util', parent=ROOT_TASK_UTILS, scope=SCOPE, locations=locations('resnest_mm.detection'))
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=ROOT_WEIGHT_INITIALIZERS, scope=SCOPE, locations=locations('resnest_mm.weights')
)
