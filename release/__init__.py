"""How a version is made and proven: wheels, source distribution, bill of materials, provenance, tag.

`python -m release` makes a release, `python -m release.wheels` the wheels alone. docs/releasing.md tells
the rest. Nothing here is installed with the package.
"""
