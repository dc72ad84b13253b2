#!/usr/bin/env python3
"""Small vocabularies of every kind that mote reads, as GGUF, with the ids that HF tokenizers gives for a corpus.

Each case of CASES trains a BPE vocabulary on tokenizer_corpus.py, dresses it as the real family does (normalizer,
pre-tokenizer, added tokens, byte fallback), writes it as a GGUF file without weights (tokenizer_gguf.py) and records the
ids of every text of the corpus. tests/unit/test_tokenizer.c holds mote to them, id for id.

To remake tests/data/tokenizers (one minute, nothing is downloaded but the packages):

    python3 -m venv venv
    venv/bin/pip install tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 jinja2==3.1.6
    venv/bin/python tests/oracle/make_tokenizers.py tests/data/tokenizers

What is written:
    corpus.txt             the texts, U+001E between them
    vocabulary-NAME.gguf   the vocabulary
    vocabulary-NAME.ids    two lines for each text, decimal ids: with control tokens recognised, and without

tokenizers_real.py compares mote with the families' own vocabularies, which are too large to keep here. (These scripts are
not called tokenizers.py because `import tokenizers` would then find them.)
"""
import json
import sys
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

import tokenizer_gguf
from tokenizer_corpus import TEXTS

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
TAIL = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTION}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTION}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + TAIL
)
DEFAULT = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]


def split(*expressions):
    """Each expression cuts what the one before has left; then bytes become characters."""
    return [{"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions] + [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    ]


BYTE_LEVEL_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}

CHATML = [("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<think>", False), ("</think>", False),
          ("<tool_call>", False), ("</tool_call>", False)]

LLAMA3_TOKENS = [("<|begin_of_text|>", True), ("<|start_header_id|>", True), ("<|end_header_id|>", True), ("<|eot_id|>", True)]
PHI_TOKENS = [("<|endoftext|>", True), ("<|system|>", True), ("<|user|>", True), ("<|assistant|>", True), ("<|end|>", True)]

# name: pre-tokenizers, NFC, added tokens (text, special), properties of the model
BYTE_LEVEL = {
    "gpt-2": ([BYTE_LEVEL_GPT2], False, [("<|endoftext|>", True)], {}),
    "smollm": ([{"type": "Digits", "individual_digits": True}, BYTE_LEVEL_GPT2], False, CHATML[:3], {}),
    "qwen2": (split(LLAMA3.replace("{1,3}", "")), True, CHATML, {}),
    "llama-bpe": (split(LLAMA3), False, LLAMA3_TOKENS, {"ignore_merges": True}),
    "gpt-4o": (split(O200K), False, PHI_TOKENS, {}),
    "default": (split(*DEFAULT), False, [("<|endoftext|>", True)], {}),
}


def train(pre_tokenizer, normalizer, alphabet, texts):
    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def description(model, normalizer, pre_tokenizer, added):
    for text, _ in added:
        model["vocab"].setdefault(text, len(model["vocab"]))
    return {
        "version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None,
        "added_tokens": [
            {"id": model["vocab"][text], "content": text, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": special}
            for text, special in added
        ],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model,
    }


def byte_level(name):
    steps, nfc, added, properties = BYTE_LEVEL[name]
    sequence = {"type": "Sequence", "pretokenizers": steps}
    empty = description({"type": "BPE", "vocab": {}, "merges": []}, None, {"type": "Sequence", "pretokenizers": split(LLAMA3)}, [])
    scaffold = Tokenizer.from_str(json.dumps(empty))  # all are trained on the same words
    model = train(scaffold.pre_tokenizer, None, pre_tokenizers.ByteLevel.alphabet(), TEXTS)
    if properties.get("ignore_merges"):  # so that some words are tokens that no merges lead to
        model["merges"] = [m for i, m in enumerate(model["merges"]) if i % 7 != 3]
    model.update(properties)
    whole = description(model, {"type": "NFC"} if nfc else None, sequence, added)
    ids = [token["id"] for token in whole["added_tokens"]]
    entries = [("add_bos_token_id", ids[0]), ("add_eos_token_id", ids[-1 if name == "llama-bpe" else 0])]
    return whole, name, entries


def all_merges(vocab, scores):
    """A list of merges as HF's converter writes it for a SentencePiece vocabulary: every way to make every token."""
    merges = []
    for text, score in scores.items():
        ways = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in vocab and text[i:] in vocab]
        merges += [(a, b, score) for a, b in sorted(ways, key=lambda way: (vocab[way[0]], vocab[way[1]]))]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [[a, b] for a, b, _ in merges]


def sentencepiece(special, user, normalizer, prefix):
    """`special` and `user`: added tokens. Scores: user-defined 0, the others falling from there, single characters last."""
    rare = {c for c, count in Counter("".join(TEXTS)).items() if count < 3}  # left to byte fallback
    texts = ["".join(c for c in text if c not in rare) for text in TEXTS]
    model = train(None, normalizers.Replace(" ", "▁"), [], texts)
    learned = sorted(model["vocab"], key=model["vocab"].get)
    pieces = [p for p in learned if len(p) > 1] + [p for p in learned if len(p) == 1]
    singles = {c for text in user if len(set(text)) == 1 for c in text} & {"\t", "\n"}
    pieces = [p for p in pieces if p not in user and not singles & set(p)]
    pieces.insert(0, pieces.pop(pieces.index("▁")))
    texts = special + user + [f"<0x{byte:02X}>" for byte in range(256)] + pieces
    vocab = {text: i for i, text in enumerate(texts)}
    scores = {text: 0.0 for text in user} | {text: -1.0 - i for i, text in enumerate(pieces)}
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
             "vocab": vocab, "merges": all_merges(vocab, scores)}
    whole = description(model, normalizer, None, [(t, True) for t in special] + [(t, False) for t in user])
    entries = [("add_bos_token_id", vocab[special[1]]), ("add_eos_token_id", vocab[special[2]]),
               ("add_unk_token_id", vocab["<unk>"]), ("add_add_bos_token", True), ("add_add_space_prefix", prefix)]
    return whole, None, entries


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, REPLACE]}


def gemma():
    user = ["\n" * n for n in range(1, 32)] + ["▁" * n for n in range(2, 32)] + ["\t" * n for n in range(1, 32)]
    user += ["<table>", "</table>", "<b>", "</b>", "<s>", "</s>"]
    return sentencepiece(["<pad>", "<bos>", "<eos>", "<unk>", "<start_of_turn>", "<end_of_turn>"], user, REPLACE, False)


def llama():
    return sentencepiece(["<unk>", "<s>", "</s>", "<|user|>", "<|end|>"], [], PREPEND, True)


CASES = {name: lambda name=name: byte_level(name) for name in BYTE_LEVEL} | {"gemma": gemma, "llama": llama}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    assert not any("\x1e" in text for text in TEXTS)
    (folder / "corpus.txt").write_bytes("\x1e".join(TEXTS).encode())
    for name, make in CASES.items():
        whole, pre, entries = make()
        tokenizer_gguf.write(folder / f"vocabulary-{name}.gguf", whole, pre=pre, entries=entries)
        tokenizer = Tokenizer.from_str(json.dumps(whole))
        lines = []
        for text in TEXTS:
            for recognise in (True, False):
                tokenizer.encode_special_tokens = not recognise
                lines.append(" ".join(map(str, tokenizer.encode(text, add_special_tokens=False).ids)))
        (folder / f"vocabulary-{name}.ids").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(whole['model']['vocab'])} tokens, {len(TEXTS)} texts")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/tokenizers"))
