"""Change one expression at a time in the network and the weights, and list the changes that no test notices.

`make mutants` runs this. mutmut makes the mutants and runs the tests that reach each of them; `[tool.mutmut]` in
pyproject.toml names the files and the tests, all of them quick. The 6000 mutants would take more than a day, so that
this script draws a sample, spread over the files in proportion to their mutants. The same seed and sources give the
same sample.

mutmut runs the tests that call a function. It misses tests that use the result of a call at import or in a shared
fixture. For this reason every survivor is tested a second time, in a new process and with all these tests.

Mutants of string literals are left out: most of them change the words of a message, which no test should repeat. mutmut
itself leaves out decorated functions, such as properties, and everything outside functions, such as tables.
"""

from __future__ import annotations

import argparse
import difflib
import os
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

KILLED = 'killed'
SURVIVED = 'survived'
TIMEOUT = 3600
"""Seconds after which all the tests with one mutant are given up."""


@dataclass(frozen=True)
class Mutant:
    """One changed expression.

    Args:
        name: mutmut's name of it.
        path: The file.
        change: The lines removed and added, which begin with `-` and `+`.
    """

    name: str
    path: Path
    change: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sample of the mutants; print how many were killed by file, and what the others change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--number', type=int, default=200, help='how many mutants to run; default 200')
    parser.add_argument('--seed', type=int, default=0, help='seed of the sample; default 0')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='processes; default one for each core')
    args = parser.parse_args(argv)
    mutants = draw(args.number, seed=args.seed)
    # Files that were deleted since the last run would stay in mutmut's copy of the repository.
    shutil.rmtree('mutants', ignore_errors=True)
    command = [Path(sys.executable).with_name('mutmut'), 'run', '--max-children', str(args.jobs)]
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    code = subprocess.run([*command, *(mutant.name for mutant in mutants)], env=env, check=False).returncode
    if code == 0:
        report(mutants, jobs=args.jobs)
    return code


def draw(number: int, *, seed: int) -> list[Mutant]:
    """Return a sample of the mutants: every k-th, with the mutants of each file in random order."""
    order = random.Random(seed)
    pool: list[Mutant] = []
    for path in sorted(walk_mutatable_files()):
        mutants = [mutant for mutant in mutants_of(path) if not changes_text(mutant)]
        order.shuffle(mutants)
        pool += mutants
    number = min(number, len(pool))
    return [pool[(2 * index + 1) * len(pool) // (2 * number)] for index in range(number)]


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    mutated = mutate_file_contents(str(path), path.read_text(encoding='utf-8'))
    lines = mutated.code.splitlines()

    def body(name: str) -> list[str]:
        span = mutated.line_span_by_function_name[name]
        return [line.replace(name, '') for line in lines[span.start - 1 : span.end]]

    for name in mutated.mutant_names:
        original = f'{name.rpartition("__mutmut_")[0]}__mutmut_orig'
        difference = list(difflib.unified_diff(body(original), body(name), n=0, lineterm=''))[2:]
        change = tuple(line for line in difference if not line.startswith('@@'))
        yield Mutant(name=get_mutant_name(path, name), path=path, change=change)


def changes_text(mutant: Mutant) -> bool:
    """Return whether a mutant only changes the case of a string literal or puts XX around it."""
    removed, added = (
        ' '.join(line[1:] for line in mutant.change if line[0] == sign).casefold().replace('xx', '') for sign in '-+'
    )
    return removed == added


def report(mutants: Sequence[Mutant], *, jobs: int) -> None:
    """Print how many mutants of each file were killed, and what the others change.

    Args:
        mutants: Those that mutmut has run.
        jobs: How many processes share the tests of a survivor.
    """
    counts: dict[Path, Counter[str]] = defaultdict(Counter)
    for mutant in mutants:
        data = SourceFileMutationData(path=mutant.path)
        data.load()
        verdict = status_by_exit_code[data.exit_code_by_key[mutant.name]]
        if verdict != KILLED:
            verdict = run_all_tests(mutant, jobs=jobs)
        if verdict != KILLED:
            print(f'{verdict}: {mutant.name}', *mutant.change, '', sep='\n', flush=True)
        counts[mutant.path][verdict] += 1
    for path, counter in [*counts.items(), ('all files', sum(counts.values(), Counter()))]:
        print(f'{path}: ' + ', '.join(f'{counter[verdict]} {verdict}' for verdict in sorted(counter)))


def run_all_tests(mutant: Mutant, *, jobs: int) -> str:
    """Return the verdict of all the tests together."""
    settings = config()
    command = [sys.executable, '-m', 'pytest', '-x', '-q', '--numprocesses', str(jobs), '--rootdir=.']
    command += [*settings.pytest_add_cli_args, *settings.pytest_add_cli_args_test_selection]
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'MUTANT_UNDER_TEST': mutant.name}
    try:
        code = subprocess.run(
            command, cwd='mutants', env=env, capture_output=True, check=False, timeout=TIMEOUT
        ).returncode
    except subprocess.TimeoutExpired:
        return 'timeout'
    return SURVIVED if code == 0 else KILLED


if __name__ == '__main__':
    raise SystemExit(main())
