"""What users hold on to: names, keys, options and values that may not change unnoticed.

`python -m tests.support.stable_names` prints them as JSON. `tests/stable_names.json` is what it printed before the
package was divided into subpackages.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import resnest_mm
from tests.support.config_values import SECTIONS, flat
from tests.support.tool_runs import TOOLS, run_tool

REGISTRIES = ('DATASETS', 'HOOKS', 'METRICS', 'MODELS', 'TASK_UTILS', 'TRANSFORMS', 'WEIGHT_INITIALIZERS')
PACKAGES = ('resnest_mm', 'resnest_mm.models', 'resnest_mm.weights')
EXIT_CODES = {
    'train': ([], ['no_such_config.py']),
    'test': ([], ['no_such_config.py', 'no_such.pth']),
    'report': (['no_such_config.py', 'no_such_folder'],),
    'browse_dataset': (['no_such_config.py', 'out'],),
    'convert_checkpoint': ([], ['no_such.pth', 'out.pth'], ['--matrix']),
    'inspect_checkpoint': (['no_such.pth'],),
    'publish_checkpoint': (['no_such.pth', 'out'],),
    'verify_parity': (['--size', '1'],),
    'model_zoo': (['--index', 'no_such.yml'],),
    'make_demo_data': (['--images', '0', 'out'],),
    'make_stuff_maps': (['no_such.json', 'no_such', 'out'],),
}
"""Tools and the arguments whose exit codes are compared."""


def observe() -> dict[str, Any]:
    """Return everything that is compared, as plain values."""
    variants = sorted(import_module('resnest_mm.models').VARIANTS)
    calls = [(name, argv) for name, several in EXIT_CODES.items() for argv in several]
    return {
        'public names': {name: sorted(import_module(name).__all__) for name in PACKAGES},
        'registered names': {name: registered(name) for name in REGISTRIES},
        'state dict keys of depth 14': state_dict_lines('resnest14'),
        'state dicts': {name: digest(state_dict_lines(name)) for name in variants},
        'configs': {name: config_digests(name) for name in resnest_mm.list_configs()},
        'tool options': {path.stem: options(path.stem) for path in sorted(TOOLS.glob('*.py'))},
        'exit codes': {' '.join((name, *argv)): exit_code(name, argv) for name, argv in calls},
    }


def registered(name: str) -> list[str]:
    """Return the names in one of this package's registries, all parts imported."""
    registry = getattr(import_module('resnest_mm.registry'), name)
    registry.import_from_location()
    return sorted(registry.module_dict)


def state_dict_lines(variant: str) -> list[str]:
    """Return names and shapes of a network's tensors, in their order."""
    with torch.device('meta'):
        network = MODELS.build({'type': 'resnest_mm.ResNeSt', 'variant': variant})
    return [f'{name} {tuple(value.shape)}' for name, value in network.state_dict().items()]


def config_digests(name: str) -> dict[str, str]:
    """Return a short hash of the values in each section of a config."""
    cfg = Config.fromfile(resnest_mm.config_path(name))
    return {
        section: digest(sorted(f'{key}={value!r}' for key, value in flat(cfg[section], section)))
        for section in SECTIONS
        if section in cfg
    }


def options(tool: str) -> list[str]:
    """Return the options and positional arguments that a tool's help names."""
    text = captured(lambda: run_tool(tool, ['--help']))[1]
    usage, _, rest = text.partition('\n\n')
    names = {*re.findall(r'(?<![\w-])--?[a-zA-Z][\w-]*', usage), *re.findall(r'^  (\S+)  ', rest, flags=re.MULTILINE)}
    return sorted(names)


def exit_code(tool: str, argv: list[str]) -> int:
    """Return a tool's exit code."""
    return captured(lambda: run_tool(tool, argv))[0]


def captured(action: Callable[[], int]) -> tuple[int, str]:
    """Run a tool without showing what it prints; return its exit code and its standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = action()
        except SystemExit as left:
            code = int(left.code or 0)
    return code, out.getvalue()


def digest(lines: Iterable[str]) -> str:
    """Return a short hash of lines."""
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


GROWING = ('registered names', 'state dicts', 'configs', 'tool options', 'exit codes')
"""Groups to which a contributor may add a name; what is stored of them must stay."""


def differences(before: Any, now: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a line for every value that is not as before.

    A new config, variant, tool, option or registered name is no difference. A new section in a known config is one.
    """
    where = ' > '.join(path)
    may_grow = bool(path) and path[0] in GROWING
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if key in before or not (may_grow and len(path) == 1):
                yield from differences(before.get(key), now.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(now, list):
        gone, new = [v for v in before if v not in now], [v for v in now if v not in before]
        if gone or (before != now and not may_grow):
            yield f'{where}: gone {gone}, new {new}'
    elif before != now:
        yield f'{where}: {before!r} was, {now!r} is'


STORED = Path(__file__).parents[1] / 'stable_names.json'

if __name__ == '__main__':
    print(json.dumps(observe(), indent=1))
