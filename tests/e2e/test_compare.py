#!/usr/bin/env python3
"""bench/compare against made-up peers: ratios that are known, both dialects of llama-bench, and everything that can be
wrong with a program whose path was given."""
import json
import os
import subprocess
import sys

from e2e_support import MOTE, PATIENCE, SOURCE, Case, Result, environment, main, tiny_model

# Says what llama-bench says. HELP, RATE, FAIL and SAY come from the environment; the words it was given go to LOG.
PEER = """#!{python}
import json, os, sys
words = sys.argv[1:]
with open(os.environ["LOG"], "a") as log:
    print(*words, file=log)
if "--help" in words:
    sys.exit(print(os.environ.get("HELP", "  -p, --n-prompt <n>\\n  -d, --n-depth <n>\\n")))
if os.environ.get("FAIL"):
    print("noise", file=sys.stderr)
    print("error: failed to load model", file=sys.stderr)
    sys.exit(int(os.environ["FAIL"]))
if "SAY" in os.environ:
    sys.exit(print(os.environ["SAY"]))
given = dict((a, b) for a, b in zip(words, words[1:]) if a in ("-p", "-n", "-d", "-r"))
rates = [float(os.environ.get("RATE", "100"))] * int(given["-r"])
def record(prompt, gen, **more):
    return {{"n_prompt": prompt, "n_gen": gen, "avg_ts": rates[0], "samples_ts": rates, **more}}
records = []
for depth in given.get("-d", "0").split(","):
    more = {{"n_depth": int(depth)}} if "-d" in given else {{}}
    records += [record(int(p), 0, test="pp" + p, **more) for p in given["-p"].split(",") if p != "0"]
    records += [record(0, int(n), test="tg" + n, **more) for n in given["-n"].split(",") if n != "0"]
for at, word in enumerate(words):
    if word == "-gp":
        depth, gen = words[at + 1].split(",")
        records.append(record(int(depth), int(gen), test=f"tg{{gen}}@pp{{depth}}"))
print("it talks before it prints")
print(json.dumps(records, indent=2))
"""
OLD_HELP = "  -p, --n-prompt <n>\n  -gp <pp,tg>\n"  # ik_llama.cpp


