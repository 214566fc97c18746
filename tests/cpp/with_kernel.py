"""Runs pytest with another build of the compiled kernel in place of the installed one.

    python tests/cpp/with_kernel.py FOLDER [pytest arguments]

FOLDER is searched for _kernel.*.so: where CMake built one with EEGVLM_SANITIZE, for instance.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


def main() -> int:
    folder, *arguments = sys.argv[1:]
    found = sorted(Path(folder).resolve().rglob("_kernel.*.so"))
    if len(found) != 1:
        sys.exit(f"{folder}: {len(found)} files _kernel.*.so; name a folder with one")
    name = "eegvlm_rt._kernel"
    spec = spec_from_file_location(name, found[0])
    if spec is None or spec.loader is None:
        sys.exit(f"{found[0]}: not a module")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    if Path(import_module("eegvlm_rt.rendering.renderer")._kernel.__file__) != found[0]:
        sys.exit(f"{found[0]}: not the kernel that is in use")
    print(f"kernel: {found[0]}, {module.build_config()['flags']}", flush=True)
    return int(pytest.main(["-p", "no:cacheprovider", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
