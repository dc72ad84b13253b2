"""Writes a checkpoint as the GGUF file that is compiled into mote.

    python export.py --run WORK_DIR --out mote-builtin.gguf

Matrices become Q8_0, norms stay F32; names and keys are llama.cpp's for
"qwen3", so any runtime that reads Qwen3 can load the file. second/second.py
writes its model by the same functions, as "llama".
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


def halves_to_pairs(matrix, head_dim):
    """Rows of q or k as Llama's files have them: what is rotated together lies side by side, where the network here
    (and Qwen's files) have it half a head apart."""
    rows, columns = matrix.shape
    return matrix.reshape(rows // head_dim, 2, head_dim // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_tokenizer(w, bpe):
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]])
    w.add_eos_token_id(bpe["vocab"]["<|im_end|>"])
    w.add_pad_token_id(bpe["vocab"]["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def write_gguf(run, out, name, description, languages, matrices="Q8_0"):
    """Writes the checkpoint in the folder `run`, its matrices in Q8_0 or F16."""
    state = torch.load(os.path.join(run, "checkpoint.pt"), weights_only=True)
    config = state["config"]
    with open(os.path.join(run, "tokenizer.json"), encoding="utf-8") as f:
        bpe = json.load(f)["model"]
    assert len(bpe["vocab"]) == config["vocab"], (len(bpe["vocab"]), config["vocab"])
    llama = not config.get("qk_norm", True)
    kind = gguf.GGMLQuantizationType[matrices]

    w = gguf.GGUFWriter(out + ".tmp", "llama" if llama else "qwen3")
    w.add_name(name)
    w.add_description(description)
    w.add_license("apache-2.0")
    w.add_languages(languages)
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
    w.add_file_type(gguf.LlamaFileType["MOSTLY_" + matrices])
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_tokenizer(w, bpe)

    for part, tensor in state["model"].items():
        data = tensor.float().numpy()
        if llama and part.endswith((".q.weight", ".k.weight")):
            data = halves_to_pairs(data, config["head_dim"])
        if data.ndim == 2:
            w.add_tensor(tensor_name(part), gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            w.add_tensor(tensor_name(part), data.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(out + ".tmp", out)
    print(f"{out}: {os.path.getsize(out):,} bytes, {config['vocab']} tokens, step {state['step']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    write_gguf(args.run, args.out, "mote-builtin",
               "Two skills: a spoken-style home or workshop command (English, Japanese) to a JSON intent; a window of "
               "sensor readings to a JSON verdict. A demonstration, not a chat model.", ["en", "ja"])


if __name__ == "__main__":
    main()
