"""Small ONNX models of ops that onnxruntime defines, or whose meaning it settles, with inputs made
by a formula. Its results are in data/onnx_cases.npz, which

    python test/e2e/onnx_cases.py

writes where onnxruntime is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GOLDEN = Path(__file__).parent / "data" / "onnx_cases.npz"
F32, I32, I64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


@dataclass
class Case:
    """A graph, and values for its inputs; constants become initializers."""

    nodes: list[onnx.NodeProto]
    outputs: dict[str, int]
    inputs: dict[str, np.ndarray]
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    dims: dict[str, list[str | int]] = field(default_factory=dict)
    """Names of dimensions, of inputs that have any."""
    unspecified: tuple[str, ...] = ()
    """Outputs of which onnxruntime does not say all elements."""

    def model(self) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), self.dims.get(name, value.shape))
            for name, value in self.inputs.items()]
        results = [helper.make_tensor_value_info(name, type_, None)
                   for name, type_ in self.outputs.items()]
        graph = helper.make_graph(self.nodes, "g", ports, results,
                                  [numpy_helper.from_array(value, name)
                                   for name, value in self.constants.items()])
        return helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)])

    def expected(self) -> dict[str, np.ndarray]:
        """onnxruntime's results, but those that it does not specify."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.model().SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
        found = zip(self.outputs, session.run(list(self.outputs), self.inputs))
        return {name: value for name, value in found if name not in self.unspecified}


def floats(*shape: int, seed: float = 1) -> np.ndarray:
    """Numbers in [-1, 1] without a pattern that ops could confuse."""
    place = np.arange(np.prod(shape, dtype=np.int64), dtype=np.float64)
    return np.sin(place * (2.3 + seed) + seed * place**2 / 7).astype(np.float32).reshape(shape)


def contrib(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, op.lower(), domain="com.microsoft", **attributes)


def one(op: str, operands: dict[str, np.ndarray | None], outputs: dict[str, int],
        constants: tuple[str, ...] = (), **attributes: Any) -> Case:
    """A case of one node; operands that are None are left out."""
    names = [name if value is not None else "" for name, value in operands.items()]
    given = {name: np.asarray(value) for name, value in operands.items() if value is not None}
    return Case([contrib(op, names, list(outputs), **attributes)], outputs,
                {name: value for name, value in given.items() if name not in constants},
                {name: value for name, value in given.items() if name in constants})


CASES: dict[str, Case] = {}

# ---- MultiHeadAttention ----

HEADS, WIDTH = 2, 8


def multi_head(queries: int = 3, keys: int = 3, **others: Any) -> Case:
    operands: dict[str, np.ndarray | None] = {
        "q": floats(2, queries, WIDTH, seed=1), "k": floats(2, keys, WIDTH, seed=2),
        "v": floats(2, keys, WIDTH, seed=3), "bias": None, "mask": None, "scores": None,
        "past_k": None, "past_v": None}
    outputs = {"y": F32}
    if "past_k" in others:
        outputs |= {"present_k": F32, "present_v": F32}
    attributes = {name: value for name, value in others.items() if name not in operands}
    operands |= {name: value for name, value in others.items() if name in operands}
    return one("MultiHeadAttention", operands, outputs, ("bias",), num_heads=HEADS, **attributes)


PADDED = np.array([[1, 1, 0], [1, 1, 1]], np.int32)

CASES["mha"] = multi_head()
CASES["mha_cross"] = multi_head(queries=2, keys=5)
CASES["mha_bias"] = multi_head(bias=floats(3 * WIDTH, seed=4))
CASES["mha_padding"] = multi_head(mask=PADDED)
CASES["mha_nothing_seen"] = multi_head(mask=np.array([[0, 0, 0], [1, 0, 1]], np.int32))
CASES["mha_lengths"] = multi_head(mask=np.array([2, 3], np.int32))
CASES["mha_mask_per_query"] = multi_head(
    mask=np.array([[[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 1, 0]] * 3], np.int32))
