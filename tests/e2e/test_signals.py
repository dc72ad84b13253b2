#!/usr/bin/env python3
"""Ctrl-C and its like: the run ends soon and in order, and then by the signal, so that a shell's loop ends too."""
import json
import os
import signal
import subprocess

from e2e_support import ENDLESS, ENDLESS_CONTEXT, MOTE, PATIENCE, Case, environment, main, tiny_model, wait_for


class Signals(Case):
    def start(self, *words, stdin=subprocess.DEVNULL):
        process = subprocess.Popen([MOTE, *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def model(self):
        return self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))

    def endless(self, *words):
        return self.start("run", "-m", self.model(), *ENDLESS, *words, "x")

    def end(self, process, number):
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -number, err)
        return out, err.decode()

    def test_during_the_answer(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.endless()
            process.stdout.read(50)
            out, err = self.end(process, number)
            self.assertEqual(out[-1:], b"\n")
            figures, last = err.splitlines()
            self.assertIn("tok/s", figures)
            self.assertIn("(cancelled)", figures)
            self.assertEqual(last, "mote: cancelled; the answer is not complete")

    def test_json_is_whole(self):
        process = self.endless("--json")
        wait_for(lambda: self.processor_time(process) > 0.2, "the answer to begin")
        out, err = self.end(process, signal.SIGINT)
        self.assertEqual(json.loads(out)["finish"], "cancelled")
        self.assertEqual(err, "mote: cancelled; the answer is not complete\n")

    @staticmethod
    def processor_time(process):
        """Seconds it has computed."""
        with open(f"/proc/{process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_during_a_long_prompt(self):
        process = self.start("run", "-m", self.model(), "--ctx", "1000000", "--threads", "1", "--raw",
                             stdin=subprocess.PIPE)
        process.stdin.write(b"lamp " * 100000)
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: self.processor_time(process) > 1, "the prompt's pass")
        _, err = self.end(process, signal.SIGINT)
        self.assertIn("mote: cancelled", err)

    def test_while_waiting_for_the_prompt(self):
        process = self.start("run", stdin=subprocess.PIPE)
        process.stdin.write(b"turn on")
        process.stdin.flush()
        wait_for(lambda: self.sleeping(process), "it to wait for input")
        _, err = self.end(process, signal.SIGINT)
        self.assertEqual(err, "mote: stopped while reading standard input; run again\n")

    @staticmethod
    def sleeping(process):
        with open(f"/proc/{process.pid}/wchan") as file:
            place = file.read()
        with open(f"/proc/{process.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "S" and ("pipe" in place or place in ("", "0"))

    def test_ignored_signals_stay_ignored(self):
        """As under nohup, or in the background of a script."""
        process = subprocess.Popen([MOTE, "run", "-m", self.model(), *ENDLESS, "-n", "3000", "x"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment(), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.stdout.read(10)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)

    def test_chat_on_a_pipe(self):
        process = self.start("chat", "-m", self.model(), *ENDLESS, stdin=subprocess.PIPE)
        process.stdin.write(b"hello\nhello\n")
        process.stdin.flush()
        process.stdout.read(50)
        self.end(process, signal.SIGINT)


if __name__ == "__main__":
    main()
