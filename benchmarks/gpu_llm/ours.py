"""Our runtime on one of the graphs: memory, prefill, tokens one by one, and the answers an epoch asks for."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from eegvlm_export.graphs.language import head_dim, kv_heads

from eegvlm_rt.backends.embedding import cache_names
from eegvlm_rt.backends.on_device import (
    CudaOptions,
    DeviceLanguageModel,
    FusedDeviceLanguageModel,
    OrtGraph,
)
from eegvlm_rt.backends.on_device.language import language_inputs, language_outputs
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.devices import DeviceArray, DeviceBuffer, Stream

from .._common import percentiles
from .._paper_answers import Effort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import LlamaConfig

    from eegvlm_rt.devices import Device

__all__ = ["VISUAL_TOKENS", "Ours"]

VISUAL_TOKENS: Final = 1152
"""Twice the 576 patches of LLaVA-1.5's tower."""

WARM_UP: Final = 4


class Ours:
    """One language model in ONNX Runtime on a device. `measure` says what was found after each part."""

    def __init__(
        self,
        path: Path,
        config: LlamaConfig,
        device: Device,
        *,
        fused: bool,
        graphs: bool,
        half_products: bool,
        attention: str | None = None,
    ) -> None:
        shape = LanguageModelShape(
            config.num_hidden_layers, kv_heads(config), head_dim(config), config.vocab_size
        )
        self.effort, self.config, self.device = Effort(), config, device
        self.stream = Stream(device)
        rng = np.random.default_rng(1)
        table = (
            rng.standard_normal((config.vocab_size, config.hidden_size), dtype=np.float32) * 0.02
        ).astype(np.float16)
        past = cache_names("past_key_values", shape.num_layers)
        inputs = language_inputs(shape)
        if fused:
            inputs = ["inputs_embeds", "last_position", "total_tokens", *past]
        begin = time.perf_counter()
        # ONNX Runtime reads the weights from memory, as it does those of a bundle that was verified.
        data = path.with_name(f"{path.name}.data")
        graph = OrtGraph(
            path.read_bytes(),
            device,
            self.stream,
            part="llm",
            inputs=inputs,
            outputs=language_outputs(shape),
            data={data.name: data.read_bytes()},
            options=CudaOptions(
                graphs=graphs, half_products=half_products, attention=attention, free_sessions=True
            ),
            record=fused and graphs and device.kind == "cuda",
        )
        self.load_s = time.perf_counter() - begin
        longest = VISUAL_TOKENS + self.effort.prompt_tokens + self.effort.rationale_tokens + 8
        self.lm: FusedDeviceLanguageModel | DeviceLanguageModel
        if fused:
            self.lm = FusedDeviceLanguageModel(
                graph,
                table,
                device,
                self.stream,
                shape,
                replay=graphs and device.kind == "cuda",
                capacity=longest,
            )
        else:
            self.lm = DeviceLanguageModel(graph, table, device, self.stream, shape)
        # The tower leaves its tokens on the device.
        looks = rng.standard_normal((VISUAL_TOKENS, config.hidden_size), dtype=np.float32) * np.float32(0.02)
        buffer = DeviceBuffer(device, looks.nbytes)
        with self.stream.settled() as stream:
            buffer.upload(looks, stream)
        self.looks = DeviceArray(buffer, looks.shape, self.stream)
        self.prompt = self.lm.embed(list(range(5, 5 + self.effort.prompt_tokens)))

    def prefill(self) -> dict[str, Any]:
        """Visual tokens and prompt, from the device's memory to the last logits on the host; in one run where
        attention is fused."""
        ms = self._times(self._direct, self.effort.repeats)
        runs = 1 if isinstance(self.lm, FusedDeviceLanguageModel) else 2
        return {"tokens": VISUAL_TOKENS + self.effort.prompt_tokens, "runs": runs, "ms": ms}

    def gpu_ms(self) -> dict[str, Any]:
        """Milliseconds of the GPU alone between the first and the last operator of a run, by its tokens;
        the rest of a run is the host's.
        """
        stream = torch.cuda.ExternalStream(self.stream.handle)
        figures: dict[str, Any] = {}
        graph: Any = self.lm._graph
        plain = graph.run
        events: list[tuple[Any, Any]] = []

        def run(binding: Any, recording: int | None = None) -> None:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record(stream)
            plain(binding, recording)
            end.record(stream)
            events.append((begin, end))

        _, cache = self._direct()
        graph.run = run
        try:
            for steps in sorted({1, *self.effort.chunks()}):
                embeds = self.lm.embed([9] * steps)
                for _ in range(12):
                    self.lm.next_logits(embeds, cache)
                torch.cuda.synchronize()
                figures[str(steps)] = percentiles([begin.elapsed_time(end) for begin, end in events[2:]])
                events.clear()
        finally:
            del graph.run
        return figures

    def decode(self, tokens: int) -> dict[str, Any]:
        """Milliseconds of one token after another behind picture and prompt, each read by the host."""
        logits, cache = self._direct()
        each = []
        for _ in range(WARM_UP + tokens):
            begin = time.perf_counter()
            token = int(logits.argmax())
            logits, cache = self.lm.next_logits(self.lm.embed([token]), cache)
            each.append(1e3 * (time.perf_counter() - begin))
        if not np.isfinite(logits).all():
            raise ValueError("logits: not finite")
        return {"ms": percentiles(each[WARM_UP:])}

    def runs(self) -> dict[str, Any]:
        """Milliseconds of one run that reads several tokens at once, by their number."""
        _, cache = self._direct()
        figures = {}
        for steps in sorted({1, 16, 32, *self.effort.chunks()}):
            embeds = self.lm.embed([9] * steps)
            figures[str(steps)] = self._times(lambda e=embeds: self.lm.next_logits(e, cache), 20)  # type: ignore[misc]
        return figures

    def answers(self, rationales: int) -> dict[str, Any]:
        """The language model's part of each answer: one prefill; 73 tokens in 12 runs behind it; 300 one by
        one."""
        return {
            "direct_ms": self._times(self._direct, self.effort.repeats),
            "cot_ms": self._times(self._cot, self.effort.repeats),
            "rationale_ms": self._times(self._rationale, rationales),
        }

    def repeated(self) -> bool:
        """Whether prefill and a short step give the same logits to the last bit again."""
        figures = []
        for _ in range(2):
            logits, cache = self._direct()
            figures.append((logits, *(self.lm.next_logits(self.lm.embed([7, 8]), cache)[:1])))
        return all(np.array_equal(a, b) for a, b in zip(*figures, strict=True))

    def logits(self) -> np.ndarray:
        """Logits after the picture, the prompt and then one token, two, and one more: recorded steps and
        others."""
        rows, (row, cache) = [], self._direct()
        rows.append(row)
        for ids in ([11], [12, 13], [14]):
            row, cache = self.lm.next_logits(self.lm.embed(ids), cache)
            rows.append(row)
        return np.stack(rows)

    def close(self) -> None:
        """Give the device's memory back."""
        del self.lm, self.looks, self.stream
        gc.collect()

    def _direct(self) -> Any:
        return self.lm.next_logits(self.prompt, self.lm.read([self.looks]))

    def _cot(self) -> int:
        logits, cache = self._direct()
        for steps in self.effort.chunks():
            choice = int(logits.argmax())
            logits, cache = self.lm.next_logits(self.lm.embed([choice] * steps), cache)
        return int(logits.argmax())

    def _rationale(self) -> int:
        logits, cache = self._direct()
        for _ in range(self.effort.rationale_tokens):
            logits, cache = self.lm.next_logits(self.lm.embed([int(logits.argmax())]), cache)
        return int(logits.argmax())

    def _times(self, run: Callable[[], object], repeats: int) -> dict[str, float]:
        for _ in range(2):
            run()
        each = []
        for _ in range(repeats):
            begin = time.perf_counter()
            run()
            each.append(1e3 * (time.perf_counter() - begin))
        return percentiles(each)
