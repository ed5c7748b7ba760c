"""The shipped configs and tools, the version of the package, and paths that users write."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent


def expand_home(path: str) -> str:
    """Return a path with the home folder for a leading `~`, which shells leave alone in `--work-dir=~/run`.

    Args:
        path: A path, or the address of a remote file. One of a user whom this computer does not know does not change.
    """
    return os.path.expanduser(path)


def user_path(text: str) -> Path:
    """Return the path that a user wrote, with the home folder for a leading `~`.

    Args:
        text: Argument of a command line.
    """
    return Path(expand_home(text))


def shipped_folder(name: str) -> Path:
    """Return the folder `configs` or `tools`, which is inside an installed package and next to it in a checkout.

    Args:
        name: Name of the folder.
    """
    folder = PACKAGE.parent / name
    is_checkout = (PACKAGE.parent / 'pyproject.toml').is_file()
    return folder if is_checkout else PACKAGE / name


def list_configs() -> list[str]:
    """Return the names of all runnable configs, sorted, for `config_path`.

    Files in `_base_` folders are parts of configs and not listed.
    """
    root = shipped_folder('configs')
    names = (path.relative_to(root).with_suffix('') for path in root.rglob('*.py'))
    return sorted(name.as_posix() for name in names if '_base_' not in name.parts)


def config_path(name: str) -> Path:
    """Return the absolute path of a config that ships with the package.

    Args:
        name: Path below `configs/` with forward slashes, with or without `.py`, such as
            `'demo/faster-rcnn_s14_fpn_demo'`.

    Raises:
        ValueError: No config has this name; the message suggests similar names.
    """
    wanted = name.removesuffix('.py')
    root = shipped_folder('configs')
    parts = PurePosixPath(wanted).parts
    path = root.joinpath(*parts[:-1], f'{parts[-1]}.py') if parts else root
    if parts and '..' not in parts and not wanted.startswith('/') and path.is_file():
        return path
    raise ValueError(f'config {name!r} is unknown; {_suggestion(wanted)}')


def package_version() -> str:
    """Return the installed version, or the one in `pyproject.toml` if the package is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version('resnest_mm')
    except PackageNotFoundError:
        text = (PACKAGE.parent / 'pyproject.toml').read_text(encoding='utf-8')
        found = re.search(r'^version = "([^"]+)"$', text, flags=re.MULTILINE)
        assert found, 'pyproject.toml states the version'
        return found[1]


def _suggestion(wanted: str) -> str:
    known = list_configs()
    by_stem = {PurePosixPath(name).name: name for name in known}
    near = difflib.get_close_matches(wanted, known) or [
        by_stem[stem] for stem in difflib.get_close_matches(PurePosixPath(wanted).name, by_stem)
    ]
    hint = f'did you mean {" or ".join(map(repr, near))}? ' if near else ''
    return f'{hint}resnest_mm.list_configs() lists all {len(known)}'
