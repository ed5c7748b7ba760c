"""What pyproject.toml cannot say about the build: folders beside the package, and a file of the top folder."""

import os

from setuptools import find_namespace_packages, find_packages, setup
from setuptools.command.build_py import build_py

INDEX = 'model-index.yml'


class BuildWithIndex(build_py):
    """Put model-index.yml into the built package, where `mim` and tools/model_zoo.py look for it."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(INDEX, os.path.join(self.build_lib, 'resnest_mm', INDEX))

    def get_source_files(self):
        return [*super().get_source_files(), INDEX]

    def get_outputs(self, include_bytecode=1):
        return [*super().get_outputs(include_bytecode), os.path.join(self.build_lib, 'resnest_mm', INDEX)]


shipped = find_namespace_packages(include=['configs', 'configs.*', 'tools', 'tools.*'], exclude=['*.__pycache__'])
setup(
    packages=[*find_packages(include=['resnest_mm', 'resnest_mm.*']), *(f'resnest_mm.{name}' for name in shipped)],
    cmdclass={'build_py': BuildWithIndex},
)
