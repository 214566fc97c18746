"""One runtime and one model in a process of its own: python -m benchmarks.llm.runner RUNTIME FOLDER THREADS
PROMPT TOKENS.

Prints one JSON object: milliseconds to read the prompt and of one token after another, the ids that were
chosen, and the process's memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

__all__ = ["main"]

REPEATS: Final = 5


def prompt_ids(count: int, vocab: int) -> list[int]:
    """The same ids for every runtime; none of the special ones."""
    return np.random.default_rng(0).integers(300, vocab, count).tolist()  # type: ignore[no-any-return]


def ours(folder: Path, threads: int, prompt: int, tokens: int) -> dict[str, Any]:
    """Our runtime, as the stager uses it."""
    from eegvlm_rt.backends.onnx_gqa import FusedLanguageModel
    from eegvlm_rt.bundle.manifest import LanguageModelShape

    shape = LanguageModelShape(**json.loads((folder / "shape.json").read_text())["lm"])
    table = np.load(folder / "embed_tokens.npy")
    begin = perf_counter()
    lm = FusedLanguageModel((folder / "llm.onnx").read_bytes(), table, shape, threads=threads)
    loaded = perf_counter() - begin
    ids = prompt_ids(prompt, shape.vocab_size)
    prefill: list[float] = []
    each: list[float] = []
    chosen: list[int] = []
    for _ in range(REPEATS):
        begin = perf_counter()
        logits, cache = lm.next_logits(lm.embed(ids))
        prefill.append(1e3 * (perf_counter() - begin))
        chosen = []
        for _ in range(tokens):
            begin = perf_counter()
            chosen.append(int(logits.argmax()))
            logits, cache = lm.next_logits(lm.embed(chosen[-1:]), cache)
            each.append(1e3 * (perf_counter() - begin))
    return {"load_s": loaded, "prefill_ms": prefill, "token_ms": each, "ids": chosen}


def genai(folder: Path, threads: int, prompt: int, tokens: int) -> dict[str, Any]:
    """onnxruntime-genai on the folder that its builder wrote."""
    import onnxruntime_genai as og

    config = og.Config(str(folder / "genai"))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    begin = perf_counter()
    model = og.Model(config)
    loaded = perf_counter() - begin
    vocab = json.loads((folder / "shape.json").read_text())["lm"]["vocab_size"]
    ids = prompt_ids(prompt, vocab)
    prefill, each, chosen = [], [], []
    for _ in range(REPEATS):
        params = og.GeneratorParams(model)
        params.set_search_options(
            max_length=prompt + tokens + 8, min_length=prompt + tokens + 8, do_sample=False
        )
        generator = og.Generator(model, params)
        begin = perf_counter()
        generator.append_tokens(np.array(ids, dtype=np.int32))
        prefill.append(1e3 * (perf_counter() - begin))
        for _ in range(tokens):
            begin = perf_counter()
            generator.generate_next_token()
            each.append(1e3 * (perf_counter() - begin))
        chosen = [int(i) for i in generator.get_sequence(0)[prompt:]]
    return {"load_s": loaded, "prefill_ms": prefill, "token_ms": each, "ids": chosen}


def llama_cpp(folder: Path, threads: int, prompt: int, tokens: int) -> dict[str, Any]:
    """llama.cpp as its server runs it, through xllamacpp; times are llama.cpp's own."""
    import xllamacpp as xlc

    params = xlc.CommonParams()
    params.model.path = str(folder / "model.gguf")
    params.n_ctx, params.n_parallel = 1024, 1
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0
    params.warmup = True
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    begin = perf_counter()
    server = xlc.Server(params)
    loaded = perf_counter() - begin
    vocab = json.loads((folder / "shape.json").read_text())["lm"]["vocab_size"]
    request = {
        "prompt": prompt_ids(prompt, vocab),
        "n_predict": tokens + 1,
        "temperature": 0.0,
        "top_k": 1,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": False,
    }
    prefill, each, text = [], [], ""
    for _ in range(REPEATS):
        answers: list[Any] = []
        server.handle_completions(request, answers.append)
        answer = answers[-1]
        if "timings" not in answer:
            raise RuntimeError(f"llama.cpp: {str(answer)[:300]}")
        timings = answer["timings"]
        prefill.append(timings["prompt_ms"] * prompt / timings["prompt_n"])
        each.append(timings["predicted_per_token_ms"])
        text = answer["choices"][0]["text"]
    return {"load_s": loaded, "prefill_ms": prefill, "token_ms": each, "ids": [], "text": text}


def memory_mib() -> float:
    """The most that this process ever had resident."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    """Measure the runtime that the arguments name."""
    runtime, folder, *numbers = sys.argv[1:]
    run = {"ours": ours, "genai": genai, "llama.cpp": llama_cpp}[runtime]
    threads, prompt, tokens = map(int, numbers)
    print(json.dumps(run(Path(folder), threads, prompt, tokens) | {"peak_mib": memory_mib()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
