"""GGUF files with random weights at any llama shape and element type, for tests and benchmarks.

Weights go to the disk in pieces, so that a file of any size needs little memory. Quantized types
are not quantized from floats: their blocks are drawn directly.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterator
from os import PathLike

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from .errors import CleaveError
from .llama_file import LlamaShape, complete_file
from .vocabulary import Vocabulary

TYPES = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16, "q8_0": Type.Q8_0, "q4_0": Type.Q4_0,
         "q4_1": Type.Q4_1, "q5_0": Type.Q5_0, "q5_1": Type.Q5_1, "q4_k": Type.Q4_K,
         "q5_k": Type.Q5_K, "q6_k": Type.Q6_K}
MIXES = {"q4_k_m": Type.Q4_K, "q5_k_m": Type.Q5_K}
"""Files of two types, as they are usual: this one, and Q6_K for the matrices of FINER."""
FINER = re.compile(r"output\.weight|blk\.\d*[02468]\.(attn_v|ffn_down)\.weight")
SPREAD = {Type.Q8_0: 73.3, Type.Q4_0: 4.6, Type.Q4_1: 4.6, Type.Q5_0: 9.2, Type.Q5_1: 9.2}
"""The deviation of uniform integers in blocks of 32: of [-127, 127], of 4 and of 5 bits."""
MIDDLE = {Type.Q4_1: 7.5, Type.Q5_1: 15.5}
"""Their mean, where a block has a minimum that moves it to zero."""
PIECE = 1 << 22
"""Weights drawn at once."""

log = logging.getLogger("cleave")


def random_model(
    output: str | PathLike[str], shape: LlamaShape, kind: str = "f32", seed: int = 0
) -> None:
    """Writes a model of `shape` whose matrices are of type `kind`, a key of TYPES or MIXES.

    Norms, biases and routers of experts are F32; a matrix whose rows are no multiple of the block
    length becomes F16, which is logged. The same arguments give the same bytes. Raises CleaveError
    for an unknown type, a vocabulary too small for the special tokens, or a file that cannot be
    written.
    """
    if kind not in TYPES | MIXES:
        known = ", ".join(TYPES | MIXES)
        raise CleaveError(f"unknown element type '{kind}', expected one of {known}")
    vocabulary = Vocabulary.synthetic(shape.vocab)
    unfit: Counter[int] = Counter()
    with complete_file(output) as path:
        writer = shape.writer(path, f"random-{kind}", vocabulary)
        tensors: list[tuple[str, tuple[int, ...], Type]] = []
        for name, size in shape.tensors():
            is_router = "ffn_gate_inp" in name
            chosen = matrix_type(kind, name) if len(size) > 1 and not is_router else Type.F32
            if size[-1] % gguf.GGML_QUANT_SIZES[chosen][0]:
                unfit[size[-1]] += 1
                chosen = Type.F16
            tensors.append((name, size, chosen))
            # A dtype other than uint8 says that the shape counts elements.
            float32 = np.dtype(np.float32)
            writer.add_tensor_info(name, size, float32, byte_size(size, chosen), chosen)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        file = writer.fout[0]
        writer.write_padding(file, file.tell())
        for index, (name, size, chosen) in enumerate(tensors):
            # A generator a tensor: one tensor's bytes do not depend on another's type.
            seeds = np.random.SeedSequence([seed, index])
            generator = np.random.Generator(np.random.SFC64(seeds))
            for piece in draw(name, size, chosen, shape, generator):
                file.write(piece.tobytes())
            writer.write_padding(file, byte_size(size, chosen))
        writer.close()
    for row, count in unfit.items():
        log.warning("note: %d tensors have rows of %d weights, no multiple of the block length of "
                    "%s; they are f16", count, row, kind)


def matrix_type(kind: str, name: str) -> Type:
    """The type of the matrix `name` in a file of `kind`."""
    if kind in MIXES:
        return Type.Q6_K if FINER.fullmatch(name) else MIXES[kind]
    return TYPES[kind]


def byte_size(size: tuple[int, ...], kind: Type) -> int:
    """Bytes of a tensor."""
    block, width = gguf.GGML_QUANT_SIZES[kind]
    return math.prod(size) // block * width


def draw(
    name: str, size: tuple[int, ...], kind: Type, shape: LlamaShape, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """The tensor's bytes, as arrays of a few MiB.

    Norm weights are around one. A matrix's weights have the standard deviation that keeps its
    result's as large as its input's; what adds to the residual is smaller with more layers, so that
    logits stay of the order of one.
    """
    if len(size) == 1:
        values = generator.standard_normal(size, np.float32) * np.float32(0.1)
        yield values + np.float32(name.endswith("norm.weight"))
        return
    deviation = 1 / math.sqrt(size[-1])
    if "attn_output" in name or "ffn_down" in name:
        deviation /= math.sqrt(2 * shape.layers)
    left = math.prod(size)
    while left:
        count = min(PIECE, left)
        yield draw_piece(count, kind, deviation, generator)
        left -= count


def draw_piece(
    count: int, kind: Type, deviation: float, generator: np.random.Generator
) -> np.ndarray:
    """The bytes of `count` weights, whole blocks."""
    block, width = gguf.GGML_QUANT_SIZES[kind]
    if block == 1:
        values = generator.standard_normal(count, np.float32) * np.float32(deviation)
        if kind == Type.F16:
            return values.astype(np.float16)
        return gguf.quants.quantize(values, kind) if kind == Type.BF16 else values
    blocks = np.empty((count // block, width), np.uint8)
    scales = generator.uniform(0.5, 1.5, len(blocks)).astype(np.float32) * np.float32(deviation)
    # Scales of either sign, as files have them, also undo that Q4_0's integers are -0.5 on average.
    scales *= generator.integers(0, 2, len(blocks), np.int8) * np.int8(2) - np.int8(1)
    if block == 256:
        fill_wide(blocks, scales, kind, generator)
        return blocks
    # A half-precision scale, perhaps a minimum, then whole bytes of integers, all of them valid.
    scales /= np.float32(SPREAD[kind])
    blocks[:, :2] = halves(scales)
    first = 2
    if kind in MIDDLE:
        blocks[:, 2:4] = halves(scales * np.float32(-MIDDLE[kind]))
        first = 4
    low, high = (-127, 128) if kind == Type.Q8_0 else (-128, 128)
    integers = generator.integers(low, high, (len(blocks), width - first), np.int8)
    blocks[:, first:] = integers.view(np.uint8)
    return blocks


def fill_wide(
    blocks: np.ndarray, scales: np.ndarray, kind: Type, generator: np.random.Generator
) -> None:
    """Draws blocks of 256 weights whose deviations are `scales`: see BlockQ4_K in
    runtime/program/block_formats.h."""
    blocks[:] = generator.integers(0, 256, blocks.shape, np.uint8)
    if kind == Type.Q6_K:
        # Integers of [-32, 31] deviate by 18.5, the products of both scales by 50.4 from zero.
        signs = generator.integers(0, 2, (len(blocks), 16), np.int8) * np.int8(2) - np.int8(1)
        integers = generator.integers(32, 64, (len(blocks), 16), np.int8) * signs
        blocks[:, 192:208] = integers.view(np.uint8)
        blocks[:, 208:] = halves(scales / np.float32(18.5 * 50.4))
        return
    # A sub-block's minimum is about its scale times half the largest integer, so that weights are
    # around zero. Integers of [0, 15] and [0, 31] deviate by 4.6 and 9.2 from that, the products of
    # both scales by 48.1 from zero.
    middle, spread = (7.5, 4.6) if kind == Type.Q4_K else (15.5, 9.2)
    factors = generator.integers(32, 60, (len(blocks), 8), np.uint8)
    minimums = factors + generator.integers(0, 7, factors.shape, np.uint8) - np.uint8(3)
    scales /= np.float32(spread * 48.1)
    blocks[:, 0:2] = halves(scales)
    blocks[:, 2:4] = halves(scales * np.float32(middle))
    blocks[:, 4:8] = factors[:, :4] | factors[:, 4:] >> 4 << 6
    blocks[:, 8:12] = minimums[:, :4] | minimums[:, 4:] >> 4 << 6
    blocks[:, 12:16] = factors[:, 4:] & 15 | minimums[:, 4:] << 4


def halves(values: np.ndarray) -> np.ndarray:
    """The bytes of `values` in half precision, a row each."""
    return values.astype(np.float16).view(np.uint8).reshape(-1, 2)
