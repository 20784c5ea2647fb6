#!/usr/bin/env python3
"""Writes dequantize.txt: random blocks of each quantized type, and what the `gguf`
package dequantizes them to. Lines: type, elements, the bytes in hex, the f32 values
as hex bit patterns. Needs numpy and gguf; run it in this folder."""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

random = np.random.default_rng(7)
scales = np.array([1.0, -0.0371, 6.1e-5, 3.0e-7, 500.0, 0.0], dtype=np.float16)

with open("dequantize.txt", "w") as out:
    def write(name, kind, data):
        values = dequantize(data, kind).astype(np.float32).reshape(-1)
        out.write(f"{name} {len(values)} {data.tobytes().hex()} "
                  + ",".join(f"{v:08x}" for v in values.view(np.uint32)) + "\n")

    def blocks(payload):
        rows = [s.tobytes() + random.integers(0, 256, payload, dtype=np.uint8).tobytes()
                for s in scales]
        return np.frombuffer(b"".join(rows), dtype=np.uint8)

    write("q8_0", T.Q8_0, blocks(32))
    write("q4_0", T.Q4_0, blocks(16))
    # Finite halves of every size, subnormal ones too, and their bfloat16 neighbours.
    half = np.linspace(0, 0x7BFF, 33).astype(np.uint16)
    half = np.concatenate([half, half[1:] | 0x8000])
    write("f16", T.F16, half.view(np.float16).view(np.uint8))
    bfloat = random.integers(0, 0x7F00, 33, dtype=np.uint16)
    write("bf16", T.BF16, np.concatenate([bfloat, bfloat | 0x8000]).view(np.uint8))
    # Blocks of 256: a scale and a minimum before 140 or 172 bytes, or a scale behind 208.
    def tails(payload):
        return [random.integers(0, 256, payload, dtype=np.uint8).tobytes() for _ in range(4)]
    for name, kind, payload in (("q4_k", T.Q4_K, 140), ("q5_k", T.Q5_K, 172)):
        rows = [s.tobytes() + m.tobytes() + tail
                for s, m, tail in zip(scales[1:], scales[[3, 1, 2, 5]], tails(payload))]
        write(name, kind, np.frombuffer(b"".join(rows), dtype=np.uint8))
    rows = [tail + s.tobytes() for s, tail in zip(scales[1:], tails(208))]
    write("q6_k", T.Q6_K, np.frombuffer(b"".join(rows), dtype=np.uint8))
    # Blocks of 32 with a scale or with a scale and a minimum before 16 or 20 bytes.
    write("q5_0", T.Q5_0, blocks(20))
    for name, kind, payload in (("q4_1", T.Q4_1, 18), ("q5_1", T.Q5_1, 22)):
        data = blocks(payload).reshape(len(scales), -1).copy()
        data[:, 2:4] = scales[[3, 1, 2, 5, 4, 0]].view(np.uint8).reshape(-1, 2)
        write(name, kind, data)
