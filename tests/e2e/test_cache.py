#!/usr/bin/env python3
"""Prompts that are known again after a restart, and contexts that go on when they are full."""
import json
import os
import re

from e2e_support import IM_END, Case, main, mote, tiny_model

LONG = "lamp and door and window and " * 8


class Cache(Case):
    def ask(self, *words):
        result = self.expect_done(mote("run", "-m", self.model, "--json", "-n", "3", "--temp", "0", *words))
        return json.loads(result.out), result.err

    def setUp(self):
        super().setUp()
        self.model = self.path("tiny.gguf", tiny_model())
        self.cache = os.path.join(os.path.dirname(self.model), "cache")

    def records(self):
        return [os.path.join(self.cache, name) for name in os.listdir(self.cache) if name.endswith(".kv")]

    def test_known_after_a_restart(self):
        first, err = self.ask("--cache", self.cache, LONG)
        self.assertEqual((first["cached_tokens"], err), (0, ""))
        again, _ = self.ask("--cache", self.cache, LONG)
        self.assertEqual(again["cached_tokens"], again["prompt_tokens"] - 1)
        self.assertEqual(again["text"], first["text"])
        longer, _ = self.ask("--cache", self.cache, LONG + "turn them on")
        self.assertGreater(longer["cached_tokens"], first["prompt_tokens"] // 2)
        shown = self.expect_done(mote("run", "-m", self.model, "-n", "3", "--cache", self.cache, LONG))
        self.assertRegex(shown.err, r"peak memory [\d.]+ MiB, \d+ tokens of the prompt known")

    def test_only_its_owner_can_read_it(self):
        self.ask("--cache", self.cache, LONG)
        self.assertEqual(os.stat(self.cache).st_mode & 0o777, 0o700)
        for path in self.records():
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)

    def test_damage_is_told_and_harmless(self):
        first, _ = self.ask("--cache", self.cache, LONG)
        for path in self.records():
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
        again, err = self.ask("--cache", self.cache, LONG)
        self.assertEqual((again["cached_tokens"], again["text"]), (0, first["text"]))
        self.assertIn("ignores", err)
        healed, err = self.ask("--cache", self.cache, LONG)
        self.assertEqual((healed["cached_tokens"], err), (first["prompt_tokens"] - 1, ""))

    def test_directories_and_sizes_that_are_none(self):
        self.expect_error(mote("run", "-m", self.model, "--cache", self.model, "x"), 1, "tiny.gguf")
        self.expect_error(mote("run", "-m", self.model, "--cache", "/nowhere/at/all", "x"), 1, "/nowhere/at/all")
        self.expect_error(mote("run", "-m", self.model, "--cache", "", "x"), 2, "--cache")
        for size in ("", "0", "1X", "-1", "1e3", "many"):
            self.expect_error(mote("run", "--cache", self.cache, "--cache-size", size, "x"), 2, "--cache-size")
            self.expect_error(mote("run", "--cache", self.cache, "--cache-daily", size, "x"), 2, "--cache-daily")

    def test_limits_are_kept_and_told(self):
        _, err = self.ask("--cache", self.cache, "--cache-size", "100", LONG)
        self.assertIn("raise the limit", err)
        self.assertEqual(self.records(), [])
        _, err = self.ask("--cache", self.cache, "--cache-daily", "100", LONG)
        self.assertIn("in a day", err)
        self.assertEqual(self.records(), [])

    def test_an_answer_that_shifts(self):
        words = ("--ctx", "64", "-n", "150", "--logit-bias", f"{IM_END}=-10000")
        stopped, _ = self.ask(*words, "hello")
        self.assertEqual((stopped["finish"], stopped["shifted_tokens"]), ("context", 0))
        shifted, _ = self.ask(*words, "--on-full", "shift", "hello")
        self.assertEqual((shifted["finish"], shifted["tokens"]), ("length", 150))
        self.assertGreater(shifted["shifted_tokens"], 60)
        self.assertTrue(shifted["text"].startswith(stopped["text"].rstrip("\ufffd")))
        self.expect_error(mote("run", "--on-full", "never", "x"), 2, "error", "shift")

    def test_a_chat_that_shifts(self):
        words = ("chat", self.model, "-q", "--ctx", "100", "-n", "20", "--logit-bias", f"{IM_END}=-10000", "--temp", "0")
        full = mote(*words, stdin="hello\n" * 12)
        self.assertEqual(full.status, 1)
        shifted = self.expect_done(mote(*words, "--on-full", "shift", "-s", "be brief", stdin="hello\n" * 12))
        self.assertNotIn("is full: /reset", shifted.err)
        self.assertTrue(re.search(r"the oldest \d+ messages are forgotten", shifted.err))
        self.expect_error(mote(*words, "--on-full", "shift", stdin="hello " * 60 + "\n"), 1, "full")


if __name__ == "__main__":
    main()
