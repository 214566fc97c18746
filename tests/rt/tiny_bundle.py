"""A real bundle with random weights: every file is what an exporter would write, only smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from eegvlm_rt.bundle import Bundle, ComponentSource, LanguageModelShape, write_bundle
from eegvlm_rt.prompt import Mode, PromptSpec
from eegvlm_rt.rationale import GRAMMAR, Literal
from eegvlm_rt.rendering.renderer import RenderSpec
from eegvlm_rt.signal.conditioning import Preprocessing
from eegvlm_rt.stages import STAGES
from tests.rt.backends.tiny_graphs import head_graph, llm_graph, memory_graph, tower_graph

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Size:
    side: int = 48
    grid: int = 2
    high: int = 16
    hidden: int = 16
    layers: int = 2
    heads: int = 2
    head_dim: int = 8
    inner: int = 24
    vocab: int = 400
    gain: float = 6.0

    @property
    def visual_tokens(self) -> int:
        return 2 * self.grid * self.grid


TINY = Size()
NANO = Size(
    side=336, grid=12, high=128, hidden=192, layers=6, heads=6, head_dim=32, inner=512, vocab=1024, gain=1.0
)


def train_tokenizer(prompt: PromptSpec, vocab: int) -> Tokenizer:
    texts = [prompt.question(Mode.DIRECT), prompt.question(Mode.COT)]
    for part in GRAMMAR:
        texts += [part.text] if isinstance(part, Literal) else list(part.choices)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    stages = [AddedToken(f" {stage.name}", normalized=False) for stage in STAGES]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(stages),
        special_tokens=list(prompt.special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(stages)
    return tokenizer


def write_tiny_bundle(
    folder: Path,
    size: Size = TINY,
    *,
    seed: int = 0,
    model_id: str = "tiny",
    memory: int = 0,
    draft: Sequence[str] = (),
) -> Bundle:
    """Build the parts in a folder beside `folder` and publish them there; with `memory` numbers in the state
    of a night memory, and a head of its own beside it. `draft` says why it is a draft.
    """
    parts = folder.parent / f"{folder.name}-parts"
    parts.mkdir()
    prompt = PromptSpec(night="<night>" if memory else "")
    tokenizer = train_tokenizer(prompt, size.vocab)
    vocab = tokenizer.get_vocab_size()
    tokenizer.save(str(parts / "tokenizer.json"))
    rng = np.random.default_rng(seed)
    np.save(parts / "embed_tokens.npy", rng.standard_normal((vocab, size.hidden)).astype(np.float16))
    tower = tower_graph(side=size.side, grid=size.grid, high=size.high, hidden=size.hidden, seed=seed + 1)
    llm = llm_graph(
        hidden=size.hidden,
        layers=size.layers,
        heads=size.heads,
        head_dim=size.head_dim,
        inner=size.inner,
        vocab=vocab,
        seed=seed + 2,
        gain=size.gain,
    )
    onnx.save(tower, parts / "tower.onnx")
    onnx.save(llm, parts / "llm.onnx")
    of_night: dict[str, ComponentSource] = {}
    if memory:
        graphs = {
            "head": head_graph(side=size.side, high=size.high, seed=seed + 3),
            "memory": memory_graph(high=size.high, state=memory, hidden=size.hidden, seed=seed + 4),
        }
        for name, graph in graphs.items():
            onnx.save(graph, parts / f"{name}.onnx")
            of_night[name] = ComponentSource(parts / f"{name}.onnx", "fp32")
    (parts / "README.md").write_text("# Random weights\n", encoding="utf-8")
    return write_bundle(
        folder,
        model_id=model_id,
        render=RenderSpec(width=size.side, height=size.side).to_dict(),
        preprocessing=Preprocessing().to_dict(),
        prompt=prompt.to_dict(),
        stage_tokens={
            stage.name: token for stage, token in zip(STAGES, prompt.stage_token_ids(tokenizer), strict=True)
        },
        visual_tokens=size.visual_tokens,
        hidden_size=size.hidden,
        lm=LanguageModelShape(size.layers, size.heads, size.head_dim, vocab),
        components={
            **of_night,
            "tower": ComponentSource(parts / "tower.onnx", "fp32"),
            "llm": ComponentSource(parts / "llm.onnx", "fp32"),
            "embed_tokens": ComponentSource(parts / "embed_tokens.npy", "fp16"),
            "tokenizer": ComponentSource(parts / "tokenizer.json", "json"),
            "card": ComponentSource(parts / "README.md", "text"),
        },
        provenance={"weights": "random", "seed": seed},
        draft=draft,
    )
