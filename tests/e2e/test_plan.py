#!/usr/bin/env python3
"""mote plan and --memory: what is foreseen is what is measured; a budget, a limit on address space and a control group are
kept to a full context, or refused before anything is loaded; sizes that are none are told."""
import json
import os
import random
import re
import resource
import subprocess
import tempfile
import time

from control_group import ControlGroup
from e2e_support import IM_END, MOTE, PATIENCE, Case, environment, main, mote, tiny_model

PARTS = ("weights_bytes", "kv_bytes", "activations_bytes", "tokenizer_bytes", "program_bytes")
CONTEXT = 512
NEAR = 0.03, 4e6  # what a prediction may be off by: a share, or bytes


def words_for(model, tokens):
    """A text of at most so many tokens, and nearly as many."""
    chance = random.Random(1)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 7))) for _ in range(tokens)]
    ids = len(json.loads(mote("tokenize", "-m", model, "--json", stdin=" ".join(words)).out))
    return " ".join(words[:int(len(words) * tokens / ids * 0.95)])


def limited(kind, most):
    return lambda: resource.setrlimit(kind, (most, most))


def is_plain_program():
    """Is its memory its own? Not that of one under a sanitizer or an emulator, which take terabytes."""
    return mote("version", preexec_fn=limited(resource.RLIMIT_AS, 1 << 30)).status == 0


