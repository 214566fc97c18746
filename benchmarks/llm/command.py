"""Decoding on the CPU beside llama.cpp and onnxruntime-genai: same weights, 4 bits in blocks of 32, one run.

    python -m benchmarks.llm [--models nano smollm2] [--python FILE] [--json FILE]

`nano` is the shipped bundle's language model, `smollm2` has SmolLM2-135M's shape with random weights. Every
runtime reads the same ids in a process of its own, in turns, and chooses the most probable token each time;
the text it writes is compared with ours. llama.cpp (Q4_0, through xllamacpp) tells its own times. `--python`
is an interpreter that has the peers (`pip install xllamacpp gguf onnxruntime-genai`), where this one has not.
Then nano writes its rationales with the text between the choices read at once (jump-forward), and the same
texts token by token.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tokenizers import Tokenizer

from eegvlm_rt.bundle.find import find_bundle
from eegvlm_rt.bundle.opening import Bundle
from eegvlm_rt.simulator import simulate_night
from eegvlm_rt.sources.rows import rows_of
from eegvlm_rt.stager import Stager

from .._common import command_line, environment, percentiles, write_json
from .weights import (
    BLOCK,
    SMOLLM2,
    nano_network,
    random_network,
    words,
    write_gguf,
    write_ours,
    write_transformers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

THREADS: Final = {"nano": 1, "smollm2": 2}
"""More threads slow nano's products down on every runtime: they wait for one another."""

RUNTIMES: Final = ("ours", "llama.cpp", "genai")
ROOT: Final = Path(__file__).resolve().parents[2]


def write_model(name: str, folder: Path, python: str) -> dict[str, str]:
    """Write a model for every runtime; returns the reason for each that cannot have it."""
    bundle = Bundle.open(find_bundle("nano"))
    network = nano_network(bundle) if name == "nano" else random_network(SMOLLM2)
    config: Any = network.config
    shape = {
        "num_layers": config.num_hidden_layers,
        "num_kv_heads": config.num_key_value_heads,
        "head_dim": config.hidden_size // config.num_attention_heads,
        "vocab_size": config.vocab_size,
    }
    (folder / "shape.json").write_text(json.dumps({"lm": shape}), encoding="utf-8")
    write_ours(network, folder)
    write_transformers(network, folder)
    missing = {}
    try:
        write_gguf(network, folder / "model.gguf")
    except (ImportError, ValueError) as error:
        missing["llama.cpp"] = f"{type(error).__name__}: {error}"
    command = [python, "-m", "onnxruntime_genai.models.builder", "-i", str(folder / "transformers")]
    command += ["-o", str(folder / "genai"), "-p", "int4", "-e", "cpu", "-c", str(folder / "cache")]
    command += ["--extra_options", f"block_size={BLOCK}", "accuracy_level=4"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, env=_places(python))
    if built.returncode:
        missing["genai"] = built.stderr.strip().splitlines()[-1][:300]
    return missing


def measured(runtime: str, folder: Path, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """One process of a runtime; raises RuntimeError with what it wrote where it fails."""
    python = sys.executable if runtime == "ours" else options.python
    numbers = [str(n) for n in (threads, options.prompt, options.tokens)]
    command = [python, "-m", "benchmarks.llm.runner", runtime, str(folder), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_places(python))
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:300])
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _places(python: str) -> dict[str, str]:
    """The surroundings of a process: this checkout, and for another interpreter that runs the builder, what
    is installed here."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    if python != sys.executable:
        paths += [path for path in sys.path if path.endswith("site-packages")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def compare(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All runtimes on one model, in turns."""
    missing = write_model(name, folder, options.python)
    threads = options.threads or THREADS[name]
    rounds: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for runtime in RUNTIMES:
            if runtime in missing:
                continue
            try:
                rounds.setdefault(runtime, []).append(measured(runtime, folder, threads, options))
            except RuntimeError as error:
                missing[runtime] = str(error)
    vocabulary = words(json.loads((folder / "shape.json").read_text())["lm"]["vocab_size"])
    expected = _text(rounds["ours"][0]["ids"], vocabulary)
    rows: dict[str, Any] = {}
    for runtime, figures in rounds.items():
        prefill = [ms for turn in figures for ms in turn["prefill_ms"]]
        each = [ms for turn in figures for ms in turn["token_ms"]]
        text = figures[0].get("text") or _text(figures[0]["ids"], vocabulary)
        rows[runtime] = {
            "prefill_ms": percentiles(prefill),
            "token_ms": percentiles(each),
            "prefill_tokens_per_s": 1e3 * options.prompt / float(np.median(prefill)),
            "tokens_per_s": 1e3 / float(np.median(each)),
            "best_tokens_per_s": 1e3 / min(float(np.median(turn["token_ms"])) for turn in figures),
            "load_s": min(turn["load_s"] for turn in figures),
            "peak_mib": max(turn["peak_mib"] for turn in figures),
            "equal_beginning": _equal(text, expected) / max(1, len(expected)),
        }
    for row in rows.values():
        row["ours_is_faster"] = rows["ours"]["best_tokens_per_s"] / row["best_tokens_per_s"]
    return {"threads": threads, "runtimes": rows, "missing": missing}


