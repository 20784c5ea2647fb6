# Reads the dialect's generated documentation and prints its examples as modules for
# cleave-opt -split-input-file. An example of attributes or types alone is put where
# such a thing may stand, line by line.
import re
import sys


def module_of(example):
    lines = []
    for number, line in enumerate(example.strip("\n").split("\n")):
        if line.startswith("#cleave"):
            line = f"func.func private @attribute{number}() attributes {{example = {line}}}"
        elif line.startswith("tensor<"):
            line = f"func.func private @type{number}({line})"
        lines.append(line)
    return "\n".join(lines)


text = sys.stdin.read()
blocks = re.findall(r"^( *)```mlir\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
examples = ["\n".join(line[len(indent):] for line in body.split("\n")) for indent, body in blocks]

# Every op shows how it is written.
sections = re.split(r"^### (?=`cleave\.)", text, flags=re.MULTILINE)[1:]
bare = [s.split("\n", 1)[0] for s in sections if "```mlir" not in s]
if bare:
    sys.exit("without an example: " + ", ".join(bare))
print("\n// -----\n".join(map(module_of, examples)))
