#!/usr/bin/env python3
"""The built-in model on phrasings it has not been trained on, through the whole program: intents must be exact, and a
sensor window must get the right state."""
import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from e2e_support import SOURCE, Case, main, mote


def state(text):
    try:
        return json.loads(text)["state"]
    except (ValueError, KeyError, TypeError):
        return None


def answer(case):
    result = mote("run", "--json", "-n", "128", "--threads", "1", stdin=case["prompt"])
    return json.loads(result.out)["text"] if result.status == 0 else str(result)


class Accuracy(Case):
    def test_held_out_prompts(self):
        right, total, wrong = Counter(), Counter(), []
        with open(os.path.join(SOURCE, "models", "heldout.jsonl"), encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            answers = list(pool.map(answer, cases))
        for case, text in zip(cases, answers):
            good = state(text) == state(case["expect"]) if case["skill"] == "sensor" else text == case["expect"]
            total[case["skill"]] += 1
            right[case["skill"]] += good
            if not good:
                wrong.append((case["prompt"], case["expect"], text))
        self.assertGreaterEqual(len(cases), 100)
        for skill in total:
            needed = 0.90 if skill == "sensor" else 0.95
            told = f"{skill}: {dict(right)} of {dict(total)}\n{wrong}"
            self.assertGreaterEqual(right[skill] / total[skill], needed, told)


if __name__ == "__main__":
    main()
