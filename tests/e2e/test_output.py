#!/usr/bin/env python3
"""Where output goes: a full disk, a closed pipe, no standard output at all."""
import os
import subprocess
import time

from e2e_support import ENDLESS, ENDLESS_CONTEXT, MOTE, PATIENCE, Case, environment, main, mote, tiny_model


class Output(Case):
    def model(self):
        return self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))

    def test_full_disk(self):
        for words in (["run", "turn on the lamp"], ["run", "--json", "turn on the lamp"], ["info"], ["info", "--json"],
                      ["info", "--metadata", "--weights"], ["cpu"], ["cpu", "--json"], ["version"], ["help"],
                      ["help", "run"], ["tokenize", "lamp"], ["tokenize", "--json", "lamp"]):
            with open("/dev/full", "wb") as full:
                result = mote(*words, stdout=full)
            self.expect_error(result, 1, "No space left on device", "free some space")

    def test_full_disk_in_a_chat(self):
        with open("/dev/full", "wb") as full:
            self.expect_error(mote("chat", stdin="turn on the lamp\n", stdout=full), 1, "No space left on device")

    def test_full_disk_ends_the_run(self):
        with open("/dev/full", "wb") as full:
            self.expect_error(mote("run", "-q", "-m", self.model(), *ENDLESS, "x", stdout=full), 1, "No space left")

    def test_closed_pipe(self):
        """As mote run | head -1: the run ends at once and without a word, whatever it still had to say."""
        for words in (["run", "-m", self.model(), *ENDLESS, "x"], ["info", "--metadata"], ["help"]):
            reader, writer = os.pipe()
            os.close(reader)
            started = time.monotonic()
            result = mote(*words, stdout=writer)
            os.close(writer)
            self.assertEqual((result.status, result.err), (1, ""), words)
            self.assertLess(time.monotonic() - started, PATIENCE / 2)

    def test_pipe_closed_midway(self):
        process = subprocess.Popen([MOTE, "run", "-m", self.model(), *ENDLESS, "x"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.assertTrue(process.stdout.read(100))
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 1)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_reader_sees_text_as_it_is_made(self):
        process = subprocess.Popen([MOTE, "run", "-m", self.model(), *ENDLESS, "x"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment())
        self.assertTrue(process.stdout.read(1))  # the run itself takes minutes
        process.kill()
        process.wait()
        process.stdout.close()

    def test_closed_standard_streams(self):
        for closing in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", f'"$0" run "turn on the lamp" {closing}', MOTE], capture_output=True,
                                  timeout=PATIENCE, env=environment())
            self.assertEqual(done.returncode, 1 if ">&-" in closing.replace("2>&-", "") else 0, closing)
        done = subprocess.run(["sh", "-c", '"$0" run <&-', MOTE], capture_output=True, timeout=PATIENCE,
                              env=environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot read standard input", done.stderr)

    def test_standard_input_that_is_a_folder(self):
        fd = os.open(self.folder, os.O_RDONLY)
        self.expect_error(mote("run", stdin=fd), 1, "cannot read standard input")
        os.close(fd)


if __name__ == "__main__":
    main()
