#!/usr/bin/env python3
"""mote tokenize: ids of a text, exactly its own, from a vocabulary alone too."""
import json

from e2e_support import IM_END, IM_START, Case, gguf, main, mote, tiny_model, vocabulary


class Tokenize(Case):
    def vocabulary(self):
        return self.path("vocabulary.gguf", gguf(vocabulary()))

    def ids(self, *words, **options):
        return json.loads(self.expect_done(mote("tokenize", "-m", self.vocabulary(), "--json", *words, **options)).out)

    def test_text_from_everywhere(self):
        self.assertEqual(self.ids("hello"), [258, 259, ord("o")])
        self.assertEqual(self.ids(stdin="hello"), [258, 259, ord("o")])
        self.assertEqual(self.ids("-", stdin="hello"), [258, 259, ord("o")])
        self.assertEqual(self.ids("--file", self.path("text", b"hello")), [258, 259, ord("o")])
        self.assertEqual(self.ids(stdin="hello\n"), [258, 259, ord("o"), ord("\n")])
        self.assertEqual(self.ids(""), [])
        self.assertEqual(self.ids(stdin=""), [])

    def test_any_bytes(self):
        for given in (bytes(range(256)), b"a\0b", "日本語 🙂".encode(), b"\xff" * 100):
            self.assertEqual(bytes(self.ids(stdin=given)), given)
            self.assertEqual(bytes(self.ids("--file", self.path("text", given))), given)

    def test_control_tokens_stay_text_unless_asked(self):
        given = "<|im_start|>he<|im_end|>"
        self.assertEqual(self.ids("--special", given), [IM_START, 258, IM_END])
        self.assertNotIn(IM_START, self.ids(given))

    def test_same_ids_with_weights(self):
        whole = self.path("whole.gguf", tiny_model())
        self.assertEqual(json.loads(mote("tokenize", "--json", "-m", whole, "hello").out), [258, 259, ord("o")])

    def test_lines(self):
        lines = self.expect_done(mote("tokenize", "-m", self.vocabulary(), "hell語")).raw
        self.assertEqual(lines, "258\the\n259\tll\n232\t\n170\t\n158\t語\n".encode())
        cut = self.expect_done(mote("tokenize", "-m", self.vocabulary(), stdin=b"a\xe8\xaa")).out
        self.assertEqual(cut, "97\ta\n232\t\n170\t\ufffd\n")

    def test_lines_cannot_command_a_terminal(self):
        out = self.expect_done(mote("tokenize", "-m", self.vocabulary(), "\x1b\n\x07")).out
        self.assertEqual(out, "27\t\\x1b\n10\t\\x0a\n7\t\\x07\n")

    def test_long_text(self):
        self.assertEqual(len(self.ids(stdin=b"x" * (1 << 20))), 1 << 20)

    def test_missing_file(self):
        self.expect_error(mote("tokenize", "--file", self.path("missing")), 1, "missing", "check the name")
        self.expect_error(mote("tokenize", "--file", self.folder), 1, "directory")

    def test_built_in_vocabulary(self):
        self.assertGreater(len(json.loads(self.expect_done(mote("tokenize", "--json", "turn on the lamp")).out)), 0)


if __name__ == "__main__":
    main()
