#!/usr/bin/env python3
"""mote info: the truth about a file, and nothing in a file that reaches a terminal raw."""
import json
import os

from e2e_support import F32, STRING, Case, gguf, main, mote, tiny_model, vocabulary

EVIL = "x\x1b]52;c;AAAA\x07\x9b31m\u202eevil\nline\r\x00\x7f\u2066"


class Info(Case):
    def test_tiny_model(self):
        path = self.path("tiny.gguf", tiny_model(context=2048))
        told = json.loads(self.expect_done(mote("info", "--json", path)).out)
        self.assertEqual(told["architecture"], "llama")
        self.assertEqual((told["layers"], told["width"], told["heads"], told["context"], told["vocabulary"]),
                         (1, 32, 2, 2048, 260))
        self.assertEqual(told["file_bytes"], os.path.getsize(path))
        self.assertEqual(told["chat_format"], "chatml")
        self.assertEqual(self.expect_done(mote("info", "--json", "-m", path)).out, mote("info", "--json", path).out)
        lines = self.expect_done(mote("info", path)).out
        for part in ("llama", "chatml", "F32 100%", "2048"):
            self.assertIn(part, lines)

    def test_lists(self):
        path = self.path("tiny.gguf", tiny_model())
        told = json.loads(self.expect_done(mote("info", "--json", "--metadata", "--weights", path)).out)
        weights = {weight["name"]: weight for weight in told["weights"]}
        self.assertEqual(weights["token_embd.weight"]["shape"], [32, 260])
        self.assertEqual(weights["token_embd.weight"]["bytes"], 32 * 260 * 4)
        entries = {entry["key"]: entry for entry in told["metadata"]}
        self.assertEqual(entries["llama.context_length"]["value"], "4096")
        lines = self.expect_done(mote("info", "--metadata", "--weights", path)).out
        self.assertIn("token_embd.weight  F32  32 x 260", lines)
        self.assertIn("llama.context_length (u32) = 4096", lines)

    def test_built_in_model(self):
        self.assertIn("built into mote", self.expect_done(mote("info")).out)
        self.assertEqual(json.loads(self.expect_done(mote("info", "--json")).out)["chat_format"], "chatml")

    def test_hostile_strings(self):
        names = ("general.architecture", "general.name", "general.description", "general.license", "evil.text")
        entries = [(name, STRING, EVIL) for name in names] + [("evil.bytes", STRING, b"\xff\xc3")]
        path = self.path("evil.gguf", gguf(entries))
        for words in (["info", "--metadata", "--weights", path], ["info", path]):
            out = self.expect_done(mote(*words)).out
            self.assertTrue(all(c == "\n" or c.isprintable() for c in out), out)
            self.assertNotIn("\nline", out)
        told = self.expect_done(mote("info", "--json", "--metadata", path)).out
        self.assertTrue(all(c == "\n" or c >= " " for c in told), told)
        json.loads(told)
        self.expect_error(mote("run", "-m", path, "x"), 1)

    def test_hostile_names(self):
        for tensors in ([("evil\x1b[2Jname", (32,), [0.0] * 32)], [("\xff", (32,), [0.0] * 32)]):
            path = self.path("evil.gguf", gguf([("general.architecture", STRING, "llama")], tensors))
            result = mote("info", "--weights", path)
            self.assertIn(result.status, (0, 1))
            self.assertTrue(all(c == "\n" or c.isprintable() for c in result.out + result.err), result)

    def test_hostile_name_in_figures(self):
        path = self.path("tiny.gguf", tiny_model(name=EVIL))
        told = json.loads(self.expect_done(mote("run", "-m", path, "--json", "-n1", "x")).out)
        self.assertTrue(told["model"].startswith("x\x1b]52"))

    def test_vocabulary_alone(self):
        path = self.path("vocabulary.gguf", gguf(vocabulary()))
        self.assertIn("chatml", self.expect_done(mote("info", path)).out)

    def test_nothing_but_a_header(self):
        self.expect_done(mote("info", self.path("bare.gguf", gguf([]))))
        odd = self.path("odd.gguf", gguf([("a", F32, 1e999)]))
        self.expect_done(mote("info", "--json", "--metadata", "--weights", odd))


if __name__ == "__main__":
    main()
