"""Writes the models that tests run: random ones, and examples/stories.gguf in other element types.

    make_models.py FOLDER

Between them: all element types, tied and untied output, biases, rows that are no multiple of a
block (which makes a file mix types), heads that do not divide by two, many heads to a block of 256;
and the families beside llama (families.py). The same bytes every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Type

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

from cleave.cli import main as cleave  # noqa: E402
from families import make_families  # noqa: E402

SMALL = "--width 64 --layers 3 --heads 8 --kv-heads 4 --ffn 172 --vocab 512 --context 256"
# Three blocks of 256 in the feed-forward block; eight heads of 32, or 32 of 8, in a block.
WIDE = "--width 256 --layers 2 --ffn 768 --vocab 512 --context 256"
# Three blocks of 32 in the feed-forward block; four heads in a block.
NARROW = "--width 64 --layers 2 --heads 8 --kv-heads 4 --ffn 96 --vocab 512 --context 256"
RANDOM = {
    "random-f32": f"{SMALL} --type f32",
    "random-f32-tied-bias": f"{SMALL} --type f32 --tied --bias",
    "random-f16-tied": f"{SMALL} --type f16 --tied",
    "random-bf16": f"{SMALL} --type bf16",
    "random-q8_0-tied": f"{SMALL} --type q8_0 --tied",
    "random-q4_0": f"{SMALL} --type q4_0",
    "random-q4_0-tied-bias": f"{SMALL} --type q4_0 --tied --bias",
    "random-q4_k": f"{WIDE} --heads 8 --kv-heads 2 --type q4_k",
    "random-q5_k-tied": f"{WIDE} --heads 8 --kv-heads 2 --type q5_k --tied",
    "random-q6_k-tied": f"{WIDE} --heads 8 --kv-heads 2 --type q6_k --tied",
    "random-q4_k_m": f"{WIDE} --heads 32 --kv-heads 4 --type q4_k_m",
    "random-odd-f32": "--width 72 --layers 2 --heads 9 --kv-heads 3 --ffn 101 --vocab 389",
    "random-q4_1": f"{NARROW} --type q4_1",
    "random-q5_0-tied": f"{NARROW} --type q5_0 --tied",
    "random-q5_1-tied": f"{NARROW} --type q5_1 --tied",
}
QUANTIZED = {"stories-f16": Type.F16, "stories-bf16": Type.BF16, "stories-q8_0": Type.Q8_0,
             "stories-q4_0": Type.Q4_0}


def quantize(source: Path, output: Path, kind: Type) -> None:
    """Copies a GGUF file with its matrices in `kind`, or in F16 where rows are no whole blocks."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(output, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            writer.add_key_value(name, field.contents(), field.types[0],
                                 field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        chosen = kind if tensor.data.ndim == 2 else Type.F32
        if tensor.data.shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0]:
            chosen = Type.F16
        writer.add_tensor(tensor.name, gguf.quantize(tensor.data, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_models(folder: Path) -> None:
    """Writes all models into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, shape) in enumerate(RANDOM.items()):
        command = ["random-model", *shape.split(), "--seed", str(seed), "-o",
                   str(folder / f"{name}.gguf")]
        if cleave(command):
            sys.exit(1)
    for name, kind in QUANTIZED.items():
        quantize(ROOT / "examples" / "stories.gguf", folder / f"{name}.gguf", kind)
    make_families(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_models.py FOLDER")
    make_models(Path(sys.argv[1]))
