"""Writes a checkpoint as the GGUF file that is compiled into mote.

    python export.py --run WORK_DIR --out mote-builtin.gguf

Matrices become Q8_0, norms stay F32; names and keys are llama.cpp's for
"qwen3", so any runtime that reads Qwen3 can load the file.
"""

import argparse
import json
import os

import gguf
import numpy as np
import torch

CHAT_TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                 "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
NAMES = {"attn_norm": "attn_norm", "ffn_norm": "ffn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
         "q_norm": "attn_q_norm", "k_norm": "attn_k_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def tensor_name(name):
    """blocks.0.q.weight -> blk.0.attn_q.weight, and so on."""
    if name == "embed.weight":
        return "token_embd.weight"          # tied: also the head, so there is no output.weight
    if name == "norm.weight":
        return "output_norm.weight"
    _, layer, part, _ = name.split(".")
    return f"blk.{layer}.{NAMES[part]}.weight"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    state = torch.load(os.path.join(args.run, "checkpoint.pt"), weights_only=True)
    config = state["config"]
    with open(os.path.join(args.run, "tokenizer.json"), encoding="utf-8") as f:
        bpe = json.load(f)["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    assert len(tokens) == config["vocab"], (len(tokens), config["vocab"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]]

    w = gguf.GGUFWriter(args.out + ".tmp", "qwen3")
    w.add_name("mote-builtin")
    w.add_description("Two skills: a spoken-style home or workshop command (English, Japanese) to a JSON intent; a window of "
                      "sensor readings to a JSON verdict. A demonstration, not a chat model.")
    w.add_license("apache-2.0")
    w.add_languages(["en", "ja"])
    w.add_context_length(config["context"])
    w.add_embedding_length(config["width"])
    w.add_block_count(config["layers"])
    w.add_feed_forward_length(config["ffn"])
    w.add_head_count(config["heads"])
    w.add_head_count_kv(config["kv_heads"])
    w.add_key_length(config["head_dim"])
    w.add_value_length(config["head_dim"])
    w.add_layer_norm_rms_eps(config["eps"])
    w.add_rope_freq_base(config["rope_theta"])
    w.add_vocab_size(config["vocab"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)

    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges(merges)
    w.add_eos_token_id(bpe["vocab"]["<|im_end|>"])
    w.add_pad_token_id(bpe["vocab"]["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)

    for name, tensor in state["model"].items():
        data = tensor.float().numpy()
        if data.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(tensor_name(name), gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            w.add_tensor(tensor_name(name), data.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(args.out + ".tmp", args.out)
    print(f"{args.out}: {os.path.getsize(args.out):,} bytes, {len(tokens)} tokens, step {state['step']}")


if __name__ == "__main__":
    main()
