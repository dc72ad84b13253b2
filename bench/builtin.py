#!/usr/bin/env python3
"""Times the built-in model on this machine: bench/builtin.py PROGRAM

Each prompt is answered several times, in a new process each time, greedily. The table shows medians, with the spread
of the middle half of the runs, so that a noisy machine is seen to be one.
"""
import json
import os
import platform
import statistics
import subprocess
import sys

RUNS = 9
WORDS = "the pump in the north hall has been running since the early morning and the pressure is steady "
PROMPTS = [("a command", "turn on the kitchen light", []), ("a long text", WORDS * 12, ["--tokens", "64"])]
COLUMNS = [
    ("load", "load_seconds", 1e3, "ms"),
    ("first token", "first_token_seconds", 1e3, "ms"),
    ("prefill", "prefill_tokens_per_second", 1, "tok/s"),
    ("decode", "decode_tokens_per_second", 1, "tok/s"),
    ("peak memory", "peak_memory_bytes", 1 / 2**20, "MiB"),
]


def processor():
    """The processor's name, as the kernel or the device tree tells it."""
    for path, key in (("/proc/cpuinfo", "model name"), ("/proc/cpuinfo", "Model"), ("/proc/device-tree/model", "")):
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line.startswith(key):
                        return line.split(":", 1)[-1].strip(" \t\n\0")
        except OSError:
            continue
    return platform.machine()


def answer(program, prompt, options):
    command = [program, "run", "--json", "--temp", "0", *options, prompt]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout)


def figure(runs, key, factor):
    values = [run[key] * factor for run in runs]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    digits = 0 if middle >= 100 else 1
    return f"{middle:.{digits}f} ±{(high - low) / 2:.{digits}f}"


def main():
    program = sys.argv[1]
    version = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    print(f"{' '.join(version.split())}, built-in model")
    print(f"{processor()}, {len(os.sched_getaffinity(0))} processors, Linux {platform.release()}")
    print(f"median of {RUNS} runs ± half the interquartile range\n")
    print("".join(f"{title:>18}" for title in ["", "prompt"] + [name for name, *_ in COLUMNS]))
    print("".join(f"{unit:>18}" for unit in ["", "tokens"] + [unit for *_, unit in COLUMNS]))
    for name, prompt, options in PROMPTS:
        answer(program, prompt, options)  # brings the program's pages into memory
        runs = [answer(program, prompt, options) for _ in range(RUNS)]
        cells = [name, str(runs[0]["prompt_tokens"])] + [figure(runs, key, factor) for _, key, factor, _ in COLUMNS]
        print("".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
