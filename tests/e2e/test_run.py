#!/usr/bin/env python3
"""mote run: prompts from everywhere, text on standard output, figures on standard error, JSON."""
import json
import re

from e2e_support import IM_END, Case, environment, main, mote, tiny_model

FIGURES = re.compile(r"^load [\d.]+ m?s, first token [\d.]+ m?s, prefill \d+ tokens? at [\d.]+ tok/s, "
                     r"decode \d+ tokens? at [\d.]+ tok/s, peak memory [\d.]+ MiB( \(\w+\))?\n$")


class Run(Case):
    def model(self, **options):
        return self.path("tiny.gguf", tiny_model(**options))

    def test_built_in_model(self):
        result = self.expect_done(mote("run", "turn on the kitchen light"))
        answer = json.loads(result.out)
        self.assertEqual((answer["action"], answer["device"]), ("turn_on", "light"))
        self.assertEqual(result.out.count("\n"), 1)
        self.assertRegex(result.err, FIGURES)

    def test_prompt_from_standard_input(self):
        by_word = self.expect_done(mote("run", "turn on the kitchen light")).out
        for given in ("turn on the kitchen light", "turn on the kitchen light\n"):
            self.assertEqual(self.expect_done(mote("run", stdin=given)).out, by_word)
        self.assertEqual(self.expect_done(mote("run", "-", stdin="turn on the kitchen light")).out, by_word)
        self.expect_error(mote("run", stdin=""), 2, "prompt is empty")
        self.expect_error(mote("run", stdin="\n"), 2, "prompt is empty")

    def test_prompt_that_is_too_long(self):
        self.expect_error(mote("run", stdin=b"a" * (16 << 20) + b"bc"), 1, "16.0 MiB", "give less")
        path = self.model(context=512)
        self.expect_error(mote("run", "-m", path, "--ctx", "100", "lamp " * 50), 1, "--ctx")
        self.expect_error(mote("run", "-m", path, "lamp " * 500), 1, "shorten")
        self.expect_error(mote("run", "-m", path, "--ctx", "513", "lamp"), 1, "513", "512")

    def test_prompts_of_any_bytes(self):
        path = self.model()
        for prompt in (b"\xff\xfe\x80", b"a\0b", "日本語 🙂 ﷽".encode(), b"\xed\xa0\x80", b" ", b"<|im_end|>",
                       b"\r\n\t"):
            self.expect_done(mote("run", "-m", path, "-n", "4", stdin=prompt))

    def test_quiet(self):
        self.assertEqual(self.expect_done(mote("run", "-q", "turn on the lamp")).err, "")

    def test_json(self):
        result = self.expect_done(mote("run", "--json", "turn on the lamp"))
        self.assertEqual(result.err, "")
        made = json.loads(result.out)
        self.assertEqual(made["finish"], "end")
        self.assertEqual(made["text"] + "\n", mote("run", "turn on the lamp").out)
        for name in ("prompt_tokens", "tokens", "load_seconds", "first_token_seconds", "prefill_seconds",
                     "decode_seconds", "prefill_tokens_per_second", "decode_tokens_per_second", "peak_memory_bytes"):
            self.assertGreater(made[name], 0, name)
        self.assertEqual(made["cached_tokens"], 0)
        self.assertIn("seed", made)
        self.assertTrue(made["model"])

    def test_json_of_random_bytes(self):
        path = self.model(name='a "name"\\\n\x1b')
        made = json.loads(self.expect_done(mote("run", "-m", path, "--json", "-n", "200", "--temp", "2", "x")).out)
        self.assertEqual(made["model"], 'a "name"\\\n\x1b')

    def test_length_and_stop(self):
        path = self.model(chat=False)
        words = ["run", "-m", path, "--raw", "--json", "--temp", "0", "hello"]
        made = json.loads(self.expect_done(mote(*words, "-n", "5")).out)
        self.assertEqual((made["finish"], made["tokens"]), ("length", 5))
        full = json.loads(self.expect_done(mote(*words, "--ctx", "40")).out)
        self.assertEqual(full["finish"], "context")
        text = next((c for c in full["text"] if c.isascii() and c.isprintable()), None)
        if text is not None:
            stopped = json.loads(self.expect_done(mote(*words, "--ctx", "40", "--stop", text)).out)
            self.assertEqual(stopped["finish"], "stop")
            self.assertEqual(stopped["text"], full["text"][:full["text"].index(text)])

    def test_seed_repeats(self):
        words = ["run", "-q", "-m", self.model(), "-n", "40", "--temp", "1", "--logit-bias", f"{IM_END}=-10000", "x"]
        one, same, other = (self.expect_done(mote(*words, "--seed", seed)).raw for seed in (1, 1, 2))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        unseeded = {self.expect_done(mote(*words)).raw for _ in range(3)}
        self.assertGreater(len(unseeded), 1)
        self.assertEqual(mote(*words, "--temp", "0", "--seed", "1").raw, mote(*words, "--temp=0", "--seed", "2").raw)

    def test_sampling_options_are_heard(self):
        words = ["run", "-q", "-m", self.model(), "-n", "40", "--seed", "1", "--temp", "1"]
        plain = self.expect_done(mote(*words, "hello")).raw
        greedy = self.expect_done(mote(*words, "--temp", "0", "hello")).raw
        self.assertNotEqual(plain, greedy)
        self.assertEqual(self.expect_done(mote(*words, "--top-k", "1", "hello")).raw, greedy)
        self.assertEqual(self.expect_done(mote(*words, "--logit-bias", "65=10000", "hello")).out, "A" * 40 + "\n")
        for option in ("--top-p=0.5", "--min-p=0.2", "--typical-p=0.3", "--repeat-penalty=1.5", "--presence-penalty=1",
                       "--frequency-penalty=1", "--repeat-last-n=4", "--threads=1", "--batch=1", "--kv=f32", "--kv=q8", "--kv=q4"):
            self.expect_done(mote(*words, option, "hello"))
        self.expect_error(mote(*words, "--logit-bias", "99999=1", "hello"), 1)

    def test_same_text_however_it_is_computed(self):
        words = ["run", "-q", "-m", self.model(), "-n", "30", "--temp", "0", "--kv", "f32", "hello " * 20]
        texts = {self.expect_done(mote(*words, *more)).raw
                 for more in ([], ["--threads=1"], ["--threads=3"], ["--batch=1"], ["--batch=7"], ["--ctx=400"])}
        self.assertEqual(len(texts), 1)

    def test_system_message(self):
        path = self.model()
        count = lambda *words: json.loads(self.expect_done(
            mote("run", "--json", "-n1", "-m", path, *words, "hello")).out)["prompt_tokens"]
        self.assertGreater(count("--system", "Be brief."), count() + 9)

    def test_raw(self):
        path = self.model()
        count = lambda *words: json.loads(self.expect_done(
            mote("run", "--json", "-n1", "-m", path, *words)).out)["prompt_tokens"]
        self.assertEqual(count("--raw", "xyz"), 3)
        self.assertGreater(count("xyz"), 3)
        self.assertEqual(count("--raw", "<|im_end|>"), len("<|im_end|>"))
        self.assertEqual(count("--raw", "--special", "<|im_end|>"), 1)

    def test_model_without_a_chat_format(self):
        path = self.model(chat=False)
        spoken = mote("run", "-m", path, "-n1", "xyz")
        self.assertEqual(spoken.status, 0)
        self.assertIn("no chat format", spoken.err)
        self.assertNotIn("no chat format", self.expect_done(mote("run", "--raw", "-m", path, "-n1", "xyz")).err)
        self.expect_error(mote("run", "-m", path, "--system", "x", "y"), 1, "--system")
        self.expect_error(mote("chat", "-m", path, stdin="hello\n"), 1, "no chat format")

    def test_odd_names(self):
        path = self.path("-odd name\n日本.gguf", tiny_model())
        self.expect_done(mote("run", "-n1", "--model=" + path, "x"))
        here = mote("run", "-n1", "-m", "./-odd name\n日本.gguf", "x", cwd=self.folder)
        self.expect_done(here)

    def test_hostile_locale(self):
        for locale in ("C", "de_DE.UTF-8", "nonsense", ""):
            result = mote("run", "--temp", "0.5", "turn on the lamp", env=environment(LC_ALL=locale, LANG=locale))
            self.expect_done(result)
        self.expect_done(mote("run", "turn on the lamp", env={}))


if __name__ == "__main__":
    main()
