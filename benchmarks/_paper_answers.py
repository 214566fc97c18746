"""What an epoch costs at the paper's size: each phase, then each answer from picture to result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ._common import percentiles
from ._paper_model import MERGES, build, captured, clip_twice, merged, quantize, timed, weight_bytes
from ._static_decoder import Replay, StaticDecoder, extend_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Effort", "Subject"]

Recorded = TypeVar("Recorded")

STAGES: Final = 5
WARM_UP: Final = 3


@dataclass(frozen=True)
class Effort:
    """Tokens of the texts and repetitions of the measurements."""

    prompt_tokens: int = 64
    cot_tokens: int = 73
    cot_runs: int = 12
    rationale_tokens: int = 300
    repeats: int = 30
    rationales: int = 5

    def chunks(self) -> list[int]:
        """Tokens read in each run of a rationale along the grammar, as even as they can be."""
        ends = [round(i * self.cot_tokens / self.cot_runs) for i in range(self.cot_runs + 1)]
        return [last - first for first, last in pairwise(ends)]


class Subject:
    """One model on one device, and its measurements; each returns a JSON-able dictionary."""

    def __init__(self, size: str, device: str, dtype: torch.dtype, effort: Effort) -> None:
        begin = perf_counter()
        self.device, self.dtype, self.effort = device, dtype, effort
        self.on_gpu = device == "cuda"
        self._reset_peak()
        self.model = build(size, device, dtype)
        self.llm = self.model.language_model
        self._wait()
        self.build_s = perf_counter() - begin
        config = self.model.config
        picture = config.image_side
        self.pixels = torch.rand(1, 3, picture, picture, device=device, dtype=dtype)
        ids = torch.arange(effort.prompt_tokens, device=device) + 5
        self.prompt = self.model.get_input_embeddings()(ids)[None]
        self.visual_count = config.num_visual_tokens
        longest = self.visual_count + effort.prompt_tokens + max(effort.rationale_tokens, effort.cot_tokens)
        self.decoder = StaticDecoder(self.llm, longest + 8)
        self.replays: dict[int, Replay] = {}
        self.looks: dict[int, Callable[[], tuple[Tensor, Tensor]]] = {}
        self.feeds: dict[int, Callable[[Sequence[int]], Tensor]] = {}
        self.unrecorded: list[str] = []

    def quantize(self) -> dict[str, Any]:
        """Decoder to NF4; every recorded step is dropped."""
        self.replays, self.looks, self.feeds, self.unrecorded = {}, {}, {}, []
        begin = perf_counter()
        layers = quantize(self.llm, self.dtype)
        self._wait()
        return {"layers": layers, "quantize_s": perf_counter() - begin, **self.memory()}

    def memory(self) -> dict[str, Any]:
        """Bytes of the weights by part, of the KV cache, and of all that is allocated."""
        parts = {
            "clip": self.model.vision_tower,
            "enhancement": self.model.enhancement,
            "projector": self.model.projector,
            "language_model": self.llm,
            "embeddings_and_head": torch.nn.ModuleList(
                [self.llm.get_input_embeddings(), self.llm.get_output_embeddings()]
            ),
        }
        figures: dict[str, Any] = {
            "weight_bytes": {name: weight_bytes(part) for name, part in parts.items()},
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "kv_bytes_per_token": self.decoder.cache_bytes // self.decoder.max_length,
            "kv_tokens": self.decoder.max_length,
            "build_s": self.build_s,
        }
        # What one generated token reads: every weight of the decoder but the embedding table.
        head = weight_bytes(self.llm.get_input_embeddings())
        figures["bytes_per_token"] = figures["weight_bytes"]["language_model"] - head
        if self.on_gpu:
            torch.cuda.empty_cache()
            figures["allocated_bytes"] = torch.cuda.memory_allocated()
        return figures

    def agreement(self) -> dict[str, Any]:
        """The decoder of fixed buffers beside the library's own forward, on the last token."""
        embeds = torch.cat([self._look(1)()[1], self.prompt], dim=1)
        expected = self.llm(inputs_embeds=embeds, use_cache=False, logits_to_keep=1).logits[0, -1].float()
        logits = self.decoder.prefill(embeds).float()
        return {
            "cosine": float(F.cosine_similarity(logits, expected, dim=0)),
            "largest_difference": float((logits - expected).abs().max()),
            "finite": bool(logits.isfinite().all()),
        }

    def tower(self) -> dict[str, Any]:
        """The two vision networks, alone and together, and with the CLIP tower run twice."""
        steps: dict[str, Callable[[], Any]] = {
            "enhancement": lambda: self.model.enhancement(self.pixels),
            "clip": lambda: self.model.low_level(self.pixels),
            "once": lambda: merged(self.model, self.pixels, 1),
            "twice": lambda: clip_twice(self.model, self.pixels),
        }
        figures: dict[str, Any] = {}
        for name, step in steps.items():
            figures[f"{name}_eager_ms"] = timed(self.device, step, self.effort.repeats)
            if self.on_gpu:
                figures[f"{name}_ms"] = timed(self.device, captured(step), 3 * self.effort.repeats)
        return figures

    def prefill(self) -> dict[str, Any]:
        """Visual tokens and prompt through the decoder, with visual tokens merged 1, 2 and 4 to one."""
        figures = {}
        for merge in MERGES:
            embeds = torch.cat([self._look(merge)()[1].clone(), self.prompt], dim=1)

            def read(embeds: Tensor = embeds) -> Tensor:
                return self.decoder.prefill(embeds)

            times = timed(self.device, read, self.effort.repeats)
            figures[f"merge_{merge}"] = {"tokens": embeds.shape[1], "ms": times}
        return figures

    def decode(self, how: str, tokens: int) -> dict[str, Any]:
        """Milliseconds of one token after another behind picture and prompt, each read by the host.

        `how`: "eager" launches every operation from Python, "graph" replays a recorded step, "compiled"
        replays one whose layers went through torch.compile.
        """
        begin = perf_counter()
        if how == "eager":
            feed = self.decoder.feed
        elif how == "graph":
            feed = self._replay(1).feed
        else:
            self.decoder.extend_layer = torch.compile(extend_layer)
            try:
                feed = Replay(self.decoder, 1).feed
            finally:
                self.decoder.extend_layer = extend_layer
        prepared = perf_counter() - begin
        self.decoder.prefill(torch.cat([self._look(1)()[1], self.prompt], dim=1))
        each, token = [], 7

        def step() -> None:
            nonlocal token
            token = int(feed([token]).argmax())

        for _ in range(WARM_UP + tokens):
            if self.decoder.length >= self.decoder.max_length - 4:
                self.decoder.length = self.visual_count + self.effort.prompt_tokens
            each.append(timed(self.device, step, 1, warm_up=0)["p50"])
        return {"ms": percentiles(each[WARM_UP:]), "prepare_s": prepared}

    def runs(self) -> dict[str, Any]:
        """Milliseconds of one run of the decoder that reads several tokens at once, by their number."""
        figures = {}
        for steps in sorted({1, *self.effort.chunks()}):
            self.decoder.length = self.visual_count + self.effort.prompt_tokens
            feed = self._feed(steps)

            def step(feed: Callable[[Sequence[int]], Tensor] = feed, steps: int = steps) -> None:
                self.decoder.length = self.visual_count + self.effort.prompt_tokens
                feed([9] * steps)

            figures[str(steps)] = timed(self.device, step, self.effort.repeats)
        return figures

    def answers(self) -> dict[str, Any]:
        """From the picture on the device to the answer on the host: head, direct, cot, plain rationale."""
        figures: dict[str, Any] = {"head_ms": timed(self.device, self._head, 3 * self.effort.repeats)}
        for merge in MERGES:
            name = "direct_ms" if merge == 1 else f"direct_merge_{merge}_ms"
            self._reset_peak()
            figures[name] = timed(self.device, partial(self._direct, merge), self.effort.repeats)
            if merge == 1:
                figures |= self._peak("direct")
        self._reset_peak()
        figures["cot_ms"] = timed(self.device, self._cot, self.effort.repeats, warm_up=1)
        figures["rationale_ms"] = timed(self.device, self._rationale, self.effort.rationales, warm_up=1)
        return figures | self._peak("cot") | {"launched_from_python": self.unrecorded}

    def _head(self) -> list[float]:
        return self._look(1)()[0].softmax(-1)[0].tolist()

    def _direct(self, merge: int) -> list[float]:
        logits = self.decoder.prefill(torch.cat([self._look(merge)()[1], self.prompt], dim=1))
        return logits[10 : 10 + STAGES].float().softmax(-1).tolist()

    def _cot(self) -> int:
        self.decoder.prefill(torch.cat([self._look(1)()[1], self.prompt], dim=1))
        choice = 7
        for steps in self.effort.chunks():
            choice = int(self._feed(steps)([choice] * steps).argmax())
        return choice

    def _rationale(self) -> int:
        token = int(self.decoder.prefill(torch.cat([self._look(1)()[1], self.prompt], dim=1)).argmax())
        feed = self._feed(1)
        for _ in range(self.effort.rationale_tokens):
            token = int(feed([token]).argmax())
        return token

    def _look(self, merge: int) -> Callable[[], tuple[Tensor, Tensor]]:
        if merge not in self.looks:

            def look() -> tuple[Tensor, Tensor]:
                return merged(self.model, self.pixels, merge)

            self.looks[merge] = self._recorded(f"tower, merge {merge}", lambda: captured(look)) or look
        return self.looks[merge]

    def _feed(self, steps: int) -> Callable[[Sequence[int]], Tensor]:
        if steps not in self.feeds:
            figure = self._recorded(f"{steps} tokens", lambda: self._replay(steps).feed)
            self.feeds[steps] = figure or self.decoder.feed
        return self.feeds[steps]

    def _recorded(self, name: str, record: Callable[[], Recorded]) -> Recorded | None:
        """What `record` makes on a GPU; None elsewhere and where a step cannot be recorded, which is kept."""
        if not self.on_gpu:
            return None
        try:
            return record()
        except RuntimeError as error:
            self.unrecorded.append(f"{name}: {error}")
            return None

    def _replay(self, steps: int) -> Replay:
        if steps not in self.replays:
            self.replays[steps] = Replay(self.decoder, steps)
        return self.replays[steps]

    def _wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def _reset_peak(self) -> None:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()

    def _peak(self, name: str) -> dict[str, int]:
        return {f"{name}_peak_bytes": torch.cuda.max_memory_allocated()} if self.on_gpu else {}
