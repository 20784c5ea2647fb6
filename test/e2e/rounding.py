"""How far rounding moves a model's logits: the tolerance of the fast paths, derived.

The fast paths round where the model does not:

- The input of a product with a matrix of blocks, in blocks of 32, to integers in [-127, 127] times
  a scale s = max |x| / 127. Each element moves by an error in [-s/2, s/2]. A weight's minimum meets
  the sum of the same rounded elements, so that it adds no error of its own.
- Where the CPU has VNNI in 512 bits, or AVX2 but no AVX-512, the input of a product with a matrix of
  f16 or bf16, the same with 8191 in place of 127, and each 32 elements of a matrix's row too
  (those are known, and not drawn).
- Where the CPU multiplies bf16, the input of a product with a matrix of bf16, to bf16. With AMX, and
  many tokens, also that of one with a matrix of blocks, and the matrix (which is known).
- Keys and values as they go into an f16 cache: an error of at most half a unit in the last place.

The errors are modelled as independent and uniform, as numerical analysis does for roundings. They
go through the whole model in float64, 32 times with fresh errors. A logit's deviation sigma is the
root mean square over the draws. A logit is a sum of thousands of such errors, so that it is close
to normal: six sigma is passed once in 5e8, and a file of logits has some 1e5.

All logits together say more: in sigmas their root mean square is 1. They are at least a hundred
independent numbers (some for each of a hundred tokens), so that it deviates by at most
1 / sqrt(200) = 7 %, six times which is 42 %. It must lie between 0.5 (below, nothing was rounded,
and what ran was not the fast path) and 1.5, a bound that an error in a small part of the model
passes long before a single logit shows it.

A rank that holds part of a block scales by the maximum of that part, which is no larger: the
tolerance of one rank covers every split.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
from reference import Reference

SIGMAS = 6.0
BLOCK = 32
DRAWS = 32


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


_NEEDS = {  # what CLEAVE_ISA may name, in its order
    "sse4": {"sse4_1"}, "avx2": {"avx2", "fma", "f16c"}, "avxvnni": {"avx_vnni"},
    "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}, "avx512vnni": {"avx512_vnni"},
    "avx512bf16": {"avx512_bf16"}, "amx": {"amx_tile", "amx_bf16"}}


def _isas() -> set[str]:
    """The instruction sets that the kernels use."""
    names = list(_NEEDS)
    allowed = names[:names.index(os.environ.get("CLEAVE_ISA") or names[-1]) + 1]
    return {name for name in allowed if _NEEDS[name] <= _cpu_flags()}


_ISAS = _isas()
ROUNDS_TO_Q16 = "avx512vnni" in _ISAS if "avx512" in _ISAS else "avx2" in _ISAS
ROUNDS_BF16 = _ISAS >= {"avx512", "avx512bf16"}
ROUNDS_BLOCKS_TO_BF16 = ROUNDS_BF16 and "amx" in _ISAS


def _block_units(x: np.ndarray, steps: int) -> np.ndarray:
    """For each element of `x` [n, columns] the unit of its block's integers, up to `steps`."""
    blocks = x.reshape(len(x), -1, BLOCK)
    unit = np.abs(blocks).max(axis=-1, keepdims=True) / steps
    return np.broadcast_to(unit, blocks.shape).reshape(x.shape)


def _bf16_units(x: np.ndarray) -> np.ndarray:
    """The distances between bf16 numbers of 8 significant bits at `x`."""
    return np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 1e-30))) - 7)


