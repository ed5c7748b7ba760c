from setuptools import find_namespace_packages, find_packages, setup

shipped = find_namespace_packages(include=['configs', 'configs.*', 'tools', 'tools.*'], exclude=['*.__pycache__'])
setup(packages=[*find_packages(include=['resnest_mm', 'resnest_mm.*']), *(f'resnest_mm.{name}' for name in shipped)])
