#!/usr/bin/env python3
"""mote bench: llama-bench's keys and columns in its order, lists that multiply, and mistakes in one line."""
import csv
import io
import json
import os
import signal
import statistics
import subprocess

from e2e_support import MOTE, PATIENCE, Case, environment, main, mote, tiny_model

# llama-bench's columns in its order, those that mote has too.
SHARED = ["build_commit", "cpu_info", "backends", "model_filename", "model_type", "model_size", "model_n_params",
          "n_batch", "n_ubatch", "n_threads", "type_k", "type_v", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns",
          "stddev_ns", "avg_ts", "stddev_ts"]
SAMPLES = ["samples_ns", "samples_ts"]
OWN = ["n_parallel", "read_percent", "int8_percent", "peak_memory", "machine_cache", "machine_read_rate",
       "machine_int8_rate", "cold", "warmup", "governor", "load_before"]
TEXTS = {"build_commit", "cpu_info", "backends", "model_filename", "model_type", "type_k", "type_v", "test_time",
         "governor"}
WHOLE = {"model_size", "model_n_params", "n_batch", "n_ubatch", "n_threads", "n_prompt", "n_gen", "n_depth", "avg_ns",
         "stddev_ns", "n_parallel", "machine_cache"}
SMALL = ["-p", "8", "-n", "3", "-r", "2"]


