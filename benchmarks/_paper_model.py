"""EEG-VLM of the paper's size, its random weights made on the device, in half precision or in 4 bits."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Final

import torch
from eegvlm_train.model import EegVlmForConditionalGeneration, preset
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ConvNextConfig

from ._common import percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from eegvlm_train.model import EegVlmConfig

__all__ = [
    "MERGES",
    "SIZES",
    "build",
    "captured",
    "clip_twice",
    "merged",
    "quantize",
    "timed",
    "weight_bytes",
]

# Patches (down, across) that become one visual token.
MERGES: Final = {1: (1, 1), 2: (2, 1), 4: (2, 2)}


def _seven_billion() -> EegVlmConfig:
    """LLaVA-1.5-7B (Liu et al. 2023): the 13B model with Llama-7B's numbers (Touvron et al. 2023)."""
    config = preset("paper")
    config.text_config.hidden_size = 4096
    config.text_config.intermediate_size = 11008
    config.text_config.num_hidden_layers = 32
    config.text_config.num_attention_heads = 32
    config.text_config.num_key_value_heads = 32
    config.text_config.head_dim = 128
    return config


def _nano() -> EegVlmConfig:
    """nano's CLIP and Llama arranged as in the paper: square patches, one high-level vector for all."""
    config = preset("nano")
    config.patch_shape, config.visual_tokens, config.memory_size = None, "both", 0
    config.enhancement_config = ConvNextConfig(hidden_sizes=[40, 80, 112, 192], depths=[1, 2, 5, 2])
    return config


SIZES: Final[dict[str, Callable[[], EegVlmConfig]]] = {
    "7b": _seven_billion,
    "13b": lambda: preset("paper"),
    "nano": _nano,
}


def build(size: str, device: str, dtype: torch.dtype) -> EegVlmForConditionalGeneration:
    """A network of `SIZES` with the library's random weights, made on the device; nothing is read."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = EegVlmForConditionalGeneration(SIZES[size]())
    finally:
        torch.set_default_dtype(before)
    model.eval().requires_grad_(False)
    return model


def quantize(network: nn.Module, compute: torch.dtype) -> int:
    """Linear layers of the decoder to NF4 with blocks of 64 and scales in 8 bits (Dettmers et al. 2023), in
    place and one after another; the word embeddings stay as they are. Returns how many.
    """
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    layers = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and name != "lm_head"
    ]
    for parent, name, child in layers:
        device = child.weight.device
        packed = Linear4bit(
            child.in_features,
            child.out_features,
            bias=child.bias is not None,
            compute_dtype=compute,
            quant_type="nf4",
            compress_statistics=True,
            device="meta",
        )
        weight = Params4bit(
            child.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True
        )
        packed.weight = weight.to(device)  # type: ignore[misc]
        packed.bias = child.bias
        setattr(parent, name, packed.eval())
    del layers
    gc.collect()
    return sum(isinstance(module, Linear4bit) for module in network.modules())


def weight_bytes(module: nn.Module) -> int:
    """Bytes of all parameters, those of a 4-bit layer with its scales."""
    total = 0
    for parameter in module.parameters():
        total += parameter.numel() * parameter.element_size()
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            scales = [state.absmax, state.code, state.offset]
            if state.nested:
                scales += [state.state2.absmax, state.state2.code]
            total += sum(x.numel() * x.element_size() for x in scales if x is not None)
    return total


def merged(model: EegVlmForConditionalGeneration, pixels: Tensor, merge: int) -> tuple[Tensor, Tensor]:
    """Stage logits (1, 5) and visual tokens (1, 2P / merge, D) of a picture (1, 3, H, W).

    The mean of `MERGES[merge]` neighbouring patch vectors of the CLIP tower goes through the projector in
    their place: 2 joins a patch and the one below it, which show the same time, 4 also those beside them.
    """
    look = model.enhancement(pixels)
    low = model.low_level(pixels)
    if merge > 1:
        side = round(low.shape[1] ** 0.5)
        grid = low.transpose(1, 2).reshape(1, -1, side, side)
        low = F.avg_pool2d(grid, MERGES[merge]).flatten(2).transpose(1, 2)
    patches = model.projector(low)
    return look.stage_logits, torch.cat([patches, patches + model.projector(look.high)], dim=1)


def clip_twice(model: EegVlmForConditionalGeneration, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The same tokens with the tower run again for the second half, as the paper's own code does."""
    look = model.enhancement(pixels)
    first = model.projector(model.low_level(pixels))
    second = model.projector(model.low_level(pixels)) + model.projector(look.high)
    return look.stage_logits, torch.cat([first, second], dim=1)


def captured(step: Callable[[], Any]) -> Callable[[], Any]:
    """`step` as a CUDA graph: the function returned replays it and gives the same tensors each time."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def timed(device: str, step: Callable[[], object], repeats: int, warm_up: int = 3) -> dict[str, float]:
    """Percentiles of milliseconds: between two events of the stream on a GPU, by the clock elsewhere."""
    for _ in range(warm_up):
        step()
    times: list[float] = []
    for _ in range(repeats):
        if device == "cuda":
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            torch.cuda.synchronize()
            events[0].record()
            step()
            events[1].record()
            events[1].synchronize()
            times.append(events[0].elapsed_time(events[1]))
        else:
            begin = time.perf_counter()
            step()
            times.append((time.perf_counter() - begin) * 1e3)
    return percentiles(times)
