#!/usr/bin/env python3
"""mote pack: the same model in another layout. The packed file answers as its source does, says so of itself, is whole or not
there, and damage to it is told."""
import hashlib
import json
import os
import resource
import signal
import subprocess

from e2e_support import (MOTE, PATIENCE, SOURCE, Case, environment, gguf, main, mote, tiny_model, vocabulary,
                         wait_for)

BUILTIN = os.path.join(SOURCE, "models", "mote-builtin.gguf")
COMMANDS = ("turn on the kitchen light", "\u53f0\u6240\u306e\u96fb\u6c17\u3092\u3064\u3051\u3066", "x")


class Pack(Case):
    def setUp(self):
        super().setUp()
        self.plain = self.path("plain.gguf", tiny_model(q8_0=True))
        self.out = self.path("packed.gguf")

    def pack(self, source=None, *words, **options):
        return mote("pack", source or self.plain, "-o", self.out, *words, **options)

    def left(self):
        return sorted(set(os.listdir(self.folder)) - {"plain.gguf"})

    def content(self):
        with open(self.out, "rb") as file:
            return file.read()

    def answer(self, model, prompt):
        words = ("run", "-m", model, "-q", "-n", "24", "--temp", "0", "--threads", "2", prompt)
        return self.expect_done(mote(*words)).raw

    # ------------------------------------------------------------------------------------------------- the same model

    def test_answers(self):
        for source in (self.plain, BUILTIN, self.path("f32.gguf", tiny_model())):
            result = self.expect_done(self.pack(source, "--force"))
            self.assertEqual((result.out, result.err), ("", ""))
            for prompt in COMMANDS:
                self.assertEqual(self.answer(self.out, prompt), self.answer(source, prompt))

    def test_logits(self):
        self.expect_done(self.pack(BUILTIN))
        ids = self.path("ids", b"1 2 3 40 500 6 7 8 9 10")
        for name, model in (("a", BUILTIN), ("b", self.out)):
            self.expect_done(mote("debug", "logits", "-m", model, "--ids", ids, "-o", self.path(name)))
        with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_what_it_says_of_itself(self):
        for source in (self.plain, BUILTIN):
            self.expect_done(self.pack(source, "--force"))
            told = [json.loads(self.expect_done(mote("info", "--json", "--weights", model)).out)
                    for model in (source, self.out)]
            for one in told:
                for key in [key for key in one if "bytes" in key or key in ("file", "path", "types")]:
                    del one[key]
                one["weights"] = [{key: weight[key] for key in ("name", "type", "shape")} for weight in one["weights"]]
            self.assertEqual(told[0], told[1])

    def test_weights_come_back(self):
        self.expect_done(self.pack())
        for tensor in ("token_embd.weight", "blk.0.ffn_up.weight", "output_norm.weight"):
            for name, model in (("a", self.plain), ("b", self.out)):
                self.expect_done(mote("debug", "dequant", "-m", model, "--tensor", tensor, "-o", self.path(name)))
            with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
                self.assertEqual(a.read(), b.read())
            os.unlink(self.path("a"))
            os.unlink(self.path("b"))

    def test_tokenizer_and_chat(self):
        self.expect_done(self.pack())
        for words in (("tokenize", "hello <|im_start|> \u00e9"), ("tokenize", "--special", "<|im_start|>hello")):
            one, two = (self.expect_done(mote(*words, "-m", model)).raw for model in (self.plain, self.out))
            self.assertEqual(one, two)
        one, two = (self.expect_done(mote("chat", "-q", "-m", model, "-n", "9", "--temp", "0", stdin="hello\nhello\n")).raw
                    for model in (self.plain, self.out))
        self.assertEqual(one, two)

    def test_the_same_bytes_every_time(self):
        digests = set()
        for threads in ("1", "2", "5"):
            self.expect_done(self.pack(BUILTIN, "--force", "--threads", threads))
            digests.add(hashlib.sha256(self.content()).hexdigest())
        self.assertEqual(len(digests), 1)

    def test_over_its_own_source(self):
        before = self.answer(self.plain, "hello")
        self.expect_done(mote("pack", self.plain, "-o", self.plain, "--force"))
        self.assertEqual(self.answer(self.plain, "hello"), before)
        self.expect_error(self.pack(), 1, "packed already")

    # ------------------------------------------------------------------------------------------------------- refusals

    def test_wrong_words(self):
        self.expect_error(mote("pack", self.plain), 2, "--out FILE is missing")
        self.expect_error(mote("pack", "-o", self.out), 2, "name the model")
        self.expect_error(mote("pack", self.plain, self.plain, "-o", self.out), 2)
        self.expect_error(self.pack(self.plain, "--layout", "3"), 2, "--layout")
        self.expect_error(self.pack(self.plain, "--threads", "0"), 2, "--threads")
        self.assertEqual(self.left(), [])

    def test_sources_that_are_no_models(self):
        self.expect_error(self.pack(self.path("none.gguf")), 1, "none.gguf", "cannot be opened")
        self.expect_error(self.pack(self.folder), 1, "directory")
        for content in (b"", b"GGUF", b"<!DOCTYPE html>" * 100, tiny_model(q8_0=True)[:-1000], gguf(vocabulary())):
            self.expect_error(self.pack(self.path("bad", content)), 1, "bad")
        if os.geteuid() != 0:
            os.chmod(self.plain, 0)
            self.expect_error(self.pack(), 1, "permission")
        self.assertEqual(self.left(), ["bad"])

    def test_what_exists_is_kept(self):
        self.path("packed.gguf", b"mine")
        self.expect_error(self.pack(), 1, "exists", "--force")
        self.assertEqual(self.content(), b"mine")
        self.expect_error(self.pack(self.path("none.gguf"), "--force"), 1)
        self.assertEqual(self.content(), b"mine")
        self.expect_done(self.pack(self.plain, "--force"))
        self.expect_error(mote("pack", self.out, "-o", self.path("twice.gguf")), 1, "packed already")
        self.assertEqual(self.left(), ["packed.gguf"])

    def test_full_disk(self):
        for size in (0, 10, 5000, 20000):
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            self.expect_error(self.pack(preexec_fn=limit, env=environment(TMPDIR="/dev/null")), 1,
                              "File too large")  # the thread sanitizer would write a file of its own there
        self.expect_error(mote("pack", self.plain, "-o", "/dev/full"), 1, "/dev/full", "No space left on device")
        self.expect_error(mote("pack", self.plain, "-o", self.folder), 1, "directory")
        self.expect_error(mote("pack", self.plain, "-o", self.path("no/such/place")), 1, "No such file")
        self.assertEqual(self.left(), [])

    def test_interrupt_leaves_nothing(self):
        large = self.path("plain.gguf")
        self.expect_done(mote("synth", "--model", "smollm2-135m", "-o", large, "--force"))
        process = subprocess.Popen([MOTE, "pack", large, "-t", "1", "-o", self.out], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        wait_for(self.left, "the temporary file")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT, err)
        self.assertEqual(err.decode(), "mote: cancelled; nothing is written\n")
        self.assertEqual(self.left(), [])

    # --------------------------------------------------------------------------------------------------------- damage

    def test_cut_short(self):
        self.expect_done(self.pack())
        whole = self.content()
        for length in range(0, len(whole) - 64, len(whole) // 23):
            cut = self.path("cut.gguf", whole[:length])
            self.expect_error(mote("run", "-m", cut, "-n", "1", "hello"), 1, "cut.gguf")

    def test_another_layout(self):
        self.expect_done(self.pack())
        key = b"mote.panels.version"
        whole = self.content()
        at = whole.index(key) + len(key) + 4
        changed = self.path("changed.gguf", whole[:at] + b"\x63" + whole[at + 1:])
        for words in (("run", "-m", changed, "hello"), ("info", changed), ("tokenize", "-m", changed, "x")):
            self.expect_error(mote(*words), 1, "layout 99", "pack the model again")

    def test_damaged_weights(self):
        """Whatever weights say, there is an answer or a sentence."""
        self.expect_done(self.pack())
        whole = self.content()
        half = len(whole) // 2
        for byte in (b"\x00", b"\x7f", b"\xff"):
            damaged = self.path("damaged.gguf", whole[:half] + byte * (len(whole) - half))
            result = mote("run", "-q", "-m", damaged, "-n", "4", "hello")
            self.assertIn(result.status, (0, 1), result)


if __name__ == "__main__":
    main()
