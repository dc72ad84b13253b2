#!/usr/bin/env python3
"""mote quantize --size: the file keeps to the size to the byte, is the same each time, runs, and what cannot be is told."""
import os

from e2e_support import SOURCE, Case, main, mote

BUILTIN = os.path.join(SOURCE, "models", "mote-builtin.gguf")
HELDOUT = os.path.join(SOURCE, "models", "heldout.jsonl")
LEAST = "1288KB"


class QuantizeSize(Case):
    def quantize(self, size, *words):
        out = os.path.join(self.folder, "out.gguf")
        return out, mote("quantize", BUILTIN, out, "--size", size, "--force", *words)

    def test_sizes_are_kept(self):
        for size, most in (("2MB", 2000000), ("1.5M", 3 << 19), ("1900001", 1900001)):
            out, done = self.quantize(size)
            self.expect_done(done)
            self.assertLessEqual(os.path.getsize(out), most)
            self.assertGreater(os.path.getsize(out), most * 0.98)
        self.expect_done(mote("run", "-m", out, "-q", "-n", "8", "turn on the kitchen light"))

    def test_the_same_from_any_number_of_threads(self):
        files = []
        for threads in ("1", "2"):
            out, done = self.quantize("1600KB", "--threads", threads)
            self.expect_done(done)
            with open(out, "rb") as file:
                files.append(file.read())
        self.assertEqual(files[0], files[1])

    def test_more_than_the_source_is_the_source(self):
        out, done = self.quantize("1G")
        self.expect_done(done)
        self.assertLessEqual(abs(os.path.getsize(out) - os.path.getsize(BUILTIN)), 64)

    def test_too_small(self):
        out, done = self.quantize("1MB")
        self.assertNotEqual(done.status, 0)
        self.assertIn("ask for at least " + LEAST, done.err)
        self.assertFalse(os.path.exists(out))
        self.expect_done(self.quantize(LEAST)[1])

    def test_nonsense(self):
        for words in (("0",), ("-5",), ("big",), ("2MB", "--type", "q4_0"), ("2MB", "--tensor", "*=q4_0"),
                      ("1.7MB", "--text", "/nowhere")):
            self.assertNotEqual(self.quantize(*words)[1].status, 0)


if __name__ == "__main__":
    main()
