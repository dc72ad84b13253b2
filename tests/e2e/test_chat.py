#!/usr/bin/env python3
"""mote chat with a script in place of a person: a message a line, an answer a paragraph."""
import json

from e2e_support import IM_END, Case, main, mote, tiny_model


class Chat(Case):
    def chat(self, script, *words):
        return mote("chat", "-m", self.path("tiny.gguf", tiny_model()), "-n", "8", "--temp", "0", *words, stdin=script)

    def test_built_in_model(self):
        result = self.expect_done(mote("chat", stdin="turn on the kitchen light\nopen the gate\n"))
        first, second = map(json.loads, result.out.splitlines())
        self.assertEqual((first["action"], first["device"]), ("turn_on", "light"))
        self.assertEqual((second["action"], second["device"]), ("open", "gate"))
        self.assertEqual(result.err, "")

    def test_built_in_model_takes_each_message_by_itself(self):
        script = "open the gate\nturn on the kitchen light\nopen the gate\n"
        lines = self.expect_done(mote("chat", stdin=script)).out.splitlines()
        self.assertEqual(lines[0], lines[2])
        self.assertEqual(lines[1] + "\n", mote("run", "turn on the kitchen light").out)

    def test_file_as_a_word(self):
        self.expect_done(mote("chat", self.path("tiny.gguf", tiny_model()), "-n1", stdin="hello\n"))

    def test_ends(self):
        for script in ("", "\n", "\n\n\n", "/quit", "/quit\nhello\n"):
            result = self.expect_done(self.chat(script))
            self.assertEqual(result.out, "")
        self.assertNotEqual(self.expect_done(self.chat("hello")).out, "")  # no line break at the end

    def test_conversation_is_remembered(self):
        bias = ["--logit-bias", f"{IM_END}=-10000"]
        both = self.expect_done(self.chat("one\ntwo\n/stats\n", *bias))
        alone = self.expect_done(self.chat("two\n/stats\n", *bias))
        tokens = lambda result: int(result.err.split("mote: ")[-1].split()[0])
        self.assertGreater(tokens(both), tokens(alone) + 20)
        reset = self.expect_done(self.chat("one\n/reset\ntwo\n/stats\n", *bias))
        self.assertEqual(tokens(reset), tokens(alone))
        instructed = self.expect_done(self.chat("/system Be brief and kind.\ntwo\n/stats\n", *bias))
        self.assertGreater(tokens(instructed), tokens(alone) + 20)
        by_option = self.expect_done(self.chat("two\n/stats\n", "--system", "Be brief and kind.", *bias))
        self.assertEqual(tokens(by_option), tokens(instructed))
        undone = self.expect_done(self.chat("/system\ntwo\n/stats\n", "--system", "Be brief and kind.", *bias))
        self.assertEqual(tokens(undone), tokens(alone))

    def test_stats_before_anything(self):
        self.assertIn("0 of 4096 tokens", self.expect_done(self.chat("/stats\n")).err)

    def test_help_lists_commands(self):
        out = self.expect_done(self.chat("/help\n")).out
        for name in ("/help", "/reset", "/system", "/stats", "/quit"):
            self.assertIn(name, out)

    def test_unknown_command(self):
        self.expect_error(self.chat("/frobnicate\n"), 1, "/frobnicate", "/help")

    def test_lines_that_go_on(self):
        count = lambda script: int(self.expect_done(
            self.chat(script + "/stats\n", "--logit-bias", f"{IM_END}=-10000")).err.split("mote: ")[-1].split()[0])
        self.assertEqual(count("ab\\\ncd\n"), count("abxcd\n"))
        self.assertEqual(count("//x\n"), count("/x"[1:] + "x\n"))

    def test_cut_answers_are_told(self):
        result = self.expect_done(self.chat("hello\n", "--logit-bias", f"{IM_END}=-10000"))
        self.assertIn("cut at --tokens", result.err)

    def test_full_context(self):
        result = self.chat("hello\n" * 8, "--ctx", "100", "--logit-bias", f"{IM_END}=-10000", "-q")
        self.assertEqual(result.status, 1)
        self.assertIn("the context of 100 tokens is full: /reset starts anew", result.err)
        again = self.chat("hello\n" * 8 + "/reset\nhello\n/stats\n", "--ctx", "100", "--logit-bias", f"{IM_END}=-10000")
        self.assertNotIn("full", again.err.split("a new conversation")[1])

    def test_any_bytes(self):
        for script in (b"\xff\xfe\n", b"a\0b\n", "日本語\n".encode(), b"\x1b[A\x03\x04\n", b"\\\n", b"/\n", b"//\n"):
            result = self.chat(script)
            self.assertIn(result.status, (0, 1), result)

    def test_endless_line(self):
        self.expect_error(self.chat(b"x" * ((1 << 20) + 1)), 1, "longer than 1048576 bytes")


if __name__ == "__main__":
    main()
