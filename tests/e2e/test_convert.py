#!/usr/bin/env python3
"""mote convert: a Hugging Face folder becomes a file that computes what transformers computes, with the same tokens; what is
damaged, hostile or another model's is refused in a sentence, and no half file is ever left."""
import json
import math
import os
import resource
import signal
import struct
import subprocess

from e2e_support import MOTE, PATIENCE, Case, byte_letters, environment, main, mote
from hf_folder import (MODELS, QWEN2_WORDS, Gguf, bfloat, byte_level, half, published_config, published_tensors,
                       safetensors, sentencepiece, write_folder)

# Every byte but those past the tiny vocabularies' end: a tokenizer may know fewer tokens than the embedding has rows.
FEW_LETTERS = byte_level(letters=byte_letters()[:90])


def tiny(dtype="F32", **changes):
    """A llama of one layer, 260 tokens: (config, tensors)."""
    width, ffn, rows = 32, 48, 260
    config = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": width, "intermediate_size": ffn,
              "num_attention_heads": 2, "vocab_size": rows, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
              "hidden_act": "silu", "tie_word_embeddings": True, "rope_theta": 10000.0, **changes}
    seed = [1]

    def values(*shape):
        out = []
        for _ in range(math.prod(shape)):
            seed[0] = seed[0] * 1103515245 + 12345 & 0x7FFFFFFF
            out.append((seed[0] >> 10) / 0x100000 - 1)  # exact in float32
        return shape, out

    layer = "model.layers.0."
    tensors = {"model.embed_tokens.weight": values(rows, width), "model.norm.weight": values(width),
               layer + "input_layernorm.weight": values(width), layer + "post_attention_layernorm.weight": values(width),
               layer + "mlp.gate_proj.weight": values(ffn, width), layer + "mlp.up_proj.weight": values(ffn, width),
               layer + "mlp.down_proj.weight": values(width, ffn)}
    for name in "qkvo":
        tensors[f"{layer}self_attn.{name}_proj.weight"] = values(width, width)
    return config, tensors


QWEN = byte_level(QWEN2_WORDS, tokens=["he", "ll"], merges=["h e", ["l", "l"]],
                  added=[(258, "<|im_end|>", True), (259, "<tool_call>", False)])


