#!/usr/bin/env python3
"""Blocks of every weight format and what gguf-py, or for mote's own formats the formulas below, make of them, for tests/unit/test_quant.c and test_quant_encode.c.

NAME.decode  blocks of random bits with chosen scales, and the values gguf-py decodes them to
NAME.encode  values, and the blocks gguf-py encodes them to, for the formats mote encodes

Both are laid out alike: n blocks, then their values as little-endian float32; n follows from the size of the file.

To remake tests/data/quant (nothing else is read; the files come out the same byte for byte):

    python3 -m venv venv
    venv/bin/pip install gguf==0.19.0 numpy==2.4.6
    venv/bin/python tests/oracle/quant_formats.py tests/data/quant

Random bits reach every level and every sign, but not every scale that matters: the first blocks get scales that are zero,
subnormal, negative, the largest, infinite and NaN. IQ3 points are dealt out, so that each of a codebook occurs.
"""
import sys
import zlib
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

# Where the half-precision numbers of a block lie: its scale, then its minimum.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}  # fmt: skip
PLAIN = ["F32", "F16", "BF16"]
ENCODED = ["BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]

EXTREME_HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF, 0x7C00, 0xFE01]
EXTREME_EXPONENTS = [0, 1, 2, 253, 254, 255]

# 24 blocks of 32 values; 12 super-blocks of 256, eight of them with sane scales: 512 points of IQ3_S.
BLOCKS = {1: 512, 32: 24, 256: 12}
EXTREMES = {32: 8, 256: 4}


def halves_near_one(rng, shape):
    """Sane scales: 2^-12 … 2, of either sign."""
    sign = rng.choice([-1.0, 1.0], shape)
    return (sign * np.exp2(rng.uniform(-12, 1, shape))).astype(np.float16)


def deal_points(rng, name, blocks):
    """Every index of the codebook once, over the last blocks."""
    size = 512 if name == "IQ3_S" else 256
    deal = rng.permutation(size).reshape(-1, 64)
    rows = blocks[-len(deal) :]
    rows[:, 2:66] = deal & 0xFF
    if name == "IQ3_S":
        rows[:, 66:74] = np.packbits(deal >> 8, axis=1, bitorder="little")


def random_blocks(rng, name, block, size):
    blocks = rng.integers(0, 256, (BLOCKS[block], size), dtype=np.uint8)
    if name in PLAIN:
        return blocks
    for position, offset in enumerate(HALVES[name]):
        halves = halves_near_one(rng, len(blocks)).view(np.uint16)
        for i in range(EXTREMES[block]):
            # Super-blocks are few: their scales take every other extreme, and their minimums, if any, the rest.
            step = len(EXTREME_HALVES) // EXTREMES[block]
            halves[i] = EXTREME_HALVES[(i * step + position * 3) % len(EXTREME_HALVES)]
        blocks[:, offset : offset + 2] = halves.view(np.uint8).reshape(-1, 2)
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(110, 134, len(blocks))
        blocks[: len(EXTREME_EXPONENTS), 0] = EXTREME_EXPONENTS
    if name.startswith("IQ3"):
        deal_points(rng, name, blocks)
    return blocks


M4_LEVELS = [-127, -89, -70, -53, -40, -27, -16, -6, 3, 14, 25, 37, 51, 67, 87, 111]
M3_LEVELS = [-127, -72, -40, -15, 7, 31, 62, 103]


def m_scale(byte):
    """A sign and n of 127: n/8 eighths of 2^-17 up to there, eight steps an octave up to 96, four above."""
    n = byte & 127
    n += max(0, n - 96)
    size = n * 2.0**-21 if n < 8 else (8 + n % 8) * 2.0 ** (n // 8 - 22)
    return -size if byte >= 128 else size


def own_cases(name):
    """Blocks of random bits with every scale there is, and their values from the definitions in src/quant/blocks.h."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    blocks = rng.integers(0, 256, (256, 17 if name == "M4" else 13), dtype=np.uint8)
    blocks[:, 0] = np.arange(256)
    values = np.zeros((256, 32), dtype=np.float32)
    for row, block in enumerate(blocks.tolist()):
        for v in range(32):
            if name == "M4":
                level = M4_LEVELS[block[1 + v % 16] >> v // 16 * 4 & 15]
            else:
                low = block[1 + v // 16 * 4 + v % 4] >> v % 16 // 4 * 2 & 3
                level = M3_LEVELS[low + 4 * (block[9 + v % 4] >> v // 4 & 1)]
            values[row, v] = np.float64(m_scale(block[0])) * level
    return blocks, values


def values_to_encode(rng, block):
    """Weights as they are, then blocks that are zero, constant, one-sided, tiny, and of a lone outlier."""
    values = (rng.standard_normal((BLOCKS[block], block)) * 0.02).astype(np.float32)
    if block == 1:
        return values
    values[0] = 0
    values[1] = 0.25
    values[2] = -3
    values[3] = np.abs(values[3])
    values[4] = -np.abs(values[4])
    values[5] *= 1e-5
    values[6, 17] = 100
    values[7] *= 1e4
    return values


def write(path, blocks, values):
    path.write_bytes(blocks.tobytes() + values.astype("<f4").tobytes())


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    np.seterr(all="ignore")
    for name in [*PLAIN, *HALVES]:
        kind = GGMLQuantizationType[name]
        block, size = GGML_QUANT_SIZES[kind]
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        blocks = random_blocks(rng, name, block, size)
        write(out / f"{name}.decode", blocks, dequantize(blocks, kind))
        if name in ENCODED:
            values = values_to_encode(rng, block)
            write(out / f"{name}.encode", quantize(values, kind), values)
    for name in ["M4", "M3"]:
        write(out / f"{name}.decode", *own_cases(name))


if __name__ == "__main__":
    main()
