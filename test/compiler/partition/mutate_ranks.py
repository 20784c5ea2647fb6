"""Changes each communication op of a partitioned program in turn and asks the verifier.

usage: mutate_ranks.py RANKS.mlir CLEAVE-OPT

A mutant is one line (or the same op on every rank of its group) deleted, repeated, swapped
with the next, re-tagged, re-grouped, redirected, resized or reduced otherwise. All mutants go into one file of
splits; cleave-opt prints those that the verifier lets pass. Prints counts by kind, and fails
for every mutant that passes.
"""

import collections
import re
import subprocess
import sys

OPS = re.compile(
    r"^\s*(?:%(?P<result>[^\s,]+)(?:, %\S+)* = )?cleave\."
    r"(?P<op>send|recv|all_reduce|all_reduce_add|all_gather|reduce_scatter|all_to_all|broadcast) ")
FUSED = re.compile(
    r"(?P<results>.* = )cleave\.all_reduce_add sum (?P<x>%\S+), (?P<residual>%\S+) "
    r"(?:norm (?P<weight>%\S+) )?(?P<group>group \[[^\]]*\])")


def attribute(line, key):
    """The group, ranges or number behind a keyword."""
    match = re.search(rf"\b{key} (\[[^\]]*\]|\d+)", line)
    return match and match.group(1)


def without(line, text):
    """The text with the op's result replaced by its operand: the op is deleted."""
    operand = re.search(r"(?:sum |top |all_gather |broadcast )(%\S+)", line).group(1)
    result = "%" + OPS.match(line)["result"]
    return [re.sub(re.escape(result) + r"(?![\w.$-])", lambda _: operand, each) for each in text]


def types(line):
    return re.findall(r"tensor<[^>]*>", line)


def unreduced(line):
    """A fused op without its sum over the ranks."""
    fused = FUSED.match(line)
    whole, *rest = types(line)
    if not fused["weight"]:
        return f"{fused['results']}cleave.add {fused['x']}, {fused['residual']} : {whole}, {whole}"
    epsilon = re.search(r"epsilon = [^,}]*", line).group()
    return (f"{fused['results']}cleave.add_norm {fused['x']}, {fused['residual']}, "
            f"{fused['weight']} {{{epsilon}}} : {whole}, {rest[1]}")


