#!/usr/bin/env python3
"""What a machine in the field does to a program: too little memory, too few threads, files that shrink or are exchanged,
closed and broken streams, signals in heaps, strange environments and strange words. It may refuse, in one line; it may not
crash, hang, or answer something else."""
import json
import os
import resource
import signal
import subprocess
import time

from e2e_support import (ENDLESS, ENDLESS_CONTEXT, IM_END, MOTE, PATIENCE, Case, Terminal, environment, main, mote,
                         tiny_model, wait_for)

MIB = 1 << 20
COMMAND = "turn on the kitchen light"
ANSWER = '"turn_on"'


def limited(kind, value):
    """For the child: a limit that it cannot lift."""
    return lambda: resource.setrlimit(kind, (value, value))


def odd(raw):
    """Bytes as a word of the command line or the environment."""
    return os.fsdecode(raw)


def processors():
    return json.loads(mote("cpu", "--json").out)["processors"]


class Torture(Case):
    def orderly(self, result, *parts):
        """An answer, or one line and status 1."""
        self.assertIn(result.status, (0, 1), result)
        if result.status == 0:
            self.assertIn(ANSWER, result.out)
        else:
            self.assertEqual(result.out, "")
            self.expect_error(result, 1, *parts)
        return result.status

    # ------------------------------------------------------------------------------------------------------- limits

    def starts_within(self, size):
        """Can the program be loaded at all? Not by a sanitizer or an emulator, which take terabytes."""
        return mote("version", preexec_fn=limited(resource.RLIMIT_AS, size)).status == 0

    def test_little_memory(self):
        if not self.starts_within(256 * MIB):
            self.skipTest("this build needs more memory than there would be")
        model = self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))
        statuses = []
        for size in (8, 12, 16, 20, 24, 32, 64):
            if not self.starts_within(size * MIB):
                continue
            run = lambda *words: mote("run", "-q", "--threads", "2", *words, COMMAND,
                                      preexec_fn=limited(resource.RLIMIT_AS, size * MIB))
            statuses.append(self.orderly(run()))
            result = run("-m", model, "--ctx", "1000000")  # needs 122 MiB for keys and values alone
            self.expect_error(result, 1)
            if statuses[-1] == 0:
                self.assertIn("a context of 1000000 tokens", result.err)
        self.assertEqual(statuses, sorted(statuses, reverse=True))  # more memory never makes it worse
        self.assertEqual(statuses[-1], 0)

    def test_threads_that_do_not_fit_into_memory(self):
        if not self.starts_within(256 * MIB):
            self.skipTest("this build needs more memory than there would be")
        result = mote("run", "-q", "--threads", "256", COMMAND, preexec_fn=limited(resource.RLIMIT_AS, 256 * MIB))
        status = self.orderly(result, " threads could be started", "ask for fewer")
        if processors() <= 8:  # more than these are never started, so they need no memory
            self.assertEqual(status, 0)

    def test_no_more_threads(self):
        options = {"preexec_fn": limited(resource.RLIMIT_NPROC, 1)}
        if os.geteuid() == 0:  # whom this limit does not bind
            options |= {"user": 65534, "cwd": "/"}
        try:
            if mote("version", **options).status != 0:
                self.skipTest("the program does not start as another user")
        except OSError as error:
            self.skipTest(f"no process as another user: {error}")
        result = mote("run", "-q", "--threads", "64", COMMAND, **options)
        if processors() > 1:  # with one there is nothing to start
            self.assertEqual(self.orderly(result, f"only 1 of {min(processors(), 64)} threads", "ask for fewer"), 1)
        self.assertEqual(self.orderly(mote("run", "-q", "--threads", "1", COMMAND, **options)), 0)

    def test_limit_on_file_size(self):
        for size in (0, 10):
            with open(self.path("answer"), "w+b") as file:
                result = mote("run", "-q", COMMAND, stdout=file, preexec_fn=limited(resource.RLIMIT_FSIZE, size),
                              env=environment(TMPDIR="/dev/null"))  # the thread sanitizer writes a file of its own
                self.expect_error(result, 1, "standard output", "too large")
                self.assertLessEqual(os.fstat(file.fileno()).st_size, size)

    def test_few_open_files(self):
        for count in range(3, 12):
            result = mote("run", "-q", "-m", self.path("tiny.gguf", tiny_model()), "-n", "1", COMMAND,
                          preexec_fn=limited(resource.RLIMIT_NOFILE, count))
            self.assertIn(result.status, (0, 1, 127), result)  # 127: not even its libraries could be opened

    # ------------------------------------------------------------------------------------------------------ streams

    def test_every_set_of_closed_streams(self):
        commands = (["run", "-q", COMMAND], ["run", "-q"], ["chat"], ["info"], ["tokenize", "lamp"], ["cpu"], ["help"])
        for closed in range(1, 8):
            streams = [fd for fd in range(3) if closed & 1 << fd]
            for words in commands:
                done = subprocess.run([MOTE, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                                      env=environment(), preexec_fn=lambda: [os.close(fd) for fd in streams])
                needs_input = words in (["run", "-q"], ["chat"])
                if 1 in streams and words != ["chat"] and not needs_input:
                    expected = 1
                elif needs_input and 0 in streams:
                    expected = 1
                else:
                    expected = 2 if words == ["run", "-q"] else 0  # an empty prompt
                self.assertEqual(done.returncode, expected, (words, streams, done))
                self.assertLessEqual(len(done.stderr.splitlines()), 1, (words, streams, done))

    def test_chat_from_what_cannot_be_read(self):
        fd = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.expect_error(mote("chat", stdin=fd), 1, "cannot read standard input")

    # --------------------------------------------------------------------------------------- files under a running chat

    def chat(self, model):
        """A chat on pipes, and a function that asks it something and waits until that is done."""
        process = subprocess.Popen([MOTE, "chat", "-m", model, "-n", "8", "--temp", "0", "--logit-bias",
                                    f"{IM_END}=-10000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment(), bufsize=0)
        self.addCleanup(lambda: (process.kill(), process.communicate()))

        def ask(text):
            process.stdin.write(text.encode() + b"\n/stats\n")
            told = b""
            while b"of context in use" not in told:
                got = process.stderr.read(4096)
                self.assertTrue(got, told)
                told += got
            return told.decode()

        return process, ask

    def packed(self):
        path = self.path("packed.gguf")
        self.expect_done(mote("pack", self.path("plain.gguf", tiny_model(q8_0=True)), "-o", path, "--force"))
        with open(path, "rb") as file:
            return file.read()

    def test_model_is_truncated(self):
        """Weights that are read where they lie in the file: in a format without a packed layout, or in a packed file."""
        for content, length in ((tiny_model(), 0), (tiny_model(), 4096), (self.packed(), 0), (self.packed(), 4096)):
            path = self.path("shrinks.gguf", content)
            process, ask = self.chat(path)
            self.assertNotIn("shrinks.gguf", ask("hello"))
            os.truncate(path, length)
            for _ in range(2):  # it says so each time
                told = ask("hello again")
                self.assertEqual(told.count("shrinks.gguf"), 1, told)
            _, err = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 1, err)

    def test_model_that_was_copied_is_truncated(self):
        path = self.path("shrinks.gguf", tiny_model(q8_0=True))
        process, ask = self.chat(path)
        ask("hello")
        os.truncate(path, 0)  # every matrix was packed at loading, and everything else is read at the start
        self.assertNotIn("could not be read", ask("/reset\nhello"))
        out, err = process.communicate(timeout=PATIENCE)
        self.assertIn(process.returncode, (0, 1), err)

    def test_model_is_exchanged(self):
        path = self.path("model.gguf", tiny_model())
        process, ask = self.chat(path)
        ask("hello")
        os.replace(self.path("other.gguf", b"<!DOCTYPE html>" * 1000), path)
        ask("/reset\nhello")
        os.unlink(path)
        ask("/reset\nhello")
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertGreaterEqual(len(out), 3 * 8)
        third = len(out) // 3
        self.assertEqual(out, out[:third] * 3)  # the model that was opened answers to the end

    # ------------------------------------------------------------------------------------------------------ signals

    def endless(self, *words):
        model = self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))
        process = subprocess.Popen([MOTE, "run", "-m", model, *ENDLESS, *words, "x"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    @staticmethod
    def state(process):
        with open(f"/proc/{process.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def test_stopped_and_continued(self):
        process = self.endless("--threads", "3")
        for _ in range(5):
            self.assertEqual(len(process.stdout.read(100)), 100)
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: self.state(process) == "T", "it to stop")
            process.send_signal(signal.SIGCONT)
        self.assertEqual(len(process.stdout.read(2000)), 2000)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_hundreds_of_interrupts(self):
        for wait in (False, True):
            process = self.endless()
            if wait:
                process.stdout.read(50)
            for _ in range(200):
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, -signal.SIGINT)

    def test_hundreds_of_interrupts_at_the_prompt(self):
        terminal = Terminal("chat")
        self.addCleanup(terminal.close)
        terminal.expect("> ")
        for i in range(200):
            terminal.signal(signal.SIGINT)
            terminal.read(0 if i % 10 else 0.01)
        wait_for(lambda: not terminal.read(0.2) or terminal.seen.endswith(b"> "), "the prompt")
        terminal.send(COMMAND + "\n")
        self.assertIn(ANSWER, terminal.expect("}"))
        terminal.expect("> ")
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_terminal_is_taken_away(self):
        model = self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))
        for words, begun in ((("chat",), "> "), (("run", "-m", model, *ENDLESS, "x"), None)):
            terminal = Terminal(*words)
            self.addCleanup(terminal.close)
            if begun is not None:
                terminal.expect(begun)
            while begun is None and len(terminal.seen) < 50:
                terminal.read(0.1)
            os.close(terminal.fd)
            terminal.fd = os.open("/dev/null", os.O_RDWR)
            ended = wait_for(lambda: os.waitpid(terminal.process, os.WNOHANG)[1:] if self.gone(terminal) else None,
                             "it to end")
            terminal.status = os.waitstatus_to_exitcode(ended[0])
            self.assertIn(terminal.status, (-signal.SIGHUP, 1))

    @staticmethod
    def gone(terminal):
        with open(f"/proc/{terminal.process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"

    # ---------------------------------------------------------------------------------------- environment and words

    STRANGE = (
        {"LC_ALL": "garbage", "LANG": "xx_YY.KOI-99"},
        {"LC_ALL": None, "LANG": None, "HOME": None, "TERM": None, "PATH": None},
        {"LC_ALL": "C", "LANG": odd(b"\xff\xfe"), "TERM": odd(b"\xff")},
        {"HOME": "/dev/null/nowhere", "TERM": "x" * 5000},
        {"HOME": "relative", "XDG_STATE_HOME": "/proc/self/nowhere"},
        {"HOME": "/" + "long" * 20000, "XDG_STATE_HOME": ""},
        {"COLUMNS": "-1", "LINES": "99999999999999999999", "TERM": "xterm"},
        {"EDITRC": "/dev/null/editrc", "TERMCAP": ":", "TERMINFO": "/dev/null"},
    )

    def test_strange_environments(self):
        for changes in self.STRANGE:
            self.assertEqual(self.orderly(mote("run", "-q", COMMAND, env=environment(**changes))), 0, changes)
        self.assertEqual(self.orderly(mote("run", "-q", COMMAND, env={})), 0)

    def test_strange_environments_at_a_terminal(self):
        for changes in self.STRANGE:
            terminal = Terminal("chat", "-q", env=environment(**{"TERM": "xterm", **changes}))
            self.addCleanup(terminal.close)
            terminal.expect("> ")
            terminal.send(COMMAND + "\n")
            self.assertIn(ANSWER, terminal.expect("}"), changes)
            terminal.expect("> ")
            terminal.send("\x04")
            self.assertEqual(terminal.end(), 0, changes)

    def test_words_that_are_no_text(self):
        for raw in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"lamp\xe2\x82", b"\xf4\x90\x80\x80", b"\x1b[2J\x9b2J"):
            word = odd(raw)
            self.expect_done(mote("run", "-q", "-n", "2", "--system", word, "--stop", "x" + word, word))
            self.expect_done(mote("tokenize", word))
            for words, status in ((["run", "-m", word, "x"], 1), (["info", word], 1), ([word], 2), (["run", "--" + word], 2),
                                  (["run", "-n", word, "x"], 2), (["help", word], 2), (["debug", word], 2)):
                line = self.expect_error(mote(*words), status)
                self.assertTrue(line.isprintable(), line)

    def test_prompts_of_a_mebibyte(self):
        for unit in ("lamp ", "a", " ", "\n", "0", "😀", "e\u0301", "\u0300", "ｱ", "\0", "<|im_start|>", "'s", "\r\n\t"):
            raw = (unit.encode() * MIB)[:MIB]
            began = time.monotonic()
            result = mote("run", "-q", stdin=raw)
            self.expect_error(result, 1, "tokens", "context")
            self.assertLess(time.monotonic() - began, PATIENCE / 2, repr(unit))

    def test_longest_word_of_a_command_line(self):
        result = mote("run", "-q", "x" * 131071)
        self.expect_error(result, 1, "tokens", "context")


if __name__ == "__main__":
    main()
