"""Loading a config that the command line names: find the file, parse it, apply `--cfg-options`."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from resnest_mm.errors import UserError, one_line
from resnest_mm.paths import config_path, expand_home, user_path
from resnest_mm.training.config.cfg_options import check_option_keys
from resnest_mm.training.config.data_root import move_data_root


def find_config(name: str) -> Path:
    """Return the path of a config file.

    Args:
        name: A path, absolute or relative to the current directory, or the name of a shipped config, as
            `resnest_mm.config_path` takes it.

    Raises:
        UserError: Neither a file nor a known name.
    """
    path = user_path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise UserError(f'config {name} is a directory; name a .py file in it')
    try:
        return config_path(name)
    except ValueError as error:
        raise UserError(f'config {name} does not exist (looked in {Path.cwd()}): {one_line(error)}') from None


def load_config(name: str, *, cfg_options: Mapping[str, Any] | None = None) -> Config:
    """Return a parsed config with `--cfg-options` merged into it.

    Args:
        name: Path or shipped name, see `find_config`.
        cfg_options: Dotted keys and their values, as mmengine's `DictAction` collects them; None for no change.

    Raises:
        UserError: No such config, a config that cannot be parsed, or an option that does not fit it.
    """
    path = find_config(name)
    try:
        cfg = Config.fromfile(path)
    except Exception as error:
        raise UserError(f'config {name} cannot be read: {_why(error, path)}') from error
    return merge_options(cfg, cfg_options) if cfg_options else cfg


def merge_options(cfg: Config, cfg_options: Mapping[str, Any]) -> Config:
    """Return a copy of a config with `--cfg-options` merged into it.

    An option `data_root` moves every data set below the config's own `data_root`, whose value mmengine has put into all
    paths when it parsed the file. Options for single data sets are applied after it.

    Args:
        cfg: Parsed config; left unchanged.
        cfg_options: Dotted keys and their values.

    Raises:
        UserError: A misspelt key, or an option that does not fit the config.
    """
    check_option_keys(cfg, cfg_options)
    if isinstance(cfg_options.get('data_root'), str):
        cfg_options = {**cfg_options, 'data_root': expand_home(cfg_options['data_root'])}
    merged = copy.deepcopy(cfg)
    if 'data_root' in cfg_options and cfg_options['data_root'] != cfg.get('data_root'):
        if not isinstance(cfg.get('data_root'), str):
            raise UserError(
                '--cfg-options data_root=...: this config has no data_root of its own to replace; '
                'set train_dataloader.dataset.data_root, val_dataloader.dataset.data_root and so on'
            )
        merged = move_data_root(merged, cfg.data_root, str(cfg_options['data_root']))
    try:
        merged.merge_from_dict(copy.deepcopy(dict(cfg_options)))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f'--cfg-options do not fit the config: {one_line(error)}') from error
    return merged


def _why(error: Exception, path: Path) -> str:
    """Return the reason why a config cannot be parsed, with the line of the config where there is one.

    Two parts depend on the texts of mmengine's errors: sys.path is cut off, and a host that is not installed gets a
    hint. If mmengine words them in another way, the message is longer and has no hint.
    """
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.absolute())
    ]
    place = f'line {lines[-1]}: ' if lines else ''
    reason = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    text = one_line(str(reason).partition(', the current sys.path')[0] if isinstance(reason, ImportError) else reason)
    hints = {'mmdet': 'det', 'mmseg': 'seg', 'mmsegmentation': 'seg'}
    extra = next((extra for package, extra in hints.items() if text.startswith(f'{package} is not installed')), None)
    hint = f"; pip install 'resnest_mm[{extra}]'" if extra else ''
    return f'{place}{type(reason).__name__}: {text}{hint}'