class Program:
    def __init__(self, text):
        self.lines = text.splitlines()
        self.bounds = [i for i, line in enumerate(self.lines) if re.match(r"  module @rank", line)]
        self.bounds.append(len(self.lines))
        # Op lines by rank, in order.
        self.ops = [[i for i in range(begin, end) if OPS.match(self.lines[i])]
                    for begin, end in zip(self.bounds, self.bounds[1:])]

    def delete(self, lines, places):
        """Each op of `places` is deleted, and its users read its operand."""
        for place in sorted(places, reverse=True):
            if FUSED.match(lines[place]):
                lines[place] = unreduced(lines[place])
                continue
            rank = max(r for r, begin in enumerate(self.bounds[:-1]) if begin <= place)
            end = self.bounds[rank + 1]
            lines[place + 1 : end] = without(self.lines[place], lines[place + 1 : end])
            lines[place] = ""
        return lines

    def partners(self, rank, place):
        """The same collective on all ranks of its group, by its number in that group."""
        group = attribute(self.lines[place], "group")

        def of_group(other):
            return [i for i in self.ops[other] if attribute(self.lines[i], "group") == group]

        number = of_group(rank).index(place)
        return [of_group(int(member))[number] for member in group[1:-1].split(",")]

    def mutants(self):
        """(kind, lines) for each mutant."""
        size = len(self.ops)
        for rank, ops in enumerate(self.ops):
            for number, place in enumerate(ops):
                line = self.lines[place]
                op = OPS.match(line)["op"]

                def changed(new, place=place):
                    return self.lines[:place] + [new] + self.lines[place + 1 :]

                if op == "send":
                    yield "delete", changed("")
                if op in ("all_reduce", "all_reduce_add", "broadcast"):
                    yield "delete", self.delete(list(self.lines), [place])
                    if place == min(self.partners(rank, place)):
                        yield "delete on all", self.delete(
                            list(self.lines), self.partners(rank, place))
                        # A broadcast of what all have already changes nothing.
                        if op != "broadcast":
                            yield "repeat on all", self.repeat(self.partners(rank, place))
                if op in ("send", "recv"):
                    tag = int(attribute(line, "tag"))
                    yield "re-tag", changed(line.replace(f" tag {tag}", f" tag {tag + 1}"))
                    key = "to" if op == "send" else "from"
                    peer = int(attribute(line, key))
                    yield "redirect", changed(
                        line.replace(f" {key} {peer} ", f" {key} {(peer + 1) % size} "))
                else:
                    group = [int(each) for each in attribute(line, "group")[1:-1].split(",")]
                    smaller = [each for each in group if each != group[-1]] or group
                    for new in ([group[-1]] + group[:-1], smaller, [rank]):
                        if new != group:
                            yield "re-group", changed(
                                re.sub(r"group \[[^\]]*\]", f"group {new}", line))
                    # Sums over other ranks than those of the group, on all of them alike.
                    if op in ("all_reduce", "all_reduce_add", "broadcast") and place == min(self.partners(rank, place)):
                        yield "re-group all", self.regroup(self.partners(rank, place))
                    # Candidates added up, and summands taken for candidates.
                    if op == "all_reduce" and place == min(self.partners(rank, place)):
                        lines = list(self.lines)
                        for partner in self.partners(rank, place):
                            lines[partner] = re.sub(
                                r"all_reduce (sum|top)",
                                lambda m: f"all_reduce {'top' if m[1] == 'sum' else 'sum'}",
                                lines[partner])
                        yield "re-kind all", lines
                all_ranges = re.findall(r"\branges (\[[^\]]*\])", line)
                for ranges in dict.fromkeys(all_ranges):
                    first, second = ranges[1:-1].split(", ")[:2]
                    swapped = ranges.replace(first, "_", 1).replace(second, first, 1)
                    yield "resize", changed(line.replace(ranges, swapped.replace("_", second)))
                    # The same on all ranks: shares are joined in another order.
                    lines = list(self.lines)
                    for partner in self.partners(rank, place):
                        lines[partner] = lines[partner].replace(
                            ranges, swapped.replace("_", second))
                    if first != second:
                        yield "resize on all", lines
                if not all_ranges and " : tensor<?x" in line:
                    # Another type for this op would not agree with its operand; a number of
                    # columns is changed for a receive, which has none.
                    if op == "recv":
                        yield "resize", changed(
                            re.sub(r"tensor<\?x(\d+)x", lambda m: f"tensor<?x{int(m[1]) + 1}x", line))
                if number + 1 < len(ops):
                    yield from self.swap(place, ops[number + 1])
            yield from self.swap_shares(rank)

    def repeat(self, places):
        lines = list(self.lines)
        for place in places:
            if fused := FUSED.match(lines[place]):
                lines[place] = (f"%again = cleave.all_reduce sum {fused['x']} {fused['group']} : "
                                f"{types(lines[place])[0]}\n" +
                                lines[place].replace(f"sum {fused['x']},", "sum %again,", 1))
                continue
            result = OPS.match(lines[place])["result"]
            again = lines[place].replace(f"%{result} =", "%again =", 1)
            kind, operand = re.search(r"all_reduce (\w+) (%\S+)", again).groups()
            again = again.replace(f"{kind} {operand} ", f"{kind} %{result} ", 1)
            rank = max(r for r, begin in enumerate(self.bounds[:-1]) if begin <= place)
            for i in range(place + 1, self.bounds[rank + 1]):
                lines[i] = re.sub(rf"%{re.escape(result)}(?![\w.$-])", "%again", lines[i])
            lines[place] += "\n" + again
        return lines

    def regroup(self, places):
        """Every member sums over itself alone."""
        lines = list(self.lines)
        for place in places:
            rank = max(r for r, begin in enumerate(self.bounds[:-1]) if begin <= place)
            lines[place] = re.sub(r"group \[[^\]]*\]", f"group [{rank}]", lines[place])
        return lines

    def swap_shares(self, rank):
        """All that the rank has of run-time sizes is of another share."""
        begin, end = self.bounds[rank], self.bounds[rank + 1]
        own = sorted({name for line in self.lines[begin:end]
                      for name in re.findall(r"#(share_\d+_of_\d+_\w+)", line)})
        for name in own:
            number, count = map(int, re.match(r"share_(\d+)_of_(\d+)", name).groups())
            other = name.replace(f"share_{number}_", f"share_{(number + 1) % count}_", 1)
            yield "swap shares", (self.lines[:begin] + [
                re.sub(rf"#{name}\b", f"#{other}", line) for line in self.lines[begin:end]
            ] + self.lines[end:])

    def swap(self, place, following):
        """Two sends that follow each other change their order, or what they send."""
        a, b = self.lines[place], self.lines[following]
        if OPS.match(a)["op"] != "send" or OPS.match(b)["op"] != "send":
            return
        operands = [re.search(r"send (%\S+)", each).group(1) for each in (a, b)]
        types = [each.rsplit(" : ", 1)[1] for each in (a, b)]
        lines = list(self.lines)
        lines[place], lines[following] = "", b + "\n" + a
        yield "swap", lines
        if types[0] == types[1] and operands[0] != operands[1]:
            lines = list(self.lines)
            lines[place] = ""
            lines[following] = (a.replace(operands[0], operands[1]) + "\n" +
                                b.replace(operands[1], operands[0]))
            yield "swap operands", lines


def main():
    program = Program(open(sys.argv[1]).read())
    kinds, texts = [], []
    for kind, lines in program.mutants():
        head = next(i for i, line in enumerate(lines) if line.startswith("module "))
        lines = list(lines)
        lines[head] = re.sub(r"^module (@\S+ )?", f"module @mutant_{len(kinds)} ", lines[head])
        kinds.append(kind)
        texts.append("\n".join(lines))
    # The unchanged program must pass: else all mutants would be refused for nothing.
    texts.append("\n".join(program.lines).replace("module @", "module @unchanged_", 1))
    run = subprocess.run([sys.argv[2], "-split-input-file", "-cleave-verify-ranks", "-"],
                         input="\n// -----\n".join(texts), capture_output=True, text=True)
    if "module @unchanged_" not in run.stdout:
        sys.exit("the program itself is refused:\n" + run.stderr[:2000])
    passed = [int(each) for each in re.findall(r"module @mutant_(\d+) ", run.stdout)]
    # A mutant that does not parse shows nothing about the verifier.
    counts = collections.Counter(kinds)
    for kind in sorted(counts):
        let_pass = [i for i in passed if kinds[i] == kind]
        print(f"{kind}: {counts[kind]} mutants, {counts[kind] - len(let_pass)} refused")
    unparsed = re.findall(r"error: (?:expected|use of undeclared|redefinition|custom op)[^\n]*", run.stderr)
    if unparsed:
        sys.exit(f"{len(unparsed)} mutants do not parse: {unparsed[0]}")
    print(f"in all: {len(kinds)} mutants, {len(kinds) - len(passed)} refused")
    if passed:
        example = passed[0]
        sys.exit(f"passed: {[kinds[i] for i in passed][:10]}; the first:\n{texts[example][-1500:]}")


main()
