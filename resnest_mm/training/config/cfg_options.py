"""Checks of `--cfg-options`: mmengine would store a misspelt key as a new one, which has no effect."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from resnest_mm.errors import UserError

_CUTOFF = 0.82
"""Similarity, 0 to 1, from which a new key is taken for a typo: one wrong letter in six, but not `interval` for
`val_interval`."""

_DICT = re.compile(r'(?:^|[\[(,])\s*(?:dict\(|\{|\w+\([^)]*,)')
"""A value with a dict or a call in it: `DictAction` turns it into a string, or never returns if it has a comma."""

_MORE_RUNNER_KEYS = frozenset(
    {'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'}
)
"""Keys that mmengine's Runner reads from the whole config, and not by an argument."""


def key_value(text: str) -> str:
    """Check one `KEY=VALUE` of the command line before mmengine's `DictAction` splits it.

    Args:
        text: One argument of the command line.

    Returns:
        The text, unchanged.

    Raises:
        argparse.ArgumentTypeError: No equals sign, no key, brackets that do not match, or a dict as value.
    """
    key, equals, value = text.partition('=')
    if not equals or not key:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not KEY=VALUE; put CONFIG and other arguments before --cfg-options'
        )
    if value.count('(') != value.count(')') or value.count('[') != value.count(']'):
        raise argparse.ArgumentTypeError(f'{text!r} has brackets that do not match; quote the value: {key}="[1,2]"')
    if _DICT.search(value):
        raise argparse.ArgumentTypeError(
            f'{text!r} holds a dict, which --cfg-options cannot take; set its keys one by one, as in {key}.num=1, or '
            'write it into a config that has this one as _base_'
        )
    return text


def check_option_keys(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse options whose key looks like a misspelt key of the config.

    A new key is accepted where the config has no similar one at the same place.

    Args:
        cfg: Parsed config, before the options are merged.
        options: Dotted keys and their values.

    Raises:
        UserError: A key similar to an existing one, an index outside a list, or a key below a value without keys.
    """
    for option in options:
        node: Any = cfg
        walked: list[str] = []
        for part in option.split('.'):
            where = '.'.join(walked)
            if isinstance(node, (list, tuple)):
                if not part.isdigit() or int(part) >= len(node):
                    raise UserError(
                        f'--cfg-options {option}: {where} is a list; use an index from 0 to {len(node) - 1}'
                    )
                node = node[int(part)]
            elif isinstance(node, (dict, Config)):
                if part not in node:
                    _refuse_near_miss(option, part, walked, node)
                    break
                node = node[part]
            elif node is None:
                break
            else:
                raise UserError(f'--cfg-options {option}: {where} is {node!r} and has no key {part!r}')
            walked.append(part)


def _refuse_near_miss(option: str, part: str, walked: list[str], node: Any) -> None:
    runner_keys = [] if walked else _runner_keys()
    if part in runner_keys:
        return
    known = [name for name in node if isinstance(name, str)] + runner_keys
    near = difflib.get_close_matches(part, known, n=1, cutoff=_CUTOFF)
    if near:
        meant = '.'.join([*walked, near[0], *option.split('.')[len(walked) + 1 :]])
        raise UserError(f'--cfg-options {option}: the config has no {".".join([*walked, part])}; did you mean {meant}?')


def _runner_keys() -> list[str]:
    """Return the top-level keys that mmengine's Runner reads, sorted.

    Read from the signature of `Runner.__init__`. If mmengine changes how a Runner takes its config, a valid new key
    that is similar to one in the config is refused.
    """
    return sorted({*inspect.signature(Runner.__init__).parameters, *_MORE_RUNNER_KEYS})
