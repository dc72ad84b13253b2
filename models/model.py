"""The network: a small Qwen3 (pre-norm, QK-norm, GQA, SwiGLU, tied head).

Kept apart from training so that evaluate.py runs the exported file's weights
through the very same code.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    vocab: int = 2048
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 768
    rope_theta: float = 10000.0
    eps: float = 1e-6
    context: int = 2048
    qk_norm: bool = True                    # without: a Llama


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps).to(x.dtype)


def rope_tables(config, length):
    inverse = config.rope_theta ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    angle = torch.outer(torch.arange(length).float(), inverse)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """NEOX-style rotary embedding: dimension i pairs with i + head_dim / 2."""
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.attn_norm, self.ffn_norm = Norm(c.width, c.eps), Norm(c.width, c.eps)
        self.q = nn.Linear(c.width, c.heads * c.head_dim, bias=False)
        self.k = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=False)
        self.v = nn.Linear(c.width, c.kv_heads * c.head_dim, bias=False)
        self.o = nn.Linear(c.heads * c.head_dim, c.width, bias=False)
        norm = Norm if c.qk_norm else lambda *_: nn.Identity()
        self.q_norm, self.k_norm = norm(c.head_dim, c.eps), norm(c.head_dim, c.eps)
        self.gate = nn.Linear(c.width, c.ffn, bias=False)
        self.up = nn.Linear(c.width, c.ffn, bias=False)
        self.down = nn.Linear(c.ffn, c.width, bias=False)

    def forward(self, x, cos, sin, mask=None, cache=None):
        c, (b, t, _) = self.c, x.shape
        h = self.attn_norm(x)
        split = lambda y, n: y.view(b, t, n, c.head_dim).transpose(1, 2)
        q = rotate(self.q_norm(split(self.q(h), c.heads)), cos, sin)
        k = rotate(self.k_norm(split(self.k(h), c.kv_heads)), cos, sin)
        v = split(self.v(h), c.kv_heads)
        if cache is not None:               # decoding: append, then attend to all
            if cache:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            cache[:] = k, v
        group = c.heads // c.kv_heads
        y = F.scaled_dot_product_attention(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1),
                                           attn_mask=mask, is_causal=mask is None and t > 1)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, -1))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Qwen3(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width, config.eps)
        cos, sin = rope_tables(config, config.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = .02 / (2 * config.layers) ** .5 if name.endswith(("o.weight", "down.weight")) else .02
                nn.init.normal_(p, std=scale)

    def hidden(self, ids, mask=None, caches=None, start=0, taps=None):
        """The normed output; with `taps`, also the raw output of those blocks."""
        x = self.embed(ids)
        cos, sin = self.cos[start:start + ids.shape[1]], self.sin[start:start + ids.shape[1]]
        tapped = []
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin, mask, None if caches is None else caches[i])
            if taps and i in taps:
                tapped.append(x)
        return (self.norm(x), tapped) if taps else self.norm(x)

    def logits(self, hidden):
        return hidden @ self.embed.weight.T

    @torch.no_grad()
    def greedy(self, ids, stop, limit=96):
        caches, out = [[] for _ in self.blocks], []
        hidden = self.hidden(torch.tensor([ids]), caches=caches)
        while len(out) < limit and len(ids) + len(out) < self.config.context:
            token = int(self.logits(hidden[0, -1]).argmax())
            if token == stop:
                break
            out.append(token)
            hidden = self.hidden(torch.tensor([[token]]), caches=caches, start=len(ids) + len(out) - 1)
        return out
