"""The oracle of the end-to-end tests: decoders and their vocabularies in float64 NumPy.

Independent of Cleave: reads GGUF with the `gguf` package, dequantizes, computes. Slow, and meant to
be read. As a program it writes teacher-forced logits:

    reference.py MODEL --tokens 1,403,407 -o logits.npy
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from os import PathLike
from typing import Any

import gguf
import numpy as np

SPACE = "\u2581"


class Reference:
    """A llama, qwen2, qwen3 or phi3 model, with experts or without, with a cache: `step` appends tokens and gives their
    logits.
    """

    def __init__(self, path: str | PathLike[str], precision: Any = np.float64) -> None:
        """Reads `path`; computes in `precision`, the matrix products included."""
        self.reader = gguf.GGUFReader(path)
        self.precision = precision
        self.tensors = {
            tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(precision)
            for tensor in self.reader.tensors
        }
        self.kinds = {tensor.name: tensor.tensor_type for tensor in self.reader.tensors}
        family = self.key("general.architecture")
        self.layers = self.key(f"{family}.block_count")
        self.width = self.key(f"{family}.embedding_length")
        self.heads = self.key(f"{family}.attention.head_count")
        self.kv_heads = self.key(f"{family}.attention.head_count_kv", self.heads)
        self.head_dim = self.key(f"{family}.attention.key_length", self.width // self.heads)
        self.epsilon = self.key(f"{family}.attention.layer_norm_rms_epsilon")
        self.window = self.key(f"{family}.attention.sliding_window", 0)
        self.interleaved = family == "llama"
        self.used = self.key(f"{family}.expert_used_count", 0)
        self.chosen: list[np.ndarray] = []
        """The experts of each token, [n, used], as layer by layer and step by step chose them."""
        self.margins: list[np.ndarray] = []
        """How far the last logit that was chosen was ahead of the first that was not, likewise."""
        self.split_fused_tensors()
        self.rotated = self.key(f"{family}.rope.dimension_count", self.head_dim)
        base = self.key(f"{family}.rope.freq_base", 10000.0)
        self.frequencies = float(base) ** (-np.arange(0, self.rotated, 2) / self.rotated)
        if "rope_freqs.weight" in self.tensors:
            self.frequencies /= self.tensors["rope_freqs.weight"]
        if self.key(f"{family}.rope.scaling.type", "none") == "linear":
            self.frequencies /= self.key(f"{family}.rope.scaling.factor")
        self.cache: list[tuple[np.ndarray, np.ndarray]] = []
        self.restart()

    def key(self, name: str, default: Any = None) -> Any:
        """A metadata value; KeyError where the file has none and there is no default."""
        field = self.reader.get_field(name)
        if field is None and default is None:
            raise KeyError(name)
        return default if field is None else field.contents()

    def split_fused_tensors(self) -> None:
        """Puts q, k and v, and gate and up, in the place of the tensors that hold both or all."""
        kv = self.kv_heads * self.head_dim
        ends = {"attn_qkv": {"attn_q": -2 * kv, "attn_k": -kv, "attn_v": None}}
        if "blk.0.ffn_gate.weight" not in self.tensors and "blk.0.ffn_up.weight" in self.tensors:
            ffn = len(self.tensors["blk.0.ffn_up.weight"]) // 2
            ends["ffn_up"] = {"ffn_gate": ffn, "ffn_up": None}
        for name in list(self.tensors):
            prefix, _, rest = name.rpartition(".")
            block, _, linear = prefix.rpartition(".")
            if linear not in ends:
                continue
            whole, kind, begin = self.tensors.pop(name), self.kinds.pop(name), 0
            for part, end in ends[linear].items():
                end = len(whole) if end is None else end % len(whole)
                self.tensors[f"{block}.{part}.{rest}"] = whole[begin:end]
                self.kinds[f"{block}.{part}.{rest}"] = kind
                begin = end

    def restart(self) -> None:
        """Empties the cache."""
        empty = np.zeros((0, self.kv_heads, self.head_dim), self.precision)
        self.cache = [(empty, empty) for _ in range(self.layers)]

    def step(self, tokens: Sequence[int]) -> np.ndarray:
        """The logits [n, vocab] after each of the n `tokens`, which follow those in the cache."""
        past = len(self.cache[0][0])
        positions = np.arange(past, past + len(tokens))
        x = self.tensors["token_embd.weight"][list(tokens)]
        for layer in range(self.layers):
            h = self.norm(x, f"blk.{layer}.attn_norm")
            q, k, v = (self.linear(h, f"blk.{layer}.attn_{each}").reshape(len(h), -1, self.head_dim)
                       for each in "qkv")
            if f"blk.{layer}.attn_q_norm.weight" in self.tensors:
                q, k = (self.norm(x, f"blk.{layer}.attn_{each}_norm")
                        for x, each in ((q, "q"), (k, "k")))
            k = np.concatenate([self.cache[layer][0], self.rope(k, positions)])
            v = np.concatenate([self.cache[layer][1], v])
            self.cache[layer] = k, v
            a = self.attention(self.rope(q, positions), k, v, positions)
            x = x + self.linear(a.reshape(len(h), -1), f"blk.{layer}.attn_output")
            h = self.norm(x, f"blk.{layer}.ffn_norm")
            feed_forward = self.experts if self.used else self.gated
            x = x + feed_forward(h, f"blk.{layer}.ffn_")
        x = self.norm(x, "output_norm")
        tied = "output.weight" not in self.tensors
        return self.linear(x, "token_embd" if tied else "output")

    def gated(self, x: np.ndarray, prefix: str, suffix: str = "", expert: int | None = None
              ) -> np.ndarray:
        """down(silu(gate(x)) * up(x)), of one expert where one is named."""
        gate, up = (self.linear(x, f"{prefix}{each}{suffix}", expert) for each in ("gate", "up"))
        return self.linear(gate / (1 + np.exp(-gate)) * up, f"{prefix}down{suffix}", expert)

    def experts(self, x: np.ndarray, prefix: str) -> np.ndarray:
        """The experts that are chosen for each token, by the softmax of their logits."""
        logits = self.linear(x, f"{prefix}gate_inp")
        order = np.argsort(-logits, axis=-1, kind="stable")
        sorted_logits = np.take_along_axis(logits, order, axis=-1)
        self.chosen.append(order[:, : self.used])
        self.margins.append(sorted_logits[:, self.used - 1] - sorted_logits[:, self.used])
        weights = np.exp(sorted_logits[:, : self.used] - sorted_logits[:, :1])
        shares = np.zeros_like(logits)
        np.put_along_axis(shares, self.chosen[-1], weights / weights.sum(-1, keepdims=True), -1)
        return sum(share[:, None] * self.gated(x, prefix, "_exps", expert)
                   for expert, share in enumerate(shares.T))

    def linear(self, x: np.ndarray, name: str, expert: int | None = None) -> np.ndarray:
        """`x` [n, inputs] times the matrix [outputs, inputs], plus the bias where there is one."""
        matrix = self.tensors[f"{name}.weight"]
        result = x @ (matrix if expert is None else matrix[expert]).T
        return result + self.tensors[f"{name}.bias"] if f"{name}.bias" in self.tensors else result

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.precision(self.epsilon))
        return x / scale * self.tensors[f"{name}.weight"]

    def rope(self, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Turns pairs of each head of `x` [n, heads, head_dim]: for llama (2i, 2i+1), else (i,
        i + rotated / 2).
        """
        half = self.rotated // 2
        first, second = slice(0, half), slice(half, self.rotated)
        if self.interleaved:
            first, second = slice(0, self.rotated, 2), slice(1, self.rotated, 2)
        angles = positions[:, None, None] * self.frequencies
        turns = np.cos(angles) + 1j * np.sin(angles)
        result = x.copy()
        pairs = (x[..., first] + 1j * x[..., second]) * turns
        result[..., first] = pairs.real
        result[..., second] = pairs.imag
        return result

    def attention(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, positions: np.ndarray
                  ) -> np.ndarray:
        """Causal attention, over the window if there is one: q [n, heads, d], k and v [context,
        kv_heads, d].
        """
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("nhd,chd->hnc", q, k) / self.precision(np.sqrt(self.head_dim))
        ahead = np.arange(len(k))[None, :] - positions[:, None]
        scores[:, (ahead > 0) | (ahead <= -(self.window or np.inf))] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.einsum("hnc,chd->nhd", weights / weights.sum(axis=-1, keepdims=True), v)

    def greedy(self, prompt: Sequence[int], count: int) -> tuple[list[int], np.ndarray]:
        """The likeliest continuation: all tokens, and the logits [n, vocab] after all but the last.

        Ends after `count` tokens or with the end-of-sequence token.
        """
        self.restart()
        tokens = list(prompt)
        rows = [self.step(tokens)]
        for made in range(1, count + 1):
            tokens.append(int(np.argmax(rows[-1][-1])))
            if made == count or tokens[-1] == self.key("tokenizer.ggml.eos_token_id"):
                break
            rows.append(self.step(tokens[-1:]))
        return tokens, np.concatenate(rows)


