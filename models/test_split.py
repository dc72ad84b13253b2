"""Checks that held out means held out.  Needs nothing but Python.

    python3 models/test_split.py
"""

import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import commands  # noqa: E402
import sensors  # noqa: E402
from vocabulary import ACTIONS, AREAS, CAUSES, DEVICES  # noqa: E402


def texts(part, lang):
    return {t.text for (l, _), ts in commands.TEMPLATES[part].items() if l == lang for t in ts}


def test_templates_are_disjoint():
    for lang in ("en", "ja"):
        assert not texts("train", lang) & texts("held", lang)
        assert len(texts("held", lang)) > 200
    for parts in [*commands.FRAMES.values(), *sensors.LAYOUTS.values(), *sensors.INTROS.values()]:
        assert not set(parts["train"]) & set(parts["held"]) and parts["held"]


def test_training_never_says_a_held_out_prompt():
    """200 000 rendered training prompts against the held-out ones."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "heldout.jsonl"), encoding="utf-8") as f:
        held = {json.loads(line)["prompt"] for line in f}
    rng = random.Random(5)
    for _ in range(100_000):
        for lang in ("en", "ja"):
            prompt, _ = commands.sample(rng, lang)
            assert prompt not in held, prompt


def test_answers_stay_in_the_closed_sets():
    rng = random.Random(6)
    for _ in range(20_000):
        for part in ("train", "held"):
            _, intent = commands.sample(rng, rng.choice(("en", "ja")), part)
            assert list(intent) == ["action", "device", "area", "value"]
            assert intent["action"] in ACTIONS
            assert intent["device"] in DEVICES or intent["action"] == "none"
            assert intent["area"] is None or intent["area"] in AREAS
            _, verdict = sensors.sample(rng, part)
            assert CAUSES[verdict["cause"]][verdict["state"]] == verdict["advice"]


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
