#!/usr/bin/env python3
"""mote debug: float32 files that are whole or not there, and inputs that are refused by name and place."""
import math
import os
import resource
import struct

from e2e_support import VOCABULARY, Case, main, mote, tiny_model


def floats(path):
    with open(path, "rb") as file:
        data = file.read()
    return struct.unpack(f"<{len(data) // 4}f", data)


class Debug(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("tiny.gguf", tiny_model(context=1024))
        self.out = self.path("out.f32")

    def logits(self, ids, *words, out=None):
        ids = ids if isinstance(ids, bytes) else " ".join(map(str, ids)).encode()
        path = self.path("ids.txt", ids)
        return mote("debug", "logits", "-m", self.model, "--ids", path, "--out", out or self.out, *words)

    def dequant(self, name, out=None, **options):
        return mote("debug", "dequant", "-m", self.model, "--tensor", name, "--out", out or self.out, **options)

    def left(self):
        return sorted(os.listdir(self.folder))

    def test_one_row_for_each_id(self):
        self.expect_done(self.logits(range(48)))
        rows = floats(self.out)
        self.assertEqual(len(rows), 48 * VOCABULARY)
        self.assertTrue(all(map(math.isfinite, rows)))
        self.assertEqual(self.left(), ["ids.txt", "out.f32", "tiny.gguf"])

    def test_same_rows_however_they_are_computed(self):
        self.expect_done(self.logits(range(60)))
        whole = floats(self.out)
        for words in (["--batch", "1"], ["--batch", "7"], ["--threads", "1"], ["--ctx", "1024"]):
            self.expect_done(self.logits(range(60), *words))
            for a, b in zip(whole, floats(self.out)):
                self.assertAlmostEqual(a, b, delta=1e-4)
        self.expect_done(self.logits(range(60), "--kv", "f16"))
        self.assertLess(max(abs(a - b) for a, b in zip(whole, floats(self.out))), 0.05)

    def test_first_row_depends_on_its_id_alone(self):
        self.expect_done(self.logits([5]))
        one = floats(self.out)
        self.expect_done(self.logits(b"\t5\r\n7\n\n8  \n"))
        three = floats(self.out)
        self.assertEqual(len(three), 3 * VOCABULARY)
        for a, b in zip(one, three):
            self.assertAlmostEqual(a, b, delta=1e-4)

    def test_wrong_ids(self):
        for ids, says in ((b"", "no ids"), (b" \n\t", "no ids"), (b"1 2 x 3", "'x' at byte 4"),
                          (b"1 -2", "'-2' at byte 2"), (b"1,2", "'1,2'"), (b"1.0", "'1.0'"),
                          (b"99999999999", "99999999999"), (b"1 2\0", "zero byte"), (b"1 260", "number 2"),
                          (b"\xff\x1b", "\\xff\\x1b"), (b"[1, 2]", "'[1,'")):
            self.expect_error(self.logits(ids), 1, says)
        self.expect_error(self.logits(range(20), "--ctx", "19"), 1, "--ctx")
        self.expect_error(self.logits([1] * 1025), 1, "1025", "1024")
        self.assertNotIn("out.f32", self.left())

    def test_missing_files(self):
        absent = self.path("none")
        self.expect_error(mote("debug", "logits", "-m", self.model, "--ids", absent, "--out", self.out), 1, "none")
        self.expect_error(self.logits([1], out=self.path("no/such/place")), 1, "no/such/place", "No such file")
        self.expect_error(self.logits([1], out=self.folder), 1, "directory")

    def test_what_exists_is_replaced_whole_or_kept(self):
        old = self.path("out.f32", b"old")
        os.chmod(old, 0o640)
        self.expect_error(self.logits([1, 9999]), 1)
        with open(old, "rb") as file:
            self.assertEqual(file.read(), b"old")
        self.expect_done(self.logits([1]))
        self.assertEqual(len(floats(old)), VOCABULARY)
        self.assertEqual(os.stat(old).st_mode & 0o777, 0o640)

    def test_links_are_followed(self):
        os.symlink("target.f32", self.path("link"))
        self.path("target.f32", b"old")
        self.expect_done(self.logits([1], out=self.path("link")))
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(len(floats(self.path("target.f32"))), VOCABULARY)

    def test_inputs_are_not_overwritten(self):
        self.expect_error(self.logits([1], out=self.model), 1, "write to another file")
        self.expect_error(self.logits([1], out=self.path("ids.txt")), 1, "write to another file")
        os.symlink(self.model, self.path("link"))
        self.expect_error(self.logits([1], out=self.path("link")), 1, "write to another file")
        other = self.path("other.gguf", tiny_model())
        self.expect_error(self.logits([1], out=other), 1, "write to another file")
        self.expect_done(self.logits([1]))

    def test_full_disk(self):
        self.expect_error(self.logits([1] * 100, out="/dev/full"), 1, "No space left on device")
        self.expect_error(self.dequant("output.weight", out="/dev/full"), 1, "No space left on device")

    def test_limit_on_file_size_leaves_nothing(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        self.expect_error(self.dequant("output.weight", preexec_fn=limit), 1, "File too large")
        self.assertEqual(self.left(), ["tiny.gguf"])

    def test_dequant(self):
        self.expect_done(self.dequant("output_norm.weight"))
        self.assertEqual(floats(self.out), (1.0,) * 32)
        self.expect_done(self.dequant("output.weight"))
        with open(self.model, "rb") as file, open(self.out, "rb") as made:
            self.assertIn(made.read(), file.read())
        self.expect_error(self.dequant("nonsense"), 1, "nonsense")

    def test_standard_output(self):
        result = self.dequant("output_norm.weight", out="/dev/stdout")
        self.assertEqual(struct.unpack("<32f", self.expect_done(result).raw), (1.0,) * 32)


if __name__ == "__main__":
    main()
