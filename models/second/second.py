"""Trains a small model of the Llama kind on a plain text and writes it as a GGUF file in F16.

    python second.py train TEXT WORK_DIR [--minutes 40]
    python second.py export WORK_DIR second-f16.gguf

It is no part of mote: measurements of what quantising loses need a trained model besides the built-in one, of another
family and in 16 bits. README.md beside this has the text. One stretch of sixteen of the text is held out (WORK_DIR/heldout.txt).
The loss on it is logged beside that of a model which knows nothing but how frequent each token is. A checkpoint is
written every two minutes; training resumes from it.
"""

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from math import log

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from data import learn_bpe
from export import write_gguf
from model import Config, Qwen3
from train import learning_rate, save

CONFIG = Config(vocab=4096, width=320, layers=8, heads=5, kv_heads=5, head_dim=64, ffn=896, context=1024, qk_norm=False)
STRETCH, HELD_OUT = 16384, 16               # characters; one stretch in so many is held out


def divide(text):
    """(what is trained on, what is held out), in whole lines."""
    parts, size = ([], []), 0
    for line in text.splitlines(keepends=True):
        parts[size // STRETCH % HELD_OUT == HELD_OUT - 1].append(line)
        size += len(line)
    return tuple("".join(part) for part in parts)


def read_text(args):
    """The ids of both parts of the text; the tokenizer is made of the first."""
    with open(args.text, encoding="utf-8", errors="replace") as file:
        parts = divide(file.read())
    path = os.path.join(args.work, "tokenizer.json")
    if not os.path.exists(path):
        learn_bpe(path, [parts[0]], CONFIG.vocab)
        with open(os.path.join(args.work, "heldout.txt"), "w", encoding="utf-8") as file:
            file.write(parts[1])
    tokenizer = Tokenizer.from_file(path)
    return [torch.tensor(tokenizer.encode(part).ids) for part in parts]


def unigram_loss(train, held):
    """Nats a token of a model that knows frequencies alone."""
    counts = Counter(train.tolist())
    return sum(-log((counts[i] + 1) / (len(train) + CONFIG.vocab)) for i in held.tolist()) / len(held)


def pick_rows(ids, step, rows, length):
    chance = torch.Generator().manual_seed(step)
    starts = torch.randint(len(ids) - length - 1, (rows,), generator=chance).tolist()
    return torch.stack([ids[i:i + length + 1] for i in starts])


def loss_of(model, rows):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.logits(model.hidden(rows[:, :-1]))
    return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model, held, rows=32, length=256):
    return sum(loss_of(model, held[i * length:(i + 1) * length + 1][None]).item() for i in range(rows)) / rows


def train(args):
    os.makedirs(args.work, exist_ok=True)
    torch.manual_seed(1)
    ids, held = read_text(args)
    model = Qwen3(CONFIG)
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or n.startswith("embed")]
    optimizers = [torch.optim.Muon(matrices, lr=args.lr, weight_decay=.05, adjust_lr_fn="match_rms_adamw"),
                  torch.optim.AdamW(others, lr=args.lr, betas=(.9, .98), weight_decay=0)]
    checkpoint, step, before = os.path.join(args.work, "checkpoint.pt"), 0, 0.0
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step, before = state["step"], state["seconds"]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(ids):,} tokens and {len(held):,} held out, "
          f"unigram loss {unigram_loss(ids, held):.3f}", flush=True)
    began = saved_at = time.time()
    progress = before / (60 * args.minutes)
    while progress < 1:
        progress = (before + time.time() - began) / (60 * args.minutes)
        rate = learning_rate(step, progress, args.lr, warmup=30)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        # Every position of the context has to be seen: one step in eight is of whole contexts.
        length = CONFIG.context if step % 8 == 7 else 256
        loss = loss_of(model, pick_rows(ids, step, 2048 // length, length))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0 or progress >= 1:
            print(f"step {step} loss {loss.item():.3f} held out {held_out_loss(model, held):.3f} "
                  f"{before + time.time() - began:.0f} s", flush=True)
        if time.time() - saved_at > 120 or progress >= 1:
            saved_at = time.time()
            save(checkpoint, {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step,
                              "config": asdict(CONFIG), "seconds": before + saved_at - began})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    trained = commands.add_parser("train")
    trained.add_argument("text")
    trained.add_argument("work")
    trained.add_argument("--minutes", type=float, default=40)
    trained.add_argument("--lr", type=float, default=4e-3)
    exported = commands.add_parser("export")
    exported.add_argument("work")
    exported.add_argument("out")
    args = parser.parse_args()
    if args.command == "train":
        train(args)
    else:
        write_gguf(args.work, args.out, "mote-second", "A measurement's subject: a small model of one old book.", ["en"], "F16")


if __name__ == "__main__":
    main()
