"""Draws small graphs, meshes, splits and cuts, and has partition-tool check every case.

    property.py PARTITION_TOOL [--cases 2000] [--seed 1] [--only CASE]

Each case ends in one of two ways: the partitioned program computes what the model computes, or one
of the errors below says why it cannot be made. Anything else is a fault of the compiler; its graph
is kept, and its number and the seed make it again.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What a split may be refused for. Errors of the verifiers behind partitioning are not among them:
# a graph that gets there was partitioned wrongly.
REFUSALS = (
    " to share out; the ",
    "has too few heads to be split",
    "would part state",
    "split both weights over the same axes",
    "would sum over shares that overlap",
    "nothing of a size known only at run time is summed over it",
)
HEAD_DIM = 8


class Graph:
    """A random module: a list of weights, of states and of the lines of one function."""

    def __init__(self, random: random.Random) -> None:
        self.random = random
        # What makes a variant of a graph, and no other graph: a case keeps its number.
        self.variant = type(random)(repr(random.getstate()))
        self.axes = random.choice((["tp"], ["tp"], ["data", "tp"]))
        self.weights: list[str] = []
        self.states: list[str] = []
        self.lines: list[str] = []
        self.values: list[tuple[str, int]] = []  # name and width, of the token's values
        self.count = 0
        self.declared = 0
        # Some graphs say in which stage an op is, others where stages begin.
        self.names_stages = random.random() < 0.1
        self.stage = 0

    # ---- The parts of a module ----

    def mesh(self) -> str:
        """Called last: an axis over which nothing is split has one coordinate, or it is an error."""
        sizes = [self.random.randint(1, 5)]
        if len(self.axes) == 2:
            sizes = [self.random.randint(1, 3), self.random.randint(1, 4)]
        sizes = [size if re.search(rf'(column|row|head) "{axis}"', "".join(self.weights)) else 1
                 for axis, size in zip(self.axes, sizes)]
        shares = [f"{axis} = array<i64: "
                  + ", ".join(str(self.random.randint(1, 4)) for _ in range(size)) + ">"
                  for axis, size in zip(self.axes, sizes) if self.random.random() < 0.25]
        shares = f" shares {{{', '.join(shares)}}}" if shares else ""
        axes = ", ".join(f'"{axis}" = {size}' for axis, size in zip(self.axes, sizes))
        sequence = ""
        if self.variant.random() < 0.3:
            sequence = f' sequence "{self.variant.choice(self.axes)}"'
        return f"cleave.mesh @mesh <{axes}>{shares}{sequence}"

    def input(self, name: str, kind: str, rank: int) -> str:
        """An argument, which may come to the ops cut by tokens: the caller gives it whole."""
        sharding = ""
        if self.variant.random() < 0.15:
            axes = self.variant.sample(self.axes, self.variant.randint(1, len(self.axes)))
            dims = ["{" + ", ".join(f'"{axis}"' for axis in axes) + "}"] + ["{}"] * (rank - 1)
            sharding = f", cleave.sharding = #cleave.sharding<[{', '.join(dims)}]>"
        return f'%{name}: {kind} {{cleave.input = "{name}"{sharding}}}'

    def splits(self, kinds: tuple[str, ...]) -> str:
        if self.random.random() < 0.35:
            return ""
        axes = self.random.sample(self.axes, self.random.randint(1, len(self.axes)))
        return " split [" + ", ".join(
            f'#cleave.split<{self.random.choice(kinds)} "{axis}">' for axis in axes) + "]"

    def weight(self, shape: tuple[int, ...], kinds: tuple[str, ...], element: str = "f32") -> str:
        name = f"w{self.declared}"
        self.declared += 1
        kind = f"tensor<{'x'.join(map(str, shape))}x{element}>"
        # Some are segments of a fused tensor.
        begin, segment = self.variant.randrange(40), ""
        if self.variant.random() < 0.3:
            ranges = [(begin, begin + shape[0]), *((0, size) for size in shape[1:])]
            segment = " slice [" + ", ".join(f"{first}:{last}" for first, last in ranges) + "]"
        self.weights.append(f"cleave.weight @{name} : {kind} from random<{self.random.randint(1, 9)}>"
                            f"{segment}{self.splits(kinds)}")
        self.lines.append(f"%{name} = cleave.use @{name} : {kind}")
        return f"%{name}", kind

    @staticmethod
    def type_of(width: int, rows: str = "tokens") -> str:
        return f"tensor<?x{width}xf32, #{rows}>"

    def op(self, text: str, attributes: str, signature: str, width: int) -> tuple[str, int]:
        """Appends an op; its result is a value like others."""
        self.count += 1
        name = f"v{self.count}"
        attributes = f'cleave.name = "{name}"' + (", " + attributes if attributes else "")
        if self.names_stages and self.random.random() < 0.3:
            if self.count > 1 and self.random.random() < 0.5:
                self.stage += 1
            attributes += f", cleave.stage = {self.stage} : i64"
        self.lines.append(f"%{name} = cleave.{text} {{{attributes}}} : {signature}")
        if not self.names_stages and self.random.random() < 0.04:
            self.lines.append(f'cleave.cut "c{self.count}"')
        self.values.append((f"%{name}", width))
        return self.values[-1]

    # ---- Ops ----

    def linear(self, x: tuple[str, int], width: int, kinds: tuple[str, ...] = ()) -> tuple[str, int]:
        element = "f32"
        if x[1] % 32 == 0:
            element = self.random.choice(("f32", "f16", "bf16", "!cleave.q8_0", "!cleave.q4_0"))
        if x[1] % 256 == 0:
            element = self.random.choice(("!cleave.q4_k", "!cleave.q5_k", "!cleave.q6_k"))
        weight, kind = self.weight((width, x[1]), kinds or ("column", "row", "none"), element)
        return self.op(f"linear {x[0]}, {weight}", "",
                       f"({self.type_of(x[1])}, {kind}) -> {self.type_of(width)}", width)

    def unary(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.op(f"silu {x[0]}", "", self.type_of(x[1]), x[1])

    def norm(self, x: tuple[str, int]) -> tuple[str, int]:
        weight, kind = self.weight((x[1],), ("none",))
        return self.op(f"rms_norm {x[0]}, {weight}", "epsilon = 1.0e-5 : f32",
                       f"{self.type_of(x[1])}, {kind}", x[1])

    def binary(self, name: str, x: tuple[str, int], y: tuple[str, int]) -> tuple[str, int]:
        return self.op(f"{name} {x[0]}, {y[0]}", "",
                       f"{self.type_of(x[1])}, {self.type_of(y[1])}", x[1])

    def bias(self, x: tuple[str, int]) -> tuple[str, int]:
        weight, kind = self.weight((x[1],), ("column", "none"))
        return self.op(f"{self.random.choice(('add', 'mul'))} {x[0]}, {weight}", "",
                       f"{self.type_of(x[1])}, {kind}", x[1])

    def slice(self, x: tuple[str, int]) -> tuple[str, int]:
        begin = self.random.randrange(x[1])
        width = self.random.randint(1, x[1] - begin)
        return self.op(f"slice {x[0]} dim 1 from {begin}", "",
                       f"{self.type_of(x[1])} -> {self.type_of(width)}", width)

    def scale(self, x: tuple[str, int]) -> tuple[str, int]:
        return self.op(f"scale {x[0]} by {self.random.choice((0.5, -1.25))}", "",
                       self.type_of(x[1]), x[1])

    def turns(self, x: tuple[str, int]) -> tuple[str, int]:
        """Heads of some width, the tokens and the heads changed about, and all of it undone."""
        width = self.random.choice([each for each in range(1, x[1] + 1) if x[1] % each == 0])
        flat, heads = self.type_of(x[1]), x[1] // width
        shapes = [f"tensor<?x{heads}x{width}xf32, #tokens>",
                  f"tensor<{heads}x?x{width}xf32, #tokens>"]
        name = f"t{self.count}"
        self.lines += [
            f"%{name}a = cleave.reshape {x[0]} groups [1:1, 1:2] : {flat} -> {shapes[0]}",
            f"%{name}b = cleave.transpose %{name}a [1, 0, 2] : {shapes[0]} -> {shapes[1]}",
            f"%{name}c = cleave.scale %{name}b by 2.0 : {shapes[1]}",
            f"%{name}d = cleave.transpose %{name}c [1, 0, 2] : {shapes[1]} -> {shapes[0]}"]
        return self.op(f"reshape %{name}d groups [1:1, 2:1]", "", f"{shapes[0]} -> {flat}", x[1])

    def embedding(self) -> tuple[str, int]:
        width = self.random.choice((8, 24, 32, 64))
        weight, kind = self.weight((self.random.randint(3, 40), width), ("column", "row", "none"))
        look_up = self.variant.choice((f"gather {weight}, %ids", f"take {weight}, %ids dim 0"))
        return self.op(look_up, "", f"({kind}, tensor<?xi32, #tokens>) -> {self.type_of(width)}",
                       width)

    def feed_forward(self, x: tuple[str, int]) -> tuple[str, int]:
        inner = self.random.choice((12, 32, 64, 96, 512))
        gate = self.linear(x, inner, ("column", "none"))
        up = self.linear(x, inner, ("column", "none"))
        down = self.linear(self.binary("mul", self.unary(gate), up), x[1], ("row", "none"))
        return self.binary("add", x, down)

    def attention(self, x: tuple[str, int]) -> tuple[str, int]:
        kv_heads = self.random.randint(1, 4)
        group = self.random.randint(1, 4)
        heads, place = kv_heads * group, "at %slots, %positions"
        index = "tensor<?xi32, #tokens>"
        kinds = ("head", "head", "column", "none")

        def turned(x: tuple[str, int]) -> tuple[str, int]:
            return self.op(f"rope {x[0]}, %positions",
                           f"head_dim = {HEAD_DIM}, rotary_dim = {HEAD_DIM}, base = 1.0e4 : f32",
                           f"{self.type_of(x[1])}, {index}", x[1])

        def kept(x: tuple[str, int]) -> str:
            name = f"s{len(self.states)}"
            kind = f"tensor<?x?x{x[1]}xf16, #cache>"
            self.states.append(f"cleave.state @{name} : {kind}")
            self.lines.append(f"%{name} = cleave.state_update @{name}, {x[0]} {place} : "
                              f"({self.type_of(x[1])}, {index}, {index}) -> {kind}")
            return f"%{name}"

        def normed(x: tuple[str, int]) -> tuple[str, int]:
            name, kind = f"n{x[0][2:]}", f"tensor<{HEAD_DIM}xf32>"
            self.weights.append(f"cleave.weight @{name} : {kind} from random<7>")
            self.lines += [f"%{name} = cleave.use @{name} : {kind}",
                           f"%{name}h = cleave.rms_norm per_head {x[0]}, %{name} "
                           f"{{epsilon = 1.0e-5 : f32}} : {self.type_of(x[1])}, {kind}"]
            return f"%{name}h", x[1]

        norms = self.variant.random() < 0.5
        q = self.linear(x, heads * HEAD_DIM, kinds)
        q = turned(normed(q) if norms else q)
        k = self.linear(x, kv_heads * HEAD_DIM, kinds)
        k = kept(turned(normed(k) if norms else k))
        v = kept(self.linear(x, kv_heads * HEAD_DIM, kinds))
        kind = f"tensor<?x?x{kv_heads * HEAD_DIM}xf16, #cache>"
        read = self.op(f"attention {q[0]}, {k}, {v} {place}",
                       f"head_dim = {HEAD_DIM}, group = {group}, scale = 0.35 : f32, "
                       f"window = {self.variant.choice((0, 0, 1, 3))}",
                       f"{self.type_of(q[1])}, {kind}, {index}, {index}", q[1])
        out = self.linear(read, x[1], ("row", "head", "none"))
        return self.binary("add", x, out)

    def step(self) -> None:
        """One more op or block on values that are there; later ones are likelier."""
        values = self.values[-6:]
        x = self.random.choice(values)
        kind = self.random.random()
        if kind < 0.25:
            self.linear(x, self.random.choice((5, 8, 24, 32, 64)))
        elif kind < 0.35:
            self.unary(x)
        elif kind < 0.45:
            self.norm(x)
        elif kind < 0.65:
            others = [y for y in values if y[1] == x[1]]
            self.binary(self.random.choice(("add", "add", "mul")), x, self.random.choice(others))
        elif kind < 0.72:
            self.bias(x)
        elif kind < 0.75:
            self.slice(x)
        elif kind < 0.77:
            self.scale(x)
        elif kind < 0.79:
            self.turns(x)
        elif kind < 0.82:
            self.embedding()
        elif kind < 0.9:
            self.feed_forward(x)
        else:
            self.attention(x)

    def text(self) -> str:
        width = self.random.choice((6, 24, 32, 64))
        self.values.append(("%x", width))
        for _ in range(self.random.randint(1, 8)):
            self.step()
        if self.lines[-1].startswith("cleave.cut"):
            self.lines.pop()  # nothing would stand after it
        results = [self.values[-1]]
        results += self.random.sample(self.values[1:], min(len(self.values) - 1,
                                                           self.random.randint(0, 2)))
        results = list(dict.fromkeys(results))
        index = "tensor<?xi32, #tokens>"
        inputs = [self.input("x", self.type_of(width), 2)]
        inputs += [self.input(name, index, 1) for name in ("ids", "positions", "slots")]
        outputs = [f'{self.type_of(each[1])} {{cleave.output = "{each[0][1:]}"}}' for each in results]
        names, types = [each[0] for each in results], [self.type_of(each[1]) for each in results]
        return "\n".join([
            "#tokens = #cleave.dims<tokens>", "#cache = #cleave.dims<slots, context>", self.mesh(),
            *self.weights, *self.states,
            f"func.func @step({', '.join(inputs)})\n    -> ({', '.join(outputs)}) {{",
            *("  " + line for line in self.lines),
            f"  return {', '.join(names)} : {', '.join(types)}", "}", ""])


def judge(tool: str, folder: Path, seed: int, case: int) -> str:
    """Runs one case: "agrees", the refusal, or "" where the compiler is at fault."""
    path = folder / f"property-{seed}-{case}.mlir"
    path.write_text(Graph(random.Random(f"{seed} {case}")).text())
    try:
        ran = subprocess.run([tool, str(path), "--check"], capture_output=True, text=True,
                             timeout=60)
    except subprocess.TimeoutExpired:
        print(f"case {case}: no end within 60 s: {path}")
        return ""
    if ran.returncode == 0 and "largest difference" in ran.stderr:
        path.unlink()
        return "agrees"
    for refusal in REFUSALS:
        if ran.returncode == 1 and refusal in ran.stderr:
            path.unlink()
            return refusal
    print(f"case {case}: status {ran.returncode}, {path}\n{ran.stdout}{ran.stderr}")
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="CASE")
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    cases = range(options.cases) if options.only is None else [options.only]
    print(f"seed {options.seed}, {len(cases)} cases")
    with ThreadPoolExecutor(max_workers=2) as pool:
        verdicts = list(pool.map(
            lambda case: judge(options.tool, options.folder, options.seed, case), cases))
    for verdict in sorted(set(verdicts)):
        print(f"{verdicts.count(verdict):6} {verdict or 'at fault'}")
    if "" in verdicts:
        return 1
    if options.only is None and verdicts.count("agrees") < 0.6 * len(cases):
        print("too many cases are refused: they test nothing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
