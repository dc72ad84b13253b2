#!/usr/bin/env python3
"""mote eval and mote imatrix: the figures are those of sums written out here over mote debug logits, a run that was killed
goes on as if it had not been, and bad files are told in one line."""
import json
import math
import os
import random
import signal
import struct
import subprocess

from e2e_support import IM_START, MOTE, SOURCE, VOCABULARY, Case, environment, main, mote, tiny_model, wait_for

WINDOW = 32


def prose(count, seed=1):
    """A text of so many words."""
    chance = random.Random(seed)
    words = ["hello", "the", "lamp", "kitchen", "turn", "on", "shell", "heel", "1", "27", "caf\u00e9", "\n"]
    return " ".join(chance.choice(words) for _ in range(count)).encode()


def log_softmax(row):
    top = max(row)
    total = top + math.log(math.fsum(math.exp(x - top) for x in row))
    return [x - total for x in row]


class Evaluation(Case):
    def setUp(self):
        super().setUp()
        self.model = self.path("q8.gguf", tiny_model(q8_0=True))
        self.exact_model = self.path("f32.gguf", tiny_model())

    def lines(self, name, *objects):
        return self.path(name, "".join(json.dumps(o) + "\n" for o in objects).encode())

    def eval(self, *words, model=None):
        done = self.expect_done(mote("eval", "-m", model or self.model, "--json", "--kv", "f32", *words))
        return json.loads(done.out)

    def ids(self, text, model=None):
        path = self.path("to-tokenize", text if isinstance(text, bytes) else text.encode())
        return json.loads(self.expect_done(mote("tokenize", "-m", model or self.model, "--json", "--file", path)).out)

    def rows(self, ids, model=None):
        """What the model says after each of the ids: logarithms of probabilities."""
        self.expect_done(mote("debug", "logits", "-m", model or self.model, "-o", self.path("logits"), "--ids",
                              self.path("ids", " ".join(map(str, ids)).encode())))
        with open(self.path("logits"), "rb") as file:
            floats = struct.unpack(f"<{VOCABULARY * len(ids)}f", file.read())
        return [log_softmax(floats[i:i + VOCABULARY]) for i in range(0, len(floats), VOCABULARY)]


