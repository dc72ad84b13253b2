#!/usr/bin/env python3
"""Words of the command line: help, and wrong usage in one line that says what to do, with exit status 2."""
from e2e_support import Case, main, mote

COMMANDS = ["run", "chat", "info", "tokenize", "bench", "debug logits", "debug dequant", "cpu", "tune", "version",
            "help"]


class Usage(Case):
    def wrong(self, *words, says=()):
        result = mote(*words)
        self.assertEqual(result.out, "")
        return self.expect_error(result, 2, *([says] if isinstance(says, str) else says))

    def test_help_in_each_of_its_forms(self):
        overview = self.expect_done(mote()).out
        for words in (["--help"], ["-h"], ["help"]):
            self.assertEqual(self.expect_done(mote(*words)).out, overview)
        for name in COMMANDS:
            self.assertIn(name, overview)
            page = self.expect_done(mote("help", *name.split())).out
            self.assertTrue(page.startswith(f"Usage: mote {name}"), page)
            self.assertEqual(self.expect_done(mote(*name.split(), "--help")).out, page)
            self.assertEqual(self.expect_done(mote(*name.split(), "-h")).out, page)
            self.assertLessEqual(max(map(len, page.splitlines())), 80)
        self.assertIn("--min-p P", self.expect_done(mote("run", "--temp", "1", "--help", "--nonsense")).out)

    def test_version(self):
        for words in (["version"], ["--version"]):
            self.assertRegex(self.expect_done(mote(*words)).out, r"^mote +\d+\.\d+\.\d+\ncompiler +(gcc|clang) ")

    def test_unknown_words_name_the_nearest(self):
        self.wrong("rnu", says="did you mean run?")
        self.wrong("token", says="did you mean tokenize?")
        self.wrong("frobnicate", says="unknown command 'frobnicate'")
        self.wrong("debug", says="debug logits")
        self.wrong("debug", "nonsense", says="debug logits")
        self.wrong("help", "nonsense", says="nonsense")
        self.wrong("help", "run", "more")
        self.wrong("--temp", "1", says="mote run --temp")
        self.wrong("run", "--tmp", "1", "x", says=("--tmp", "did you mean --temp?"))
        self.wrong("run", "--temperature=1", "x", says="did you mean --temp?")
        self.wrong("run", "--sede", "1", "x", says="did you mean --seed?")
        self.wrong("run", "-temp", "1", "x", says="did you mean --temp?")
        self.wrong("run", "--frobnicate", "x", says="unknown option --frobnicate")
        self.wrong("run", "-Z", "x", says="unknown option -Z")
        self.wrong("version", "--json", says="--json")
        self.wrong("run", "--" + "x" * 5000)

    def test_values(self):
        self.wrong("run", "x", "--temp", says="--temp needs a value: --temp T")
        self.wrong("run", "x", "-n", says="--tokens needs a value")
        self.wrong("run", "x", "--raw=1", says="--raw takes no value")
        self.wrong("run", "x", "-qj", says="-qj")
        self.wrong("run", "x", "--kv", "q5", says="f16|f32|q8|q4")
        self.wrong("run", "x", "--kv", "", says="f16|f32|q8|q4")
        self.wrong("run", "x", "-m", "")

    def test_numbers_are_strict(self):
        for value in ("", " 1", "1 ", "-1", "+1", "1.5", "0x10", "1e3", "nan", "abc", "99999999999", "1" * 400):
            self.wrong("run", "x", "--top-k", value, says="--top-k wants a whole number")
            self.wrong("run", "x", "--threads=" + value, says="--threads wants a whole number")
            self.wrong("run", "x", "--threads-batch", value, says="--threads-batch wants a whole number")
        self.wrong("run", "x", "--threads", "0")
        self.wrong("run", "x", "-n-1", says="--tokens wants")
        for value in ("", " 1", "1 ", "nan", "inf", "-inf", "NAN", "infinity", "0x1p3", "1,5", "1e999", "-0.1", "--1"):
            self.wrong("run", "x", "--temp", value, says="--temp wants a number")
        self.wrong("run", "x", "--top-p", "1.01")
        self.wrong("run", "x", "--seed", "9223372036854775808")
        self.wrong("run", "x", "--seed", "-1")
        for value in ("5", "5=", "=1", "5=x", "x=5", "-1=5", "5=nan", "5=inf", "99999999999=1", "5=1=1", "5=99999"):
            self.wrong("run", "x", "--logit-bias", value, says="--logit-bias wants")

    def test_numbers_in_each_of_their_forms(self):
        for words in (["-n", "3"], ["-n3"], ["--tokens", "3"], ["--tokens=3"], ["-n", "007"]):
            self.expect_done(mote("run", *words, "turn on the lamp"))
        for words in (["--temp", "0.5"], ["--temp=.5"], ["--temp", "5e-1"], ["--presence-penalty", "-0.5"],
                      ["--logit-bias", "5=-1.5"], ["--logit-bias=5=1"], ["--seed", "9223372036854775807"]):
            self.expect_done(mote("run", "-n1", *words, "turn on the lamp"))

    def test_repeated_options_have_a_bound(self):
        stops = [word for i in range(17) for word in ("--stop", f"s{i}")]
        self.wrong("run", "x", *stops, says="may be given 16 times")
        self.wrong("run", "x", *["--logit-bias=1=1"] * 257, says="may be given 256 times")
        self.wrong("run", "x", "--stop", "")
        self.wrong("run", "x", "--stop", "x" * 257, says="1 to 256 bytes")

    def test_operands(self):
        self.wrong("run", "turn", "on", says="put a text of several in quotes")
        self.wrong("cpu", "now", says="'now'")
        self.wrong("run", "", says="prompt is empty")
        self.wrong("info", "a.gguf", "-m", "b.gguf", says="give one of them")
        self.wrong("tokenize", "text", "--file", "name", says="give one of them")
        self.wrong("debug", "logits", "--out", "x", says="--ids FILE is missing")
        self.wrong("debug", "logits", "--ids", "x", says="--out FILE is missing")
        self.wrong("debug", "dequant", "--out", "x", says="--tensor NAME is missing")
        self.wrong("run", "--raw", "--system", "x", "y", says="--system")
        self.wrong("run", "--special", "y", says="--raw")

    def test_dashes(self):
        self.assertEqual(self.expect_done(mote("tokenize", "--json", "--", "--json")).out,
                         self.expect_done(mote("tokenize", "--json", stdin="--json")).out)
        self.assertEqual(self.expect_done(mote("tokenize", "--json", "-", stdin="lamp")).out,
                         self.expect_done(mote("tokenize", "lamp", "--json")).out)

    def test_words_cannot_command_a_terminal(self):
        line = self.wrong("run", "--\x1b[31m\x07\u009b", "x")
        self.assertIn("\\x1b[31m\\x07\\u009b", line)
        self.expect_error(mote("info", "a\nb\x1b]0;x\x07"), 1)


if __name__ == "__main__":
    main()
