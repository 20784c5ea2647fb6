# Damages a model in many places and runs partition-tool on each: it must package what it
# is given or refuse it with one error, and never crash, hang or leave anything behind.
#   damage.py MODEL.gguf: bits flipped in the header, and the file cut short
import os
import random
import shutil
import subprocess
import sys

whole = open(sys.argv[1], "rb").read()
# The descriptions end before the data, which a flipped bit only makes another model.
header = whole.rindex(b"ffn_down.weight") + 48
places = random.Random(1)


def damaged():
    for _ in range(150):
        byte, bit = places.randrange(header), places.randrange(8)
        yield f"bit {bit} of byte {byte} flipped", whole[:byte] + bytes([whole[byte] ^ 1 << bit]) + whole[byte + 1:]
    for _ in range(50):
        size = places.randrange(header)
        yield f"cut to {size} bytes", whole[:size]
    yield "cut in the data", whole[:-1]


refused = 0
for what, data in damaged():
    with open("damaged.gguf", "wb") as file:
        file.write(data)
    run = subprocess.run(["partition-tool", "damaged.gguf", "--tp", "2", "-o", "damaged.cleave"],
                         capture_output=True, text=True, errors="replace", timeout=60)
    errors = [line for line in run.stderr.splitlines() if "error: " in line]
    if run.returncode != (1 if errors else 0) or len(errors) > 1 or "Stack dump" in run.stderr:
        sys.exit(f"{what}: exit status {run.returncode}\n{run.stderr}")
    left = [name for name in os.listdir(".") if name.startswith("damaged.cleave")]
    if left != ([] if errors else ["damaged.cleave"]):
        sys.exit(f"{what}: exit status {run.returncode}, and {left} is there")
    if left:
        shutil.rmtree(left[0])
    refused += bool(errors)
print(f"{refused} refused")