class Rounded(Reference):
    """A model with errors drawn as above, `scale` times as large as they are."""

    def __init__(self, path: Path, seed: int, scale: float = 1.0) -> None:
        super().__init__(path)
        self.random = np.random.default_rng(seed)
        self.scale = scale
        kinds = gguf.GGMLQuantizationType
        self.units = {}  # of the input of each matrix that has one
        self.rounded = {}  # matrices as products read them, where these round them
        for name, kind in self.kinds.items():
            matrix = self.tensors[name]
            whole = matrix.shape[-1] % BLOCK == 0
            if gguf.GGML_QUANT_SIZES[kind][0] > 1 and ROUNDS_BLOCKS_TO_BF16 and matrix.ndim == 2:
                self.units[name] = _bf16_units
                unit = _bf16_units(matrix)
                self.rounded[name] = np.rint(matrix / unit) * unit
            elif gguf.GGML_QUANT_SIZES[kind][0] > 1:
                self.units[name] = lambda x: _block_units(x, 127)
            elif kind == kinds.BF16 and ROUNDS_BF16 and whole and matrix.ndim == 2:
                self.units[name] = _bf16_units
            elif kind in (kinds.F16, kinds.BF16) and ROUNDS_TO_Q16 and whole and matrix.ndim == 2:
                self.units[name] = lambda x: _block_units(x, 8191)
                unit = _block_units(matrix, 8191)
                self.rounded[name] = np.rint(matrix / np.where(unit > 0, unit, 1)) * unit
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def moved(self, x: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """`x` with an error of up to half a `unit`."""
        return x + self.random.uniform(-0.5, 0.5, x.shape) * self.scale * unit

    def linear(self, x: np.ndarray, name: str, expert: int | None = None) -> np.ndarray:
        tied = name == "output" and "output.weight" not in self.tensors
        matrix = f"{'token_embd' if tied else name}.weight"
        units = self.units.get(matrix)
        if units:
            # One rounding serves all products with the same input: q, k and v, gate and up.
            if self.last is None or self.last[0] is not x:
                self.last = x, self.moved(x, units(x))
            x = self.last[1]
        if matrix not in self.rounded:
            return super().linear(x, name, expert)
        exact, self.tensors[matrix] = self.tensors[matrix], self.rounded[matrix]
        result = super().linear(x, name, expert)
        self.tensors[matrix] = exact  # which looking up reads
        return result

    def attention(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, positions: np.ndarray
                  ) -> np.ndarray:
        k, v = (self.moved(x, np.spacing(np.abs(x).astype(np.float16)).astype(x.dtype))
                for x in (k, v))
        return super().attention(q, k, v, positions)


class Tolerance:
    """What `tokens` lead to, exactly and with errors: arrays of a row a token."""

    def __init__(self, path: Path, tokens: Sequence[int]) -> None:
        self.exact = Reference(path).step(tokens)
        self.best = np.argmax(self.exact, axis=-1)
        deviations, races = [], []
        for seed in range(DRAWS):
            rows = Rounded(path, seed).step(tokens)
            deviations.append(rows - self.exact)
            races.append(self.race(rows) - self.race(self.exact))
        # 32 draws tell the variance of a single logit to 25 % only. So it is averaged with what
        # the logit's token and its place in the vocabulary let expect, means over many.
        variance = np.mean(np.square(deviations), axis=0)
        of_token = np.mean(variance, axis=1, keepdims=True)
        expected = of_token * np.mean(variance / of_token, axis=0, keepdims=True)
        self.sigma = np.sqrt((variance + expected) / 2)
        self.race_sigma = np.sqrt(np.mean(np.square(races), axis=0))

    def race(self, rows: np.ndarray) -> np.ndarray:
        """How far the exactly best token's logit is ahead of the next best's, for each row."""
        at = np.arange(len(rows))
        others = rows.copy()
        others[at, self.best] = -np.inf
        return rows[at, self.best] - others.max(axis=-1)

    def verdict(self, logits: np.ndarray) -> str:
        """What is wrong with a fast path's `logits`; empty where nothing is."""
        found = (logits - self.exact) / self.sigma
        largest, together = np.abs(found).max(), np.sqrt(np.mean(found**2))
        if largest > SIGMAS:
            return f"a logit deviates by {largest:.1f} sigmas"
        if not 0.5 <= together <= 1.5:
            return f"the logits deviate by {together:.2f} sigmas together"
        return ""

    def decided(self) -> np.ndarray:
        """The rows at which rounding cannot change which token is best."""
        return self.race(self.exact) > SIGMAS * self.race_sigma