def _text(ids: list[int], vocabulary: list[str]) -> str:
    """Ids as a runtime with these words writes them."""
    shown = [word for word in (vocabulary[i] for i in ids) if word not in ("<s>", "</s>")]
    return "".join(chr(int(word[3:5], 16)) if word.startswith("<0x") else word for word in shown)


def _equal(text: str, expected: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(text, expected, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(text), len(expected)))


def rationales(epochs: int, threads: int) -> dict[str, Any]:
    """Milliseconds of nano's rationale behind the picture, jump-forward and token by token, epoch by
    epoch."""
    stager = Stager.load("nano", threads=threads)
    decoder = stager._pipeline.load_decoder()
    lm, signal = decoder._lm, simulate_night(4, hours=0.5).samples_uv
    tokenizer = Tokenizer.from_buffer(stager.bundle.read(stager.bundle.component("tokenizer")))
    preprocessing = stager._pipeline.preprocessing
    jumped, plain, ratios, tokens, steps = [], [], [], [], []
    for i in range(epochs):
        rows = rows_of(signal[3000 * i : 3000 * (i + 1)], preprocessing, channel=None, sfreq=100.0, unit=None)
        look = stager._pipeline.see(list(rows))[0]
        assert look.visual_tokens is not None
        prefix = decoder.prefix(look.visual_tokens)
        begin = perf_counter()
        text = decoder.decode_rationale(prefix)
        jumped.append(1e3 * (perf_counter() - begin))
        ids = tokenizer.encode(text.text, add_special_tokens=False).ids
        begin = perf_counter()
        logits, cache = lm.next_logits(lm.embed(decoder._prompt.reasoning), prefix)
        for token in ids:
            logits.argmax()
            logits, cache = lm.next_logits(lm.embed([token]), cache)
        plain.append(1e3 * (perf_counter() - begin))
        ratios.append(jumped[-1] / plain[-1])
        tokens.append(text.tokens)
        steps.append(text.steps)
    return {
        "epochs": epochs,
        "tokens": float(np.mean(tokens)),
        "runs": float(np.mean(steps)),
        "jump_forward_ms": percentiles(jumped),
        "token_by_token_ms": percentiles(plain),
        "ratio": float(np.median(ratios)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.llm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=("nano", "smollm2"), default=["nano", "smollm2"])
    parser.add_argument(
        "--threads", type=int, default=None, help="of every runtime (default: nano 1, smollm2 2)"
    )
    parser.add_argument("--prompt", type=int, default=330, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=64, help="tokens that are written")
    parser.add_argument("--rounds", type=int, default=2, help="processes of every runtime")
    parser.add_argument("--epochs", type=int, default=20, help="rationales of nano")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="where the figures go")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {
        "benchmark": "llm",
        "environment": environment(options.threads or 2),
        "command": command_line("llm", arguments),
        "peers": _peers(options.python),
        "prompt": options.prompt,
        "tokens": options.tokens,
        "models": {},
    }
    results["rationale"] = rationales(options.epochs, options.threads or 2)
    print("rationale", results["rationale"], flush=True)
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="eegvlm-llm-") as folder:
            results["models"][name] = compare(name, options, Path(folder))
        for runtime, row in results["models"][name]["runtimes"].items():
            print(name, runtime, {k: v for k, v in row.items() if not isinstance(v, dict)}, flush=True)
        print(name, "missing", results["models"][name]["missing"], flush=True)
        if options.json is not None:
            write_json(options.json, results)
    return 0


def _peers(python: str) -> dict[str, str]:
    code = (
        "import json, importlib.metadata as m\n"
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions() "
        "if d.metadata['Name'] in ('xllamacpp', 'onnxruntime-genai', 'onnxruntime', 'gguf')}))"
    )
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    versions: dict[str, str] = json.loads(answer)
    return versions


if __name__ == "__main__":
    sys.exit(main())
