"""Small decoders of the families beside plain llama, with random weights, for tests.

They differ where the families do: biases, norms of heads, heads that are not the embedding's width,
fused matrices, a rotation of part of a head, a window of attention, experts. The bytes depend on raw random
bits only, which NumPy promises to keep, so that results of other programs can be kept beside them
(test/e2e/data/families.json).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from cleave.vocabulary import Vocabulary
from gguf import GGMLQuantizationType as Type

VOCABULARY = 360
CONTEXT = 256


@dataclass(frozen=True)
class Shape:
    """A decoder of two layers, its sizes in elements."""

    architecture: str
    width: int = 96
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 16
    ffn: int = 160
    layers: int = 2
    qkv_bias: bool = False
    other_bias: bool = False
    """Whether the layers that a default plan splits by rows have biases, and those before them."""
    head_norms: bool = False
    fused: bool = False
    tied: bool = False
    rotated: int = 16
    window: int = 0
    experts: int = 0
    used: int = 0
    """Experts for each token."""
    seed: int = -1
    """Of the weights; -1: the shape's place in SHAPES. With experts, one whose choice of experts is
    clear for the tests' tokens: no rounding changes it (test_experts.py looks).
    """

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of each tensor; matrices are [outputs, inputs]."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        yield "token_embd.weight", (VOCABULARY, self.width)
        for layer in range(self.layers):
            linears = [("attn_qkv", q + 2 * kv, self.width, self.qkv_bias)]
            if not self.fused:
                linears = [("attn_q", q, self.width, self.qkv_bias),
                           ("attn_k", kv, self.width, self.qkv_bias),
                           ("attn_v", kv, self.width, self.qkv_bias)]
            linears.append(("attn_output", self.width, q, self.other_bias))
            if not self.fused:
                linears.append(("ffn_gate", self.ffn, self.width, self.other_bias))
            linears += [("ffn_up", self.ffn * (1 + self.fused), self.width, self.other_bias),
                        ("ffn_down", self.width, self.ffn, self.other_bias)]
            prefix = f"blk.{layer}."
            if self.experts:
                yield prefix + "ffn_gate_inp.weight", (self.experts, self.width)
                for name, outputs, inputs, _ in linears[-3:]:
                    yield f"{prefix}{name}_exps.weight", (self.experts, outputs, inputs)
                del linears[-3:]
            yield prefix + "attn_norm.weight", (self.width,)
            yield prefix + "ffn_norm.weight", (self.width,)
            if self.head_norms:
                yield prefix + "attn_q_norm.weight", (self.head_dim,)
                yield prefix + "attn_k_norm.weight", (self.head_dim,)
            for name, outputs, inputs, bias in linears:
                yield f"{prefix}{name}.weight", (outputs, inputs)
                if bias:
                    yield f"{prefix}{name}.bias", (outputs,)
        yield "output_norm.weight", (self.width,)
        if not self.tied:
            yield "output.weight", (VOCABULARY, self.width)


SHAPES = {
    "qwen2": Shape("qwen2", qkv_bias=True, tied=True),
    "qwen2-biases": Shape("qwen2", qkv_bias=True, other_bias=True),
    "qwen3": Shape("qwen3", width=64, head_norms=True),
    "phi3": Shape("phi3", fused=True, rotated=12, window=9),
    "phi3-bias": Shape("phi3", fused=True, qkv_bias=True, other_bias=True),
    "mixtral": Shape("llama", ffn=64, experts=5, used=2, seed=148),
    "qwen3moe": Shape("qwen3moe", width=64, ffn=96, head_norms=True, experts=8, used=3, seed=197),
}
KINDS = {"f32": Type.F32, "q8_0": Type.Q8_0}


def uniform(seed: int, index: int, size: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and deviation 1 in float32, from raw bits."""
    seeds = np.random.SeedSequence([seed, index])
    bits = np.random.SFC64(seeds).random_raw(math.prod(size)) >> np.uint64(40)
    values = bits.astype(np.float64) / 2**23 - 1
    return (values * math.sqrt(3)).astype(np.float32).reshape(size)


def write(path: Path, shape: Shape, kind: Type, seed: int) -> None:
    """Writes the model with its matrices in `kind`."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    # Files of Qwen 3 with experts give the width of blocks that have none, too.
    dense = shape.architecture == "qwen3moe"
    writer.add_feed_forward_length(shape.ffn * (3 if dense else 1))
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.rotated)
    writer.add_rope_freq_base(1000000.0 if shape.architecture.startswith("qwen3") else 10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.used)
        if shape.architecture == "qwen3moe":
            writer.add_expert_feed_forward_length(shape.ffn)
    if shape.window:
        writer.add_sliding_window(shape.window)
    Vocabulary.synthetic(VOCABULARY).write(writer)
    for index, (name, size) in enumerate(shape.tensors()):
        values = uniform(seed, index, size)
        if len(size) == 1:
            values = values * np.float32(0.1) + np.float32(name.endswith("norm.weight"))
        else:
            values = values / np.float32(math.sqrt(size[-1]))
        chosen = kind if len(size) > 1 and "ffn_gate_inp" not in name else Type.F32
        writer.add_tensor(name, gguf.quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def seed_of(name: str) -> int:
    """Of the shape's weights."""
    return SHAPES[name].seed if SHAPES[name].seed >= 0 else list(SHAPES).index(name)


def make_families(folder: Path) -> None:
    """Writes each shape in each element type: "qwen2-f32.gguf", ..."""
    for name, shape in SHAPES.items():
        for kind, element_type in KINDS.items():
            write(folder / f"{name}-{kind}.gguf", shape, element_type, seed_of(name))
