"""Build the virtual environment of a checkout: torch, mmcv's compiled ops, both hosts and the tools.

It runs with the bare interpreter before anything is installed. Therefore it uses the standard library alone: nothing of
resnest_mm, and no tqdm for the progress lines.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / 'constraints.txt'
SECONDS_BETWEEN_LINES = 20
EXAMPLE = 'example: python3 tools/setup_environment.py --venv .venv --torch torch==2.13.0'
CUDA_OF_TORCH = 'import torch; print(torch.version.cuda or "")'
CUDA_OF_OPS = 'import torch, mmcv, mmcv._ext as ext; print(mmcv.__version__, ext.get_compiling_cuda_version())'


class SetupError(RuntimeError):
    """A step failed; the message is for the person at the terminal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Create or complete the environment. A step that is done already is skipped or quick."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument('--venv', type=Path, default=ROOT / '.venv', help='folder of the virtual environment')
    parser.add_argument('--torch', default='torch==2.13.0', help='requirement for torch, as pip takes it')
    args = parser.parse_args(argv)
    try:
        set_up(args.venv.absolute(), torch=args.torch)
    except SetupError as error:
        print(f'setup failed: {error}', file=sys.stderr)
        return 2
    return 0


def set_up(venv: Path, *, torch: str) -> None:
    """Run all steps in the order that pip's resolver needs.

    Raises:
        SetupError: A step failed, or this file does not stand in a checkout.
    """
    if not (ROOT / 'pyproject.toml').is_file():
        raise SetupError(
            f'{ROOT} is no checkout of resnest_mm: pyproject.toml is missing. Clone the repository and run make setup '
            f"there; beside an installed resnest_mm, install a host with: pip install 'resnest_mm[det]' or "
            f"'resnest_mm[seg]'"
        )
    python = venv / 'bin' / 'python'
    if not python.exists():
        say(f'creating {venv}')
        run([sys.executable, '-m', 'venv', str(venv)])
    pins = write_constraints(venv, torch=torch)
    say(f'installing the build tools and {torch}')
    pip(python, 'pip', 'setuptools', 'wheel', 'ninja', 'psutil', '--upgrade', '-c', str(pins))
    pip(python, torch, '-c', str(pins))
    install_ops(python, pins, venv / 'mmcv-build.log')
    say('installing resnest_mm, mmdetection, mmsegmentation and the tools for tests')
    pip(python, '--no-build-isolation', '-e', f'{ROOT}[det,seg,test,dev]', '-c', str(pins))
    pip(python, '--no-deps', '--no-build-isolation', 'resnest==0.0.5')
    pip(python, '--no-deps', 'panopticapi-lite==0.2.0')  # it asks for a numpy below 2, which it does not need
    say('ready')


def write_constraints(venv: Path, *, torch: str) -> Path:
    """Copy constraints.txt into the environment, without its torch where another one is asked for."""
    lines = CONSTRAINTS.read_text(encoding='utf-8').splitlines()
    kept = [line for line in lines if not line.startswith('torch==') or line == torch]
    path = venv / 'constraints.txt'
    path.write_text('\n'.join(kept) + '\n', encoding='utf-8')
    return path


def install_ops(python: Path, pins: Path, log: Path) -> None:
    """Install mmcv with its compiled ops, unless the installed ones load and fit."""
    pinned = re.search(r'^mmcv==(\S+)$', pins.read_text(encoding='utf-8'), flags=re.MULTILINE)
    assert pinned, 'constraints.txt pins mmcv'
    version = pinned[1]
    cuda = ops_cuda(ask(python, CUDA_OF_TORCH))
    if ops_fit(python, version, cuda=cuda):
        say(f'mmcv {version} with its ops is in place')
        return
    command = [str(python), '-m', 'pip', 'install', '-v', '--no-build-isolation', '-c', str(pins), f'mmcv=={version}']
    compile_ops(command, cuda=cuda, log=log)
    if not ops_fit(python, version, cuda=cuda):
        # pip may have taken a wheel from its cache that was compiled against another torch.
        say('the ops pip had in its cache do not load with this torch; compiling them anew')
        compile_ops([*command, '--no-cache-dir', '--force-reinstall', '--no-deps'], cuda=cuda, log=log)
    if not ops_fit(python, version, cuda=cuda):
        raise SetupError(f'mmcv._ext does not load; see why with: {python} -c "import torch, mmcv._ext"; log: {log}')


