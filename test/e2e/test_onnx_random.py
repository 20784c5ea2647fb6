"""Random graphs of ONNX's ops under the default plan: whatever it makes of them, it works, and the
ranks compute what the whole graph does.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from harness import partition_tool

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WIDTHS = (5, 6, 8, 12, 24)
"""Of features: some divide by the number of ranks, one has too few for whole heads."""
MOST = 2000
"""Elements of a value, apart from run-time sizes."""
STEPS = 14

Shape = tuple  # of numbers, and of names where the size is known at run time only


class Graph:
    """A graph that grows by random ops on random values of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        width = self.random.choice(WIDTHS)
        self.inputs: dict[str, Shape] = {"x": ("batch", "seq", width), "z": (4, width)}
        self.shapes: dict[str, Shape] = dict(self.inputs)

    def add(self, op: str, operands: list[str], shape: Shape, **attributes) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, operands, [name], name, **attributes))
        self.shapes[name] = shape
        return name

    def weight(self, *shape: int) -> str:
        """As large as keeps products of about 1."""
        name = f"w{len(self.weights)}"
        value = self.numbers.standard_normal(shape) / max(shape[0], 1) ** 0.5
        self.weights.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def integers(self, *values: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def pick(self, fits=lambda shape: True) -> tuple[str, Shape] | None:
        """One of the values that fit, the last ones more often."""
        names = [name for name in self.shapes if fits(self.shapes[name])]
        if not names:
            return None
        name = names[-1 - min(self.random.randrange(4), self.random.randrange(len(names)))]
        return name, self.shapes[name]

    # ---- Ops; each does nothing where no value fits ----

    def product(self) -> None:
        name, shape = self.pick(lambda shape: isinstance(shape[-1], int))
        width = self.random.choice(WIDTHS)
        result = self.add("MatMul", [name, self.weight(shape[-1], width)], (*shape[:-1], width))
        if self.random.random() < 0.5:
            self.add("Add", [result, self.weight(width)], self.shapes[result])

    def function(self) -> None:
        name, shape = self.pick()
        self.add(self.random.choice(["Relu", "Tanh", "Sigmoid", "Neg"]), [name], shape)

    def pair(self) -> None:
        name, shape = self.pick()
        other, _ = self.pick(lambda each: each == shape or (
            len(each) <= len(shape) and each == shape[len(shape) - len(each):]))
        self.add(self.random.choice(["Add", "Mul", "Sub", "Max"]), [name, other], shape)

    def scale(self) -> None:
        name, shape = self.pick(lambda shape: isinstance(shape[-1], int))
        size = self.random.choice([1, shape[-1]])
        self.add(self.random.choice(["Add", "Mul"]), [name, self.weight(size)], shape)

    def take_apart(self) -> None:
        """The last dimension becomes two."""
        name, shape = self.pick(lambda shape: shape[-1] in (6, 8, 12, 24) and len(shape) < 5)
        heads = self.random.choice([2, 3] if shape[-1] % 3 == 0 else [2, 4])
        dims = self.integers(*[0] * (len(shape) - 1), heads, shape[-1] // heads)
        self.add("Reshape", [name, dims], (*shape[:-1], heads, shape[-1] // heads))

    def join(self) -> None:
        """The last two become one, or the first two."""
        found = self.pick(lambda shape: len(shape) > 2)
        if not found:
            return
        name, shape = found
        if all(isinstance(size, int) for size in shape[-2:]) and shape[-2] * shape[-1] <= 48:
            self.add("Reshape", [name, self.integers(*[0] * (len(shape) - 2), -1)],
                     (*shape[:-2], shape[-2] * shape[-1]))
        elif all(isinstance(size, int) for size in shape[1:]):
            self.add("Reshape", [name, self.integers(-1, *shape[2:])],
                     ("*".join(map(str, shape[:2])), *shape[2:]))

    def transpose(self) -> None:
        name, shape = self.pick(lambda shape: len(shape) > 1)
        order = self.random.sample(range(len(shape)), len(shape))
        self.add("Transpose", [name], tuple(shape[i] for i in order), perm=order)

    def split(self) -> None:
        """Two or three parts along some dimension."""
        def fitting(shape):
            return [i for i, size in enumerate(shape) if isinstance(size, int) and size >= 4]
        name, shape = self.pick(fitting)
        axis = self.random.choice(fitting(shape))
        count = 3 if shape[axis] % 3 == 0 else 2
        part = (shape[axis] + count - 1) // count
        sizes = [*[part] * (count - 1), shape[axis] - part * (count - 1)]
        names = [f"v{len(self.nodes)}p{i}" for i in range(count)]
        self.nodes.append(helper.make_node("Split", [name, self.integers(*sizes)], names, names[0],
                                           axis=axis))
        for each, size in zip(names, sizes):
            self.shapes[each] = (*shape[:axis], size, *shape[axis + 1:])

    def concat(self) -> None:
        name, shape = self.pick()
        other, _ = self.pick(lambda each: each == shape)
        axes = [i for i, size in enumerate(shape) if isinstance(size, int) and size <= 24]
        if axes:
            axis = self.random.choice(axes)
            self.add("Concat", [name, other],
                     (*shape[:axis], 2 * shape[axis], *shape[axis + 1:]), axis=axis)

    def normalize(self) -> None:
        name, shape = self.pick(lambda shape: isinstance(shape[-1], int))
        if self.random.random() < 0.5:
            self.add("LayerNormalization", [name, self.weight(shape[-1])], shape, epsilon=0.1)
        else:
            self.add("Softmax", [name], shape, axis=self.random.randrange(len(shape)))

    def reduce(self) -> None:
        name, shape = self.pick(lambda shape: len(shape) > 2)
        axis, keeps = self.random.randrange(len(shape)), self.random.randrange(2)
        op = self.random.choice(["ReduceSum", "ReduceMean", "ReduceMax"])
        operands = [name, self.integers(axis)]
        self.add(op, operands, (*shape[:axis], *[1] * keeps, *shape[axis + 1:]), keepdims=keeps)

    def multiply(self) -> None:
        """x y^T over the last two dimensions, with any before them."""
        name, shape = self.pick(lambda shape: len(shape) > 1)
        other, _ = self.pick(lambda each: each == shape)
        order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        turned = self.add("Transpose", [other], tuple(shape[i] for i in order), perm=order)
        product = self.add("MatMul", [name, turned], (*shape[:-1], shape[-2]))
        self.add("Tanh", [product], self.shapes[product])

    def choose(self) -> None:
        """One element of a dimension, or a few."""
        def fitting(shape):
            return [i for i, size in enumerate(shape) if isinstance(size, int) and size >= 2]
        found = self.pick(lambda shape: len(shape) > 2 and fitting(shape))
        if found:
            name, shape = found
            axis = self.random.choice(fitting(shape))
            self.add("Gather", [name, self.integers(1, 0)],
                     (*shape[:axis], 2, *shape[axis + 1:]), axis=axis)

    def model(self) -> onnx.ModelProto:
        steps = [self.product, self.product, self.product, self.function, self.pair, self.pair,
                 self.scale, self.take_apart, self.join, self.transpose, self.split, self.concat,
                 self.normalize, self.reduce, self.multiply, self.choose]
        too_large: dict[str, Shape] = {}  # nothing more is made of these
        self.product()
        while len(self.nodes) < STEPS:
            try:
                self.random.choice(steps)()
            except TypeError:
                pass  # no value fits
            for name, shape in list(self.shapes.items()):
                if np.prod([size for size in shape if isinstance(size, int)]) > MOST:
                    too_large[name] = shape
                    del self.shapes[name]
        self.shapes |= too_large
        used = {name for node in self.nodes for name in node.input}
        outputs = [name for node in self.nodes for name in node.output if name not in used]
        graph = helper.make_graph(
            self.nodes, "g",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
             for name, shape in self.inputs.items() if name in used],
            [helper.make_tensor_value_info(
                name, TensorProto.FLOAT,
                [size if isinstance(size, int) else None for size in self.shapes[name]])
             for name in outputs],
            self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("seed", range(45))
def test_default_plan_of_a_random_graph(tmp_path, seed):
    path = tmp_path / "m.onnx"
    onnx.save(Graph(seed).model(), path)
    result = partition_tool(path, "--tp", 2 + seed % 3, "--check")
    if "has no weight that can be split" in result.stderr:  # said of the graph, not of a weight
        result = partition_tool(path, "--check")
    assert result.returncode == 0, result.stderr