class Bench(Case):
    def records(self, *words):
        return json.loads(self.expect_done(mote("bench", "-o", "json", *words)).out)

    def planned(self, *words):
        return [(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in self.records("-r", "1", *words)]

    def test_json_keys_and_types(self):
        records = self.records(*SMALL)
        self.assertEqual(len(records), 2)
        for record in records:
            self.assertEqual([key for key in record if key in SHARED], SHARED)
            self.assertEqual(set(record), {*SHARED, *OWN, *SAMPLES})
            for key in TEXTS:
                self.assertIsInstance(record[key], str, key)
            for key in WHOLE:
                self.assertIsInstance(record[key], int, key)
            self.assertRegex(record["test_time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual(record["model_filename"], "built-in")
            self.assertGreater(record["machine_read_rate"], 0)
            self.assertGreater(record["machine_int8_rate"], 0)
        prompt, answer = records
        self.assertGreater(prompt["int8_percent"], 0)
        self.assertIsNone(prompt["read_percent"])
        self.assertGreater(answer["read_percent"], 0)
        self.assertIsNone(answer["int8_percent"])
        self.assertEqual((prompt["n_prompt"], prompt["n_gen"]), (8, 0))
        self.assertEqual((answer["n_prompt"], answer["n_gen"]), (0, 3))

    def test_statistics_are_of_the_samples(self):
        for record in self.records("-p", "8", "-n", "2", "-r", "4", "--parallel", "2"):
            tokens = (record["n_prompt"] + record["n_gen"]) * record["n_parallel"]
            self.assertEqual(len(record["samples_ns"]), 4)
            for ns, rate in zip(record["samples_ns"], record["samples_ts"]):
                self.assertAlmostEqual(rate / (tokens * 1e9 / ns), 1, 4)
            self.assertAlmostEqual(record["avg_ns"] / statistics.mean(record["samples_ns"]), 1, 4)
            self.assertAlmostEqual(record["avg_ts"] / statistics.mean(record["samples_ts"]), 1, 4)
            self.assertAlmostEqual(record["stddev_ts"] / statistics.stdev(record["samples_ts"]), 1, 3)
        for record in self.records("-p", "8", "-n", "0", "-r", "1"):
            self.assertEqual((record["stddev_ns"], record["stddev_ts"]), (0, 0))

    def test_csv(self):
        rows = list(csv.reader(io.StringIO(self.expect_done(mote("bench", "-o", "csv", *SMALL)).out)))
        self.assertEqual(rows[0], SHARED + OWN)
        self.assertEqual([len(row) for row in rows], [len(rows[0])] * 3)
        answer = dict(zip(rows[0], rows[2]))
        self.assertEqual((answer["n_gen"], answer["int8_percent"], answer["cold"]), ("3", "", "0"))
        self.assertGreater(float(answer["avg_ts"]), 0)

    def test_json_lines(self):
        lines = self.expect_done(mote("bench", "-o", "jsonl", *SMALL)).out.splitlines()
        self.assertEqual([json.loads(line)["n_prompt"] for line in lines], [8, 0])

    def test_table(self):
        said = self.expect_done(mote("bench", *SMALL, "-d", "0,16", "--pg", "4,2")).out
        lines = said.splitlines()
        head = [cell.strip() for cell in lines[0].strip("|").split("|")]
        self.assertEqual(head[:7], ["model", "size", "params", "backend", "threads", "test", "t/s"])
        self.assertEqual(len({len(line) for line in lines[:8]}), 1, said)
        tests = [line.split("|")[6].strip() for line in lines[2:8]]
        self.assertEqual(tests, ["pp8", "tg3", "pp4+tg2", "pp8 @ d16", "tg3 @ d16", "pp4+tg2 @ d16"])
        self.assertRegex(lines[2], r"\| +\d+\.\d\d ± \d+\.\d\d \| +\d+% of int8 \|")
        self.assertRegex(lines[3], r"\| +\d+\.\d\d ± \d+\.\d\d \| +\d+% of reads \|")
        self.assertRegex(said, r"\d+ threads? reads? [\d.]+ GB/s from memory and reach(es)? \d+ Gop/s in int8")
        self.assertRegex(said, r"\ngovernor .*throttled, load \d")

    def test_lists_multiply(self):
        self.assertEqual(self.planned("-p", "4,8", "-n", "2", "-d", "0,5"),
                         [(4, 0, 0), (8, 0, 0), (0, 2, 0), (4, 0, 5), (8, 0, 5), (0, 2, 5)])
        self.assertEqual(self.planned("-p", "4", "-p", "8", "-n", "0"), [(4, 0, 0), (8, 0, 0)])
        self.assertEqual(self.planned("-p", "0", "-n", "0", "--pg", "4,2,6,3", "--pg", "0,1"),
                         [(4, 2, 0), (6, 3, 0), (0, 1, 0)])
        pairs = [(r["n_threads"], r["n_parallel"]) for r in
                 self.records("-p", "0", "-n", "2", "-t", "1,2", "--parallel", "1,3", "-r", "1")]
        most = min(2, len(os.sched_getaffinity(0)))
        self.assertEqual([parallel for _, parallel in pairs], [1, 3, 1, 3])
        self.assertTrue(all(1 <= threads <= most for threads, _ in pairs), pairs)

    def test_options_reach_the_engine(self):
        record, = self.records("-p", "8", "-n", "0", "-r", "1", "--kv", "f32", "-b", "4", "--no-warmup", "--cold")
        self.assertEqual((record["type_k"], record["type_v"], record["n_batch"]), ("f32", "f32", 4))
        self.assertEqual((record["warmup"], record["cold"], record["peak_memory"]), (False, True, None))

    def test_files(self):
        one, two = self.path("one.gguf", tiny_model(name="one")), self.path("two \"x\".gguf", tiny_model(name="two"))
        for words in (["-m", one, "-m", two], ["-m", one, two], [one, two]):
            self.assertEqual([r["model_filename"] for r in self.records("-p", "2", "-n", "0", "-r", "1", *words)],
                             [one, two])
        rows = list(csv.DictReader(io.StringIO(mote("bench", "-p2", "-n0", "-r1", "-o", "csv", two).out)))
        self.assertEqual(rows[0]["model_filename"], two)

    def test_peak_memory_is_each_tests_own(self):
        long, short = self.records("-p", "2000,2", "-n", "0", "-r", "1")
        if long["peak_memory"] is None or "emulated" in MOTE:
            self.skipTest("this system cannot begin a new peak")
        self.assertLess(short["peak_memory"], long["peak_memory"])
        self.assertGreater(short["peak_memory"], short["model_size"])

    def test_wrong_numbers(self):
        for option in ("-p", "-n", "-d", "--pg"):
            for value in ("", "x", "-1", "1.5", "1,", ",1", "1,,2", "1 2", "1048577", "99999999999", "1" * 400,
                          ",".join(["1"] * 17)):
                self.expect_error(mote("bench", option, value), 2, "wants at most 16 whole numbers from 0 to 1048576")
        for option in ("-t", "--parallel"):
            for value in ("0", "257", "1,0", "-1"):
                self.expect_error(mote("bench", option, value), 2, "from 1 to 256")
        for value in ("0", "-1", "10001", "x"):
            self.expect_error(mote("bench", "-r", value), 2, "--repetitions wants")
        self.expect_error(mote("bench", "-b", "0"), 2, "--batch wants")
        self.expect_error(mote("bench", "-o", "xml"), 2, "md|json|csv|jsonl")
        self.expect_error(mote("bench", "--kv", "q1"), 2, "--kv wants")

    def test_nothing_to_measure(self):
        self.expect_error(mote("bench", "-p", "0", "-n", "0"), 2, "nothing is left to measure")
        self.expect_error(mote("bench", "-p", "0,0", "-n", "0", "--pg", "0,0"), 2, "nothing is left to measure")
        self.expect_error(mote("bench", "--pg", "4"), 2, "--pg 512,128")
        self.expect_error(mote("bench", "--pg", "4,2,1"), 2, "--pg 512,128")

    def test_past_the_context(self):
        for words in (["-d", "100000"], ["-p", "1048576"], ["-n", "1048576"], ["--pg", "1048576,1048576"],
                      ["-p", "8", "-d", "0,2041", "-n", "0"]):
            result = mote("bench", *words)
            self.expect_error(result, 1, "built-in was made for a context of", "choose smaller numbers")
            self.assertEqual(result.out, "")
        self.assertEqual(self.planned("-p", "8", "-d", "2040", "-n", "0"), [(8, 0, 2040)])

    def test_bad_files_are_found_before_the_first_test(self):
        good, bad = self.path("good.gguf", tiny_model()), self.path("bad.gguf", b"GGUF but no more")
        for words in ([bad], [good, bad], [good, self.path("none.gguf")], [self.folder]):
            result = mote("bench", *SMALL, *words)
            self.expect_error(result, 1)
            self.assertEqual(result.out, "")
        self.expect_error(mote("bench", *["x"] * 17), 2, "one word too many")
        self.expect_error(mote("bench", "-m", ""), 2, "--model wants")

    def test_ctrl_c_keeps_what_was_measured(self):
        words = [MOTE, "bench", "-o", "jsonl", "-p", "4", "-n", "1500", "-r", "20"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(process.kill)
        first = [process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(json.loads(first[0])["n_prompt"], 4)
        self.assertEqual(out, b"")
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertRegex(err.decode(), r"mote: tg1500: stopped")

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            result = mote("bench", *SMALL, stdout=full)
        self.assertEqual(result.status, 1, result)
        self.assertIn("mote: cannot write to standard output", result.err)


if __name__ == "__main__":
    main()