class Compare(Case):
    def setUp(self):
        super().setUp()
        self.log = self.path("log")
        self.peer = self.script("peer", PEER.format(python=sys.executable))
        self.model = self.path("tiny.gguf", tiny_model())

    def script(self, name, text):
        path = self.path(name, text.encode())
        os.chmod(path, 0o755)
        return path

    def compare(self, *words, quick=True, **changes):
        words = [os.path.join(SOURCE, "bench", "compare"), "--mote", MOTE, *words]
        if quick:
            words += ["-p", "8", "-n", "2", "-r", "1", "-t", "1"]
        done = subprocess.run(words, capture_output=True, timeout=PATIENCE * 2,
                              env=environment(LOG=self.log, **changes))
        return Result(done.returncode, done.stdout, done.stderr)

    def calls(self):
        with open(self.log, encoding="utf-8") as log:
            return [line for line in log.read().splitlines() if "--help" not in line]

    def fails(self, *words, says=(), **changes):
        result = self.compare(*words, **changes)
        self.assertEqual(result.status, 1, result)
        self.assertEqual(len(result.err.splitlines()), 1, result)
        self.assertTrue(result.err.startswith("bench/compare: "), result)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, result.err)
        self.assertNotIn("Traceback", result.err)

    def test_ratios(self):
        rows = json.loads(self.expect_done(self.compare(self.peer, self.model, "--json", "--rounds", "2")).out)
        self.assertEqual([row["test"] for row in rows], ["pp8", "tg2"])
        for row in rows:
            self.assertEqual((row["peer_ts"], len(row["peer_samples_ts"]), len(row["mote_samples_ts"])), (100, 2, 2))
            self.assertAlmostEqual(row["ratio"], row["mote_ts"] / 100)
            self.assertLessEqual(row["ratio_low"], row["ratio_high"])
        self.assertEqual(len(self.calls()), 2)

    def test_table(self):
        said = self.expect_done(self.compare(self.peer, self.model, "--rounds", "1", RATE="0.5")).out.splitlines()
        self.assertEqual([cell.strip() for cell in said[0].strip("|").split("|")],
                         ["file", "test", "mote t/s", "peer t/s", "ratio", "rounds"])
        self.assertEqual(len(said), 4)
        self.assertIn("tiny.gguf", said[2])
        self.assertEqual(said[3].split("|")[4].strip(), "0.50")

    def test_depths(self):
        rows = json.loads(self.compare(self.peer, self.model, "--json", "--rounds", "1", "-d", "0,16").out)
        self.assertEqual([row["test"] for row in rows], ["pp8", "tg2", "pp8 @ d16", "tg2 @ d16"])

    def test_a_peer_without_depths(self):
        result = self.compare(self.peer, self.model, "--json", "--rounds", "1", "-d", "0,16", HELP=OLD_HELP)
        self.assertEqual([row["test"] for row in json.loads(result.out)], ["pp8", "tg2", "tg2 @ d16"])
        self.assertIn("pp8 @ d16: the peer has no such test", result.err)
        self.assertTrue(self.calls()[1].endswith("-p 0 -n 0 -gp 16,2"), self.calls())

    def test_more_options_for_the_peer(self):
        self.expect_done(self.compare(self.peer, self.model, "--rounds", "1", "--peer-args=-fa 1 -x 'a b'"))
        self.assertIn("-fa 1 -x a b", self.calls()[0])

    def test_wrong_paths(self):
        self.fails(self.path("nothing"), self.model, says="is no file; give the path of a built llama-bench")
        self.fails(self.folder, self.model, says="is no file")
        self.fails(self.path("plain", b"x"), self.model, says="cannot be run: Permission denied")
        self.fails(self.script("other", "#!/bin/sh\necho hello\n"), self.model, says="knows no --n-prompt")
        self.fails(self.peer, self.path("none.gguf"), says="none.gguf is no file")
        self.fails(self.peer, self.model, "--mote", "/nonexistent/mote", says="build mote with ./do build")

    def test_peers_that_fail(self):
        self.fails(self.peer, self.model, FAIL="3", says=("ended with status 3", "error: failed to load model"))
        self.fails(self.peer, self.model, SAY="no JSON at all", says="printed no JSON array")
        self.fails(self.peer, self.model, SAY="[{", says="printed no JSON array")
        self.fails(self.peer, self.model, SAY="[1]", says="printed no JSON array")
        self.fails(self.peer, self.model, SAY="[{}]", says="without n_prompt, n_gen or avg_ts")
        self.fails(self.peer, self.model, SAY="[]", says="no test in common")
        self.fails(self.peer, self.model, RATE="0", says="cannot be compared")

    def test_a_file_that_neither_reads(self):
        self.fails(self.peer, self.path("bad.gguf", b"nonsense"), FAIL="1",
                   says=("bad.gguf: neither program can measure it", "failed to load model", "is no GGUF file"))

    def test_a_bad_file_among_good_ones(self):
        result = self.compare(self.peer, self.path("bad.gguf", b"nonsense"), self.model, "--json", "--rounds", "1")
        self.assertEqual(result.status, 1)
        self.assertEqual([row["test"] for row in json.loads(result.out)], ["pp8", "tg2"])
        self.assertIn("bad.gguf", result.err)

    def test_usage(self):
        for words in (["-p", "x"], ["-n", "1,,2"], ["-d", "-1"], ["-r", "0"], ["--rounds", "0"], ["-t", "0"],
                      ["--peer-args", "'"], ["--nonsense"]):
            result = self.compare(self.peer, self.model, *words, quick=False)
            self.assertEqual(result.status, 2, result)
            self.assertIn("error:", result.err)
            self.assertEqual(result.out, "")
        self.assertEqual(self.compare(quick=False).status, 2)
        self.assertIn("PEER_BENCH", self.compare("--help", quick=False).out)


if __name__ == "__main__":
    main()
