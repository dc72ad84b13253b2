#!/usr/bin/env python3
"""Tiny random models of the five families, as GGUF, with the logits HF transformers computes for them.

Each case of CASES is built as a transformers model, filled with seeded random weights, run on a fixed list of ids, and
written as an f32 GGUF file in llama.cpp's conventions. tests/unit/test_logits.c holds mote to the result.

To remake tests/data/models (any machine, CPU is enough; one minute, nothing is downloaded but the packages):

    python3 -m venv venv
    venv/bin/pip install torch==2.15.0 transformers==5.23.0 gguf==0.19.0 numpy==2.4.6
    venv/bin/python tests/oracle/models.py tests/data/models

Weights come from numpy's PCG64, seeded by the case's name, and are handed out in the order of the parameters' names: the
GGUF files and the ids come out the same byte for byte. The logits are computed in double precision (norms and softmax
stay float32 inside transformers), so another version or another machine moves them in the last bits only.

What is written, per case of cases.txt ("NAME MODEL CONTEXT" a line):
    MODEL.gguf    the model; tokenizer.ggml.model is no_vocab
    NAME.ids      token ids, decimal, on one line
    NAME.logits   little-endian float32, one row of `vocabulary` numbers per id: the logits after that id
CONTEXT is the context the session must be opened with: it decides between LongRoPE's short and long factors.
"""
import sys
import zlib
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

IDS = 56  # past every sliding window and past phi3-long's original context (32)
CONTEXT = 64


def longrope(rng, pairs):
    """LongRoPE factors as published ones look: rising over the pairs, the long ones much further."""
    short = 1.0 + np.sort(rng.uniform(0.0, 1.2, pairs))
    long = 1.0 + np.sort(rng.uniform(0.0, 11.0, pairs))
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [float(np.float32(x)) for x in short],
        "long_factor": [float(np.float32(x)) for x in long],
    }


def llama3(factor, original):
    """Llama 3.1's rope stretch. `original` is small so that all three bands of it touch the few pairs of a tiny head."""
    return {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": original,
    }


def theta(value):
    return {"rope_type": "default", "rope_theta": value}


def shape(layers, width, heads, kv_heads, ffn, vocabulary, tied, **more):
    return dict(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=ffn,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **{"max_position_embeddings": 256, **more},
    )


