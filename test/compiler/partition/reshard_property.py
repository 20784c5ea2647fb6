"""Draws meshes and pairs of shardings, and has every reshard lowered, proved and executed.

    reshard_property.py CLEAVE-OPT PARTITION-TOOL FOLDER [--modules 24] [--seed 1] [--only MODULE]

A module has one mesh and several entries. An entry brings a value into one sharding, often as a
partial sum, from there into another, and makes it whole. cleave-opt lowers and verifies it;
partition-tool executes the ranks and the same graph without shardings on the same input. Prints how
often each op was made, so that a test sees that all kinds are met.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ENTRIES = 12
OPS = ("slice", "all_reduce", "all_gather", "reduce_scatter", "all_to_all")


class Module:
    """A random module, as text with shardings and without."""

    def __init__(self, random: random.Random) -> None:
        self.random = random
        while True:
            names = ["a", "b", "c"][: random.randint(1, 3)]
            self.axes = {name: random.randint(1, 4) for name in names}
            self.ranks = 1
            for size in self.axes.values():
                self.ranks *= size
            if 1 < self.ranks <= 12:
                break
        self.weights = 0
        mesh = ", ".join(f'"{name}" = {size}' for name, size in self.axes.items())
        self.sharded, self.logical = [f"cleave.mesh @mesh <{mesh}>"], []
        for entry in range(ENTRIES):
            self.entry(entry)

    # ---- Shardings ----

    def dim(self, size: int, axes: list[str], overlaps: bool = True) -> str:
        """A dim of `size` over `axes`: evenly, or in ranges that may be empty or overlap."""
        if not axes:
            return "{}"
        shares = 1
        for axis in axes:
            shares *= self.axes[axis]
        names = ", ".join(f'"{axis}"' for axis in axes)
        if size % shares == 0 and self.random.random() < 0.6:
            return f"{{{names}}}"
        cuts = sorted(self.random.randint(0, size) for _ in range(shares - 1))
        ranges = list(zip([0] + cuts, cuts + [size]))
        if overlaps and self.random.random() < 0.4:
            ranges = [(self.random.randint(0, begin), self.random.randint(end, size))
                      for begin, end in ranges]
        if self.random.random() < 0.2:
            self.random.shuffle(ranges)
        return f"{{{names} : [{', '.join(f'{begin}:{end}' for begin, end in ranges)}]}}"

    def place(self, rank: int, axes: list[str]) -> list[list[str]]:
        """Gives some of the axes to the dims."""
        places: list[list[str]] = [[] for _ in range(rank)]
        for axis in self.random.sample(axes, len(axes)):
            if self.random.random() < 0.75:
                self.random.choice(places).append(axis)
        return places

    def sharding(self, dims: list[str], partial: list[str] = ()) -> str:
        text = f"#cleave.sharding<[{', '.join(dims)}]"
        if partial:
            text += ", partial = {" + ", ".join(f'"{axis}" : sum' for axis in partial) + "}"
        return text + ">"

    # ---- Entries ----

    def op(self, text: str, operands: list[tuple[str, str]], signature: str,
           sharding: str) -> tuple[str, str]:
        """An op on both sides. A value has a name on each."""
        result = f"%v{len(self.lines)}"
        sharded, logical = (text.format(*(each[side] for each in operands)) for side in (0, 1))
        self.lines.append((f"{result} = {sharded} {{cleave.sharding = [{sharding}]}} : {signature}",
                           f"{result} = {logical} : {signature}"))
        return result, result

    def reshard(self, x: tuple[str, str], kind: str, sharding: str) -> tuple[str, str]:
        """An op of the sharded side only."""
        result = f"%v{len(self.lines)}"
        self.lines.append(
            (f"{result} = cleave.reshard {x[0]} {{cleave.sharding = [{sharding}]}} : {kind}", None))
        return result, x[1]

    def entry(self, number: int) -> None:
        self.lines: list[tuple[str, str | None]] = []
        axes = list(self.axes)
        shape = [self.random.randint(1, 9) for _ in range(self.random.choice((1, 2, 2, 2, 3)))]
        kind = f"tensor<{'x'.join(map(str, shape))}xf32>"
        partial: list[str] = []
        if len(shape) == 2:
            partial = [axis for axis in axes if self.random.random() < 0.4]
        free = [axis for axis in axes if axis not in partial]
        dims = [self.dim(size, place) for size, place in zip(shape, self.place(len(shape), free))]
        if partial:
            inner = self.random.randint(1, 9)
            cut = self.dim(inner, partial, overlaps=False)
            given, held = self.sharding([dims[0], cut]), self.sharding([dims[1], cut])
            x, weight = f"tensor<{shape[0]}x{inner}xf32>", f"tensor<{shape[1]}x{inner}xf32>"
            name = f"w{self.weights}"
            self.weights += 1
            declared = f"cleave.weight @{name} : {weight} from random<{self.random.randint(1, 9)}>"
            self.sharded.append(f"{declared} sharding {held}")
            self.logical.append(declared)
            used = self.op(f"cleave.use @{name}", [], weight, held)
            value = self.op("cleave.linear %x, {}", [used], f"({x}, {weight}) -> {kind}",
                            self.sharding(dims, partial))
        else:
            x, given = kind, self.sharding(dims)
            value = self.op("cleave.silu %x", [], kind, given)
        for _ in range(self.random.randint(1, 2)):
            kept = [axis for axis in partial if self.random.random() < 0.3]
            # An axis that was partial can cut a dim now.
            free = [axis for axis in axes if axis not in kept]
            dims = [self.dim(size, place) for size, place in zip(shape, self.place(len(shape), free))]
            value = self.reshard(value, kind, self.sharding(dims, kept))
            partial = kept
            if not kept:
                value = self.op("cleave.silu {}", [value], kind, self.sharding(dims))
        value = self.reshard(value, kind, self.sharding(["{}"] * len(shape)))
        for texts, index in ((self.sharded, 0), (self.logical, 1)):
            own = f", cleave.sharding = {given}" if index == 0 else ""
            texts.append(f'func.func @f{number}(%x: {x} {{cleave.input = "x"{own}}}) -> ({kind} '
                         f'{{cleave.output = "y"}}) {{')
            texts += ["  " + line[index] for line in self.lines if line[index]]
            texts += [f"  return {value[index]} : {kind}", "}"]


def judge(options: argparse.Namespace, number: int) -> collections.Counter:
    module = Module(random.Random(f"{options.seed} {number}"))
    base = options.folder / f"reshard-{options.seed}-{number}"
    sharded, ranks, logical = (base.with_suffix(f".{kind}.mlir")
                               for kind in ("sharded", "ranks", "logical"))
    sharded.write_text("\n".join(module.sharded) + "\n")
    logical.write_text("\n".join(module.logical) + "\n")
    counts: collections.Counter = collections.Counter()
    for command in ([options.cleave_opt, sharded, "-cleave-verify-sharded", "-cleave-split-ranks",
                     "-cleave-verify-ranks", "-o", ranks],
                    [options.partition_tool, ranks, "--check", "--against", logical]):
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
        if ran.returncode != 0:
            print(f"module {number}: {' '.join(map(str, command))}\n{ran.stderr[:3000]}")
            counts["at fault"] += 1
            return counts
    if ran.stderr.count("largest difference") != ENTRIES:
        print(f"module {number}: not every entry was checked\n{ran.stderr[:2000]}")
        counts["at fault"] += 1
    for op in OPS:
        counts[op] += len(re.findall(rf"= cleave\.{op}\b", ranks.read_text()))
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cleave_opt")
    parser.add_argument("partition_tool")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--modules", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="MODULE")
    options = parser.parse_args()
    numbers = range(options.modules) if options.only is None else [options.only]
    print(f"seed {options.seed}, {len(numbers)} modules of {ENTRIES} entries")
    with ThreadPoolExecutor(max_workers=2) as pool:
        counts = sum(pool.map(lambda number: judge(options, number), numbers),
                     collections.Counter())
    for op in OPS:
        print(f"{op}: {counts[op]}")
    if counts["at fault"]:
        print(f"at fault: {counts['at fault']} modules")
        return 1
    return 0 if options.only is not None or all(counts[op] for op in OPS) else 1


if __name__ == "__main__":
    sys.exit(main())
