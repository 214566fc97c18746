"""`python -m eegvlm_export compare CHECKPOINT`: what each way to 4 bits costs the answers.

Stage agreement of the direct answer and mean log-likelihood per token of the checkpoint's own reasoning, on
simulated epochs, after the checkpoint's own visual tokens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eegvlm_rt.backends import LanguageModel
from eegvlm_rt.backends.base import KVCache
from eegvlm_rt.backends.onnx_gqa import FusedLanguageModel
from eegvlm_rt.bundle import LanguageModelShape
from eegvlm_rt.decoding import Decoder
from eegvlm_rt.rationale.grammar import parse_choices
from eegvlm_rt.stages import STAGES

from ..bundle_files import embedding_table, write_language
from ..graphs.language import head_dim, kv_heads
from ..quantize.calibrate import calibration_texts, quantize_network
from ..quantize.epochs import SIMULATED, load_epochs
from ..quantize.four_bits import CALIBRATED, METHODS, Method
from ..quantize.packing import PackedWeights
from ..weights.checkpoint import Checkpoint
from ..weights.reference import decoder_of, pictures, reference_language_model

__all__ = ["Loss", "compare", "main"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Loss:
    """`agreement` of stages and `shift` of their probabilities with the checkpoint; `likelihood`, mean log
    probability (nats) of a token of its reasoning; `weight_error`, lost share of energy of the weights."""

    method: str
    agreement: float
    shift: float
    likelihood: float
    weight_error: float
    megabytes: float


def compare(
    checkpoint: Checkpoint,
    methods: Sequence[Method] = METHODS,
    *,
    epochs: int = 200,
    reasonings: int = 40,
    block: int = 32,
    threads: int = 2,
) -> list[Loss]:
    """One row for the checkpoint in single precision, one for every method."""
    sample = load_epochs(SIMULATED, epochs, checkpoint.processor.preprocessing, "parity")
    looks: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for batch in pictures(sample, checkpoint.processor.render):
            looks.extend(checkpoint.model.visual(torch.from_numpy(batch)).visual_tokens.float().numpy())
    exact = reference_language_model(checkpoint)
    decoder = decoder_of(checkpoint, exact)
    stages = _stages(decoder, looks)
    chosen = np.linspace(0, epochs - 1, reasonings).round().astype(int)
    texts = {int(i): _reasoning(checkpoint, decoder, looks[i]) for i in chosen}
    rows = [Loss("fp32", 1.0, 0.0, _likelihood(exact, decoder, looks, texts), 0.0, 0.0)]
    with tempfile.TemporaryDirectory() as folder:
        for method in methods:
            lm, error, size = _quantised(checkpoint, method, block, Path(folder), threads)
            other = decoder_of(checkpoint, lm)
            other_stages = _stages(other, looks)
            same = float((other_stages.argmax(1) == stages.argmax(1)).mean())
            shift = float(np.abs(other_stages - stages).sum(1).mean() / 2)
            rows.append(Loss(method, same, shift, _likelihood(lm, other, looks, texts), error, size / 1e6))
    return rows


def _quantised(
    checkpoint: Checkpoint, method: Method, block: int, folder: Path, threads: int
) -> tuple[LanguageModel, float, int]:
    config, weights = checkpoint.config.text_config, checkpoint.language
    calibrated = None
    if method in CALIBRATED:
        texts = calibration_texts(checkpoint)

        def calibrated():  # type: ignore[no-untyped-def]
            return quantize_network(config, weights, texts, method, block)

    packed = PackedWeights(
        folder, checkpoint.digest, config, weights, method=method, block=block, calibrated=calibrated
    )
    path = folder / f"{method}.onnx"
    write_language(config, weights, packed, "int4_fused", path)
    shape = LanguageModelShape(
        config.num_hidden_layers, kv_heads(config), head_dim(config), config.vocab_size
    )
    lm = FusedLanguageModel(path.read_bytes(), embedding_table(weights, half=True), shape, threads=threads)
    return cast("LanguageModel", lm), float(np.mean(list(packed.errors.values()))), path.stat().st_size


def _stages(decoder: Decoder, looks: Sequence[Float32]) -> NDArray[np.float64]:
    answers = (decoder.score_stages(decoder.prefix(look)) for look in looks)
    return np.array([[answer[stage] for stage in STAGES] for answer in answers])


def _reasoning(checkpoint: Checkpoint, decoder: Decoder, look: Float32) -> tuple[list[int], list[int]]:
    """Tokens of the question, and of the reasoning the checkpoint gives."""
    from eegvlm_rt.prompt import Mode

    prompt, tokenizer = checkpoint.processor.prompt, checkpoint.processor.tokenizer
    decoded = decoder.decode_rationale(decoder.prefix(look))
    answer = prompt.answer_segments(Mode.COT, parse_choices(decoded.text))
    return (
        prompt.encode(tokenizer, [prompt.question(Mode.COT)]),
        prompt.encode(tokenizer, answer),
    )


def _likelihood(
    lm: LanguageModel,
    decoder: Decoder,
    looks: Sequence[Float32],
    texts: dict[int, tuple[list[int], list[int]]],
) -> float:
    total, count = 0.0, 0
    for i, (question, answer) in texts.items():
        prefix: KVCache = decoder.prefix(looks[i])
        logits, _ = lm.step(lm.embed(question + answer), prefix)
        ahead = logits[len(question) - 1 : -1].astype(np.float64)
        ahead -= ahead.max(1, keepdims=True)
        ahead -= np.log(np.exp(ahead).sum(1, keepdims=True))
        total += float(ahead[np.arange(len(answer)), answer].sum())
        count += len(answer)
    return total / count if count else float("nan")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eegvlm_export compare", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--methods", default=",".join(METHODS), help="which of them (default: all)")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--reasonings", type=int, default=40)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    methods = args.methods.split(",")
    unknown = [name for name in methods if name not in METHODS]
    try:
        if unknown:
            raise ValueError(f"--methods: {', '.join(unknown)}; use {', '.join(METHODS)}")
        rows = compare(
            Checkpoint.load(args.checkpoint),
            cast("list[Method]", methods),
            epochs=args.epochs,
            reasonings=min(args.reasonings, args.epochs),
            block=args.block,
            threads=args.threads,
        )
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    table = Table("method", "same stage", "shift", "log-likelihood a token", "weights' energy lost", "MB")
    for row in rows:
        numbers = (f"{row.agreement:.2%}", f"{row.shift:.4f}", f"{row.likelihood:.4f}")
        table.add_row(row.method, *numbers, f"{row.weight_error:.3%}", f"{row.megabytes:.2f}")
    Console().print(table)
    return 0
