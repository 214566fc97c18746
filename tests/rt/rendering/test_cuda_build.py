"""Where the CUDA compiler is, the renderer compiles for Orin, Hopper and Thor."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CMAKE = Path(sys.executable).with_name("cmake")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc, of the CUDA toolkit, is not here")
def test_the_cuda_renderer_compiles_for_every_device_it_is_meant_for(tmp_path: Path) -> None:
    cmake = str(CMAKE) if CMAKE.exists() else "cmake"
    options = ["-DEEGVLM_BUILD_CUDA=ON", "-DEEGVLM_BUILD_PYTHON=OFF"]
    subprocess.run([cmake, "-S", ROOT, "-B", tmp_path, *options], check=True, capture_output=True)
    target = ["--target", "eegvlm_cuda"]
    subprocess.run([cmake, "--build", tmp_path, *target], check=True, capture_output=True)
    library = tmp_path / "libeegvlm_cuda.so"
    code = library.read_bytes()
    for architecture in (b"sm_87", b"sm_90", b"sm_110"):
        assert architecture in code
    assert ctypes.CDLL(str(library)).eegvlm_cuda_plan
