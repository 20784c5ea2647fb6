"""Small ONNX models, made without any framework, as exporters and published files spell them: an
image classifier and an upscaler, a BERT-like encoder, and Megatron's two blocks.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

WIDTH, HEADS, VOCABULARY, POSITIONS = 16, 4, 40, 24


class Builder:
    """Nodes and weights as they are added; weights are named, and random."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list = []
        self.weights: list = []

    def weight(self, name: str, *shape: int) -> str:
        size = max(int(np.prod(shape[:-1])), 1) if len(shape) > 1 else 16
        value = self.random.standard_normal(shape) / size**0.5
        return self.constant(name, value.astype(np.float32))

    def constant(self, name: str, value: np.ndarray | float) -> str:
        array = np.asarray(value, np.float32) if isinstance(value, float) else value
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *operands: str, name: str | None = None, **attributes) -> str:
        name = name or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(operands), [name + "_out"], name, **attributes))
        return name + "_out"

    def number(self, value: float) -> str:
        return self.add("Constant", value=numpy_helper.from_array(np.array(value, np.float32)))

    def sizes(self, *values: int) -> str:
        return self.add("Constant", value=numpy_helper.from_array(np.array(values, np.int64)))

    def linear(self, name: str, x: str, inputs: int, outputs: int) -> str:
        y = self.add("MatMul", x, self.weight(f"{name}.weight", inputs, outputs), name=name)
        return self.add("Add", y, self.weight(f"{name}.bias", outputs))

    def model(self, inputs: dict[str, tuple], outputs: dict[str, str], opset: int,
              integers: tuple[str, ...] = ()) -> ModelProto:
        """`outputs`: names, and the values that they are."""
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name], f"{name}_made"))
        ports = [helper.make_tensor_value_info(
            name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, dims)
            for name, dims in inputs.items()]
        graph = helper.make_graph(self.nodes, "g", ports, [helper.make_empty_tensor_value_info(name)
                                                           for name in outputs], self.weights)
        for output in graph.output:
            output.type.tensor_type.elem_type = TensorProto.FLOAT
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                                 ir_version=7)


def classifier() -> ModelProto:
    """Two convolutions with pools, and a matrix behind a reshape whose weight is reshaped, too, as
    CNTK's published model has it.
    """
    b = Builder(1)
    x = b.add("Div", "image", b.number(255.0))
    for i, (inputs, outputs, size) in enumerate(((1, 8, 2), (8, 12, 3))):
        y = b.add("Conv", x, b.weight(f"filters{i}", outputs, inputs, 5, 5), name=f"conv{i}",
                  kernel_shape=[5, 5], auto_pad="SAME_UPPER", strides=[1, 1])
        y = b.add("Relu", b.add("Add", y, b.weight(f"plus{i}", outputs, 1, 1)))
        x = b.add("MaxPool", y, kernel_shape=[size, size], strides=[size, size],
                  auto_pad="NOTSET", pads=[0, 0, 0, 0])
    x = b.add("Reshape", x, b.sizes(-1, 12 * 4 * 4))
    matrix = b.add("Reshape", b.weight("classes", 12, 4, 4, 10), b.sizes(12 * 4 * 4, 10))
    y = b.add("Add", b.add("MatMul", x, matrix, name="times"), b.weight("plus", 1, 10))
    return b.model({"image": ("batch", 1, 24, 24)}, {"scores": y}, 8)