class Text(Evaluation):
    def windows(self, ids):
        return [ids[i:i + WINDOW] for i in range(0, len(ids) - WINDOW + 1, WINDOW)]

    def losses(self, windows, model=None):
        losses = []
        for window in windows:
            rows = self.rows(window, model)
            losses += [-rows[i][window[i + 1]] for i in range(WINDOW // 2, WINDOW - 1)]
        return losses

    def expect_perplexity(self, found, losses):
        mean = math.fsum(losses) / len(losses)
        variance = math.fsum(x * x for x in losses) / len(losses) - mean * mean
        self.assertEqual(found["tokens"], len(losses))
        self.assertAlmostEqual(found["perplexity"] / math.exp(mean), 1, delta=1e-6)
        self.assertAlmostEqual(found["perplexity_error"] / (math.exp(mean) * math.sqrt(variance / (len(losses) - 1))), 1,
                               delta=1e-5)

    def test_perplexity_by_its_definition(self):
        text = prose(60)
        path = self.path("text", text)
        windows = self.windows(self.ids(text))
        self.assertGreater(len(windows), 3)
        found = self.eval("--text", path, "--ctx", WINDOW)
        self.expect_perplexity(found, self.losses(windows))
        self.assertEqual((found["windows"], found["context"]), (len(windows), WINDOW))
        few = self.eval("--text", path, "--ctx", WINDOW, "--chunks", 2)
        self.expect_perplexity(few, self.losses(windows[:2]))
        told = self.expect_done(mote("eval", "-m", self.model, "--kv", "f32", "--ctx", WINDOW, "--text", path)).out
        self.assertIn(f"{found['perplexity']:.4f} \u00b1 {found['perplexity_error']:.4f}", told)

    def test_windows_begin_as_a_text_begins(self):
        model = self.path("begin.gguf", tiny_model(q8_0=True, begin=True))
        text = prose(60)
        ids = [IM_START] + self.ids(text, model)
        windows = [[IM_START] + window[1:] for window in self.windows(ids)]
        self.expect_perplexity(self.eval("--text", self.path("text", text), "--ctx", WINDOW, model=model),
                               self.losses(windows, model))

    def test_neither_batch_nor_threads_matter(self):
        path = self.path("text", prose(100))
        one = self.eval("--text", path, "--ctx", WINDOW)
        self.assertEqual(self.eval("--text", path, "--ctx", WINDOW, "--batch", 5, "--threads", 2), one)

    def test_divergence_by_its_definition(self):
        text = prose(60)
        found = self.eval("--text", self.path("text", text), "--ctx", WINDOW, "--ref", self.exact_model)["reference"]
        divergences, same = [], 0
        for window in self.windows(self.ids(text)):
            for q, p in list(zip(self.rows(window), self.rows(window, self.exact_model)))[WINDOW // 2:WINDOW - 1]:
                divergences.append(math.fsum(math.exp(x) * (x - y) for x, y in zip(p, q)))
                same += p.index(max(p)) == q.index(max(q))
        divergences.sort()
        self.assertAlmostEqual(found["divergence"]["mean"], sum(divergences) / len(divergences), delta=1e-6)
        self.assertAlmostEqual(found["divergence"]["most"], divergences[-1], delta=1e-6)
        self.assertAlmostEqual(found["same_token"], same / len(divergences), delta=1e-9)
        self.assertLess(found["divergence"]["median"], found["divergence"]["p99"])
        self.assertGreater(found["divergence"]["mean"], 0)

    def test_a_model_does_not_diverge_from_itself(self):
        path = self.path("text", prose(60))
        for words in (("--ref", self.model), ("--ref-kv", "f32")):
            found = self.eval("--text", path, "--ctx", WINDOW, *words)
            self.assertEqual(set(found["reference"]["divergence"].values()), {0.0})
            self.assertEqual(found["reference"]["same_token"], 1.0)
            self.assertEqual(found["reference"]["perplexity"], found["perplexity"])
        self.assertGreater(self.eval("--text", path, "--ctx", WINDOW, "--ref-kv", "q4")["reference"]["divergence"]["mean"], 0)

    def test_texts_that_are_too_short(self):
        for content in (b"", b"hello"):
            self.expect_error(mote("eval", "-m", self.model, "--text", self.path("text", content)), 1, "longer text")
        self.expect_error(mote("eval", "-m", self.model, "--text", self.path("none")), 1, "cannot open")

    def test_another_vocabulary(self):
        self.expect_error(mote("eval", "--text", self.path("text", prose(600)), "--ref", self.model), 1, "one vocabulary")

    def test_words_that_do_not_go_together(self):
        for words in ((), ("--text", "a", "--exact", "b"), ("--choices", "a", "--ref", "b"), ("--exact", "a", "--chunks", 3),
                      ("--text", "a", "--raw"), ("--exact", "a", "--raw", "--system", "b"), ("--text", "a", "--chunks", 0)):
            self.expect_error(mote("eval", *words), 2)

    # -------------------------------------------------------------------------------------------------------- resuming

    def long_run(self):
        """A text that takes some seconds, and the words that evaluate it."""
        with open(os.path.join(SOURCE, "README.md"), "rb") as file:
            text = self.path("long", file.read() * 6)
        return ["--text", text, "--json", "--ctx", "256", "--threads", "1"]

    def begun(self, words, state):
        """The program in the midst of it, its first state written."""
        process = subprocess.Popen([MOTE, "eval", *words, "--resume", state], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=environment())
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_for(lambda: os.path.exists(state), "the first state")
        return process

    def test_killed_and_taken_up_again(self):
        words, state = self.long_run(), self.path("state")
        process = self.begun(words, state)
        process.kill()
        process.wait()
        with open(state, "rb") as file:
            done = json.load(file)["done"]
        self.assertGreater(done, 0)
        expected = self.expect_done(mote("eval", *words)).out
        self.assertLess(done, json.loads(expected)["windows"])
        self.assertEqual(self.expect_done(mote("eval", *words, "--resume", state)).out, expected)
        self.assertEqual(self.expect_done(mote("eval", *words, "--resume", state)).out, expected)  # from a whole one

    def test_stopped_and_taken_up_again(self):
        words, state = self.long_run(), self.path("state")
        process = self.begun(words, state)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
        self.assertEqual(process.wait(), -signal.SIGINT)
        self.assertRegex(told, r"^mote: stopped after \d+ of \d+ windows; run again to go on\n$")
        self.assertEqual(self.expect_done(mote("eval", *words, "--resume", state)).out,
                         self.expect_done(mote("eval", *words)).out)

    def test_states_that_are_none(self):
        path, state = self.path("text", prose(60)), self.path("state")
        words = ["--text", path, "--ctx", WINDOW, "--resume", state]
        self.eval(*words)
        with open(state, "rb") as file:
            sound = file.read()
        self.expect_error(mote("eval", "-m", self.model, *words, "--kv", "q8"), 1, "another evaluation")
        self.expect_error(mote("eval", "-m", self.exact_model, *words, "--kv", "f32"), 1, "another evaluation")
        root = json.loads(sound)
        spoilt = [b"", b"{}", b"[1]", sound[:-20]]
        for key, value in (("done", -1), ("done", 10 ** 15), ("done", 0), ("version", 2), ("columns", []), ("columns", {}),
                           ("columns", [["x"]]), ("columns", [root["columns"][0][:-1]]), ("columns", root["columns"] * 2)):
            spoilt.append(json.dumps({**root, key: value}).encode())
        for content in spoilt:
            self.path("state", content)
            self.expect_error(mote("eval", "-m", self.model, *words, "--kv", "f32"), 1, "state")
            with open(state, "rb") as file:
                self.assertEqual(file.read(), content)  # kept
        self.expect_error(mote("eval", "-m", self.model, "--text", path, "--ctx", WINDOW, "--resume",
                               self.path("none/state")), 1, "cannot write")


class Lines(Evaluation):
    QUESTIONS = (("hello hello", ["the lamp", "27", "on and on and on"]), ("turn on", ["x", "the kitchen lamp", "hell"]),
                 ("1 2 3", ["4", "five", "shell shell"]), ("", ["caf\u00e9", "the"]), ("he", ["ll", "el", "11"]))

    def scores(self, context, endings):
        before, sums = self.ids(context) if context else [], []
        for ending in endings:
            ids = self.ids(context + " " + ending)
            common = len(os.path.commonprefix([before, ids])) or 1
            rows = self.rows(ids)
            sums.append(math.fsum(rows[i - 1][ids[i]] for i in range(common, len(ids))))
        return sums, [total / len(ending.encode()) for total, ending in zip(sums, endings)]

    def test_likelihoods_by_their_definition(self):
        for key, measure in (("accuracy", 0), ("accuracy_by_byte", 1)):
            right, wrong = [], []
            for context, endings in self.QUESTIONS:
                scores = self.scores(context, endings)[measure]
                right.append({"ctx": context, "endings": endings, "label": scores.index(max(scores))})
                wrong.append({"ctx": context, "endings": endings, "label": str(scores.index(min(scores)))})
            self.assertEqual(self.eval("--choices", self.lines("right", *right))[key], 1)
            self.assertEqual(self.eval("--choices", self.lines("wrong", *wrong))[key], 0)
            found = self.eval("--choices", self.lines("both", *right, *wrong))
            self.assertEqual((found[key], found["questions"]), (0.5, 10))
            self.assertAlmostEqual(found["chance"], (4 / 3 + 1 / 2) / 5, delta=1e-9)

    def test_layouts_say_the_same(self):
        question, texts, letters = "Which lamp?", ["the kitchen lamp", "hell", "1"], ["A", "B", "C"]
        arc = "Question: Which lamp?\nAnswer:"
        mmlu = "Which lamp?" + "".join(f"\n{a}. {b}" for a, b in zip(letters, texts)) + "\nAnswer:"
        for context, endings, layouts in (
            (arc, texts, lambda i: [
                {"question": {"stem": question, "choices": [{"text": t, "label": l} for t, l in zip(texts, "123")]},
                 "answerKey": "123"[i]},
                {"question": question, "choices": {"text": texts, "label": letters}, "answerKey": letters[i]}]),
            (mmlu, letters, lambda i: [
                {"question": question, "choices": texts, "answer": i},
                {"question": question, "choices": texts, "answer": letters[i], "subject": "lamps"}])):
            for i in range(3):
                plain = {"ctx": context, "endings": endings, "label": i}
                found = [self.eval("--choices", self.lines("one", layout)) for layout in (plain, *layouts(i))]
                self.assertEqual(found[0], found[1])
                self.assertEqual(found[0], found[2])

    def test_exact_answers(self):
        prompts = ("turn on the kitchen lamp", "close the gate")
        answers = [self.expect_done(mote("run", "-q", "--temp", "0", prompt)).out for prompt in prompts]
        path = self.lines("exact", {"prompt": prompts[0], "answer": answers[0] + " \n"},
                          {"prompt": prompts[1], "answer": ["no", " \t" + answers[1].strip()]},
                          {"prompt": prompts[1], "answer": answers[1].strip() + "!"}, {"prompt": "x", "answer": ""})
        told = json.loads(self.expect_done(mote("eval", "--json", "--exact", path)).out)
        self.assertEqual((told["exact"], told["prompts"]), (0.5, 4))
        told = json.loads(self.expect_done(mote("eval", "--json", "-n", 1, "--exact", path)).out)
        self.assertEqual(told["exact"], 0)

    def test_stop_texts_and_raw_prompts(self):
        answer = self.expect_done(mote("run", "-q", "--temp", "0", "--raw", "-n", "8", "-m", self.exact_model, "hello")).raw
        path = self.path("exact", b'{"prompt": "hello", "answer": ""}\n')
        self.assertEqual(self.eval("--exact", path, "--raw", "-n", 8, model=self.exact_model)["exact"], float(not answer.strip()))
        prompt = "turn on the kitchen lamp"
        begin = self.expect_done(mote("run", "-q", "--temp", "0", "--stop", ",", prompt)).out
        path = self.lines("stop", {"prompt": prompt, "answer": begin})
        told = json.loads(self.expect_done(mote("eval", "--json", "--stop", ",", "--exact", path)).out)
        self.assertEqual(told["exact"], 1)

    def test_lines_that_are_wrong(self):
        good = {"ctx": "a", "endings": ["b", "c"], "label": 0}
        arc = {"question": "a", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": "A"}
        mmlu = {"question": "a", "choices": ["b", "c"], "answer": 0}
        bad = [{}, {"x": 1}, {**good, "label": 2}, {**good, "label": -1}, {**good, "label": ""}, {**good, "label": None},
               {**good, "label": 1.0}, {**good, "label": 10 ** 17}, {**good, "endings": ["b"]}, {**good, "endings": ["b", 3]},
               {**good, "endings": ["b", ""]}, {**good, "endings": {}}, {**good, "endings": ["b"] * 27}, {**good, "ctx": 5},
               {**arc, "answerKey": "C"}, {**arc, "answerKey": 0}, {**arc, "question": 3}, {**arc, "choices": {"text": "bc"}},
               {"question": {"stem": "a", "choices": [{"text": "b"}, {"label": "B"}]}, "answerKey": "B"},
               {"question": {"choices": [{"text": "b", "label": "A"}, {"text": "c", "label": "B"}]}, "answerKey": "B"},
               {**mmlu, "answer": "C"}, {**mmlu, "answer": "AB"}, {**mmlu, "choices": "ab"}, {**mmlu, "question": None}]
        for one in bad:
            path = self.lines("bad", good, one)
            self.expect_error(mote("eval", "-m", self.model, "--choices", path), 1, f"{path}:2: ")
        exact = {"prompt": "a", "answer": "b"}
        for one in ({}, {"prompt": "a"}, {"prompt": "", "answer": "b"}, {"prompt": 1, "answer": "b"}, {**exact, "answer": []},
                    {**exact, "answer": [1]}, {**exact, "answer": 1}, {**exact, "answer": None}):
            path = self.lines("bad", exact, one)
            self.expect_error(mote("eval", "-m", self.model, "--exact", path), 1, f"{path}:2: ")
        sound = json.dumps(good).encode()
        for text in (b"{", sound[:-1], b"[]", b'"text"', sound + b"}", b"\x00" + sound, b"\xff\xfe", b"[" * 100000,
                     b'{"ctx": "' + b"x" * (2 << 20) + b'"}', b'{"ctx": "a", "ctx": "b"}', b'{"ctx": "\\u0000"}'):
            path = self.path("bad", b"\n" + sound + b"\r\n\n" + text + b"\n")
            self.expect_error(mote("eval", "-m", self.model, "--choices", path), 1, f"{path}:4: ")
        for text in (b"", b"\n \n\t\r\n"):
            self.expect_error(mote("eval", "-m", self.model, "--choices", self.path("bad", text)), 1, "holds no lines")

    def test_lines_that_do_not_fit_the_context(self):
        path = self.lines("long", {"ctx": "hello " * 50, "endings": ["b", "c"], "label": 0})
        self.expect_error(mote("eval", "-m", self.model, "--choices", path, "--ctx", 64), 1, ":1: ", "--ctx")
        path = self.lines("long", {"prompt": "hello " * 50, "answer": "x"})
        self.expect_error(mote("eval", "-m", self.model, "--exact", path, "--ctx", 64), 1, ":1: ")


class Imatrix(Evaluation):
    def imatrix(self, *words, model=None):
        return mote("imatrix", "-m", model or self.model, "--text", self.path("text", prose(100)), "-o", self.path("out"),
                    "--ctx", WINDOW, *words)

    def test_the_same_bytes_every_time(self):
        contents = set()
        for threads in (1, 2):
            self.expect_done(self.imatrix("--force", "--threads", threads))
            with open(self.path("out"), "rb") as file:
                contents.add(file.read())
        self.assertEqual(len(contents), 1)
        content = contents.pop()
        for part in (b"imatrix.chunk_count", b"imatrix.datasets", b"blk.0.ffn_down.weight.in_sum2",
                     b"blk.0.ffn_down.weight.counts", b"output.weight.in_sum2"):
            self.assertIn(part, content)
        self.expect_error(self.imatrix(), 1, "exists")

    def test_refusals(self):
        self.expect_error(mote("imatrix", "--text", self.path("text", b"x")), 2, "--out FILE is missing")
        self.expect_error(mote("imatrix", "-o", self.path("out")), 2, "--text FILE is missing")
        self.expect_error(mote("imatrix", "--text", self.path("text", b""), "-o", self.path("out")), 1, "longer text")
        self.expect_error(mote("imatrix", "--text", self.path("none"), "-o", self.path("out")), 1, "cannot open")
        self.expect_error(self.imatrix(model=self.path("bad", b"GGUF")), 1, "bad")
        self.assertFalse(os.path.exists(self.path("out")))


if __name__ == "__main__":
    main()
