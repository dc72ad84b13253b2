#!/usr/bin/env python3
"""mote synth: every model it names loads and runs, files are whole or not there, and mistakes are told."""
import hashlib
import os
import resource
import signal
import subprocess
import tempfile

from e2e_support import MOTE, PATIENCE, Case, Terminal, environment, main, mote, wait_for


def roomy():
    """Where to put gigabytes: in memory if it has a few, since a busy disk takes minutes to sync them."""
    shared = "/dev/shm"
    try:
        space = os.statvfs(shared)
    except OSError:
        return None
    return shared if space.f_bavail * space.f_frsize > 3 << 30 and os.access(shared, os.W_OK) else None


def listed():
    """Names of the models and of the types."""
    models, types = mote("synth", "--list").out.split("\n\n")
    return [line.split()[0] for line in models.splitlines()], types.split()[1:]


class Synth(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(dir=roomy())
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = self.path("made.gguf")

    def synth(self, *words, model="smollm2-135m", out=None, **options):
        return mote("synth", "--model", model, "-o", out or self.out, *words, **options)

    def left(self):
        return sorted(os.listdir(self.folder))

    def digest(self):
        with open(self.out, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def test_every_model_loads_and_runs(self):
        models, _ = listed()
        self.assertEqual(len(models), 11)
        for model in models:
            result = self.expect_done(self.synth("--layers", "1", "--type", "q4_0", "--force", model=model))
            self.assertEqual((result.out, result.err), ("", ""))
            info = self.expect_done(mote("info", self.out)).out
            self.assertRegex(info, r"layers +1\n")
            self.assertRegex(info, r"chat format +(chatml|gemma|phi)\n")
            ran = self.expect_done(mote("run", "-m", self.out, "-n", "2", "--ctx", "64", "--raw", "hello"))
            self.assertIn("tok/s", ran.err)
        self.assertEqual(self.left(), ["made.gguf"])

    def test_every_type_runs(self):
        _, types = listed()
        self.assertEqual(len(types), 17)
        for kind in types:
            self.expect_done(self.synth("--layers", "1", "--type", kind, "--force"))
            self.expect_done(mote("run", "-m", self.out, "-n", "1", "--ctx", "64", "--raw", "hello"))

    def test_the_seed_makes_the_file(self):
        self.expect_done(self.synth("--layers", "1", "--seed", "7"))
        first = self.digest()
        self.expect_done(self.synth("--layers", "1", "--seed", "7", "--threads", "3", "--force"))
        self.assertEqual(self.digest(), first)
        self.expect_done(self.synth("--layers", "1", "--seed", "8", "--force"))
        self.assertNotEqual(self.digest(), first)

    def test_sizes_are_listed(self):
        fine = mote("synth", "--list", "--type", "q8_0").out
        self.assertIn("in q8_0", fine)
        self.assertRegex(mote("synth", "--list").out, r"qwen3-0.6b +Qwen3-0.6B +596 million parameters +358 MiB in q4_0")

    def test_wrong_names(self):
        self.expect_error(self.synth(model="qwen4"), 1, '"qwen4"', "smollm2-135m", "phi4-mini")
        self.expect_error(self.synth("--type", "q3"), 1, '"q3"', "q4_0", "iq4_xs")
        self.expect_error(mote("synth", "--list", "--type", "q3"), 1, '"q3"', "q4_0")
        self.expect_error(self.synth("--layers", "31"), 1, "30 layers")
        self.expect_error(self.synth("--layers", "0"), 2, "--layers")
        self.expect_error(mote("synth", "-o", self.out), 2, "--model NAME is missing")
        self.expect_error(mote("synth", "--model", "qwen3-4b"), 2, "--out FILE is missing")
        self.assertEqual(self.left(), [])

    def test_what_exists_is_kept(self):
        self.path("made.gguf", b"mine")
        self.expect_error(self.synth("--layers", "1"), 1, "exists", "--force")
        with open(self.out, "rb") as file:
            self.assertEqual(file.read(), b"mine")
        self.expect_done(self.synth("--layers", "1", "--force"))
        self.assertEqual(self.left(), ["made.gguf"])

    def test_full_disk(self):
        self.expect_error(self.synth(out="/dev/full"), 1, "/dev/full", "No space left on device")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))
        self.expect_error(self.synth(preexec_fn=limit), 1, "File too large")
        self.expect_error(self.synth(out=self.path("no/such/place")), 1, "No such file")
        self.expect_error(self.synth(out=self.folder), 1, "directory")
        self.assertEqual(self.left(), [])

    def test_interrupt_leaves_nothing(self):
        process = subprocess.Popen([MOTE, "synth", "--model", "qwen3-4b", "-t", "1", "-o", self.out],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        wait_for(self.left, "the temporary file")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT, err)
        self.assertEqual(err.decode(), "mote: cancelled; nothing is written\n")
        self.assertEqual(self.left(), [])

    def test_progress_on_a_terminal(self):
        terminal = Terminal("synth", "--model", "qwen3-4b", "-o", self.out)
        self.addCleanup(terminal.close)
        terminal.expect("writing [")
        terminal.expect("GiB")
        terminal.signal(signal.SIGINT)
        self.assertEqual(terminal.end(), -signal.SIGINT)
        self.assertEqual(self.left(), [])


if __name__ == "__main__":
    main()