CASES["mha_scores"] = multi_head(scores=floats(1, HEADS, 3, 3, seed=5), mask=PADDED)
CASES["mha_causal"] = multi_head(unidirectional=1, scale=0.3)
CASES["mha_past"] = multi_head(queries=2, keys=2, past_k=floats(2, HEADS, 4, 4, seed=6),
                               past_v=floats(2, HEADS, 4, 4, seed=7))
CASES["mha_past_causal"] = multi_head(queries=2, keys=2, unidirectional=1,
                                      past_k=floats(2, HEADS, 4, 4, seed=6),
                                      past_v=floats(2, HEADS, 4, 4, seed=7))
CASES["mha_cached_keys"] = multi_head(k=floats(2, HEADS, 5, 4, seed=8),
                                      v=floats(2, HEADS, 5, 4, seed=9))
CASES["mha_wide_values"] = multi_head(v=floats(2, 3, 2 * WIDTH, seed=3),
                                      bias=floats(4 * WIDTH, seed=4))

# ---- Attention ----


def packed(tokens: int = 3, past: int | None = None, **others: Any) -> Case:
    operands: dict[str, np.ndarray | None] = {
        "x": floats(2, tokens, 6, seed=1), "w": floats(6, 3 * WIDTH, seed=2),
        "b": floats(3 * WIDTH, seed=3), "mask": None, "past": None, "scores": None}
    outputs = {"y": F32}
    if past is not None:
        operands["past"] = floats(2, 2, HEADS, past, WIDTH // HEADS, seed=4)
        outputs["present"] = F32
    attributes = {name: value for name, value in others.items() if name not in operands}
    operands |= {name: value for name, value in others.items() if name in operands}
    return one("Attention", operands, outputs, ("w", "b"), num_heads=HEADS, **attributes)


CASES["attention"] = packed()
CASES["attention_no_bias"] = packed(b=None)
CASES["attention_causal"] = packed(unidirectional=1)
CASES["attention_past"] = packed(past=4)
CASES["attention_past_causal"] = packed(past=4, unidirectional=1)
CASES["attention_past_padding"] = packed(
    past=1, unidirectional=1, mask=np.array([[1, 1, 1, 0], [0, 1, 1, 1]], np.int32))
CASES["attention_padding"] = packed(mask=PADDED)
CASES["attention_lengths"] = packed(mask=np.array([1, 3], np.int32))
CASES["attention_ends_and_starts"] = packed(mask=np.array([3, 2, 1, 0], np.int32))
CASES["attention_filter"] = packed(mask=PADDED, mask_filter_value=-2.0)
CASES["attention_mask_per_query"] = packed(
    mask=np.array([[[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 1, 0]] * 3], np.int32))
CASES["attention_scores"] = packed(scores=floats(2, 1, 3, 3, seed=5), scale=0.7)
CASES["attention_wide_values"] = packed(
    w=floats(6, 4 * WIDTH, seed=2), b=floats(4 * WIDTH, seed=3),
    qkv_hidden_sizes=[WIDTH, WIDTH, 2 * WIDTH])

# ---- GroupQueryAttention ----

TURNS = np.arange(16)[:, None] * 10.0 ** -(np.arange(8) / 2)[None, :]
COSINES, SINES = np.cos(TURNS).astype(np.float32), np.sin(TURNS).astype(np.float32)


def grouped(lengths: list[int], tokens: int, past: int, total: int, **others: Any) -> Case:
    """4 heads of 16 features with 2 heads of keys."""
    batch = len(lengths)
    operands: dict[str, np.ndarray | None] = {
        "q": floats(batch, tokens, 64, seed=1), "k": floats(batch, tokens, 32, seed=2),
        "v": floats(batch, tokens, 32, seed=3), "past_k": None, "past_v": None,
        "last": np.array(lengths, np.int32) - 1, "total": np.array(total, np.int32)}
    if past:
        operands |= {"past_k": floats(batch, 2, past, 16, seed=4),
                     "past_v": floats(batch, 2, past, 16, seed=5)}
    attributes = {name: value for name, value in others.items()
                  if name not in ("q", "k", "v", "rotary", "sinks", "scores")}
    if "rotary" in others:
        operands |= {"cos": COSINES[:, :others["rotary"]], "sin": SINES[:, :others["rotary"]]}
        attributes["do_rotary"] = 1
    if "sinks" in others:
        operands |= {"cos": None, "sin": None, "positions": None, "scores": None,
                     "sinks": others["sinks"]}
    if "scores" in others:
        operands |= {"cos": None, "sin": None, "positions": None, "scores": others["scores"]}
    operands |= {name: others[name] for name in ("q", "k", "v") if name in others}
    return one("GroupQueryAttention", operands, {"y": F32, "present_k": F32, "present_v": F32},
               ("total", "cos", "sin"), num_heads=4, kv_num_heads=2, **attributes)


CASES["gqa_prompt"] = grouped([5], 5, 0, 5)
CASES["gqa_prompts"] = grouped([5, 5], 5, 0, 5, softcap=2.0, scale=0.9)
CASES["gqa_next"] = grouped([7], 1, 6, 7)
CASES["gqa_next_some"] = grouped([9], 3, 6, 9, rotary=8)
CASES["gqa_rotary"] = grouped([5], 5, 0, 5, rotary=8)
CASES["gqa_rotary_interleaved"] = grouped([5], 5, 0, 5, rotary=8, rotary_interleaved=1)
CASES["gqa_packed"] = grouped([5], 5, 0, 5, rotary=8, q=floats(1, 5, 128), k=None, v=None)
CASES["gqa_window"] = grouped([5], 5, 0, 5, local_window_size=2)
CASES["gqa_window_next"] = grouped([7], 1, 6, 7, local_window_size=3)
CASES["gqa_ragged"] = grouped([7, 4], 1, 6, 7, rotary=8)
CASES["gqa_ragged"].unspecified = ("present_k", "present_v")  # behind each sequence's end
CASES["gqa_ragged_prompts"] = grouped([5, 5], 5, 0, 5, rotary=8, local_window_size=3)
CASES["gqa_sinks"] = grouped([5], 5, 0, 5, sinks=floats(4, seed=7), local_window_size=3)
CASES["gqa_sinks_next"] = grouped([7], 1, 6, 7, sinks=floats(4, seed=7))
CASES["gqa_smooth"] = grouped([5, 5], 5, 0, 5, smooth_softmax=1, softcap=1.5)
CASES["gqa_scores"] = grouped([5], 5, 0, 5, scores=floats(1, 4, 5, 5, seed=6))

# ---- Embeddings and norms ----

IDS = np.array([[1, 5, 0], [3, 3, 6]], np.int32)
SEGMENTS = np.array([[0, 0, 1], [1, 1, 1]], np.int32)


def embedding(**others: Any) -> Case:
    operands = {"ids": IDS, "segments": SEGMENTS, "words": floats(7, 4, seed=1),
                "places": floats(5, 4, seed=2), "kinds": floats(2, 4, seed=3),
                "gamma": floats(4, seed=4), "beta": floats(4, seed=5), "mask": PADDED,
                "position_ids": None} | others
    return one("EmbedLayerNormalization", operands, {"y": F32, "words_in_row": I32, "sum": F32},
               ("words", "places", "kinds", "gamma", "beta"), epsilon=1e-5)


CASES["embedding"] = embedding()
CASES["embedding_of_one_kind"] = embedding(segments=None, kinds=None)
CASES["embedding_at_places"] = embedding(position_ids=np.array([[4, 0, 2], [1, 1, 3]], np.int32))

X, SKIP = floats(2, 3, 4, seed=1), floats(2, 3, 4, seed=2)
GAMMA, BETA, BIAS = floats(4, seed=3), floats(4, seed=4), floats(4, seed=5)
CASES["skip_norm"] = Case(
    [contrib("SkipLayerNormalization", ["x", "skip", "gamma", "beta", "bias"],
             ["y", "", "", "sum"], epsilon=1e-3)],
    {"y": F32, "sum": F32}, {"x": X, "skip": SKIP},
    {"gamma": GAMMA, "beta": BETA, "bias": BIAS})
CASES["skip_norm_of_rows"] = one(
    "SkipLayerNormalization", {"x": X, "skip": SKIP[0], "gamma": GAMMA}, {"y": F32}, ("gamma",))
CASES["skip_simplified_norm"] = Case(
    [contrib("SkipSimplifiedLayerNormalization", ["x", "skip", "gamma", "bias"],
             ["y", "", "", "sum"], epsilon=1e-3)],
    {"y": F32, "sum": F32}, {"x": X, "skip": SKIP}, {"gamma": GAMMA, "bias": BIAS})
CASES["simplified_norm"] = Case(
    [helper.make_node("SimplifiedLayerNormalization", ["x", "gamma"], ["y", "scale"],
                      epsilon=1e-3)],
    {"y": F32, "scale": F32}, {"x": X}, {"gamma": GAMMA})
CASES["norm_statistics"] = Case(
    [helper.make_node("LayerNormalization", ["x", "gamma", "beta"], ["y", "mean", "scale"])],
    {"y": F32, "mean": F32, "scale": F32}, {"x": X}, {"gamma": GAMMA, "beta": BETA})

# ---- Activations and rotary embedding ----

CASES["bias_gelu"] = one("BiasGelu", {"x": X, "b": BIAS}, {"y": F32}, ("b",))
CASES["fast_gelu"] = one("FastGelu", {"x": X, "b": BIAS}, {"y": F32}, ("b",))
CASES["quick_gelu"] = one("QuickGelu", {"x": X}, {"y": F32}, alpha=1.3)
CASES["gelu"] = one("Gelu", {"x": X}, {"y": F32})
CASES["rotary"] = one(
    "RotaryEmbedding", {"x": floats(2, 3, 32), "ids": np.array([[0, 3, 2], [1, 1, 9]], np.int64),
                        "cos": COSINES, "sin": SINES}, {"y": F32}, ("cos", "sin"))
CASES["rotary_some"] = one(
    "RotaryEmbedding", {"x": floats(2, 3, 32), "ids": np.array([[0, 3, 2], [1, 1, 9]], np.int64),
                        "cos": COSINES[:, :4], "sin": SINES[:, :4]}, {"y": F32}, ("cos", "sin"),
    num_heads=2, rotary_embedding_dim=8)
CASES["rotary_offset"] = one(
    "RotaryEmbedding", {"x": floats(2, 2, 3, 16), "ids": np.array([5], np.int64),
                        "cos": COSINES, "sin": SINES}, {"y": F32}, ("cos", "sin"), interleaved=1)

# ---- Integers ----

def bytes_(*shape: int, seed: int = 1, signed: bool = True) -> np.ndarray:
    place = np.arange(np.prod(shape, dtype=np.int64))
    values = (place * 37 + place**2 * seed + 11 * seed) % 256 - (128 if signed else 0)
    return values.astype(np.int8 if signed else np.uint8).reshape(shape)


def plain(op: str, operands: dict[str, np.ndarray], outputs: dict[str, int],
          constants: tuple[str, ...] = (), **attributes: Any) -> Case:
    """A case of one node of ONNX's own."""
    names = [name if value is not None else "" for name, value in operands.items()]
    given = {name: np.asarray(value) for name, value in operands.items() if value is not None}
    return Case([helper.make_node(op, names, list(outputs), op.lower(), **attributes)], outputs,
                {name: value for name, value in given.items() if name not in constants},
                {name: value for name, value in given.items() if name in constants})


U8, I8 = TensorProto.UINT8, TensorProto.INT8
ACTIVATIONS = bytes_(2, 3, 300, signed=False)
MATRIX = bytes_(300, 5, seed=2)
CASES["integer_product"] = plain("MatMulInteger", {"a": ACTIVATIONS, "b": MATRIX}, {"y": I32},
                                 ("b",))
CASES["integer_product_zeros"] = plain(
    "MatMulInteger", {"a": ACTIVATIONS, "b": MATRIX, "za": np.uint8(130), "zb": np.int8(-3)},
    {"y": I32}, ("b", "zb"))
CASES["integer_product_of_inputs"] = plain(
    "MatMulInteger", {"a": bytes_(3, 4), "b": bytes_(2, 4, 6, seed=3), "za": np.int8(5),
                      "zb": np.array(7, np.int8)}, {"y": I32})
CASES["integer_product_zeros_of_columns"] = plain(
    "MatMulInteger", {"a": ACTIVATIONS, "b": bytes_(300, 5, seed=2, signed=False),
                      "za": np.uint8(130), "zb": np.array([0, 1, 128, 200, 255], np.uint8)},
    {"y": I32}, ("b", "zb"))
SCALE = {"sa": np.float32(0.02), "sb": np.float32(0.013)}
CASES["quantized_product"] = plain(
    "QLinearMatMul",
    {"a": ACTIVATIONS, "sa": SCALE["sa"], "za": np.uint8(120), "b": MATRIX,
     "sb": np.array([0.01, 0.02, 0.03, 0.011, 0.007], np.float32), "zb": np.zeros(5, np.int8),
     "sy": np.float32(0.3), "zy": np.uint8(128)}, {"y": U8},
    ("sa", "za", "b", "sb", "zb", "sy", "zy"))
CASES["product_to_float"] = one(
    "MatMulIntegerToFloat",
    {"a": ACTIVATIONS, "b": MATRIX, **SCALE, "za": np.uint8(117), "zb": np.int8(4),
     "bias": floats(5)}, {"y": F32}, ("b", "bias"))
CASES["product_dynamically_quantized"] = one(
    "DynamicQuantizeMatMul", {"a": floats(3, 300), "b": MATRIX, "sb": SCALE["sb"],
                              "zb": np.int8(4), "bias": floats(5)}, {"y": F32}, ("b", "bias"))
IMAGE = bytes_(2, 4, 6, 5, signed=False)
FILTER = bytes_(6, 4, 3, 3, seed=3, signed=False)
CASES["integer_convolution"] = plain(
    "ConvInteger", {"x": IMAGE, "w": FILTER, "zx": np.uint8(9), "zw": np.uint8(100)}, {"y": I32},
    ("w",), pads=[1, 1, 1, 1])
CASES["integer_convolution_of_many"] = plain(
    "ConvInteger", {"x": bytes_(1, 40, 5, 5, signed=False),
                    "w": bytes_(2, 40, 3, 3, seed=3, signed=False), "zx": np.uint8(3)},
    {"y": I32}, ("w",))
CASES["quantized_convolution"] = plain(
    "QLinearConv",
    {"x": IMAGE, "sx": SCALE["sa"], "zx": np.uint8(120), "w": bytes_(6, 4, 3, 3, seed=3),
     "sw": np.linspace(0.01, 0.02, 6, dtype=np.float32), "zw": np.zeros(6, np.int8),
     "sy": np.float32(0.9), "zy": np.uint8(100), "b": np.arange(6, dtype=np.int32) * 1000},
    {"y": U8}, ("sx", "zx", "w", "sw", "zw", "sy", "zy", "b"), strides=[2, 1])

WIDE = np.array([[2**53, 1, -3, 7], [2**53 + 1, 5, 5, -(2**53)]], np.int64)
AXIS = {"axes": np.array([1], np.int64)}
for op in ("Sum", "Max", "Min", "Prod", "L1", "SumSquare"):
    # Products and sums that an f32 has not, but an f64, in which onnxruntime computes some.
    CASES[f"wide_{op.lower()}"] = plain(
        f"Reduce{op}", {"x": WIDE if op in ("Max", "Min") else WIDE % 100003, **AXIS},
        {"y": I64}, ("axes",), keepdims=0)
CASES["mean_of_integers"] = plain("ReduceMean", {"x": WIDE.astype(np.int32) % 100 - 60, **AXIS},
                                  {"y": I32}, ("axes",))
CASES["wide_largest"] = plain("ArgMax", {"x": WIDE}, {"y": I64}, axis=0)
CASES["wide_top"] = plain("TopK", {"x": WIDE, "k": np.array([3], np.int64)}, {"y": I64, "i": I64},
                          ("k",))
CASES["wide_running_sums"] = plain("CumSum", {"x": WIDE, "axis": np.int64(1)}, {"y": I64},
                                   ("axis",))
CASES["pool_places"] = plain(
    "MaxPool", {"x": floats(2, 3, 7, 6)}, {"y": F32, "places": I64}, kernel_shape=[3, 2],
    strides=[2, 2], pads=[1, 0, 1, 1])


def einsum(equation: str, *shapes: tuple[int, ...]) -> Case:
    return plain("Einsum", {f"x{i}": floats(*shape, seed=i + 1) for i, shape in enumerate(shapes)},
                 {"y": F32}, equation=equation)


CASES["einsum_implicit"] = einsum("bij,bjk", (2, 3, 4), (2, 4, 5))
CASES["einsum_implicit_sorted"] = einsum("ba", (2, 3))
CASES["einsum_ellipsis"] = einsum("...ij,...jk->...ik", (2, 1, 3, 4), (1, 6, 4, 5))
CASES["einsum_ellipsis_implicit"] = einsum("...ij,jk", (2, 3, 4), (4, 5))
CASES["einsum_diagonal"] = einsum("...ii->...i", (2, 3, 3))
CASES["einsum_trace"] = einsum("ii->", (4, 4))
CASES["einsum_of_three"] = einsum("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5))

# ---- Matrices of few bits ----


def few_bits(bits: int, block: int, inputs: int, outputs: int, zeros: str = "",
             halves: bool = True, rows: int = 3) -> Case:
    """Scales that an f16 has exactly where `halves`; zero points "packed" or as "floats"."""
    blocks = -(-inputs // block)
    values = bytes_(outputs, blocks, block * bits // 8, seed=5, signed=False)
    scales = np.abs(floats(outputs, blocks, seed=6)) / 64 + np.float32(0.01)
    if halves:
        scales = scales.astype(np.float16).astype(np.float32)
    if bits == 8:
        values[..., 0] = 0  # the least and the most
        values[..., 1] = 255
    operands: dict[str, np.ndarray | None] = {
        "x": floats(rows, inputs), "B": values, "scales": scales}
    if zeros == "packed":
        operands["zeros"] = bytes_(outputs, -(-blocks * bits // 8), seed=7, signed=False)
    elif zeros == "floats":
        operands["zeros"] = floats(outputs, blocks, seed=8) * 4 + 8
    return one("MatMulNBits", operands, {"y": F32}, ("B", "scales", "zeros"), K=inputs, N=outputs,
               bits=bits, block_size=block)


CASES["bits_4"] = few_bits(4, 32, 128, 6)
CASES["bits_4_wide_blocks"] = few_bits(4, 64, 192, 5)
CASES["bits_4_zeros"] = few_bits(4, 32, 96, 6, "packed")
CASES["bits_4_narrow_blocks"] = few_bits(4, 16, 96, 6, "packed")
CASES["bits_4_float_zeros"] = few_bits(4, 32, 96, 6, "floats")
CASES["bits_4_other_scales"] = few_bits(4, 32, 96, 6, halves=False)
CASES["bits_4_padded"] = few_bits(4, 32, 80, 6, "packed")
CASES["bits_8"] = few_bits(8, 32, 96, 6)
CASES["bits_8_zeros"] = few_bits(8, 32, 96, 6, "packed")


def write() -> None:
    results = {f"{name}/{output}": value for name, case in CASES.items()
               for output, value in case.expected().items()}
    np.savez_compressed(GOLDEN, **results)
    print(f"{len(CASES)} cases, {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    write()
