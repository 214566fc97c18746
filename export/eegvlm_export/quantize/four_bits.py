"""How the weights of a language model become 4 bits: without data, or with what its layers are shown."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .blockwise import BlockQuantized, quantize_block, quantize_blocks

__all__ = ["CALIBRATED", "METHODS", "Method", "gptq_blocks", "hqq_blocks", "quantize_with"]

Float32 = NDArray[np.float32]
Method = Literal["rtn", "search", "hqq", "gptq", "awq"]

METHODS: Final[tuple[Method, ...]] = ("rtn", "search", "hqq", "gptq", "awq")
"""rtn: round to nearest. search: the scale of least squared error of every block. hqq: half-quadratic
quantisation with zero points (Badri & Shaji 2023), from ONNX Runtime. gptq: each weight makes up for the
error of those before it (Frantar et al. 2023). awq: inputs of large activations are scaled up first (Lin et
al. 2024)."""

CALIBRATED: Final = frozenset({"gptq", "awq"})
"""Methods that look at what the layers read."""

_DAMPING: Final = 0.01


def quantize_with(
    method: Method, weight: Float32, block: int, hessian: NDArray[np.float64] | None = None
) -> BlockQuantized:
    """A (K, N) weight in 4 bits; "gptq" needs `hessian`, the second moments (K, K) of the inputs."""
    if method == "hqq":
        return hqq_blocks(weight, block)
    if method == "gptq":
        if hessian is None:
            raise ValueError("method: gptq; give the second moments of the inputs")
        return gptq_blocks(weight, block, hessian)
    return quantize_blocks(weight, 4, block, search=method != "rtn")


def hqq_blocks(weight: Float32, block: int) -> BlockQuantized:
    """Half-quadratic quantisation by ONNX Runtime, its zero points rounded to the integers that products in
    4 bits hold. TensorRT takes no zero points: this is for ONNX Runtime.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import (
        HQQWeightOnlyQuantConfig,
        HQQWeightOnlyQuantizer,
    )

    rows, columns = weight.shape
    quantizer = HQQWeightOnlyQuantizer(HQQWeightOnlyQuantConfig(block_size=block, bits=4))
    tensor = torch.from_numpy(np.ascontiguousarray(weight.T))
    _, scale, zero = quantizer.quantize_internal(tensor, bits=4, group_size=block)
    scales = np.ascontiguousarray(scale.numpy().T.astype(np.float32))
    zeros = np.ascontiguousarray(np.clip(np.rint(zero.numpy().T), 0, 15).astype(np.uint8))
    blocks = weight.reshape(-1, block, columns)
    values = np.clip(np.rint(blocks / scales[:, None]) + zeros[:, None], 0, 15).astype(np.uint8)
    packed = BlockQuantized(values.reshape(rows, columns), scales, 0.0, zeros)
    return BlockQuantized(packed.values, scales, _lost(weight, packed), zeros)


def gptq_blocks(weight: Float32, block: int, hessian: NDArray[np.float64]) -> BlockQuantized:
    """GPTQ in the order of the rows, the scale of each block searched on what it holds when its turn comes.

    ONNX Runtime's own GPTQ gives back no scales, and spans -7.5 to 7.5 steps where this spans -8 to 7.
    """
    rows, columns = weight.shape
    remaining = weight.astype(np.float32).copy()
    spread = hessian.astype(np.float64)
    dead = np.diag(spread) <= 0
    spread[dead, dead] = 1.0
    spread[np.diag_indices(rows)] += _DAMPING * float(np.mean(np.diag(spread)))
    inverse = np.linalg.cholesky(np.linalg.inv(spread)).T.astype(np.float32)
    values = np.empty((rows, columns), dtype=np.int8)
    scales = np.empty((rows // block, columns), dtype=np.float32)
    for i in range(rows // block):
        start, end = i * block, (i + 1) * block
        part = remaining[start:end]
        scale = scales[i] = quantize_block(part, 4)[1]
        errors = np.empty_like(part)
        for k in range(block):
            integers = np.clip(np.rint(part[k] / scale), -8, 7)
            values[start + k] = integers.astype(np.int8)
            errors[k] = (part[k] - integers * scale) / inverse[start + k, start + k]
            part[k:] -= np.outer(inverse[start + k, start + k : end], errors[k])
        remaining[end:] -= inverse[start:end, end:].T @ errors
    packed = BlockQuantized(values, scales, 0.0)
    return BlockQuantized(values, scales, _lost(weight, packed))


def _lost(weight: Float32, packed: BlockQuantized) -> float:
    energy = float(np.square(weight, dtype=np.float64).sum())
    return float(np.square(packed.dequantized() - weight, dtype=np.float64).sum()) / energy if energy else 0.0
