"""Turns samples into tokens: the tokenizer, the ChatML prompt, packed rows."""

import json
import random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import commands
import sensors

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SKILLS = ("intent-en", "intent-ja", "sensor")
SYSTEM = ["You are mote.", "You are a helpful assistant.", "You control a house.", "Answer in JSON.", "Be brief.",
          "You are a workshop assistant.", "You run on a small board.", "Turn commands into intents.", "Answer with one line of JSON.",
          "You watch machines and report their state.", "You are a smart home assistant. Answer in JSON only.",
          "The user may speak English or Japanese.", "You are the voice of the greenhouse.", "Follow the user's instructions.",
          "あなたはmoteです。", "あなたは親切なアシスタントです。", "JSONで答えてください。", "家電を操作します。", "工房のアシスタントです。",
          "短く答えてください。", "センサーの値を判定してください。", "You are a careful gateway that never guesses."]


def pick(rng):
    return rng.choices(SKILLS, (30, 29, 41))[0]


def one(rng, part="train"):
    """(skill, prompt, answer) with the mix the model is trained on."""
    return make(rng, pick(rng), part)


def make(rng, skill, part, marks=False):
    prompt, answer = sensors.sample(rng, part, marks) if skill == "sensor" else commands.sample(rng, skill[-2:], part)
    return skill, prompt, json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def learn_bpe(path, texts, vocab):
    """Byte-level BPE as Qwen2 has it, learnt from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    # The length cap keeps whole Japanese phrases, which the pre-tokenizer does
    # not divide, from becoming single tokens that no new wording would contain.
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=SPECIALS, show_progress=False, max_token_length=18,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(path)
    return tokenizer


def train_tokenizer(path, vocab, samples=60000, seed=7):
    rng = random.Random(seed)
    texts = [f"user\n{prompt}\nassistant\n{answer}" for _, prompt, answer in (one(rng) for _ in range(samples))]
    return learn_bpe(path, texts + SYSTEM * 50 + ["system\n"] * 500, vocab)


class Encoder:
    """ChatML around samples.  With `dropout`, prompts are sometimes segmented
    by BPE-dropout, which makes the model sturdier against unseen spellings."""

    def __init__(self, path):
        self.plain = Tokenizer.from_file(path)
        self.noisy = Tokenizer.from_file(path)
        self.noisy.model.dropout = .1
        self.end_of_text, self.start, self.end = (self.plain.token_to_id(s) for s in SPECIALS)
        self.header = {role: self.ids(role + "\n") for role in ("system", "user", "assistant")}
        self.newline = self.ids("\n")

    def ids(self, text, noisy=False):
        return (self.noisy if noisy else self.plain).encode(text, add_special_tokens=False).ids

    def turn(self, role, text, noisy=False):
        if noisy:
            return [self.start] + self.header[role] + self.ids(text, True) + [self.end] + self.newline
        return [self.start] + self.ids(role + "\n" + text) + [self.end] + self.newline

    def prompt(self, text, system=None):
        return (self.turn("system", system) if system else []) + self.turn("user", text) + \
            [self.start] + self.header["assistant"]

    def user_turn(self, text, noisy):
        """The tokens of a user turn, and for each the zone of the reading that ends there."""
        clean, ends = [], {}
        for char in text:
            if ord(char) - sensors.MARK in range(len(sensors.ZONES)):
                ends[len(clean)] = ord(char) - sensors.MARK
            else:
                clean.append(char)
        clean = "".join(clean)
        if not ends:
            ids = self.turn("user", clean, noisy)
            return ids, [-100] * len(ids)
        coded = (self.noisy if noisy else self.plain).encode(clean, add_special_tokens=False)
        head = [self.start] + self.header["user"]
        tail = [self.end] + self.newline
        zones = [-100] * len(head) + [ends.get(end, -100) for _, end in coded.offsets] + [-100] * len(tail)
        return head + coded.ids + tail, zones

    def document(self, rng, limit, long=False):
        """One conversation: (tokens, which of them the loss counts, zones)."""
        turns = 999 if long else 1 if rng.random() < .8 else rng.randint(2, 6)
        noisy = rng.random() < .3
        ids = self.turn("system", rng.choice(SYSTEM)) if rng.random() < .15 else []
        counted, zones = [False] * len(ids), [-100] * len(ids)
        focus = pick(rng) if rng.random() < .5 else None     # some chats stay with one skill
        for _ in range(turns):
            _, prompt, answer = make(rng, focus or pick(rng), "train", marks=True)
            head, head_zones = self.user_turn(prompt, noisy)
            ask = [self.start] + self.header["assistant"]
            body = self.ids(answer) + [self.end]
            new = len(ask) + len(body) + len(self.newline)
            if ids and len(ids) + len(head) + new > limit:
                break
            ids += head + ask + body + self.newline
            counted += [False] * (len(head) + len(ask)) + [True] * len(body) + [False] * len(self.newline)
            zones += head_zones + [-100] * new
        return ids[:limit], counted[:limit], zones[:limit]

    def rows(self, rng, count, length, long=False):
        """`count` packed rows: ids, targets (-100: no loss), document numbers, zones."""
        ids = torch.full((count, length), self.end_of_text)
        targets, zones = torch.full((count, length), -100), torch.full((count, length), -100)
        docs = torch.zeros((count, length), dtype=torch.long)
        for r in range(count):
            at, number, misses = 0, 0, 0
            while length - at > 48 and misses < 6:
                tokens, counted, zone = self.document(rng, length if at == 0 else 10 ** 9, long)
                n = len(tokens)
                if n > length - at:
                    misses += 1
                    continue
                number += 1
                ids[r, at:at + n] = torch.tensor(tokens)
                zones[r, at:at + n] = torch.tensor(zone)
                docs[r, at:at + n] = number
                for i in range(1, n):
                    if counted[i]:
                        targets[r, at + i - 1] = tokens[i]
                at += n
        return ids, targets, docs, zones