class Plan(Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.plain, cls.packed = (os.path.join(folder.name, name) for name in ("plain.gguf", "packed.gguf"))
        for words in (("synth", "--model", "smollm2-135m", "--layers", "10", "-o", cls.plain), ("pack", cls.plain, "-o", cls.packed)):
            made = mote(*words)
            if made.status != 0:
                raise AssertionError(made)
        cls.text = words_for(cls.plain, CONTEXT)
        cls.measurable = is_plain_program()

    def plan(self, model, *words, **options):
        return json.loads(self.expect_done(mote("plan", "-m", model, "--json", *words, **options)).out)

    def fill(self, model, *words, **options):
        """A run to the end of its context."""
        return mote("run", "-m", model, "--json", "--raw", "--logit-bias", "0=-1000", "--logit-bias", "2=-1000",
                    *words, stdin=self.text, **options)

    def peak(self, model, *words, **options):
        told = json.loads(self.expect_done(self.fill(model, *words, **options)).out)
        self.assertEqual(told["finish"], "context", told)
        return told["peak_memory_bytes"]

    def expect_refused_unread(self, model, words, *parts, **options):
        """Refused in no time, by a process that never grew."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        line = self.expect_error(self.fill(model, *words, **options), 1, *parts)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if self.measurable:
            self.assertLess(spent, 0.1)
        return line

    # ---------------------------------------------------------------------------------------------------- predictions

    def test_parts_add_up(self):
        for model in (self.plain, self.packed):
            told = self.plan(model, "--ctx", "2048", "--parallel", "2")
            self.assertEqual(told["peak_bytes"], sum(told[part] for part in PARTS))
            self.assertEqual((told["context"], told["sessions"], told["kv"], told["batch"]), (2048, 2, "f16", 256))
            self.assertTrue(told["fits"])
            self.assertGreater(told["weights_bytes"], 0.9 * os.path.getsize(model))
            self.assertEqual(told["tokenizer_bytes"] == 0, model == self.packed)
            self.assertEqual(told["headroom_bytes"], told["budget_bytes"] - told["peak_bytes"])
        shown = self.expect_done(mote("plan", self.plain, "--memory", "1G")).out
        for part in ("weights", "KV", "activations", "tokenizer", "program", "peak", "headroom"):
            self.assertRegex(shown, rf"(?m)^{part} +[\d.]+ [KMG]iB")
        self.assertRegex(shown, r"(?m)^budget +1\.0 GiB$")
        self.assertIn("chosen: a context of 4096 tokens, keys in f16, values in f16, a batch of 256", shown)
        self.assertIn("chosen: ", self.expect_done(mote("plan")).out)

    def test_measured(self):
        if not self.measurable:
            self.skipTest("a sanitizer's memory is not the program's")
        for model, words in ((self.plain, ()), (self.packed, ()), (self.packed, ("--kv", "q8", "--batch", "32")),
                             (self.plain, ("--kv", "f32", "--threads", "1"))):
            words = ("--ctx", str(CONTEXT), *words)
            foreseen, measured = self.plan(model, *words)["peak_bytes"], self.peak(model, *words)
            self.assertGreaterEqual(foreseen, measured, words)
            self.assertLessEqual(foreseen, measured + max(NEAR[0] * measured, NEAR[1]), words)

    def test_the_directory_is_enough(self):
        """A file whose weights are a hole takes no longer to plan, and none of it is read."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(5):
            self.plan(self.plain)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self.measurable:
            self.assertLess(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0.5)

    # -------------------------------------------------------------------------------------------------------- budgets

    def test_budget_is_kept(self):
        if not self.measurable:
            self.skipTest("a sanitizer's memory is not the program's")
        words = ("--ctx", str(CONTEXT))
        whole = self.plan(self.packed, *words, "--kv", "f16", "--batch", "32")["peak_bytes"]
        for share, kv in ((1.03, "f16"), (0.98, "q8")):
            budget = int(whole * share)
            told = self.plan(self.packed, *words, "--memory", str(budget))
            self.assertEqual((told["kv"], told["context"]), (kv, CONTEXT))
            self.assertLessEqual(self.peak(self.packed, *words, "--memory", str(budget)), budget)
        self.expect_refused_unread(self.packed, (*words, "--kv", "f16", "--memory", str(int(whole * 0.98))),
                                   "it fits with --kv q8", "weights", "the budget is")
        self.expect_refused_unread(self.packed, (*words, "--memory", str(int(whole * 0.9))), "it needs --memory")

    def test_default_context_gives_way(self):
        least = self.plan(self.packed, "--ctx", "256", "--kv", "q4", "--batch", "32")["peak_bytes"]
        told = self.plan(self.packed, "--memory", str(least + 4_000_000))
        self.assertEqual((told["kv"], told["kv_values"]), ("q4", "q4"))
        self.assertTrue(256 < told["context"] < 4096 and told["context"] % 256 == 0, told)
        if self.measurable:
            result = mote("run", "-m", self.packed, "--memory", str(least + 4_000_000), "-n", "2", "--raw", "-v", "hello")
            self.assertIn(f"context of {told['context']} tokens, keys in q4, values in q4, a batch of {told['batch']}", self.expect_done(result).err)

    def test_every_command_refuses(self):
        for words in (("run", "-m", self.plain, "x"), ("chat", "-m", self.plain), ("plan", self.plain),
                      ("bench", self.plain, "-p", "8", "-n", "0")):
            line = self.expect_error(mote(*words, "--memory", "20M"), 1, "plain.gguf", "20 MiB", "it needs --memory")
            enough = re.search(r"--memory (\d+M)", line).group(1)
            self.assertTrue(self.plan(self.plain, "--memory", enough, "--ctx", "256")["fits"])

    def test_advice_is_true(self):
        words = ("--ctx", "8192", "--memory", "64M")
        line = self.expect_error(mote("plan", self.packed, *words), 1, "8192 tokens", "64 MiB", "KV ")
        fits = re.search(r"--ctx (\d+)\)", line).group(1)
        told = self.plan(self.packed, "--ctx", fits, "--memory", "64M")
        self.assertEqual(told["context"], int(fits))
        self.expect_error(mote("plan", self.packed, "--ctx", str(int(fits) + 256), "--memory", "64M"), 1, f"--ctx {fits})")
        refused = mote("plan", self.packed, *words, "--json")
        self.expect_error(refused, 1, "64 MiB")
        told = json.loads(refused.out)
        self.assertEqual((told["fits"], told["context"], told["context_that_fits"]), (False, 8192, int(fits)))

    # ------------------------------------------------------------------------------------------- limits of the system

    def check_limit(self, model, key, limit):
        """At the prediction + 5% a full context runs; at − 10% it is refused."""
        words = ("--ctx", str(CONTEXT), "--kv", "f16", "--batch", "64")
        foreseen = self.plan(model, *words)[key]
        self.peak(model, *words, preexec_fn=limit(foreseen * 1.05))
        return self.expect_refused_unread(model, words, "weights", preexec_fn=limit(foreseen * 0.9))

    def test_address_space(self):
        if not self.measurable:
            self.skipTest("a sanitizer needs all address space")
        for model in (self.plain, self.packed):
            line = self.check_limit(model, "address_space_bytes",
                                    lambda most: limited(resource.RLIMIT_AS, int(most)))
            self.assertIn("address space", line)

    def test_data(self):
        if not self.measurable:
            self.skipTest("a sanitizer needs all address space")
        line = self.check_limit(self.plain, "data_bytes", lambda most: limited(resource.RLIMIT_DATA, int(most)))
        self.assertIn("of its own", line)

    def test_control_group(self):
        if not self.measurable:
            self.skipTest("a sanitizer's memory is not the program's")
        try:
            group = ControlGroup()
        except OSError as error:
            self.skipTest(f"no control group can be made here: {error}")
        self.addCleanup(group.close)

        def limit(most):
            group.limit(most)
            return group.enter

        line = self.check_limit(self.packed, "peak_bytes", limit)
        self.assertIn("a control group leaves", line)

    # ------------------------------------------------------------------------------------------------------- bad input

    def test_sizes(self):
        good = {"64M": 64 << 20, "64m": 64 << 20, "64MiB": 64 << 20, "64MB": 64_000_000, "65536K": 64 << 20,
                "0.5G": 512 << 20, "1.5GiB": 3 << 29, "100000000": 100_000_000, "1T": 1 << 40}
        for size, count in good.items():
            self.assertEqual(json.loads(mote("plan", "--json", "--memory", size).out)["budget_bytes"], count, size)
        for size in ("", "0", "0M", "-1", "-256M", "+1G", "256 M", "M", "G5", "1.5", ".5G", "5.G", "1.2.3G", "1e9", "0x10M",
                     "256X", "256MBB", "256iB", "inf", "nan", "99999999999999999999", "9999999999G", "\u0664M"):
            for command in ("plan", "run", "chat", "bench"):
                words = (command, "--memory", size) if command != "run" else (command, "--memory", size, "hello")
                self.expect_error(mote(*words), 2, "--memory wants a size such as 256M")
        self.expect_error(mote("plan", "--memory"), 2, "--memory")

    def test_wishes_that_cannot_be(self):
        self.expect_error(mote("plan", self.plain, "--ctx", "8193"), 1, "8193", "8192")
        self.expect_error(mote("plan", self.plain, "--ctx", "0"), 2, "--ctx")
        self.expect_error(mote("plan", self.plain, "--parallel", "257"), 2, "--parallel")
        self.expect_error(mote("plan", self.plain, "--kv", "q1"), 2, "--kv")
        self.expect_error(mote("plan", self.plain, self.packed), 2)
        self.expect_error(mote("plan", self.path("none.gguf")), 1, "none.gguf", "cannot be opened")
        self.expect_error(mote("plan", self.path("bad.gguf", b"<!DOCTYPE html>" * 99)), 1, "bad.gguf")
        self.expect_error(mote("plan", self.path("cut.gguf", tiny_model()[:-1000])), 1, "cut.gguf")
        self.expect_error(mote("plan", self.plain, "--memory", "1"), 1, "the budget is 0 MiB")


if __name__ == "__main__":
    main()
