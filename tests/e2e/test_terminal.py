#!/usr/bin/env python3
"""The program on a terminal: editing, history, Ctrl-C, windows of any size, and text that must not command it."""
import os
import signal
import stat

from e2e_support import ENDLESS, ENDLESS_CONTEXT, Case, Terminal, environment, main, tiny_model

CTRL_C, CTRL_D, CTRL_P = "\x03", "\x04", "\x10"


class OnTerminal(Case):
    def start(self, *words, rows=24, columns=80, **variables):
        variables.setdefault("TERM", "xterm")
        variables.setdefault("HOME", self.folder)
        terminal = Terminal(*words, rows=rows, columns=columns, env=environment(**variables))
        self.addCleanup(terminal.close)
        return terminal

    def chat(self, *words, **options):
        terminal = self.start("chat", *words, **options)
        terminal.expect("Ctrl-D the chat.")
        terminal.expect("> ")
        return terminal

    def endless(self, **options):
        return self.chat("-m", self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT)), *ENDLESS, **options)

    def leave(self, terminal):
        """From the prompt."""
        terminal.send(CTRL_D)
        self.assertEqual(terminal.end(), 0)

    def history(self):
        with open(os.path.join(self.folder, ".local/state/mote/history")) as file:
            return file.read()

    def test_conversation(self):
        terminal = self.chat()
        terminal.send("turn on the kitchen light\n")
        self.assertIn("kitchen", terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)

    def test_ctrl_c_ends_the_answer_and_not_the_program(self):
        terminal = self.endless()
        for _ in range(3):
            terminal.send("hello\n")
            terminal.expect("hello")
            terminal.expect("\n")
            for _ in range(5):
                terminal.read(0.05)
            terminal.send(CTRL_C)
            terminal.expect("(stopped)")
            terminal.expect("> ")
        terminal.send("/reset\n")
        terminal.expect("(a new conversation)")
        terminal.expect("> ")
        self.leave(terminal)

    def test_ctrl_c_at_the_prompt_drops_the_line(self):
        terminal = self.chat()
        terminal.send("turn off" + CTRL_C)
        terminal.expect("> ")
        terminal.send(CTRL_C)
        terminal.expect("> ")
        terminal.send("turn on the kitchen light\n")
        self.assertIn('"turn_on"', terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)

    def test_typing_ahead(self):
        terminal = self.endless()
        terminal.send("hello\n")
        terminal.expect("\n")
        for _ in range(5):
            terminal.read(0.05)
        terminal.send("\n/sta\x7fats\n語\x7f\n")  # while the model speaks, and the terminal echoes
        terminal.read(0.05)
        terminal.signal(signal.SIGINT)
        terminal.expect("(stopped)")
        terminal.expect("in use)")
        terminal.expect("peak memory")
        terminal.expect("> ")
        terminal.expect("> ")  # after the line of half a character
        self.leave(terminal)

    def test_editing(self):
        terminal = self.chat()
        terminal.send("off the kitchen light" + "\x01" + "turn " + "\x05" + " now" + "\x17" + "\n")  # ^A, ^E, ^W
        self.assertIn('"turn_off"', terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)
        self.assertIn("turn\\040off\\040the\\040kitchen\\040light", self.history())

    def test_editing_in_japanese(self):
        for locale in ("C.UTF-8", "C", None):
            terminal = self.chat(LC_ALL=locale, LANG=None)
            terminal.send("台所の電気をつけてて\x7f\n")
            self.assertIn("kitchen", terminal.expect("}"))
            terminal.expect("> ")
            self.leave(terminal)

    def test_history_lasts(self):
        terminal = self.chat()
        terminal.send("turn off the kitchen light\n")
        terminal.expect("}")
        terminal.expect("> ")
        self.leave(terminal)
        path = os.path.join(self.folder, ".local/state/mote/history")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        for folder in (".local", ".local/state", ".local/state/mote"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.folder, folder)).st_mode), 0o700)
        terminal = self.chat()
        terminal.send(CTRL_P + "\n")
        self.assertIn('"turn_off"', terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)

    def test_history_has_its_place(self):
        state = self.path("state")
        terminal = self.chat(XDG_STATE_HOME=None, HOME="/nonexistent")
        self.leave(terminal)
        env = environment(TERM="xterm", HOME="/nonexistent")
        env["XDG_STATE_HOME"] = state
        terminal = Terminal("chat", env=env)
        self.addCleanup(terminal.close)
        terminal.expect("> ")
        terminal.send("turn off the kitchen light\n")
        terminal.expect("}")
        terminal.expect("> ")
        self.leave(terminal)
        self.assertEqual(os.listdir(os.path.join(state, "mote")), ["history"])

    def test_history_that_is_damaged_or_in_the_way(self):
        folder = os.path.join(self.folder, ".local/state/mote")
        os.makedirs(folder)
        for content in (b"", b"\0" * 100, b"_HiStOrY_V2_\n\\777\\\n", b"\xff" * 5000):
            self.path(".local/state/mote/history", content)
            terminal = self.chat()
            terminal.send(CTRL_P + CTRL_P + "!")
            terminal.expect("!")
            terminal.send(CTRL_C)
            terminal.expect("\n> ")
            self.leave(terminal)
        os.remove(os.path.join(folder, "history"))
        os.mkdir(os.path.join(folder, "history"))
        self.leave(self.chat())

    def test_lines_that_go_on(self):
        terminal = self.chat()
        terminal.send("turn off \\\n")
        terminal.expect(". ")
        terminal.send("the kitchen light\n")
        self.assertIn('"turn_off"', terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)

    def test_quit_and_signals(self):
        terminal = self.chat()
        terminal.send("/quit\n")
        self.assertEqual(terminal.end(), 0)
        for number in (signal.SIGTERM, signal.SIGHUP):
            terminal = self.chat()
            terminal.signal(number)
            self.assertEqual(terminal.end(), -number)

    def test_stop_and_continue(self):
        terminal = self.chat()
        terminal.send("turn off ")
        terminal.expect("turn off ")
        for _ in range(100):  # however soon after it has drawn the line: a signal just before it waits counts too
            terminal.signal(signal.SIGSTOP)
            terminal.signal(signal.SIGCONT)
            terminal.expect("turn off ")  # drawn again
        terminal.send("the kitchen light\n")
        self.assertIn('"turn_off"', terminal.expect("}"))
        terminal.expect("> ")
        self.leave(terminal)

    def test_windows_of_any_size(self):
        for rows, columns in ((1, 1), (2, 3), (0, 0), (1, 400), (500, 5)):
            terminal = self.start("chat", "-q", rows=rows, columns=columns)
            terminal.expect(">")
            terminal.send("turn on the kitchen light\n")
            terminal.expect("}")
            terminal.expect(">")
            self.leave(terminal)

    def test_window_that_changes(self):
        terminal = self.chat()
        terminal.send("turn off the kitchen ")
        for rows, columns in ((1, 1), (5, 10), (50, 200), (24, 80)):
            terminal.resize(rows, columns)
            terminal.signal(signal.SIGWINCH)
            terminal.read(0.05)
        terminal.send("light\n")
        terminal.expect("}")
        terminal.expect("> ")
        self.leave(terminal)

    def test_terminals_of_any_kind(self):
        for kind in ("dumb", "", "nonsense", "vt100", None):
            terminal = self.start("chat", "-q", TERM=kind)
            terminal.expect("> ")
            terminal.send("turn on the kitchen light\n")
            terminal.expect("}")
            terminal.expect("> ")
            self.leave(terminal)

    def test_model_cannot_command_the_terminal(self):
        model = self.path("tiny.gguf", tiny_model(chat=False))
        terminal = self.start("run", "-q", "--raw", "-m", model, "-n", "2000", "--temp", "3", "--top-k", "0", "x")
        self.assertEqual(terminal.end(), 0)
        self.assertGreater(len(terminal.seen), 1000)
        text = terminal.seen.decode("utf-8", "replace")
        strange = {c for c in text if not c.isprintable() and c not in "\r\n\t"}
        self.assertTrue(all(ord(c) > 0xa0 for c in strange), strange)
        self.assertIn("\\x", text)

    def test_ctrl_c_during_a_run(self):
        model = self.path("tiny.gguf", tiny_model(context=ENDLESS_CONTEXT))
        terminal = self.start("run", "-m", model, *ENDLESS, "x")
        while len(terminal.seen) < 50:
            self.assertTrue(terminal.read(0.1), terminal.seen)
        terminal.send(CTRL_C)
        self.assertEqual(terminal.end(), -signal.SIGINT)
        self.assertIn(b"tok/s", terminal.seen)

    def test_no_prompt(self):
        for command in ("run", "tokenize"):
            terminal = self.start(command)
            self.assertEqual(terminal.end(), 2)
            self.assertIn(b"in quotes", terminal.seen)


if __name__ == "__main__":
    main()
