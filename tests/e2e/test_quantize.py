#!/usr/bin/env python3
"""mote quantize: the same model in smaller formats. What comes out runs, is the same every time, and is whole or not there."""
import hashlib
import json
import os
import resource
import signal
import subprocess

from e2e_support import MOTE, PATIENCE, SOURCE, Case, environment, gguf, main, mote, tiny_model, vocabulary, wait_for

BUILTIN = os.path.join(SOURCE, "models", "mote-builtin.gguf")


class Quantize(Case):
    def setUp(self):
        super().setUp()
        self.source = self.path("source.gguf")
        self.out = self.path("out.gguf")
        self.expect_done(mote("quantize", BUILTIN, self.source, "--type", "f16"))

    def quantize(self, kind, *words, source=None, **options):
        return mote("quantize", source or self.source, self.out, "--type", kind, *words, **options)

    def left(self):
        return sorted(set(os.listdir(self.folder)) - {"source.gguf"})

    def digest(self):
        with open(self.out, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def weights(self, model=None):
        told = json.loads(self.expect_done(mote("info", "--json", "--weights", model or self.out)).out)
        return {weight["name"]: weight for weight in told["weights"]}

    def metadata(self, model=None):
        told = json.loads(self.expect_done(mote("info", "--json", "--metadata", model or self.out)).out)
        return {entry["key"]: entry["value"] for entry in told["metadata"]}

    # ------------------------------------------------------------------------------------------------------ the model

    def test_every_type_runs(self):
        kinds = self.expect_done(mote("quantize", "--list")).out.split()
        self.assertIn("q4_k_m", kinds)
        sizes = {}
        for kind in kinds:
            self.expect_done(self.quantize(kind, "--force"))
            sizes[kind] = os.path.getsize(self.out)
            answer = self.expect_done(mote("run", "-q", "-m", self.out, "-n", "40", "--temp", "0",
                                           "turn on the kitchen light")).out
            if kind[-1] in "8f0" or kind.startswith(("q4", "q5", "q6", "f", "bf")):
                self.assertIn('"action":"turn_on","device":"light"', answer, kind)
        self.assertLess(sizes["q2_k"], sizes["q3_k_s"])
        self.assertLess(sizes["q3_k_s"], sizes["q4_k_s"])
        self.assertLess(sizes["q4_k_m"], sizes["q5_k_m"])
        self.assertLess(sizes["q6_k"], sizes["q8_0"])

    def test_what_each_tensor_becomes(self):
        self.expect_done(self.quantize("q4_k_s", "--tensor", "blk.*.ffn_up=q8_0", "--tensor", "blk.2.ffn_up.weight=F16"))
        before, after = self.weights(self.source), self.weights()
        self.assertEqual(list(before), list(after))
        for name, weight in after.items():
            self.assertEqual(weight["shape"], before[name]["shape"])
        self.assertEqual(after["blk.1.ffn_up.weight"]["type"], "Q8_0")
        self.assertEqual(after["blk.2.ffn_up.weight"]["type"], "F16")
        self.assertEqual(after["blk.2.ffn_gate.weight"]["type"], "Q4_K")
        self.assertEqual(after["token_embd.weight"]["type"], "Q6_K")
        self.assertEqual(after["output_norm.weight"]["type"], "F32")

    def test_metadata_is_kept(self):
        self.expect_done(self.quantize("q5_0"))
        before, after = self.metadata(self.source), self.metadata()
        self.assertEqual(after.pop("general.file_type"), "8")
        self.assertEqual(after.pop("general.quantization_version"), "2")
        for told in (before, after):
            for key in ("general.file_type", "general.quantization_version", "general.alignment"):
                told.pop(key, None)
        self.assertEqual(before, after)

    def test_norms_stay_to_the_bit(self):
        self.expect_done(self.quantize("q4_0"))
        for name, model in (("a", self.source), ("b", self.out)):
            self.expect_done(mote("debug", "dequant", "-m", model, "--tensor", "output_norm.weight", "-o", self.path(name)))
        with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_importance(self):
        matrix, text = self.path("matrix.gguf"), self.path("text", b"turn on the kitchen light, please\n" * 80)
        self.expect_done(mote("imatrix", "-m", self.source, "--text", text, "-o", matrix))
        self.expect_done(self.quantize("q4_k_m"))
        plain = self.digest()
        self.expect_done(self.quantize("q4_k_m", "--imatrix", matrix, "--force"))
        self.assertNotEqual(self.digest(), plain)
        told = self.metadata()
        self.assertEqual(told["quantize.imatrix.file"], matrix)
        self.assertEqual(told["quantize.imatrix.dataset"], text)
        self.expect_error(self.quantize("q4_0", "--imatrix", self.source, "--force"), 1)
        self.expect_error(self.quantize("q4_0", "--imatrix", self.path("none"), "--force"), 1, "none")

    def test_the_same_bytes_every_time(self):
        digests = set()
        for threads in ("1", "2", "5"):
            self.expect_done(self.quantize("q3_k_m", "--force", "--threads", threads))
            digests.add(self.digest())
        self.assertEqual(len(digests), 1)

    def test_again_and_over_its_own_source(self):
        self.expect_done(self.quantize("q4_0"))
        first = self.digest()
        result = self.expect_done(mote("quantize", self.out, self.out, "--type", "q4_0", "--force"))
        self.assertEqual((self.digest(), result.err), (first, ""))  # what has its format already is not touched
        result = self.expect_done(mote("quantize", self.out, self.out, "--type", "q8_0", "--force"))
        self.assertIn("note: the source is quantised already", result.err)

    def test_rows_that_are_no_super_blocks(self):
        small = self.path("small.gguf", tiny_model())
        self.assertIn("blocks of 32", self.expect_done(self.quantize("q4_k_m", source=small)).err)
        self.expect_done(mote("run", "-q", "-m", self.out, "-n", "4", "hello"))
        self.expect_error(self.quantize("q4_0", "--tensor", "*=q6_k", "--force", source=small), 1, "whole blocks of 256")

    # ------------------------------------------------------------------------------------------------------- refusals

    def test_wrong_words(self):
        self.expect_error(mote("quantize", self.source, self.out), 2, "--type")
        self.expect_error(mote("quantize", "--type", "q4_0"), 2, "name the model")
        self.expect_error(mote("quantize", self.source, "--type", "q4_0"), 2, "IN and OUT")
        self.expect_error(self.quantize("q4_0", "more"), 2)
        self.expect_error(self.quantize("q4_q_m"), 1, "no type", "q4_k_m")
        for rule in ("x", "=q4_0", "blk.*", "x" * 300 + "=q4_0"):
            self.expect_error(self.quantize("q4_0", "--tensor", rule), 1, "PATTERN=FORMAT")
        for kind in ("", "q4_k_m", "mxfp4", "q4_00", "4"):
            self.expect_error(self.quantize("q4_0", "--tensor", "*=" + kind), 1, "no format")
        self.expect_error(self.quantize("q4_0", "--tensor", "blk.9.*=q4_0"), 1, "no matrix")
        self.expect_error(self.quantize("q4_0", *["--tensor", "*=q4_0"] * 65), 2, "64 times")
        self.assertEqual(self.left(), [])

    def test_sources_that_are_no_models(self):
        self.expect_error(self.quantize("q4_0", source=self.path("none.gguf")), 1, "none.gguf", "cannot be opened")
        self.expect_error(self.quantize("q4_0", source=self.folder), 1, "directory")
        for content in (b"", b"GGUF", b"<!DOCTYPE html>" * 100, tiny_model()[:-1000], gguf(vocabulary())):
            self.expect_error(self.quantize("q4_0", source=self.path("bad", content)), 1, "bad")
        self.expect_done(mote("pack", BUILTIN, "-o", self.path("bad"), "--force"))
        self.expect_error(self.quantize("q4_0", source=self.path("bad")), 1, "is packed")
        self.assertEqual(self.left(), ["bad"])

    def test_weights_that_are_no_numbers(self):
        with open(self.source, "rb") as file:
            whole = file.read()
        spoiled = self.path("spoiled.gguf", whole[:-100000] + b"\xff" * 10000 + whole[-90000:])
        self.expect_error(self.quantize("q4_0", source=spoiled), 1, "no finite numbers")
        self.assertEqual(self.left(), ["spoiled.gguf"])

    def test_what_exists_is_kept(self):
        self.path("out.gguf", b"mine")
        self.expect_error(self.quantize("q4_0"), 1, "exists", "--force")
        self.expect_error(self.quantize("q4_0", "--force", source=self.path("none.gguf")), 1)
        with open(self.out, "rb") as file:
            self.assertEqual(file.read(), b"mine")

    def test_full_disk(self):
        for size in (0, 5000, 200000):
            limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            self.expect_error(self.quantize("q4_0", preexec_fn=limit, env=environment(TMPDIR="/dev/null")), 1,
                              "File too large")
        self.expect_error(mote("quantize", self.source, "/dev/full", "--type", "q4_0"), 1, "No space left on device")
        self.expect_error(mote("quantize", self.source, self.path("no/such"), "--type", "q4_0"), 1, "No such file")
        self.assertEqual(self.left(), [])

    def test_interrupt_leaves_nothing(self):
        large = self.path("source.gguf")
        self.expect_done(mote("synth", "--model", "smollm2-135m", "--type", "q8_0", "--layers", "4", "-o", large, "--force"))
        process = subprocess.Popen([MOTE, "quantize", large, self.out, "-t", "1", "--type", "q4_k_m"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        wait_for(self.left, "the temporary file")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT, err)
        self.assertIn("mote: cancelled; nothing is written\n", err.decode())
        self.assertEqual(self.left(), [])


if __name__ == "__main__":
    main()
