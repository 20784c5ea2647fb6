# Writes a small decoder, llama's by default, as a GGUF file for the lit tests, well-formed unless the
# options damage it. Needs nothing but Python; the format is that of docs/gguf.md of the
# ggml project.
#
#   make_gguf.py OUT [--heads 8] [--type q8_0] [--drop KEY] [--truncate BYTES] ...
import argparse
import random
import struct

# Name: GGUF's number, elements and bytes of a block.
TYPES = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q8_0": (8, 32, 34), "bf16": (30, 1, 2),
         "q4_k": (12, 256, 144), "iq4_xs": (23, 256, 136)}
U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
INT32 = 5


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    for name, size in dict(blocks=2, embedding=64, heads=8, kv_heads=4, feed_forward=96, vocabulary=40,
                           context=128).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=size)
    parser.add_argument("--type", default="f32", choices=TYPES, help="of the matrices")
    parser.add_argument("--architecture", default="llama")
    parser.add_argument("--tied", action="store_true", help="without output.weight")
    parser.add_argument("--biases", action="store_true", help="of q, k and v")
    parser.add_argument("--row-biases", action="store_true", help="of attn_output and ffn_down")
    parser.add_argument("--head-norms", action="store_true", help="of q and k")
    parser.add_argument("--fused", action="store_true", help="q, k and v in one tensor, gate and up in another")
    parser.add_argument("--experts", type=int, default=0, help="in each block, two for a token")
    parser.add_argument("--no-words", action="store_true", help="without a vocabulary")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=KIND:VALUE")
    parser.add_argument("--drop", action="append", default=[], metavar="KEY")
    parser.add_argument("--tensor", action="append", default=[], metavar="NAME=4x8:TYPE",
                        help="adds or replaces a tensor; a shape as in the dialect")
    parser.add_argument("--drop-tensor", action="append", default=[], metavar="NAME")
    parser.add_argument("--version", type=int, default=3)
    parser.add_argument("--big-endian", action="store_true")
    parser.add_argument("--truncate", type=int, metavar="BYTES", help="keep the first; from the end if negative")
    parser.add_argument("--flip", action="append", default=[], metavar="BYTE:BIT")
    return parser.parse_args()


