"""Measures the exported file on held-out phrasings and writes the numbers.

    python evaluate.py --gguf mote-builtin.gguf --run WORK_DIR --out eval.json
        [--sample heldout.jsonl]

The weights are read back from the GGUF (Q8_0 dequantised), decoding is greedy,
and an intent counts only when the whole JSON line is exact.  With --sample a
small set of held-out prompts is written, with the answers that the generator
says are right, for tests that run the whole program.
"""

import argparse
import json
import os
import random
from collections import Counter

import gguf
import torch

import commands
import sensors
from data import Encoder, make
from export import NAMES
from model import Config, Qwen3

SKILLS = ("intent-en", "intent-ja", "sensor")


def load_gguf(path):
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    q = lambda key: field("qwen3." + key)
    config = Config(vocab=len(field("tokenizer.ggml.tokens")), width=q("embedding_length"), layers=q("block_count"),
                    heads=q("attention.head_count"), kv_heads=q("attention.head_count_kv"), head_dim=q("attention.key_length"),
                    ffn=q("feed_forward_length"), rope_theta=q("rope.freq_base"), eps=q("attention.layer_norm_rms_epsilon"),
                    context=q("context_length"))
    back = {v: k for k, v in NAMES.items()}
    weights = {}
    for tensor in reader.tensors:
        name = {"token_embd.weight": "embed.weight", "output_norm.weight": "norm.weight"}.get(tensor.name)
        if name is None:
            _, layer, part, _ = tensor.name.split(".")
            name = f"blocks.{layer}.{back[part]}.weight"
        weights[name] = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
    model = Qwen3(config)
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def answers(model, encoder, items, batch=16):
    """Greedy answers.  Greedy decoding gives the expected text exactly when every
    expected token is the best one after its prefix, so one batched pass settles
    the right answers and only the others are decoded token by token."""
    out = [None] * len(items)
    coded = []
    for i, (_, prompt, expect) in enumerate(items):
        head, body = encoder.prompt(prompt), encoder.ids(expect) + [encoder.end]
        coded.append((len(head) + len(body), i, head, body))
    coded.sort()
    for at in range(0, len(coded), batch):
        group = coded[at:at + batch]
        ids = torch.full((len(group), group[-1][0]), encoder.end_of_text)
        for r, (n, _, head, body) in enumerate(group):
            ids[r, :n] = torch.tensor(head + body)
        hidden = model.hidden(ids)
        for r, (n, i, head, body) in enumerate(group):
            best = model.logits(hidden[r, len(head) - 1:n - 1]).argmax(-1)
            if best.tolist() == body:
                out[i] = items[i][2]
            else:
                out[i] = encoder.plain.decode(model.greedy(head, encoder.end), skip_special_tokens=False)
    return out


def parse(text):
    try:
        value = json.loads(text)
        return value if isinstance(value, dict) else {}
    except ValueError:
        return {}


def held_out(skill, part, count, seed):
    """`count` different prompts of one skill."""
    rng, seen, items = random.Random(f"{seed}/{skill}/{part}"), set(), []
    while len(items) < count:
        item = make(rng, skill, part)
        if item[1] not in seen:
            seen.add(item[1])
            items.append(item)
    return items


def score(items, got):
    pairs = [(parse(e), parse(g)) for (_, _, e), g in zip(items, got)]
    share = lambda hits: round(sum(hits) / len(items), 4)
    out = {"count": len(items), "exact": share(e == g for (_, _, e), g in zip(items, got)),
           "valid_json": share(bool(g) for _, g in pairs)}
    for key in pairs[0][0]:
        out[key] = share(e[key] == g.get(key, "?") for e, g in pairs)
    return out, pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--run", required=True, help="holds tokenizer.json")
    parser.add_argument("--out", required=True)
    parser.add_argument("--sample")
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=991)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model, encoder = load_gguf(args.gguf), Encoder(os.path.join(args.run, "tokenizer.json"))

    report = {"file_bytes": os.path.getsize(args.gguf), "parameters": sum(p.numel() for p in model.parameters()), "held_out": {},
              "seen_templates_new_values": {}, "handwritten": {}, "failures": {}}
    for skill in SKILLS:
        items = held_out(skill, "held", args.count, args.seed)
        got = answers(model, encoder, items)
        report["held_out"][skill], pairs = score(items, got)
        wrong = [{"prompt": p, "expect": e, "got": g} for (_, p, e), g in zip(items, got) if e != g]
        report["failures"][skill] = wrong[:12]
        if skill == "sensor":
            confusion = Counter((e["state"], g.get("state", "?")) for e, g in pairs)
            report["state_confusion"] = {e: {g: confusion[e, g] for g in ("ok", "watch", "fault", "?")}
                                         for e in ("ok", "watch", "fault")}
            causes = Counter(e["cause"] for e, _ in pairs)
            right = Counter(e["cause"] for e, g in pairs if g.get("cause") == e["cause"])
            report["cause_recall"] = {c: f"{right[c]}/{n}" for c, n in sorted(causes.items())}
        control = held_out(skill, "train", args.count // 3, args.seed)
        report["seen_templates_new_values"][skill] = score(control, answers(model, encoder, control))[0]
        print(skill, report["held_out"][skill], flush=True)

    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "handwritten.jsonl"), encoding="utf-8") as f:
        written = [json.loads(line) for line in f]
    for skill in SKILLS:
        items = [(skill, x["prompt"], x["expect"]) for x in written if x["skill"] == skill]
        got = answers(model, encoder, items)
        report["handwritten"][skill] = score(items, got)[0]
        report["failures"]["handwritten " + skill] = [{"prompt": p, "expect": e, "got": g}
                                                      for (_, p, e), g in zip(items, got) if e != g]
        print("handwritten", skill, report["handwritten"][skill], flush=True)

    if args.sample:
        items = [x for skill in SKILLS for x in held_out(skill, "held", 70, args.seed + 1)]
        with open(args.sample, "w", encoding="utf-8") as f:
            for skill, prompt, expect in items:
                f.write(json.dumps({"prompt": prompt, "expect": expect, "skill": skill}, ensure_ascii=False) + "\n")
        got = answers(model, encoder, items)
        report["sample_exact"] = {skill: sum(x[0] == skill and x[2] == g for x, g in zip(items, got)) for skill in SKILLS}

    with open(args.out, "w", encoding="utf-8") as f:
        f.write(json.dumps(report, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
