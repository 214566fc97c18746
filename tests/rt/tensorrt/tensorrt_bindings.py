"""Names of a TensorRT's Python classes, from its bindings alone: no library of it, no GPU.

The bindings are a small wheel; the libraries beside them are not needed to ask what classes they have. They
are loaded in a process of their own, over empty libraries that answer every call with a null pointer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
_ASK = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("tensorrt", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps({name: dir(getattr(module, name)) for name in dir(module)}))
"""


def members(wheel: Path, folder: Path) -> dict[str, list[str]]:
    """Members of every class in a wheel of bindings; `folder` is for its files."""
    major = wheel.name.split("-")[1].partition(".")[0]
    with zipfile.ZipFile(wheel) as content:
        name = next(name for name in content.namelist() if name.endswith("/tensorrt.so"))
        extension = content.extract(name, folder)
    source = folder / "empty.c"
    source.write_text("".join(f"void *{function}(void) {{ return 0; }}\n" for function in _FUNCTIONS))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        file = f"lib{library}.so.{major}"
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", str(folder / file), str(source)]
        subprocess.run(command, check=True)
    answer = subprocess.run(
        [sys.executable, "-c", _ASK, extension],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = json.loads(answer.stdout)
    return found
