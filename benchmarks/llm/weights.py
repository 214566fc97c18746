"""One language model for every runtime: our graph, a folder of the transformers library, and a GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import torch
from eegvlm_export.bundle_files import embedding_table, write_language
from eegvlm_export.graphs.onnx_files import initializers
from eegvlm_export.quantize.packing import PackedWeights
from eegvlm_export.weights.reader import ModelWeights
from onnx import numpy_helper
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

if TYPE_CHECKING:
    from pathlib import Path

    from eegvlm_rt.bundle.opening import Bundle

__all__ = [
    "BLOCK",
    "SMOLLM2",
    "nano_network",
    "random_network",
    "words",
    "write_gguf",
    "write_ours",
    "write_transformers",
]

BLOCK: Final = 32
"""Weights that share a scale: those of llama.cpp's Q4_0."""

SMOLLM2: Final[dict[str, Any]] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rope_theta": 100_000.0,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
}
"""SmolLM2-135M (Allal et al. 2025)."""


def random_network(shape: dict[str, Any]) -> LlamaForCausalLM:
    """A network with the library's random weights: they take the time of trained ones."""
    torch.manual_seed(0)
    network = LlamaForCausalLM(LlamaConfig(**shape))
    network.eval()
    return network


def nano_network(bundle: Bundle) -> LlamaForCausalLM:
    """The language model of a bundle that holds "int4", with the numbers its integers stand for."""
    source = initializers(onnx.load_from_string(bundle.read(bundle.component("llm").at("int4"))))
    lm, hidden = bundle.manifest.lm, bundle.manifest.hidden_size
    inner = source["layers.0.down.weight.int4"].dims[0]
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=lm.num_layers,
        num_attention_heads=lm.num_kv_heads,
        num_key_value_heads=lm.num_kv_heads,
        head_dim=lm.head_dim,
        vocab_size=lm.vocab_size,
        max_position_embeddings=1024,
    )
    network = LlamaForCausalLM(config)
    network.eval()

    def weight(name: str) -> torch.Tensor:
        if f"{name}.int4" in source:
            values = numpy_helper.to_array(source[f"{name}.int4"]).astype(np.float32)
            scales = numpy_helper.to_array(source[f"{name}.scale"])
            values *= np.repeat(scales, len(values) // len(scales), axis=0)
        else:
            tensor = source[name] if name in source else source[f"{name}.fp16"]
            values = numpy_helper.to_array(tensor).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(values.T if values.ndim == 2 else values))

    state = {"model.norm.weight": weight("norm.weight"), "lm_head.weight": weight("head.weight")}
    table = np.load(bundle.path / bundle.component("embed_tokens").file.file).astype(np.float32)
    state["model.embed_tokens.weight"] = torch.from_numpy(table)
    for i in range(lm.num_layers):
        theirs, ours = f"model.layers.{i}", f"layers.{i}"
        mixed = weight(f"{ours}.qkv.weight").split(hidden)
        gate, up = weight(f"{ours}.gate_up.weight").split(inner)
        for name, part in zip("qkv", mixed, strict=True):
            state[f"{theirs}.self_attn.{name}_proj.weight"] = part
        state[f"{theirs}.self_attn.o_proj.weight"] = weight(f"{ours}.out.weight")
        state[f"{theirs}.mlp.gate_proj.weight"], state[f"{theirs}.mlp.up_proj.weight"] = gate, up
        state[f"{theirs}.mlp.down_proj.weight"] = weight(f"{ours}.down.weight")
        state[f"{theirs}.input_layernorm.weight"] = weight(f"{ours}.attention_norm.weight")
        state[f"{theirs}.post_attention_layernorm.weight"] = weight(f"{ours}.mlp_norm.weight")
    network.load_state_dict(state)
    return network


def write_ours(network: LlamaForCausalLM, folder: Path) -> None:
    """The graph "int4_fused" of our exporter, its last product in 8 bits, and the embedding table."""
    weights, config = ModelWeights(network), network.config
    packed = PackedWeights(folder / "packed", "llm", config, weights, method="rtn", block=BLOCK, head="int8")
    write_language(config, weights, packed, "int4_fused", folder / "llm.onnx", head="int8")
    np.save(folder / "embed_tokens.npy", embedding_table(weights, half=True))


def write_transformers(network: LlamaForCausalLM, folder: Path) -> None:
    """A folder that the builder of onnxruntime-genai reads, with a tokenizer of words that mean nothing."""
    network.save_pretrained(folder / "transformers")
    vocabulary = {word: i for i, word in enumerate(words(network.config.vocab_size))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    fast.save_pretrained(folder / "transformers")


def write_gguf(network: LlamaForCausalLM, path: Path) -> None:
    """A GGUF file with products in Q4_0, the last one and the embeddings in Q8_0, and words that mean
    nothing: ids are given.
    """
    import gguf

    config: Any = network.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("benchmark")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_words(writer, config.vocab_size)
    eight, four = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0
    places = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for name, tensor in network.state_dict().items():
        values = tensor.float().numpy()
        layer = name.removeprefix("model.layers.").removesuffix(".weight")
        if name.startswith("model.layers."):
            number, _, part = layer.partition(".")
            if part.endswith(("q_proj", "k_proj")):
                values = _interleaved(values, heads if part.endswith("q_proj") else kv_heads)
            target = f"blk.{number}.{places[part]}.weight"
        elif name == "lm_head.weight":
            if config.tie_word_embeddings:
                continue
            target = "output.weight"
        else:
            target = {"model.norm.weight": "output_norm.weight"}.get(name, "token_embd.weight")
        if values.ndim == 1:
            writer.add_tensor(target, values)
            continue
        kind = four if target.startswith("blk.") else eight
        writer.add_tensor(target, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp turns them: pairs side by side instead of halves."""
    rows, columns = values.shape
    shape = (heads, 2, rows // heads // 2, columns)
    return values.reshape(shape).swapaxes(1, 2).reshape(rows, columns)


def words(count: int) -> list[str]:
    """Names of token ids: three special ones, all bytes, then w0, w1 and so on."""
    special = ["<unk>", "<s>", "</s>"]
    return [*special, *(f"<0x{i:02X}>" for i in range(256)), *(f"w{i}" for i in range(count - 259))]


def _add_words(writer: Any, count: int) -> None:
    import gguf

    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words(count))
    writer.add_token_scores([-float(i) for i in range(count)])
    special = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL]
    writer.add_token_types([*special, *[kinds.BYTE] * 256, *[kinds.NORMAL] * (count - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