def keys_of(o):
    keys = {"general.architecture": (STRING, o.architecture)}
    for key, value in {"block_count": o.blocks, "context_length": o.context, "embedding_length": o.embedding,
                       "feed_forward_length": o.feed_forward, "attention.head_count": o.heads,
                       "attention.head_count_kv": o.kv_heads}.items():
        keys[f"{o.architecture}.{key}"] = (U32, value)
    keys[f"{o.architecture}.attention.layer_norm_rms_epsilon"] = (F32, 1e-5)
    if o.experts:
        keys[f"{o.architecture}.expert_count"] = (U32, o.experts)
        keys[f"{o.architecture}.expert_used_count"] = (U32, 2)
    if not o.no_words:
        words = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(4)]
        words += ["\u2581" + chr(97 + i % 26) * (1 + i // 26) for i in range(o.vocabulary - len(words))]
        keys["tokenizer.ggml.model"] = (STRING, "llama")
        keys["tokenizer.ggml.tokens"] = (ARRAY, (STRING, words))
        keys["tokenizer.ggml.scores"] = (ARRAY, (F32, [-float(i) for i in range(len(words))]))
        types = [2, 3, 3] + [6] * 4 + [1] * (len(words) - 7)
        keys["tokenizer.ggml.token_type"] = (ARRAY, (INT32, types))
    kinds = {"u32": (U32, int), "f32": (F32, float), "bool": (BOOL, int), "string": (STRING, str)}
    for entry in o.set:
        key, value = entry.split("=", 1)
        kind, text = value.split(":", 1)
        keys[key] = (kinds[kind][0], kinds[kind][1](text))
    return {key: value for key, value in keys.items() if key not in o.drop}


def tensors_of(o):
    width, kv_width = o.embedding, o.embedding // o.heads * o.kv_heads
    tensors = {"token_embd.weight": [o.vocabulary, width], "output_norm.weight": [width]}
    if not o.tied:
        tensors["output.weight"] = [o.vocabulary, width]
    for i in range(o.blocks):
        shapes = {"attn_norm": [width], "attn_q": [width, width], "attn_k": [kv_width, width],
                  "attn_v": [kv_width, width], "attn_output": [width, width], "ffn_norm": [width],
                  "ffn_gate": [o.feed_forward, width], "ffn_up": [o.feed_forward, width],
                  "ffn_down": [width, o.feed_forward]}
        if o.fused:
            for name in ("attn_q", "attn_k", "attn_v", "ffn_gate"):
                del shapes[name]
            shapes["attn_qkv"] = [width + 2 * kv_width, width]
            shapes["ffn_up"] = [2 * o.feed_forward, width]
        if o.experts:
            shapes["ffn_gate_inp"] = [o.experts, width]
            for name in ("ffn_gate", "ffn_up", "ffn_down"):
                shapes[name + "_exps"] = [o.experts, *shapes.pop(name)]
        if o.head_norms:
            shapes["attn_q_norm"] = shapes["attn_k_norm"] = [width // o.heads]
        for name, shape in shapes.items():
            tensors[f"blk.{i}.{name}.weight"] = shape
            if o.biases and name in ("attn_q", "attn_k", "attn_v", "attn_qkv") or \
                    o.row_biases and name in ("attn_output", "ffn_down"):
                tensors[f"blk.{i}.{name}.bias"] = shape[:1]
    result = {name: (shape, o.type if len(shape) > 1 else "f32") for name, shape in tensors.items()}
    for entry in o.tensor:
        name, value = entry.split("=", 1)
        shape, kind = value.split(":")
        result[name] = ([int(size) for size in shape.split("x")], kind)
    return {name: tensor for name, tensor in result.items() if name not in o.drop_tensor}


class Writer:
    def __init__(self, big_endian):
        self.order = ">" if big_endian else "<"
        self.bytes = bytearray()

    def put(self, code, value):
        self.bytes += struct.pack(self.order + code, value)

    def text(self, value):
        data = value.encode()
        self.put("Q", len(data))
        self.bytes += data

    def value(self, kind, value):
        if kind == STRING:
            self.text(value)
        elif kind == ARRAY:
            element, values = value
            self.put("I", element)
            self.put("Q", len(values))
            for each in values:
                self.value(element, each)
        else:
            self.put({U32: "I", INT32: "i", F32: "f", BOOL: "B"}[kind], value)

    def align(self):
        self.bytes += bytes(-len(self.bytes) % 32)


def data_of(name, elements, kind):
    """Small numbers that depend on the name only; blocks have a scale of 2^-11."""
    _, length, size = TYPES[kind]
    source = random.Random(name)
    if kind == "f32":
        return b"".join(struct.pack("<f", source.uniform(-0.1, 0.1)) for _ in range(elements))
    if kind == "f16":
        return b"".join(struct.pack("<e", source.uniform(-0.1, 0.1)) for _ in range(elements))
    if length == 1:
        return bytes(elements * size)
    return b"".join(struct.pack("<e", 2.0**-11) + source.randbytes(size - 2) for _ in range(elements // length))


def main():
    o = options()
    keys, tensors = keys_of(o), tensors_of(o)
    w = Writer(o.big_endian)
    w.bytes += b"GGUF"
    w.put("I", o.version)
    w.put("Q", len(tensors))
    w.put("Q", len(keys))
    for key, (kind, value) in keys.items():
        w.text(key)
        w.put("I", kind)
        w.value(kind, value)
    data = Writer(o.big_endian)
    for name, (shape, kind) in tensors.items():
        elements = 1
        w.text(name)
        w.put("I", len(shape))
        for size in reversed(shape):
            w.put("Q", size)
            elements *= size
        w.put("I", TYPES[kind][0])
        w.put("Q", len(data.bytes))
        data.bytes += data_of(name, elements, kind)
        data.align()
    w.align()
    w.bytes += data.bytes
    for place in o.flip:
        byte, bit = map(int, place.split(":"))
        w.bytes[byte] ^= 1 << bit
    with open(o.out, "wb") as file:
        file.write(w.bytes[: o.truncate])


main()