def cases():
    """name → (family, transformers config). Shapes are odd on purpose: widths and ffn sizes that no block or vector
    divides, vocabularies that are no multiple of anything, heads that do not add up to the width."""
    rng = np.random.default_rng(20)
    phi_short, phi_long = longrope(rng, 6), longrope(rng, 6)
    for rope in (phi_short, phi_long):
        rope["partial_rotary_factor"] = 0.75
    return {
        "llama": ("llama", LlamaConfig(**shape(2, 48, 6, 2, 100, 101, True, rms_norm_eps=1e-5, rope_parameters=theta(1e5)))),
        "llama32": ("llama", LlamaConfig(**shape(3, 40, 4, 1, 88, 128, True, head_dim=16, rms_norm_eps=1e-5,
                                                 rope_parameters=llama3(8.0, 128)))),
        "llama-untied-mha": ("llama", LlamaConfig(**shape(2, 48, 3, 3, 72, 97, False, rms_norm_eps=1e-5,
                                                          rope_parameters=theta(1.3e5)))),
        "qwen2": ("qwen2", Qwen2Config(**shape(3, 56, 4, 2, 66, 113, True, rms_norm_eps=1e-6, rope_parameters=theta(1e6)))),
        "qwen3": ("qwen3", Qwen3Config(**shape(2, 48, 6, 2, 76, 120, True, head_dim=24, rms_norm_eps=1e-6,
                                               rope_parameters=theta(1e6)))),
        "qwen3-untied": ("qwen3", Qwen3Config(**shape(2, 36, 4, 4, 60, 99, False, head_dim=16, rms_norm_eps=1e-6,
                                                      rope_parameters=theta(1e6)))),
        "gemma3": ("gemma3", Gemma3TextConfig(**shape(
            7, 40, 4, 1, 44, 104, True, head_dim=20, query_pre_attn_scalar=20, sliding_window=16, rms_norm_eps=1e-6,
            rope_parameters={"full_attention": theta(1e6), "sliding_attention": theta(1e4)}))),
        "gemma3-scaled": ("gemma3", Gemma3TextConfig(**shape(
            3, 36, 3, 1, 52, 98, True, head_dim=16, query_pre_attn_scalar=16, sliding_window=9, sliding_window_pattern=2,
            rms_norm_eps=1e-6, rope_parameters={"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                                                "sliding_attention": theta(2e4)}))),
        "phi3-window": ("phi3", Phi3Config(**shape(2, 48, 4, 4, 64, 96, False, rms_norm_eps=1e-5, sliding_window=20,
                                                   rope_parameters=theta(1e4)))),
        "phi3-short": ("phi3", Phi3Config(**shape(
            2, 64, 4, 1, 56, 110, False, rms_norm_eps=1e-5, original_max_position_embeddings=128,
            max_position_embeddings=2048, rope_parameters=phi_short))),
        "phi3-long": ("phi3", Phi3Config(**shape(
            2, 64, 4, 2, 52, 111, True, rms_norm_eps=1e-5, original_max_position_embeddings=32,
            max_position_embeddings=1024, rope_parameters=phi_long))),
    }


CLASSES = {
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
    "gemma3": Gemma3ForCausalLM,
    "phi3": Phi3ForCausalLM,
}


def seed_of(name):
    return zlib.crc32(name.encode())


def fill(model, name, family):
    """Random weights with enough spread that a wrong epsilon, norm or rotation shows in the logits: matrices keep the
    scale of what passes through them, norms and biases are far from their neutral values."""
    rng = np.random.default_rng(seed_of(name))
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            size = tuple(parameter.shape)
            if "norm" in key:
                mean = 1.0 if family != "gemma3" else 0.0  # Gemma's norms multiply by 1 + weight
                if "q_norm" in key or "k_norm" in key:
                    mean += 0.5  # peaky attention
                values = rng.normal(mean, 0.3, size)
            elif key.endswith("bias"):
                values = rng.normal(0.0, 0.5, size)
            elif "embed_tokens" in key:
                values = rng.normal(0.0, size[1] ** -0.5 if family == "gemma3" else 0.5, size)
            else:
                values = rng.normal(0.0, 1.2 * size[1] ** -0.5, size)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))


def logits_of(model, ids):
    with torch.no_grad():
        return model.double()(torch.tensor([ids]), use_cache=False).logits[0].float().numpy()


def interleave(weight, heads):
    """transformers rotates element i with element i + dim/2 of a head; llama.cpp's llama rotates 2i with 2i + 1, so its
    converter reorders the rows of q and k."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def llama3_factors(config, head_dim):
    """What the pair frequencies are divided by, as stored in rope_freqs.weight."""
    rope = config.rope_parameters
    wave = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
    original, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((original / wave - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / rope["factor"] + smooth)).astype(np.float32)


LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.qkv_proj.weight": "attn_qkv.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.gate_up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
}
GEMMA_LAYER_NAMES = {  # Gemma has a norm on either side of both blocks
    **LAYER_NAMES,
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
}
NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
         "lm_head.weight": "output.weight"}


def gguf_name(key, family):
    if not key.startswith("model.layers."):
        return NAMES[key]
    layer, rest = key.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{(GEMMA_LAYER_NAMES if family == 'gemma3' else LAYER_NAMES)[rest]}"


def write_metadata(writer, name, family, config, head_dim):
    writer.add_name(f"tiny-{name}")
    writer.add_file_type(0)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters["full_attention"] if family == "gemma3" else config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if head_dim * config.num_attention_heads != config.hidden_size:  # old files do without where the default holds
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if family in ("llama", "phi3"):
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
        writer.add_vocab_size(config.vocab_size)
    if family in ("gemma3", "phi3") and config.sliding_window is not None:
        writer.add_sliding_window(config.sliding_window)
    if family == "gemma3":
        write_gemma_metadata(writer, config, rope)
    if rope["rope_type"] == "longrope":
        original = config.original_max_position_embeddings
        factor = config.max_position_embeddings / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(factor) / np.log(original))))
    writer.add_tokenizer_model("no_vocab")


def write_gemma_metadata(writer, config, rope):
    """What differs from the published 270M and 1B: the files of those say none of this."""
    local = config.rope_parameters["sliding_attention"]["rope_theta"]
    period = config.layer_types.index("full_attention") + 1
    if local != 1e4:
        writer.add_float32("gemma3.rope.freq_base_swa", local)
    if period != 6:
        writer.add_sliding_window_pattern(period)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def write_gguf(path, name, family, model):
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, family)
    write_metadata(writer, name, family, config, head_dim)
    rope = config.rope_parameters
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config, head_dim))
    if rope.get("rope_type") == "longrope":
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
    for key, parameter in model.named_parameters():
        weight = parameter.detach().float().numpy().copy()
        if family == "llama" and "q_proj" in key:
            weight = interleave(weight, config.num_attention_heads)
        if family == "llama" and "k_proj" in key:
            weight = interleave(weight, config.num_key_value_heads)
        if family == "gemma3" and "norm" in key:
            weight = weight + np.float32(1)
        writer.add_tensor(gguf_name(key, family), np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_expected(out, name, ids, logits):
    (out / f"{name}.ids").write_text(" ".join(map(str, ids)) + "\n")
    (out / f"{name}.logits").write_bytes(logits.astype("<f4").tobytes())


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    lines = []
    for name, (family, config) in cases().items():
        config._attn_implementation = "eager"
        model = CLASSES[family](config).eval()
        fill(model, name, family)
        write_gguf(out / f"{name}.gguf", name, family, model)
        ids = np.random.default_rng(seed_of(name + ".ids")).integers(0, config.vocab_size, IDS).tolist()
        logits = logits_of(model, ids)
        assert np.isfinite(logits).all() and logits.std() > 0.5, f"{name}: degenerate logits"
        write_expected(out, name, ids, logits)
        lines.append(f"{name} {name} {CONTEXT}")
        if name == "phi3-long":  # the same file at exactly the original context: short factors still
            original = config.original_max_position_embeddings
            write_expected(out, "phi3-boundary", ids[:original], logits_of(model, ids[:original]))
            lines.append(f"phi3-boundary {name} {original}")
        print(f"{name}: {(out / f'{name}.gguf').stat().st_size} bytes, logits' deviation {logits.std():.2f}")
    (out / "cases.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
