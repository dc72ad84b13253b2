"""Hugging Face folders made to order, in plain Python: safetensors files, tokenizers, and the models of tests/data/models
as transformers would have saved them. Those come with the logits that transformers computed, so that a converted folder
can be held to them; the way back from GGUF's names and rows is written here without a look at the converter."""
import json
import os
import struct

from e2e_support import SOURCE, byte_letters

MODELS = os.path.join(SOURCE, "tests", "data", "models")
QWEN2_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")

# --------------------------------------------------------------------------------------------------------- safetensors


def half(value):
    return struct.pack("<e", value)


def bfloat(value):
    """To nearest even."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


PACK = {"F32": lambda values: struct.pack(f"<{len(values)}f", *values),
        "F16": lambda values: b"".join(map(half, values)),
        "BF16": lambda values: b"".join(map(bfloat, values))}


def safetensors(tensors, dtype="F32", head=None):
    """A file's bytes. Tensors are {name: (shape, floats)}; `head` changes the head before it is written."""
    entries, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, floats) in tensors.items():
        raw = PACK[dtype](floats)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    if head:
        entries = head(entries) or entries
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---------------------------------------------------------------------------------------------------------- tokenizers


def byte_level(words=None, tokens=(), merges=(), added=(), letters=None, **more):
    """Qwen2's kind with `words`, SmolLM2's without."""
    texts = (letters or byte_letters()) + list(tokens)
    cut = [{"type": "Digits", "individual_digits": True}]
    if words:
        cut = [{"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": False}]
    cut += [{"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": not words}]
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": text, "special": special, "normalized": False} for i, text, special in added],
        "normalizer": {"type": "NFC"} if words else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": cut},
        "post_processor": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate(texts)}, "merges": list(merges), **more},
    }


def sentencepiece(tokens, merges, added=(), bos=None):
    """Gemma's kind: spaces are "▁", what has no token is bytes."""
    front = [{"SpecialToken": {"id": bos, "type_id": 0}}] if bos else []
    return {
        "added_tokens": [{"id": i, "content": text, "special": special, "normalized": False} for i, text, special in added],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {"type": "TemplateProcessing", "single": front + [{"Sequence": {"id": "A", "type_id": 0}}]},
        "model": {"type": "BPE", "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>",
                  "vocab": {text: i for i, text in enumerate(tokens)}, "merges": [list(merge) for merge in merges]},
    }