class Text:
    """The model file's SentencePiece-style vocabulary."""

    def __init__(self, model: Reference) -> None:
        self.pieces = model.key("tokenizer.ggml.tokens")
        self.scores = model.key("tokenizer.ggml.scores")
        self.types = model.key("tokenizer.ggml.token_type")
        self.bos = model.key("tokenizer.ggml.bos_token_id")
        self.ids = {piece: number for number, piece in enumerate(self.pieces)
                    if self.types[number] == gguf.TokenType.NORMAL}

    def encode(self, text: str) -> list[int]:
        """BOS and the ids: joins the neighbours of the best joint piece until none has one."""
        parts = list(SPACE + text.replace(" ", SPACE)) if text else []
        while True:
            joined = [(-self.scores[self.ids[left + right]], place)
                      for place, (left, right) in enumerate(zip(parts, parts[1:]))
                      if left + right in self.ids]
            if not joined:
                break
            place = min(joined)[1]
            parts[place : place + 2] = ["".join(parts[place : place + 2])]
        tokens = [self.bos]
        for part in parts:
            if part in self.ids:
                tokens.append(self.ids[part])
            else:
                tokens += [self.pieces.index(f"<0x{byte:02X}>") for byte in part.encode()]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, with SentencePiece's leading space; control tokens give nothing."""
        data = b""
        for token in tokens:
            kind = self.types[token]
            if kind == gguf.TokenType.BYTE:
                data += bytes([int(self.pieces[token][3:5], 16)])
            elif kind == gguf.TokenType.NORMAL:
                data += self.pieces[token].replace(SPACE, " ").encode()
        return data.decode(errors="replace")


def logits(path: str | PathLike[str], tokens: Sequence[int]) -> np.ndarray:
    """The logits [n, vocab], float64, after each of the n `tokens`: row i saw 0 to i."""
    return Reference(path).step(tokens)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model")
    options.add_argument("--tokens", required=True, help="ids, separated by commas")
    options.add_argument("-o", "--output", help="a .npy file; without it, prints a line a token")
    given = options.parse_args()
    rows = logits(given.model, [int(each) for each in given.tokens.split(",")])
    if given.output:
        np.save(given.output, rows)
    else:
        for row in rows:
            print(*(f"{value:.9g}" for value in row))


if __name__ == "__main__":
    main()