class Convert(Case):
    def setUp(self):
        super().setUp()
        self.out = self.path("model.gguf")

    def folder_of(self, config, tensors, tokenizer=QWEN, **options):
        return write_folder(self.path("hf"), config, tensors, tokenizer, **options)

    def convert(self, folder, *words, **options):
        return mote("convert", folder, "-o", self.out, *words, **options)

    def expect_refused(self, result, *parts):
        self.expect_error(result, 1, *parts)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("model.gguf")], [])

    def replace(self, name, content):
        with open(self.path(os.path.join("hf", name)), "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())


class Results(Convert):
    def logits_error(self, name, model, context):
        logits = self.path("logits")
        if os.path.exists(logits):
            os.remove(logits)
        self.expect_done(mote("debug", "logits", "-m", self.out, "--ids", os.path.join(MODELS, name + ".ids"), "-o", logits,
                              "--ctx", context))
        with open(logits, "rb") as mine, open(os.path.join(MODELS, name + ".logits"), "rb") as theirs:
            got, want = mine.read(), theirs.read()
        self.assertEqual(len(got), len(want))
        layout = f"<{len(got) // 4}f"
        got, want = struct.unpack(layout, got), struct.unpack(layout, want)
        return math.sqrt(sum((g - w) ** 2 for g, w in zip(got, want)) / sum(w * w for w in want))

    def test_logits_are_those_of_transformers(self):
        """Every family, from one file and several, from configurations of transformers 5 and of those before."""
        with open(os.path.join(MODELS, "cases.txt")) as file:
            cases = [line.split() for line in file]
        for number, (name, model, context) in enumerate(cases):
            source = Gguf(os.path.join(MODELS, model + ".gguf"))
            folder = write_folder(self.path(f"{name}-hf"), published_config(source, number % 2 == 0),
                                  published_tensors(source), FEW_LETTERS, files=1 + number % 3)
            self.expect_done(self.convert(folder, "--force"))
            self.assertLess(self.logits_error(name, model, context), 1e-5, name)
            converted = Gguf(self.out)
            self.assertEqual(set(converted.tensors), set(source.tensors), name)
            for tensor in source.tensors:  # norms of Gemma have lost a bit on the way here
                if not (model.startswith("gemma3") and "norm" in tensor) and tensor != "rope_freqs.weight":
                    self.assertEqual(converted.tensors[tensor], source.tensors[tensor], (name, tensor))

    def test_numbers_keep_their_bits_or_are_rounded(self):
        config, tensors = tiny()
        plain = tensors["model.layers.0.mlp.up_proj.weight"][1]
        norm = tensors["model.norm.weight"][1]
        read = {"F32": lambda v: v, "F16": lambda v: struct.unpack("<e", half(v))[0],
                "BF16": lambda v: struct.unpack("<f", b"\0\0" + bfloat(v))[0]}
        write = {"f32": (0, lambda v: struct.pack("<f", v)), "f16": (1, half), "bf16": (30, bfloat)}
        for dtype in read:
            folder = self.folder_of(config, tensors, dtype=dtype)
            for kind in (None, *write):
                self.expect_done(self.convert(folder, "--force", *(["--type", kind] if kind else [])))
                number, pack = write[kind or dtype.lower()]
                shape, stored, raw = Gguf(self.out).tensors["blk.0.ffn_up.weight"]
                self.assertEqual((shape, stored), ((32, 48), number))
                want = b"".join(pack(read[dtype](v)) for v in plain)
                self.assertEqual(raw, want, (dtype, kind))
                want = b"".join(struct.pack("<f", read[dtype](v)) for v in norm)
                self.assertEqual(Gguf(self.out).tensors["output_norm.weight"], ((32,), 0, want))

    def test_same_folder_same_bytes(self):
        folder, files = self.folder_of(*tiny()), []
        for _ in range(2):
            self.expect_done(self.convert(folder, "--force"))
            with open(self.out, "rb") as file:
                files.append(file.read())
        self.assertEqual(*files)

    def test_what_else_the_folder_says(self):
        folder = self.folder_of(*tiny(), tokenizer_config={"eos_token": {"content": "<|im_end|>"}, "chat_template": "old"},
                                generation_config={"eos_token_id": [258, 65], "do_sample": True, "top_k": 20, "top_p": 0.8})
        with open(os.path.join(folder, "chat_template.jinja"), "w") as file:
            file.write("{{ messages }}")
        self.expect_done(self.convert(folder))
        entries = Gguf(self.out).entries
        self.assertEqual(entries["general.name"], "hf")
        self.assertEqual(entries["tokenizer.ggml.eos_token_id"], 258)
        self.assertEqual(entries["tokenizer.ggml.eot_token_id"], 65)
        self.assertEqual(entries["tokenizer.chat_template"], "{{ messages }}")
        self.assertEqual(entries["general.sampling.top_k"], 20)
        self.assertAlmostEqual(entries["general.sampling.top_p"], 0.8, 6)
        self.assertFalse(entries["tokenizer.ggml.add_bos_token"])

    def ids(self, text):
        return json.loads(self.expect_done(mote("tokenize", "-m", self.out, "--special", "--json", stdin=text)).out)

    def test_byte_level_tokens(self):
        self.expect_done(self.convert(self.folder_of(*tiny())))
        letters = byte_letters()
        h, o, space = (letters.index(letter) for letter in "hoĠ")
        self.assertEqual(self.ids("hello <|im_end|>"), [256, 257, o, space, 258])
        self.assertEqual(self.ids("h<tool_call>e"), [h, 259, letters.index("e")])
        self.assertEqual(self.ids("e\u0301"), [letters.index("\u00c3"), letters.index("\u00a9")])  # composed first
        self.assertEqual(Gguf(self.out).entries["tokenizer.ggml.pre"], "qwen2")

    def test_holes_are_unused_tokens(self):
        config, tensors = tiny()
        self.expect_done(self.convert(self.folder_of(config, tensors, byte_level())))
        entries = Gguf(self.out).entries
        self.assertEqual(entries["tokenizer.ggml.tokens"][256:], [f"[PAD{i}]" for i in range(256, 260)])
        self.assertEqual(entries["tokenizer.ggml.token_type"][255:], [1, 5, 5, 5, 5])
        self.assertEqual(entries["tokenizer.ggml.pre"], "smollm")

    def test_sentencepiece_tokens(self):
        """The earlier merge wins: "ab" before "bc", "▁a" last. What has no token is bytes."""
        tokens = ["<unk>", "<bos>"] + [f"<0x{i:02X}>" for i in range(256)]
        tokens = tokens[:250] + ["▁", "a", "b", "c", "ab", "bc", "▁a"]
        tokenizer = sentencepiece(tokens, [("a", "b"), ("b", "c"), ("▁", "a")],
                                  added=[(1, "<bos>", True), (257, "\n\n", False), (258, "▁▁", False)], bos="<bos>")
        self.expect_done(self.convert(self.folder_of(*tiny(), tokenizer)))
        at = tokens.index
        self.assertEqual(self.ids("abc"), [at("ab"), at("c")])
        self.assertEqual(self.ids("bc a"), [at("bc"), at("▁a")])
        self.assertEqual(self.ids("a\n\nb"), [at("a"), 257, at("b")])
        self.assertEqual(self.ids("é"), [at("<0xC3>"), at("<0xA9>")])
        entries = Gguf(self.out).entries
        self.assertEqual(entries["tokenizer.ggml.model"], "llama")
        self.assertEqual(entries["tokenizer.ggml.tokens"][258], "  ")
        self.assertEqual([entries["tokenizer.ggml.token_type"][i] for i in (0, 1, 2, 257, 258, 259)], [2, 3, 6, 4, 4, 5])
        self.assertTrue(entries["tokenizer.ggml.add_bos_token"])
        self.assertFalse(entries["tokenizer.ggml.add_space_prefix"])


class Refusals(Convert):
    def setUp(self):
        super().setUp()
        self.config, self.tensors = tiny()
        self.source = self.folder_of(self.config, self.tensors)

    def test_missing_files(self):
        self.expect_refused(self.convert(self.path("nowhere")), "nowhere", "is no folder")
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            os.rename(os.path.join(self.source, name), self.path("aside"))
            self.expect_refused(self.convert(self.source), name)
            os.rename(self.path("aside"), os.path.join(self.source, name))

    def test_configurations(self):
        config = self.config
        for change, parts in (
            ({"architectures": ["MambaForCausalLM"]}, ("MambaForCausalLM", "LlamaForCausalLM")),
            ({"architectures": []}, ("architecture",)),
            ({"num_hidden_layers": 2}, ("model.layers.1.input_layernorm.weight", "missing")),
            ({"num_hidden_layers": 0}, ("num_hidden_layers", "from 1")),
            ({"num_hidden_layers": "1"}, ("num_hidden_layers", "a string")),
            ({"hidden_size": 1e30}, ("hidden_size",)),
            ({"hidden_size": None}, ("hidden_size", "null")),
            ({"vocab_size": 259}, ("embed_tokens", "260")),
            ({"num_key_value_heads": 3}, ("num_key_value_heads",)),
            ({"hidden_act": "relu"}, ("activation",)),
            ({"rms_norm_eps": -1}, ("rms_norm_eps",)),
            ({"rope_scaling": {"type": "yarn", "factor": 4}}, ("rotary",)),
            ({"rope_theta": "x"}, ("rope_theta",)),
            ({"tie_word_embeddings": False}, ("lm_head.weight", "missing")),
            ({"quantization_config": {}}, ("quantized",)),
        ):
            self.replace("config.json", {**config, **change})
            self.expect_refused(self.convert(self.source), *parts)
        for broken, part in ((b"{", "a key is missing"), (b"[1", "too early"), (b"[1]", "not an object"), (b'{"a":1,"a":2}', "twice"), (b"[" * 100, "deep"),
                             (b'"\xff"', "UTF-8"), (b"", "empty"), (b"{} x", "behind")):
            self.replace("config.json", broken)
            self.expect_refused(self.convert(self.source), "config.json", part)

    def test_weights(self):
        def broken(*parts, head=None, tensors=None, cut=None, tail=b"", dtype="F32"):
            content = safetensors(tensors or self.tensors, dtype, head)
            self.replace("model.safetensors", content[:cut] + tail)
            self.expect_refused(self.convert(self.source), "model.safetensors", *parts)

        def change(name, **entry):
            return lambda head: head["model." + name].update(entry)

        broken("too few", cut=5)
        broken("its head would have", cut=100)
        broken("data_offsets", cut=-1)
        broken("belong to no tensor", tail=b"x")
        broken("inside another", head=change("norm.weight", data_offsets=[0, 128]))
        broken("data_offsets", head=change("norm.weight", data_offsets=[128, 0]))
        broken("data_offsets", head=change("norm.weight", shape=[33]))
        broken("shape", head=change("norm.weight", shape=[1 << 40, 1 << 40]))
        broken("shape", head=change("norm.weight", shape=[0]))
        broken("shape", head=change("norm.weight", shape=[-32]))
        broken("dtype", head=change("norm.weight", dtype="F4"))
        broken("I32", head=change("norm.weight", dtype="I32"))
        broken("1 × 0", "norm.weight", head=lambda head: head, tensors={**self.tensors, "model.norm.weight": ((1,), [1.0])})
        broken("no place", tensors={**self.tensors, "model.layers.0.self_attn.q_proj.bias": ((32,), [0.0] * 32)})
        broken("no number", tensors={**self.tensors, "model.norm.weight": ((32,), [math.nan] * 32)})
        self.replace("model.safetensors", struct.pack("<Q", 1 << 63) + b"{}")
        self.expect_refused(self.convert(self.source), "head")

    def test_a_value_past_half_precision(self):
        shape, values = self.tensors["model.embed_tokens.weight"]
        self.folder_of(self.config, {**self.tensors, "model.embed_tokens.weight": (shape, [70000.0] + values[1:])})
        self.expect_refused(self.convert(self.source, "--type", "f16"), "embed_tokens", "F16", "f32")
        self.expect_done(self.convert(self.source, "--type", "bf16"))

    def test_indexes(self):
        os.remove(os.path.join(self.source, "model.safetensors"))
        self.folder_of(self.config, self.tensors, files=3)
        name = "model.safetensors.index.json"
        with open(os.path.join(self.source, name)) as file:
            index = json.load(file)
        first = next(iter(index["weight_map"]))

        def with_place(place):
            return {**index, "weight_map": {**index["weight_map"], first: place}}

        for content, part in ((with_place("../x.safetensors"), "no file of the folder"), (with_place("/etc/passwd"), "no file"),
                              (with_place(7), "no file"), (with_place("model-9.safetensors"), "cannot be opened"),
                              (with_place("model-00002-of-00003.safetensors"), "not where"), ({}, "weight_map"),
                              ({"weight_map": {**index["weight_map"], "more": "model-00001-of-00003.safetensors"}}, "names")):
            self.replace(name, content)
            self.expect_refused(self.convert(self.source), part)
        self.replace(name, index)
        self.expect_done(self.convert(self.source))

    def test_tokenizers(self):
        def broken(*parts, **changes):
            tokenizer = json.loads(json.dumps(QWEN))
            for key, value in changes.items():
                (tokenizer if key in tokenizer else tokenizer["model"])[key] = value
            self.replace("tokenizer.json", tokenizer)
            self.expect_refused(self.convert(self.source), "tokenizer.json", *parts)

        vocab = QWEN["model"]["vocab"]
        broken("no model", vocab=[])
        broken("Unigram", type="Unigram")
        broken("both number 5", vocab={**vocab, "x1": 5})
        broken("no whole number", vocab={**vocab, "he": -1})
        broken("260 rows", vocab={**vocab, "x1": 260})
        broken("merge 1", merges=["h e", "l nothing"])
        broken("merge 0", merges=["he"])
        broken("merge 0", merges=[["h"]])
        broken("merge 0", merges=[{}])
        broken("another number", added_tokens=[{"id": 3, "content": "he", "special": True}])
        broken("lacks its id", added_tokens=[{"content": "x"}])
        broken("both number 256", added_tokens=[{"id": 256, "content": "<x>", "special": True}])
        broken("pre-tokenizer", pre_tokenizer={"type": "Whitespace"})
        broken("normalized", normalizer={"type": "Lowercase"})
        broken("post-processor", post_processor={"type": "BertProcessing"})
        broken("end_of_word_suffix", end_of_word_suffix="</w>")
        self.replace("tokenizer.json", QWEN)
        self.replace("generation_config.json", {"eos_token_id": 1 << 40})
        self.expect_refused(self.convert(self.source), "generation_config.json", "eos_token_id")

    def test_usage(self):
        self.expect_error(mote("convert"), 2, "name the folder")
        self.expect_error(mote("convert", self.source), 2, "--out")
        self.expect_error(mote("convert", self.source, self.source, "-o", self.out), 2)
        self.expect_refused(self.convert(self.source, "--type", "q4_0"), "q4_0", "bf16")


class Files(Convert):
    def setUp(self):
        super().setUp()
        self.source = self.folder_of(*tiny())

    def test_a_file_that_is_there_stays(self):
        self.path("model.gguf", b"precious")
        self.expect_error(self.convert(self.source), 1, "--force")
        with open(self.out, "rb") as file:
            self.assertEqual(file.read(), b"precious")
        self.expect_done(self.convert(self.source, "--force"))

    def test_places_that_cannot_be_written(self):
        self.expect_error(mote("convert", self.source, "-o", self.path("no/such/place.gguf")), 1, "place.gguf")
        self.expect_error(mote("convert", self.source, "-o", "/dev/full"), 1, "/dev/full")

    def test_a_disk_that_fills(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        self.expect_refused(self.convert(self.source, preexec_fn=limit), "model.gguf")

    def test_stopping_leaves_nothing(self):
        """A pipe that is read slowly is where a test can be sure to stop it in the middle."""
        config, tensors = tiny(vocab_size=260)
        wide = 1 << 14
        config.update(intermediate_size=wide)
        for name, shape in (("gate_proj", (wide, 32)), ("up_proj", (wide, 32)), ("down_proj", (32, wide))):
            tensors[f"model.layers.0.mlp.{name}.weight"] = (shape, [0.5] * (wide * 32))
        source = self.folder_of(config, tensors)
        pipe = self.path("pipe")
        os.mkfifo(pipe)
        process = subprocess.Popen([MOTE, "convert", source, "-o", pipe], stderr=subprocess.PIPE, env=environment())
        reader = os.open(pipe, os.O_RDONLY)
        os.read(reader, 1000)
        process.send_signal(signal.SIGINT)
        while os.read(reader, 1 << 16):
            pass
        os.close(reader)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual(sorted(os.listdir(self.folder)), ["hf", "pipe"])


if __name__ == "__main__":
    main()
