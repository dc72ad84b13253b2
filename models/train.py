"""Trains the built-in model from nothing: tokenizer, then the network.

    python train.py --out WORK_DIR

The data is generated on the fly from the seed, so nothing is read but this
folder.  A checkpoint is written every few minutes, atomically, and training
resumes from it; loss goes to WORK_DIR/log.txt.
"""

import argparse
import os
import random
import shutil
import signal
import time
from dataclasses import asdict

import torch
import torch.nn.functional as F

from data import Encoder, train_tokenizer
from model import Config, Norm, Qwen3
from sensors import ZONES

TAPS = (1, 2)       # blocks whose output the zone helper reads


def document_mask(docs):
    """True where a position may look: earlier, and in its own document."""
    length = docs.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = docs[:, :, None] == docs[:, None, :]
    return (causal & same)[:, None]


def learning_rate(step, progress, peak, warmup=100, plateau=.36):
    """Warm-up, a short plateau, then a straight fall to almost nothing.
    `progress` is the share of the run that is over, 0 to 1."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * min(1, .02 + .98 * (1 - progress) / (1 - plateau))


def save(path, value):
    torch.save(value, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=105, help="end by then even if fewer steps were made")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--eager", action="store_true", help="do not compile the network")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.manual_seed(args.seed)

    tokenizer_path = os.path.join(args.out, "tokenizer.json")
    config = Config(layers=args.layers)
    if not os.path.exists(tokenizer_path):
        train_tokenizer(tokenizer_path, config.vocab)
    encoder = Encoder(tokenizer_path)
    model = Qwen3(config)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, settings {vars(args)}", flush=True)

    # A helper that is thrown away after training: from the middle of the network,
    # tell in which zone each reading lies.  One verdict per window is a thin
    # signal to learn a dozen limits from; one label per reading is a rich one.
    helper = torch.nn.ModuleList(torch.nn.Sequential(Norm(config.width, config.eps),
                                                     torch.nn.Linear(config.width, len(ZONES))) for _ in TAPS)

    # Muon for the matrices of the blocks learns this task in far fewer steps;
    # the embedding (also the head) and the norms stay with AdamW.
    matrices = [p for n, p in model.blocks.named_parameters() if p.dim() == 2]
    others = [p for n, p in model.named_parameters() if p.dim() == 1 or n.startswith("embed")] + list(helper.parameters())
    optimizers = [torch.optim.Muon(matrices, lr=args.lr, weight_decay=.02, adjust_lr_fn="match_rms_adamw"),
                  torch.optim.AdamW(others, lr=args.lr, betas=(.9, .98), weight_decay=0)]
    shares = 1.0, 0.5

    checkpoint, first = os.path.join(args.out, "checkpoint.pt"), 0
    before = 0                              # seconds spent in earlier, interrupted runs
    if os.path.exists(checkpoint):
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        helper.load_state_dict(state["helper"])
        first, before = state["step"], state["seconds"]
    for optimizer, share in zip(optimizers, shares):
        for group in optimizer.param_groups:
            group["share"] = share

    hidden_states = model.hidden
    if shutil.which("g++") and not args.eager:      # fused element-wise work: about a third faster
        hidden_states = torch.compile(model.hidden, dynamic=False)

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))     # stop at a step's end, with a checkpoint
    began = saved_at = time.time()
    tokens = 0
    mean = zone_mean = None
    log = open(os.path.join(args.out, "log.txt"), "a", buffering=1)
    for step in range(first, args.steps):
        rng = random.Random(f"{args.seed}/{step}")
        # One step in sixteen is made of long conversations, so that every
        # position the model may meet in use has been seen.
        long = step % 16 == 15
        length, rows = (config.context, max(1, args.rows * args.length // config.context)) if long else (args.length, args.rows)
        ids, targets, docs, zones = encoder.rows(rng, rows, length, long)
        # A slow machine gets fewer steps but still the whole schedule.
        progress = max(step / args.steps, (before + time.time() - began) / (60 * args.minutes))
        rate = learning_rate(step, progress, args.lr)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden, tapped = hidden_states(ids, document_mask(docs), taps=TAPS)
            wanted, known = targets >= 0, zones >= 0
            logits = model.logits(hidden[wanted])
            guesses = [part(x[known]) for part, x in zip(helper, tapped)]
        loss = F.cross_entropy(logits.float(), targets[wanted])
        zone_loss = sum(F.cross_entropy(g.float(), zones[known]) for g in guesses) / len(guesses)
        (loss + .3 * zone_loss if known.any() else loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        tokens += ids.numel()
        if known.any():
            zone_mean = zone_loss.item() if zone_mean is None else .9 * zone_mean + .1 * zone_loss.item()
        mean = loss.item() if mean is None else .95 * mean + .05 * loss.item()
        spent = time.time() - began
        last = step + 1 == args.steps or progress >= 1
        if step % 20 == 0 or last:
            line = f"step {step} loss {mean:.4f} zones {zone_mean or 0:.3f} lr {rate:.2e} {tokens / spent:.0f} tok/s {spent:.0f} s"
            print(line, flush=True)
            log.write(line + "\n")
        if time.time() - saved_at > 240 or last or stopping:
            save(checkpoint, {"model": model.state_dict(), "helper": helper.state_dict(), "optimizers": [o.state_dict() for o in optimizers],
                              "step": step + 1, "config": asdict(config), "seconds": before + spent, "tokens": tokens})
            saved_at = time.time()
        if last or stopping:
            break


if __name__ == "__main__":
    main()
