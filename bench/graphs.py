"""The graphs that bench/dense measures, as exporters write them: ONNX, random weights.

Each is of a known model's shape. Batch normalizations stand behind convolutions, biases are
additions, and gelu and attention are spelt in smaller ops, since that is what is in files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class GraphBuilder:
    """Nodes and initializers, and how many multiplications the heavy ones need."""

    def __init__(self, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.products = 0

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, *shape: int, inputs: int = 0) -> str:
        """Numbers that keep the size of what is summed over so many inputs."""
        value = self.random.standard_normal(shape, dtype=np.float32)
        return self.constant(value * np.float32((inputs or 1) ** -0.5))

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, self.constant(np.array(shape, np.int64)))

    def model(self, inputs: dict[str, np.ndarray], output: str, shape: list[int]) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                               value.shape) for name, value in inputs.items()]
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "main", ports, [result], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@dataclass
class Graph:
    """A model, inputs for it, and the multiplications of a run."""

    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    products: int


class Convolutions(GraphBuilder):
    """Images of one size after the other."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    def conv(self, x: str, outputs: int, kernel: int, stride: int = 1, **attributes: object) -> str:
        pad = kernel // 2
        filters = self.weight(outputs, self.channels, kernel, kernel,
                              inputs=self.channels * kernel * kernel)
        self.size = (self.size + 2 * pad - kernel) // stride + 1
        self.products += self.size**2 * kernel**2 * self.channels * outputs
        self.channels = outputs
        return self.op("Conv", x, filters, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                       pads=[pad] * 4, **attributes)

    def norm(self, x: str) -> str:
        ones = np.ones(self.channels, np.float32)
        numbers = [ones + 0.1 * self.random.standard_normal(self.channels, dtype=np.float32),
                   0.1 * self.random.standard_normal(self.channels, dtype=np.float32),
                   0.1 * self.random.standard_normal(self.channels, dtype=np.float32), 0.5 * ones]
        return self.op("BatchNormalization", x, *map(self.constant, numbers))

    def pool(self, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        self.size = (self.size + 2 * pad - kernel) // stride + 1
        return self.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                       pads=[pad] * 4)


def mnist() -> Graph:
    """Two convolutions and a product, of the sizes of ONNX's mnist-8."""
    build = Convolutions(1, 28)
    inputs = {"x": build.random.standard_normal((1, 1, 28, 28), dtype=np.float32)}
    x = "x"
    for channels, kernel in ((8, 2), (16, 3)):
        x = build.conv(x, channels, 5)
        x = build.op("Relu", build.op("Add", x, build.weight(channels, 1, 1)))
        x = build.pool(x, kernel, kernel)
    x = build.op("MatMul", build.reshape(x, 1, 256), build.weight(256, 10, inputs=256))
    build.products += 2560
    return Graph(build.model(inputs, build.op("Add", x, build.weight(1, 10)), [1, 10]), inputs,
                 build.products)


def resnet50() -> Graph:
    """Bottlenecks of [3, 4, 6, 3] blocks, the 3x3 convolution with the stride (version 1.5)."""
    build = Convolutions(3, 224)
    inputs = {"x": build.random.standard_normal((1, 3, 224, 224), dtype=np.float32)}

    def layer(x: str, outputs: int, kernel: int, stride: int = 1) -> str:
        return build.norm(build.conv(x, outputs, kernel, stride))

    x = build.pool(build.op("Relu", layer("x", 64, 7, 2)), 3, 2, 1)
    for number, blocks in enumerate((3, 4, 6, 3)):
        width = 64 << number
        for block in range(blocks):
            stride = 2 if number > 0 and block == 0 else 1
            size, channels = build.size, build.channels
            y = build.op("Relu", layer(x, width, 1))
            y = build.op("Relu", layer(y, width, 3, stride))
            y = layer(y, 4 * width, 1)
            if block == 0:
                build.size, build.channels = size, channels
                x = layer(x, 4 * width, 1, stride)
            x = build.op("Relu", build.op("Add", y, x))
    x = build.op("Flatten", build.op("GlobalAveragePool", x))
    build.products += 2048 * 1000
    x = build.op("Gemm", x, build.weight(1000, 2048, inputs=2048), build.weight(1000), transB=1)
    return Graph(build.model(inputs, x, [1, 1000]), inputs, build.products)


def bert_base(tokens: int = 128, width: int = 768, layers: int = 12, heads: int = 12,
              vocabulary: int = 30522) -> Graph:
    """An encoder of one sequence, from tokens to the last layer's states."""
    build = GraphBuilder()
    ids = build.random.integers(0, vocabulary, (1, tokens))
    mask = np.ones((1, tokens), np.int64)
    mask[:, tokens * 7 // 8:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    head = width // heads

    def linear(x: str, inputs: int, outputs: int) -> str:
        build.products += tokens * inputs * outputs
        product = build.op("MatMul", x, build.weight(inputs, outputs, inputs=inputs))
        return build.op("Add", build.weight(outputs), product)

    def norm(x: str) -> str:
        scale = 1 + 0.1 * build.random.standard_normal(width, dtype=np.float32)
        bias = 0.1 * build.random.standard_normal(width, dtype=np.float32)
        return build.op("LayerNormalization", x, build.constant(scale), build.constant(bias),
                        axis=-1, epsilon=1e-12)

    def of_heads(x: str) -> str:
        return build.op("Transpose", build.reshape(x, 1, tokens, heads, head), perm=[0, 2, 1, 3])

    x = build.op("Gather", build.weight(vocabulary, width), "input_ids", axis=0)
    x = norm(build.op("Add", x, build.weight(1, tokens, width)))
    kept = build.op("Cast", build.op("Unsqueeze", "attention_mask",
                                     build.constant(np.array([1, 2]))), to=TensorProto.FLOAT)
    hidden = build.op("Mul", build.op("Sub", build.scalar(1), kept), build.scalar(-1e4))
    for _ in range(layers):
        q, k, v = (of_heads(linear(x, width, width)) for _ in range(3))
        scores = build.op("MatMul", q, build.op("Transpose", k, perm=[0, 1, 3, 2]))
        scores = build.op("Add", build.op("Div", scores, build.scalar(head**0.5)), hidden)
        y = build.op("MatMul", build.op("Softmax", scores, axis=-1), v)
        build.products += 2 * tokens * tokens * width
        y = build.reshape(build.op("Transpose", y, perm=[0, 2, 1, 3]), 1, tokens, width)
        x = norm(build.op("Add", linear(y, width, width), x))
        y = linear(x, width, 4 * width)
        gate = build.op("Add", build.op("Erf", build.op("Div", y, build.scalar(2**0.5))),
                        build.scalar(1))
        y = build.op("Mul", build.op("Mul", y, gate), build.scalar(0.5))
        x = norm(build.op("Add", linear(y, 4 * width, width), x))
    return Graph(build.model(inputs, x, [1, tokens, width]), inputs, build.products)


GRAPHS: dict[str, Callable[[], Graph]] = {"mnist": mnist, "resnet50": resnet50,
                                          "bert-base": bert_base}


def write(name: str, folder: Path) -> tuple[Path, dict[str, Path], int]:
    """The graph's file, files with its inputs, and the multiplications of a run."""
    graph = GRAPHS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    onnx.save(graph.model, file)
    inputs = {}
    for each, value in graph.inputs.items():
        inputs[each] = folder / f"{name}.{each}.npy"
        np.save(inputs[each], value)
    return file, inputs, graph.products