def attention(b: Builder, name: str, x: str, mask: str) -> str:
    def heads(part: str, order: list[int]) -> str:
        y = b.linear(f"{name}.{part}", x, WIDTH, WIDTH)
        return b.add("Transpose", b.add("Reshape", y, b.sizes(0, 0, HEADS, WIDTH // HEADS)),
                     perm=order)
    q, k, v = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = b.add("Div", b.add("MatMul", q, k), b.number((WIDTH / HEADS) ** 0.5))
    weights = b.add("Softmax", b.add("Add", scores, mask), axis=3)
    mixed = b.add("Transpose", b.add("MatMul", weights, v), perm=[0, 2, 1, 3])
    return b.linear(f"{name}.mix", b.add("Reshape", mixed, b.sizes(0, 0, WIDTH)), WIDTH, WIDTH)


def norm(b: Builder, name: str, x: str) -> str:
    apart = b.add("Sub", x, b.add("ReduceMean", x, axes=[-1], keepdims=1))
    again = b.add("Sub", x, b.add("ReduceMean", x, axes=[-1], keepdims=1))
    square = b.add("ReduceMean", b.add("Pow", apart, b.number(2.0)), axes=[-1], keepdims=1)
    y = b.add("Div", again, b.add("Sqrt", b.add("Add", square, b.number(1e-5))))
    return b.add("Add", b.add("Mul", b.weight(f"{name}.weight", WIDTH), y),
                 b.weight(f"{name}.bias", WIDTH))


def gelu(b: Builder, x: str) -> str:
    half = b.add("Mul", x, b.number(0.5))
    erf = b.add("Erf", b.add("Div", x, b.number(2.0**0.5)))
    return b.add("Mul", half, b.add("Add", erf, b.number(1.0)))


def encoder() -> ModelProto:
    """Two blocks. Positions are cut to the smaller one of the sequence and what there is of them,
    and repeated for the batch.
    """
    b = Builder(2)
    seen = b.add("Cast", b.add("Unsqueeze", b.add("Unsqueeze", "mask", axes=[1]), axes=[2]), to=1)
    mask = b.add("Mul", b.add("Sub", b.number(1.0), seen), b.number(-10000.0))
    shape = b.add("Shape", "ids")
    ends = b.add("Min", b.add("Cast", shape, to=1), b.constant("limits", np.array(
        [1, 9999], np.float32)))
    places = b.add("Slice", b.constant("places", np.arange(POSITIONS, dtype=np.int64)[None]),
                   b.sizes(0, 0), b.add("Cast", ends, to=7), b.sizes(0, 1))
    x = b.add("Add", b.add("Gather", b.weight("words", VOCABULARY, WIDTH), "ids"),
              b.add("Gather", b.weight("positions", POSITIONS, WIDTH),
                    b.add("Expand", places, shape)))
    for i in range(2):
        x = norm(b, f"{i}.norm", b.add("Add", attention(b, f"{i}.attention", x, mask), x))
        y = b.linear(f"{i}.down", gelu(b, b.linear(f"{i}.up", x, WIDTH, 40)), 40, WIDTH)
        x = norm(b, f"{i}.last", b.add("Add", y, x))
    first = b.add("Gather", x, b.add("Constant", value=numpy_helper.from_array(np.array(0))), axis=1)
    pooled = b.add("Tanh", b.add("Gemm", first, b.weight("pool.weight", WIDTH, WIDTH),
                                 b.weight("pool.bias", WIDTH), name="pool", transB=1))
    return b.model({"ids": ("batch", "seq"), "mask": ("batch", "seq")},
                   {"hidden": x, "pooled": pooled}, 12, ("ids", "mask"))


def feed_forward() -> ModelProto:
    b = Builder(3)
    y = b.linear("down", gelu(b, b.linear("up", "x", WIDTH, 4 * WIDTH)), 4 * WIDTH, WIDTH)
    return b.model({"x": ("batch", "seq", WIDTH)}, {"y": y}, 12)


def self_attention() -> ModelProto:
    """One matrix makes queries, keys and values."""
    b = Builder(4)
    qkv = b.linear("qkv", "x", WIDTH, 3 * WIDTH)
    b.nodes.append(helper.make_node("Split", [qkv], ["q", "k", "v"], "split", axis=2))
    heads = [b.add("Transpose", b.add("Reshape", part, b.sizes(0, 0, HEADS, WIDTH // HEADS)),
                   perm=order)
             for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))]
    scores = b.add("Mul", b.add("MatMul", heads[0], heads[1]), "mask")
    mixed = b.add("MatMul", b.add("Softmax", b.add("Sub", scores, "mask"), axis=3), heads[2])
    mixed = b.add("Reshape", b.add("Transpose", mixed, perm=[0, 2, 1, 3]), b.sizes(0, 0, WIDTH))
    return b.model({"x": ("batch", "seq", WIDTH), "mask": ("batch", 1, "seq", "seq")},
                   {"y": b.linear("mix", mixed, WIDTH, WIDTH)}, 12)


def upscaler() -> ModelProto:
    """Channels that become pixels, as networks for super-resolution have it, beside the image itself,
    whose pixels become channels and back.
    """
    b = Builder(5)
    pixels = b.add("SpaceToDepth", "image", blocksize=2)
    x = b.add("Relu", b.add("Conv", pixels, b.weight("first", 24, 12, 3, 3), pads=[1, 1, 1, 1]))
    x = b.add("Conv", x, b.weight("second", 48, 24, 3, 3), pads=[1, 1, 1, 1])
    x = b.add("DepthToSpace", x, blocksize=4, mode="CRD")
    unit = b.add("LpNormalization", b.add("DepthToSpace", pixels, blocksize=2), axis=1)
    even = b.add("MeanVarianceNormalization", unit, axes=[2, 3])
    up = b.add("Resize", even, "", b.constant("scales", np.array([1, 1, 2, 2], np.float32)),
               mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
    return b.model({"image": ("batch", 3, 6, 8)}, {"larger": b.add("Add", x, up)}, 13)


MODELS = {"classifier": classifier, "encoder": encoder, "feed_forward": feed_forward,
          "self_attention": self_attention, "upscaler": upscaler}
