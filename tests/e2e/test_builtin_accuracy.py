#!/usr/bin/env python3
"""The built-in model on phrasings it has not been trained on, through the whole program.

How good the model is, its card says (models/README.md). What is held here is that mote loses none of it: of the same
prompts it answers as many exactly right as the training framework does with the same weights (models/eval.json), and
every answer is one line of JSON with the keys of its skill."""
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from e2e_support import SOURCE, Case, main, mote

KEYS = {
    "intent-en": ["action", "device", "area", "value"],
    "intent-ja": ["action", "device", "area", "value"],
    "sensor": ["state", "cause", "advice"],
}
ROUNDING = 1  # prompts a skill whose answer may hang on the last bits of a sum


def answer(case):
    result = mote("run", "--json", "-n", "128", "--threads", "1", stdin=case["prompt"])
    return json.loads(result.out)["text"] if result.status == 0 else str(result)


class Accuracy(Case):
    def test_held_out_prompts(self):
        with open(os.path.join(SOURCE, "models", "heldout.jsonl"), encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        with open(os.path.join(SOURCE, "models", "eval.json"), encoding="utf-8") as file:
            reference = json.load(file)["sample_exact"]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            answers = list(pool.map(answer, cases))
        self.assertGreaterEqual(len(cases), 200)
        right, wrong = Counter(), []
        for case, text in zip(cases, answers):
            self.assertEqual(list(json.loads(text)), KEYS[case["skill"]], case["prompt"])
            right[case["skill"]] += text == case["expect"]
            if text != case["expect"]:
                wrong.append((case["prompt"], case["expect"], text))
        for skill, count in reference.items():
            self.assertGreaterEqual(right[skill], count - ROUNDING, f"{dict(right)}, reference {reference}\n{wrong}")


if __name__ == "__main__":
    main()