# --------------------------------------------------------------------------------------------------------- GGUF, read

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class Gguf:
    """A whole file: .entries {key: value}, .tensors {name: (shape as GGUF has it, type, bytes)}."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes, self.at = file.read(), 4
        _, tensors, entries = self.take("<IQQ")
        self.entries = {self.text().decode(): self.value(self.take("<I")[0]) for _ in range(entries)}
        places = []
        for _ in range(tensors):
            name, (dimensions,) = self.text().decode(), self.take("<I")
            shape = self.take(f"<{dimensions}Q")
            places.append((name, shape, *self.take("<IQ")))
        data = self.at + -self.at % 32
        self.tensors = {}
        for name, shape, kind, offset in places:
            count = {0: 4, 1: 2, 30: 2}[kind]
            for length in shape:
                count *= length
            self.tensors[name] = (shape, kind, self.bytes[data + offset:data + offset + count])

    def take(self, layout):
        values = struct.unpack_from(layout, self.bytes, self.at)
        self.at += struct.calcsize(layout)
        return values

    def text(self):
        (length,) = self.take("<Q")
        self.at += length
        return self.bytes[self.at - length:self.at]

    def value(self, kind):
        if kind == 8:
            return self.text().decode("utf-8", "surrogateescape")
        if kind == 9:
            inner, count = self.take("<IQ")
            return [self.value(inner) for _ in range(count)]
        return self.take("<" + SCALARS[kind])[0]

    def floats(self, name):
        shape, kind, raw = self.tensors[name]
        assert kind == 0, name
        return shape, list(struct.unpack(f"<{len(raw) // 4}f", raw))


# ------------------------------------------------------------------------------------------------------ models, undone

NAMES = {
    "token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_qkv": "self_attn.qkv_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
GEMMA = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_ffw_norm": "post_feedforward_layernorm"}
PHI = {"ffn_up": "mlp.gate_up_proj"}


def published_name(name, family):
    parts = name.split(".")
    stem, ending = parts[-2], parts[-1]
    known = {**NAMES, **(GEMMA if family == "gemma3" else PHI if family == "phi3" else {})}[stem]
    return f"model.layers.{parts[1]}.{known}.{ending}" if parts[0] == "blk" else f"{known}.{ending}"


def rows_apart(values, columns, head):
    """Neighbours that turn together go half a head apart again."""
    rows = [values[i:i + columns] for i in range(0, len(values), columns)]
    apart = []
    for first in range(0, len(rows), head):
        apart += rows[first:first + head:2] + rows[first + 1:first + head:2]
    return [value for row in apart for value in row]


def published_tensors(file):
    """{name: (shape, floats)} as transformers saves them."""
    family, tensors = file.entries["general.architecture"], {}
    head = file.entries[family + ".embedding_length"] // file.entries[family + ".attention.head_count"]
    for name in file.tensors:
        if name.startswith("rope_"):
            continue
        shape, values = file.floats(name)
        if family == "llama" and name.endswith(("attn_q.weight", "attn_k.weight")):
            values = rows_apart(values, shape[0], file.entries.get("llama.attention.key_length", head))
        if family == "gemma3" and "norm" in name:
            values = [value - 1 for value in values]
        tensors[published_name(name, family)] = (tuple(reversed(shape)), values)
    return tensors


CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
           "gemma3": "Gemma3ForCausalLM", "phi3": "Phi3ForCausalLM"}
# What tests/oracle/models.py gave transformers, and GGUF has as a tensor.
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 128}


def published_config(file, recent):
    """config.json, with rope_parameters as transformers 5 writes it, or in the way of those before."""
    family = file.entries["general.architecture"]

    def key(suffix, default=None):
        return file.entries.get(f"{family}.{suffix}", default)

    width, heads = key("embedding_length"), key("attention.head_count")
    rope = {"rope_type": "default"}
    config = {
        "architectures": [CLASSES[family]], "num_hidden_layers": key("block_count"), "hidden_size": width,
        "intermediate_size": key("feed_forward_length"), "num_attention_heads": heads,
        "num_key_value_heads": key("attention.head_count_kv", heads), "vocab_size": file.tensors["token_embd.weight"][0][1],
        "head_dim": key("attention.key_length", width // heads), "max_position_embeddings": key("context_length"),
        "rms_norm_eps": key("attention.layer_norm_rms_epsilon"), "tie_word_embeddings": "output.weight" not in file.tensors,
        "hidden_act": "silu",
    }
    if family == "gemma3":
        del config["hidden_act"]
        config.update(hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=config["head_dim"],
                      sliding_window=key("attention.sliding_window"))
    if key("rope.scaling.type") == "linear":
        rope = {"rope_type": "linear", "factor": key("rope.scaling.factor")}
    if family == "phi3":
        config["sliding_window"] = key("attention.sliding_window") or None
        config["partial_rotary_factor"] = key("rope.dimension_count") / config["head_dim"]
        config["original_max_position_embeddings"] = key("rope.scaling.original_context_length", config["max_position_embeddings"])
    if "rope_factors_long.weight" in file.tensors:
        rope = {"rope_type": "longrope", "long_factor": file.floats("rope_factors_long.weight")[1],
                "short_factor": file.floats("rope_factors_short.weight")[1]}
    if "rope_freqs.weight" in file.tensors:
        rope = dict(LLAMA3_ROPE)
    theta, window_theta = key("rope.freq_base", 10000.0), key("rope.freq_base_swa", 10000.0)
    period = key("attention.sliding_window_pattern", 6)
    if not recent:
        rope["type"] = rope.pop("rope_type")
        config.update(rope_theta=theta, rope_scaling=None if rope["type"] == "default" else rope)
        if family == "gemma3":
            config.update(rope_local_base_freq=window_theta, sliding_window_pattern=period)
    elif family == "gemma3":
        config["rope_parameters"] = {"full_attention": {**rope, "rope_theta": theta},
                                     "sliding_attention": {"rope_type": "default", "rope_theta": window_theta}}
        config["layer_types"] = ["sliding_attention" if (i + 1) % period else "full_attention"
                                 for i in range(config["num_hidden_layers"])]
    else:
        config["rope_parameters"] = {**rope, "rope_theta": theta}
    return config


# -------------------------------------------------------------------------------------------------------------- folders


def write_folder(folder, config, tensors, tokenizer, files=1, dtype="F32", **others):
    """`others` are more JSON files by name. Returns the folder."""
    os.makedirs(folder, exist_ok=True)
    documents = {"config": config, "tokenizer": tokenizer, **others}
    for name, document in documents.items():
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False)
    names, place = list(tensors), {}
    for i in range(files):
        name = "model.safetensors" if files == 1 else f"model-{i + 1:05}-of-{files:05}.safetensors"
        part = {tensor: tensors[tensor] for tensor in names[i::files]}
        place.update(dict.fromkeys(part, name))
        with open(os.path.join(folder, name), "wb") as file:
            file.write(safetensors(part, dtype))
    if files > 1:
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"metadata": {}, "weight_map": place}, file)
    return folder
