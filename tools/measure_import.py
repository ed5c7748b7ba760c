"""Measure the time that `import resnest_mm` adds to importing mmengine and mmcv, in fresh interpreters."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence

BASE = 'import mmengine, mmcv'
WITH_PACKAGE = f'{BASE}; import resnest_mm'
FORBIDDEN = ('mmdet', 'mmseg', 'mmcv.ops', 'mmcv._ext')
TIMED = """
import sys, time
begin = time.perf_counter()
{code}
print(time.perf_counter() - begin)
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print both medians, their difference, and the modules that must not be imported but are.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0, or 1 where such a module was imported.
    """
    parser = argparse.ArgumentParser(description=__doc__, epilog='example: python tools/measure_import.py --runs 9')
    parser.add_argument(
        '--runs', type=int, default=7, help='interpreters started for each measurement (default: %(default)s)'
    )
    runs = parser.parse_args(argv).runs
    if runs < 1:
        parser.error(f'--runs {runs}: at least 1 is needed')
    base, package, loaded = [], [], set()
    for _ in range(runs):
        base.append(measure(BASE)[0])
        seconds, forbidden = measure(WITH_PACKAGE)
        package.append(seconds)
        loaded.update(forbidden)
    medians = statistics.median(base), statistics.median(package)
    print(f'{BASE:<45}{medians[0]:8.3f} s')
    print(f'{WITH_PACKAGE:<45}{medians[1]:8.3f} s')
    print(f'{f"difference of the medians of {runs}":<45}{medians[1] - medians[0]:8.3f} s')
    print(f'{"loaded though they should not be":<45}{", ".join(sorted(loaded)) or "none":>10}')
    return int(bool(loaded))


def measure(code: str) -> tuple[float, list[str]]:
    """Return the seconds that a line of imports takes and which of `FORBIDDEN` it loads."""
    command = [sys.executable, '-c', TIMED.format(code=code), *FORBIDDEN]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return float(lines[-2]), lines[-1].split()


if __name__ == '__main__':
    raise SystemExit(main())
