#!/usr/bin/env python3
"""mote tune: measures, keeps, shows and forgets; and whatever has happened to the file, a run goes on."""
import json
import os
import resource
import signal
import subprocess
import time

from e2e_support import MOTE, PATIENCE, Case, environment, main, mote, tiny_model

COMMAND = "turn on the kitchen light"
ANSWER = '"turn_on"'


class Tune(Case):
    def setUp(self):
        super().setUp()
        self.state = self.path("state")
        self.file = os.path.join(self.state, "mote", "tuning.json")

    def mote(self, *words, **options):
        return mote(*words, env={**environment(), "XDG_STATE_HOME": self.state}, **options)

    def kept(self):
        with open(self.file, encoding="utf-8") as file:
            return json.load(file)

    def keep(self, content):
        os.makedirs(os.path.dirname(self.file), exist_ok=True)
        with open(self.file, "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    def here(self, **entry):
        """A file as this machine would keep it for the built-in model."""
        cpu = json.loads(mote("cpu", "--json").out)
        model = {"model": "mote-builtin", "weight_bytes": json.loads(mote("info", "--json").out)["weight_bytes"],
                 "prefill_threads": 1, "decode_threads": 1, "prefill_tokens_per_second": 2.5,
                 "decode_tokens_per_second": 1.5, **entry}
        return {"version": 1, "machine": cpu["name"], "processors": cpu["processors"], "models": [model]}

    def said(self, *words):
        """What -v tells of threads."""
        result = self.expect_done(self.mote("run", "-v", "-n1", *words, COMMAND))
        return result.err

    # ------------------------------------------------------------------------------------------------------ measuring

    def test_measures_and_keeps(self):
        processors = json.loads(mote("cpu", "--json").out)["processors"]
        began = time.monotonic()
        told = json.loads(self.expect_done(self.mote("tune", "--json")).out)
        self.assertLess(time.monotonic() - began, 30)  # under 10 s, were the machine not busy with other tests
        self.assertEqual(told["file"], self.file)
        counts = [trial["threads"] for trial in told["trials"]]
        self.assertEqual((counts[0], counts[-1], counts), (1, processors, sorted(counts)))
        for kind in ("prefill", "decode"):
            rates = {trial["threads"]: trial[kind + "_tokens_per_second"] for trial in told["trials"]}
            chosen, best = told[kind + "_threads"], max(rates.values())
            self.assertGreaterEqual(rates[chosen] * 1.0301, best)
            self.assertGreaterEqual(rates[chosen] * 1.0301, rates[1])  # never slower than one
            self.assertTrue(all(rate * 1.0299 < best for count, rate in rates.items() if 0 < count < chosen and rate))
        kept = self.kept()
        self.assertEqual(len(kept["models"]), 1)
        self.assertEqual(kept["models"][0]["decode_threads"], told["decode_threads"])
        self.assertIn(kept["models"][0]["model"], self.expect_done(self.mote("tune", "--show")).out)
        self.assertEqual(json.loads(self.mote("tune", "--show", "--json").out), kept)
        self.assertIn(f"{told['prefill_threads']} for the prompt, {told['decode_threads']} for decoding, as mote tune",
                      self.said())
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["tuning.json"])
        self.expect_done(self.mote("tune", "--forget"))
        self.assertFalse(os.path.exists(self.file))
        self.assertIn("Nothing is kept", self.expect_done(self.mote("tune", "--show")).out)
        self.expect_done(self.mote("tune", "--forget"))

    def test_models_of_other_sizes_are_kept_apart(self):
        self.keep(self.here())
        model = self.path("tiny.gguf", tiny_model())
        out = self.expect_done(self.mote("tune", model)).out
        self.assertRegex(out, r"(?m)^ +1 +[\d.]+[* ] +[\d.]+[* ]$")
        self.assertIn("Chosen: ", out)
        self.assertIn(self.file, out)
        self.assertEqual([entry["model"] for entry in self.kept()["models"]], ["mote-builtin", "tiny"])
        self.expect_done(self.mote("tune", "-m", model))
        self.assertEqual(len(self.kept()["models"]), 2)

    def test_interrupt_keeps_nothing(self):
        process = subprocess.Popen([MOTE, "tune"], env={**environment(), "XDG_STATE_HOME": self.state},
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            self.skipTest("it was faster")
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual(out, b"")
        self.assertLessEqual(len(err.splitlines()), 1)
        self.assertFalse(os.path.exists(self.file))

    # ---------------------------------------------------------------------------------------------------------- using

    def test_used_where_threads_are_not_given(self):
        self.keep(self.here())
        self.assertIn("threads: 1 for the prompt, 1 for decoding, as mote tune measured", self.said())
        self.assertNotIn("measured", self.said("-t", "1"))
        self.assertIn("threads: 1 for the prompt", self.said("--threads-batch", "1"))
        self.assertEqual(self.mote("run", "-n1", COMMAND).err.count("mote:"), 0)  # only -v speaks of it

    def test_not_used_for_models_of_another_size(self):
        size = self.here()["models"][0]["weight_bytes"]
        for factor, used in ((3.9, True), (0.26, True), (4.1, False), (0.24, False)):
            self.keep(self.here(weight_bytes=int(size * factor)))
            self.assertEqual("as mote tune measured" in self.said(), used, factor)

    def test_of_another_machine(self):
        for changes in ({"machine": "Another Board"}, {"processors": 77}):
            self.keep({**self.here(), **changes})
            lines = [line for line in self.said().splitlines() if "memory:" not in line]
            self.assertIn("measured on another machine", lines[0])
            self.assertNotIn("as mote tune", lines[1])
            self.assertEqual(self.expect_done(self.mote("run", COMMAND)).err.count("mote:"), 0)
            self.expect_error(self.mote("tune", "--show"), 1, "another machine")

    def test_damaged(self):
        good = self.here()
        entry = good["models"][0]
        damaged = [b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b"[" * 5000, b"x" * 100000,
                   json.dumps(good).encode()[:-3], json.dumps(good).encode() + b"x",
                   b'{"version":1,"version":1}', {**good, "version": 2}, {**good, "processors": -1},
                   {**good, "processors": 1e99}, {**good, "machine": 5}, {**good, "machine": "x" * 500},
                   {**good, "models": {}}, {**good, "models": [entry] * 17}, {**good, "models": [5]},
                   {**good, "models": [{}]}]
        for key, value in (("decode_threads", 0), ("prefill_threads", 257), ("decode_threads", "2"), ("weight_bytes", 0),
                           ("weight_bytes", -5), ("model", None), ("model", "x" * 500), ("prefill_threads", 1.5),
                           ("decode_tokens_per_second", "fast")):
            damaged.append({**good, "models": [{**entry, key: value}]})
        for content in damaged:
            self.keep(content)
            result = self.expect_done(self.mote("run", "-n1", COMMAND))
            lines = [line for line in result.err.splitlines() if line.startswith("mote: ")]
            self.assertEqual(len(lines), 1, (content, result))
            self.assertIn("is damaged and not used; run mote tune", lines[0])
            self.assertEqual(self.expect_done(self.mote("run", "-q", "-n1", COMMAND)).err, "")
        self.expect_error(self.mote("tune", "--show"), 1, "damaged")

    def test_in_its_place_is_something_else(self):
        os.makedirs(self.file)
        self.assertIn("damaged", self.said())
        self.expect_error(self.mote("tune", "--forget"), 1, "cannot delete", self.file)
        os.rmdir(self.file)
        os.mkfifo(self.file)
        self.assertIn("damaged", self.said())
        os.unlink(self.file)
        os.symlink(self.file, self.file)
        self.assertIn("damaged", self.said())
        os.unlink(self.file)
        os.symlink("/dev/zero", self.file)
        self.assertIn("damaged", self.said())

    def test_measuring_again_repairs_it(self):
        self.keep(b"{")
        self.expect_done(self.mote("tune", self.path("tiny.gguf", tiny_model())))
        self.assertEqual(len(self.kept()["models"]), 1)

    def test_keeps_nothing_in_place_of_something_else(self):
        model = self.path("tiny.gguf", tiny_model())
        for make in (os.makedirs, os.mkfifo, lambda path: os.symlink("/dev/null", path)):
            make(self.file)
            self.not_kept(self.mote("tune", model), self.file, "no regular file")
            (os.rmdir if os.path.isdir(self.file) else os.unlink)(self.file)

    # ------------------------------------------------------------------------------------------------ nowhere to keep

    def not_kept(self, result, *parts):
        self.assertIn("Chosen: ", result.out)
        self.assertNotIn("Kept in", result.out)
        self.expect_error(result, 1, *parts)

    def test_nowhere_to_keep_it(self):
        model = self.path("tiny.gguf", tiny_model())
        self.not_kept(mote("tune", model, env=environment(HOME=None)), "set HOME or XDG_STATE_HOME")
        self.not_kept(mote("tune", model, env=environment(HOME="/dev/null/x")), "set HOME or XDG_STATE_HOME")
        self.not_kept(mote("tune", model, env={**environment(), "XDG_STATE_HOME": "/proc/self/nowhere"}), "XDG_STATE_HOME")
        self.expect_done(mote("tune", "--show", env=environment(HOME=None)))
        self.expect_done(mote("tune", "--forget", env=environment(HOME=None)))

    def test_full_disk(self):
        self.keep(self.here())
        before = self.kept()
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        self.not_kept(self.mote("tune", self.path("tiny.gguf", tiny_model()), preexec_fn=limit), "cannot write", self.file)
        self.assertEqual(self.kept(), before)
        self.assertEqual(os.listdir(os.path.dirname(self.file)), ["tuning.json"])

    def test_read_only(self):
        model = self.path("tiny.gguf", tiny_model())
        self.keep(self.here())
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.dirname(self.file), 0o555)
        self.addCleanup(os.chmod, os.path.dirname(self.file), 0o755)
        other = {"user": 65534, "cwd": "/"} if os.geteuid() == 0 else {}  # the superuser may write anywhere
        try:
            if self.mote("version", **other).status != 0:
                self.skipTest("the program does not start as another user")
        except OSError as error:
            self.skipTest(f"no process as another user: {error}")
        self.not_kept(self.mote("tune", model, **other), "cannot write", self.file)
        self.expect_error(self.mote("tune", "--forget", **other), 1, "cannot delete")
        self.assertIn("mote-builtin", self.expect_done(self.mote("tune", "--show", **other)).out)

    def test_wrong_usage(self):
        self.expect_error(self.mote("tune", "--show", "--forget"), 2, "give one of them")
        self.expect_error(self.mote("tune", "--show", "-m", "x"), 2, "--show measures nothing")
        self.expect_error(self.mote("tune", "x", "--forget"), 2, "--forget measures nothing")
        self.expect_error(self.mote("tune", "x", "y"), 2)
        self.expect_error(self.mote("tune", "--shwo"), 2, "did you mean --show?")
        self.expect_error(self.mote("tune", "-t", "2"), 2, "-t")
        self.expect_error(self.mote("tune", "/nonexistent.gguf"), 1, "/nonexistent.gguf")
        self.assertFalse(os.path.exists(self.file))


if __name__ == "__main__":
    main()
