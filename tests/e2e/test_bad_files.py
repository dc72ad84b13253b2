#!/usr/bin/env python3
"""Files that cannot be run: one line that names the file, exit status 1, and never a hang."""
import os
import random

from e2e_support import Case, U32, STRING, gguf, main, mote, tiny_model, vocabulary


class BadFiles(Case):
    def refused(self, path, *parts):
        for words in (["run", "-n1", "-m", path, "hello"], ["info", path], ["tokenize", "-m", path, "hello"]):
            result = mote(*words)
            self.assertEqual(result.out, "")
            self.expect_error(result, 1, os.path.basename(path), *parts)

    def test_missing(self):
        self.refused(self.path("missing.gguf"))

    def test_folder(self):
        self.refused(self.folder)

    def test_empty(self):
        self.refused(self.path("empty.gguf", b""))

    def test_something_else(self):
        self.refused(self.path("page.gguf", b"<!DOCTYPE html><title>404 Not Found</title>" * 10))

    def test_device(self):
        self.refused("/dev/null")
        self.refused("/dev/zero")

    def test_pipe_without_a_writer(self):
        path = self.path("pipe.gguf")
        os.mkfifo(path)
        self.refused(path)

    def test_unreadable(self):
        path = self.path("secret.gguf", tiny_model())
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("this user may read everything")
        self.refused(path)

    def test_truncated_anywhere(self):
        whole = tiny_model()
        for length in (3, 4, 8, 23, 24, 100, 1000, len(whole) // 2, len(whole) - 64):
            path = self.path(f"cut{length}.gguf", whole[:length])
            self.expect_error(mote("run", "-m", path, "hello"), 1, os.path.basename(path))

    def test_counts_beyond_the_file(self):
        whole = bytearray(tiny_model())
        whole[8:24] = b"\xff" * 16
        self.refused(self.path("counts.gguf", bytes(whole)))

    def test_unknown_family(self):
        path = self.path("mamba.gguf", gguf([("general.architecture", STRING, "mamba")]))
        self.expect_error(mote("run", "-m", path, "hello"), 1, "mamba")
        self.expect_done(mote("info", path))

    def test_vocabulary_alone_cannot_run(self):
        path = self.path("vocabulary.gguf", gguf(vocabulary()))
        self.expect_error(mote("run", "-m", path, "hello"), 1, "vocabulary.gguf")
        self.expect_done(mote("tokenize", "-m", path, "hello"))

    def test_no_vocabulary(self):
        path = self.path("bare.gguf", gguf([("general.architecture", STRING, "llama"), ("llama.block_count", U32, 1)]))
        self.expect_error(mote("tokenize", "-m", path, "hello"), 1, "bare.gguf")

    def test_hundreds_of_random_changes(self):
        """A byte of the head changed: whatever comes of it, it is an orderly end."""
        chance = random.Random(7)
        whole = tiny_model()
        head = len(whole) - 32 * 1024
        for number in range(60):
            spoilt = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                spoilt[chance.randrange(head)] = chance.randrange(256)
            result = mote("run", "-n2", "--ctx", "64", "-m", self.path("spoilt.gguf", bytes(spoilt)), "hello")
            self.assertIn(result.status, (0, 1), f"number {number}: {result}")


if __name__ == "__main__":
    main()
