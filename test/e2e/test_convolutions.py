"""Convolutions alone and split over ranks, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import partition, partition_tool, run
from test_graphs import N, close, compute, graph

SPLITS = [pytest.param(None, 1, id="one rank"), pytest.param(2, 2, id="tp 2"),
          pytest.param(3, 3, id="tp 3")]


def convolution(x, weight, bias, strides, pads, dilations, groups=1):
    """Cross-correlation in float64, a kernel's element at a time; any number of spatial dims."""
    spatial = weight.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:])])
    sizes = [(x.shape[2 + i] - dilations[i] * (weight.shape[2 + i] - 1) - 1) // strides[i] + 1
             for i in range(spatial)]
    outputs, each = weight.shape[0] // groups, weight.shape[1]
    y = np.zeros((len(x), weight.shape[0], *sizes)) + bias.reshape(-1, *[1] * spatial)
    for group in range(groups):
        to = slice(group * outputs, (group + 1) * outputs)
        for at in itertools.product(*map(range, weight.shape[2:])):
            places = tuple(slice(at[i] * dilations[i],
                                 at[i] * dilations[i] + (sizes[i] - 1) * strides[i] + 1, strides[i])
                           for i in range(spatial))
            part = x[(slice(None), slice(group * each, (group + 1) * each), *places)]
            y[:, to] += np.einsum("nc...,oc->no...", part, weight[(to, slice(None), *at)])
    return y


def images(*sizes):
    return f"tensor<?x{'x'.join(map(str, sizes))}xf32, {N}>"


def tensor(shape):
    return f"tensor<{'x'.join(map(str, shape))}xf32>"


class Network:
    """Convolutions one after the other, with a silu between, and what they should give."""

    def __init__(self, folder, seed=4):
        self.folder, self.random = folder, np.random.default_rng(seed)
        self.weights, self.body, self.layers, self.sizes = "", "", [], None

    def declare(self, name, shape):
        value = self.random.standard_normal(shape).astype(np.float32)
        np.save(self.folder / f"{name}.npy", value)
        self.weights += (f"cleave.weight @{name} : {tensor(shape)} "
                         f'from npy<"{self.folder}/{name}.npy">\n')
        self.body += f"  %{name} = cleave.use @{name} : {tensor(shape)}\n"
        return value

    def start(self, *sizes):
        self.sizes = self.inputs = sizes
        self.value = "x"
        return self

    def conv(self, name, outputs, kernel, strides, pads, dilations, bias=True, groups=1):
        before = self.sizes
        shape = (outputs, before[0] // groups, *kernel)
        weight = self.declare(name, shape)
        given = self.declare(f"{name}_bias", (outputs,)) if bias else np.zeros(outputs)
        self.sizes = convolution(np.zeros((1, *before)), weight, given, strides, pads, dilations,
                                 groups).shape[1:]
        if self.layers:
            self.body += f"  %{name}_in = cleave.silu %{self.value} : {images(*before)}\n"
        self.body += (f"  %{name}_out = cleave.conv {'grouped ' if groups > 1 else ''}"
                      f"%{name + '_in' if self.layers else self.value}, %{name}"
                      f"{f' bias %{name}_bias' if bias else ''} strides {list(strides)} "
                      f"pads {list(pads)} dilations {list(dilations)} : ({images(*before)}, "
                      f"{tensor(shape)}{f', {tensor((outputs,))}' if bias else ''}) -> "
                      f"{images(*self.sizes)}\n")
        self.value = f"{name}_out"
        self.layers.append((weight, given, strides, pads, dilations, groups))
        return self

    def package(self, *flags):
        body = self.body.replace(f"%{self.value} =", "%y.out =")
        (self.folder / "g.mlir").write_text(graph({"x": images(*self.inputs)}, body,
                                                  {"y": images(*self.sizes)}, self.weights))
        return partition(self.folder / "g.mlir", self.folder / "g.cleave", *flags)

    def expected(self, x):
        for number, layer in enumerate(self.layers):
            x = convolution(x / (1 + np.exp(-x)) if number else x, *layer)
        return x

    def check(self, made, ranks, *counts):
        for count in counts:
            x = self.random.standard_normal((count, *self.inputs)).astype(np.float32)
            close(compute(made, ranks, self.folder, x=x), self.expected(x.astype(np.float64)))


def flags(size, *splits):
    return ("--tp", size, *(word for split in splits for word in ("--split", split))) if size > 1 \
        else ()


@pytest.mark.parametrize("ranks, size", SPLITS)
def test_output_then_input_channels(tmp_path, ranks, size):
    """7 channels between two convolutions over 2 or 3 ranks; the second's bias is added once."""
    net = Network(tmp_path).start(3, 9, 8)
    net.conv("a", 7, (3, 3), (2, 1), (1, 1, 1, 1), (1, 1)).conv("b", 5, (2, 3), (1, 1),
                                                               (0, 1, 0, 1), (2, 1))
    made = net.package(*flags(size, "a=column", "b=row"))
    net.check(made, ranks, 1, 6, 23)
    text = (made / f"rank-{size - 1}.mlir").read_text()
    assert text.count("cleave.all_reduce") == (size > 1)
    assert "all_gather" not in text
    assert text.count("omits_bias") == (size > 1)


@pytest.mark.parametrize("ranks, size", SPLITS)
def test_groups(tmp_path, ranks, size):
    """Six groups of two channels and twelve of one, cut alike; no sum, one gathering."""
    net = Network(tmp_path).start(12, 11)
    net.conv("a", 12, (3,), (1,), (2, 0), (1,), groups=6)
    net.conv("b", 24, (3,), (2,), (1, 1), (3,), groups=12, bias=False)
    made = net.package(*flags(size, "a=column"))
    net.check(made, ranks, 3)
    text = (made / "rank-0.mlir").read_text()
    assert "all_reduce" not in text and text.count("cleave.all_gather") == (size > 1)


@pytest.mark.parametrize("ranks, size", SPLITS)
def test_more_ranks_than_channels_and_three_dimensions(tmp_path, ranks, size):
    """Two input channels over three ranks: one of them has none, but joins the sum."""
    net = Network(tmp_path).start(2, 4, 5, 3)
    net.conv("a", 3, (2, 3, 1), (1, 2, 1), (1, 0, 0, 0, 1, 2), (2, 1, 1))
    made = net.package(*flags(size, "a=row"))
    net.check(made, ranks, 2, 5)
    checked = partition_tool(tmp_path / "g.mlir", *flags(size, "a=row"), "--check")
    assert checked.returncode == 0, checked.stderr


def test_no_images(tmp_path):
    net = Network(tmp_path).start(2, 4)
    net.conv("a", 3, (3,), (1,), (0, 0), (1,))
    made = net.package("--tp", 2, "--split", "a=row")
    x = np.zeros((0, 2, 4), np.float32)
    np.save(tmp_path / "x.npy", x)
    result = run(made, 2, "--input", f"x={tmp_path}/x.npy", "--output", f"y={tmp_path}/y.npy")
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "y.npy").shape == (0, 3, 2)