def ops_cuda(torch_cuda: str) -> bool:
    """Return whether the ops can be compiled for CUDA; print a line where a GPU cannot be used.

    Args:
        torch_cuda: The CUDA version torch was built with; empty for a CPU build.
    """
    gpu = succeeds(['nvidia-smi', '-L'])
    nvcc = nvcc_version()
    if not torch_cuda:
        if gpu:
            say('a GPU is there but torch is a CPU build: compiling CPU ops')
        return False
    if nvcc is None:
        if gpu:
            say(f'a GPU is there but no nvcc: compiling CPU ops (for GPU ops install CUDA {torch_cuda} first)')
        return False
    if nvcc.split('.')[0] != torch_cuda.split('.')[0]:
        say(f'nvcc is CUDA {nvcc} but torch is built with {torch_cuda}: compiling CPU ops')
        return False
    return True


def nvcc_version() -> str | None:
    """Return the CUDA release of the compiler that torch would use, or None where there is none."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    nvcc = f'{home}/bin/nvcc' if home else shutil.which('nvcc')
    if nvcc is None or not Path(nvcc).exists():
        return None
    told = subprocess.run([nvcc, '--version'], capture_output=True, text=True, check=False).stdout
    release = re.search(r'release (\d+\.\d+)', told)
    return release[1] if release else None


def ops_fit(python: Path, version: str, *, cuda: bool) -> bool:
    """Return whether this version of mmcv is installed and its ops load; `cuda` asks for ops built for CUDA."""
    told = ask(python, CUDA_OF_OPS)
    return told.startswith(f'{version} ') and not (cuda and told.endswith('not available'))


def compile_ops(command: Sequence[str], *, cuda: bool, log: Path) -> None:
    """Run pip's build in the background and print a line on its progress every few seconds."""
    jobs = str(os.cpu_count() or 1)
    env = {**os.environ, 'MMCV_WITH_OPS': '1', 'MAX_JOBS': jobs, 'FORCE_CUDA': str(int(cuda))}
    if not cuda:
        # mmcv compiles for CUDA whenever torch sees a device, also with FORCE_CUDA=0
        env['CUDA_VISIBLE_DEVICES'] = ''
    kind = 'CUDA' if cuda else 'CPU'
    say(f'building mmcv with {kind} ops on {jobs} cores, unless pip has the wheel from before; log: {log}')
    begin = time.monotonic()
    with log.open('w', encoding='utf-8') as sink:
        # In a session of its own, an interruption also ends the compilers that pip started.
        build = subprocess.Popen(command, env=env, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while True:
                try:
                    code = build.wait(SECONDS_BETWEEN_LINES)
                    break
                except subprocess.TimeoutExpired:
                    say(f'  {time.monotonic() - begin:4.0f} s  {progress(log.read_text(errors="replace"))}')
        finally:
            if build.poll() is None:
                os.killpg(build.pid, signal.SIGTERM)
    if code:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-30:])
        raise SetupError(f'mmcv did not compile (pip ended with {code}); the last lines of {log}:\n{tail}')


def progress(log: str) -> str:
    """Return how many files ninja has compiled, read from pip's verbose log."""
    steps = re.findall(r'^\s*\[(\d+)/(\d+)\]', log, flags=re.MULTILINE)
    return f'[{steps[-1][0]}/{steps[-1][1]}] files compiled' if steps else 'preparing'


def pip(python: Path, *arguments: str) -> None:
    """Install with the environment's pip."""
    run([str(python), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *arguments])


def run(command: Sequence[str]) -> None:
    """Run a command whose failure ends the setup."""
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SetupError(f'exit code {code} from: {" ".join(command)}')


def ask(python: Path, code: str) -> str:
    """Return the last line that a piece of Python prints in the environment; empty where it fails."""
    # Outside of the checkout, so that its folders are not imported in place of installed packages.
    told = subprocess.run([str(python), '-c', code], capture_output=True, text=True, check=False, cwd=python.parent)
    return (told.stdout.strip().splitlines() or [''])[-1] if told.returncode == 0 else ''


def succeeds(command: Sequence[str]) -> bool:
    """Return whether a command exists and exits with 0."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def say(line: str) -> None:
    """Print a line without buffering, also into a pipe."""
    print(line, flush=True)


if __name__ == '__main__':
    raise SystemExit(main())
