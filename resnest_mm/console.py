"""The command `resnest-mm`: every file of tools/ under its name, also where only the wheel is installed."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from resnest_mm.paths import package_version, shipped_folder

USAGE = """\
usage: resnest-mm TOOL ...

{tools}

`resnest-mm TOOL --help` prints the arguments of a tool, with an example.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool, or list all of them where none is named.

    Args:
        argv: Name of the tool and its arguments; those of the process by default.

    Returns:
        The exit code of the tool; 0 after the list; 2 where no tool has this name.
    """
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ['--help']
    tools = find_tools()
    if name in ('-h', '--help'):
        width = max(map(len, tools))
        lines = (f'  {tool:{width}}  {first_line(path)}' for tool, path in tools.items())
        print(USAGE.format(tools='\n'.join(lines)), end='')
        return 0
    if name == '--version':
        print(package_version())
        return 0
    if name not in tools:
        near = difflib.get_close_matches(name, tools, n=1)
        hint = f'did you mean {near[0]!r}? ' if near else ''
        print(f'error: tool {name!r} is unknown; {hint}resnest-mm lists all {len(tools)}', file=sys.stderr)
        return 2
    sys.argv = [f'resnest-mm {name}', *arguments]  # argparse takes the name for its usage line from here
    return load_main(tools[name])(arguments)


def find_tools() -> dict[str, Path]:
    """Return the file of each tool by the name of the tool, sorted."""
    return {path.stem: path for path in sorted(shipped_folder('tools').glob('*.py'))}


def first_line(path: Path) -> str:
    """Return the first line of a file's docstring, without importing the file."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    return text.partition('\n')[0]


def load_main(path: Path) -> Callable[[Sequence[str]], int]:
    """Return the function `main` of a tool, which takes the arguments and returns the exit code."""
    spec = importlib.util.spec_from_file_location(f'resnest_mm_tool_{path.stem}', path)
    assert spec is not None and spec.loader is not None, 'a .py file has a loader'
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    tool: Callable[[Sequence[str]], int] = module.main
    return tool


if __name__ == '__main__':
    raise SystemExit(main())
