"""A Hugging Face tokenizer as a GGUF file without weights, in the conventions of llama.cpp's converter.

What the converter decides, and mote has to live with:
  - An added token is a control token if it is special or looks it (`<|…|>`, `<unused…>`, …), else a user-defined one, and
    in a user-defined one "▁" is written as a space.
  - The lstrip, rstrip, single_word and normalized properties of added tokens are lost.
  - A SentencePiece vocabulary has scores where tokenizer.json has a list of merges.
"""
import re

import gguf

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def looks_special(text):
    return (
        text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<｜") and text.endswith("｜>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )


def merge_pairs(model):
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]


def tokens_and_kinds(description, sentencepiece):
    """Texts by id, and their kinds. `description` is a parsed tokenizer.json."""
    model = description["model"]
    texts = {i: text for text, i in model["vocab"].items()}
    kinds = {}
    for i, text in texts.items():
        is_byte = sentencepiece and re.fullmatch(r"<0x[0-9A-F]{2}>", text)
        kinds[i] = BYTE if is_byte else UNKNOWN if text == model.get("unk_token") else NORMAL
    for added in description["added_tokens"]:
        i, text = added["id"], added["content"]
        if kinds.get(i) == UNKNOWN:
            continue
        control = added["special"] or looks_special(text)
        texts[i] = text if control else text.replace("▁", " ")
        kinds[i] = CONTROL if control else USER
    count = max(texts) + 1
    for i in range(count):
        if i not in texts:
            texts[i], kinds[i] = f"[PAD{i}]", UNUSED
    return [texts[i] for i in range(count)], [kinds[i] for i in range(count)]


def scores_of(description, count):
    """Scores that say what the merges say: a token made earlier has the higher one. What no merge makes comes last."""
    model = description["model"]
    scores = [-float(len(model["merges"]) + 1)] * count
    for rank, (left, right) in reversed(list(enumerate(merge_pairs(model)))):
        scores[model["vocab"][left + right]] = -float(rank)
    for added in description["added_tokens"]:
        scores[added["id"]] = -1000.0
    return scores


def write(path, description, *, pre=None, entries=()):
    """`pre`: the pre-tokenizer's name, or None for SentencePiece. `entries`: (method of GGUFWriter, value) pairs."""
    writer = gguf.GGUFWriter(path, "llama")
    texts, kinds = tokens_and_kinds(description, sentencepiece=pre is None)
    writer.add_tokenizer_model("llama" if pre is None else "gpt2")
    writer.add_token_list(texts)
    if pre is None:
        writer.add_token_scores(scores_of(description, len(texts)))
    else:
        writer.add_tokenizer_pre(pre)
        to_text = lambda part: part.replace(" ", "Ġ")
        writer.add_token_merges([f"{to_text(a)} {to_text(b)}" for a, b in merge_pairs(description["model"])])
    writer.add_token_types(kinds)
    for method, value in entries:
        getattr(writer, method)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
