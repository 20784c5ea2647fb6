"""Prints a decoder of the llama family as a module, by its sizes alone: shapes that are too large
to have as a file.

    decoder.py --layers 80 --width 8192 --heads 64 --kv-heads 8 --ffn 28672 --vocab 128256
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

INDEX, ROWS = "tensor<?xi32, #tokens>", "tensor<?xi32, #rows>"


class Decoder:
    """The lines of the module: weights and states, and the ops of the one entry."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.o = options
        self.held: list[str] = []
        self.ops: list[str] = []

    def value(self, width: int, rows: str = "tokens") -> str:
        return f"tensor<?x{width}xf32, #{rows}>"

    def use(self, name: str, *shape: int) -> tuple[str, str]:
        """The weight `name`, declared where it is new."""
        element = self.o.type if len(shape) > 1 else "f32"
        kind = f"tensor<{'x'.join(map(str, shape))}x{element}>"
        if not any(f"@{name} " in line for line in self.held[-12:] + self.held[:1]):
            self.held.append(f"cleave.weight @{name} : {kind} from {self.o.source}")
        value = f"%{name}.{len(self.ops)}"
        self.ops.append(f"{value} = cleave.use @{name} : {kind}")
        return value, kind

    def op(self, name: str, text: str, attributes: str, signature: str) -> str:
        attributes = f'cleave.name = "{name}"' + (f", {attributes}" if attributes else "")
        self.ops.append(f"%{name} = cleave.{text} {{{attributes}}} : {signature}")
        return f"%{name}"

    def norm(self, name: str, x: str, rows: str = "tokens") -> str:
        weight, kind = self.use(f"{name}.weight", self.o.width)
        return self.op(name, f"rms_norm {x}, {weight}", "epsilon = 1.0e-5 : f32",
                       f"{self.value(self.o.width, rows)}, {kind}")

    def linear(self, name: str, x: str, inner: int, outer: int, rows: str = "tokens",
               weight: str = "") -> str:
        used, kind = self.use(weight or f"{name}.weight", outer, inner)
        return self.op(name, f"linear {x}, {used}", "",
                       f"({self.value(inner, rows)}, {kind}) -> {self.value(outer, rows)}")

    def binary(self, name: str, kind: str, x: str, y: str, width: int) -> str:
        return self.op(name, f"{kind} {x}, {y}", "", f"{self.value(width)}, {self.value(width)}")

    def cache(self, name: str, x: str, width: int) -> tuple[str, str]:
        kind = f"tensor<?x?x{width}xf16, #cache>"
        self.held.append(f"cleave.state @{name} : {kind}")
        return self.op(name, f"state_update @{name}, {x} at %slots, %positions", "",
                       f"({self.value(width)}, {INDEX}, {INDEX}) -> {kind}"), kind

    def layer(self, at: str, x: str) -> str:
        o, head = self.o, self.o.width // self.o.heads
        keys = o.kv_heads * head
        rope = f"head_dim = {head}, rotary_dim = {head}, base = 1.0e4 : f32"
        h = self.norm(f"{at}.attn_norm", x)
        q, k, v = (self.linear(f"{at}.attn_{each}", h, o.width, width)
                   for each, width in (("q", o.width), ("k", keys), ("v", keys)))
        q, k = (self.op(f"{at}.attn_{each}_rope", f"rope {value}, %positions", rope,
                        f"{self.value(width)}, {INDEX}")
                for each, value, width in (("q", q, o.width), ("k", k, keys)))
        k, kind = self.cache(f"{at}.k", k, keys)
        v, _ = self.cache(f"{at}.v", v, keys)
        a = self.op(f"{at}.attention", f"attention {q}, {k}, {v} at %slots, %positions",
                    f"head_dim = {head}, group = {o.heads // o.kv_heads}, scale = 0.1 : f32",
                    f"{self.value(o.width)}, {kind}, {INDEX}, {INDEX}")
        x = self.binary(f"{at}.attn_residual", "add", x,
                        self.linear(f"{at}.attn_output", a, o.width, o.width), o.width)
        h = self.norm(f"{at}.ffn_norm", x)
        gate, up = (self.linear(f"{at}.ffn_{each}", h, o.width, o.ffn) for each in ("gate", "up"))
        gate = self.op(f"{at}.ffn_silu", f"silu {gate}", "", self.value(o.ffn))
        h = self.binary(f"{at}.ffn_mul", "mul", gate, up, o.ffn)
        return self.binary(f"{at}.ffn_residual", "add", x,
                           self.linear(f"{at}.ffn_down", h, o.ffn, o.width), o.width)

    def lines(self) -> Iterator[str]:
        o = self.o
        table, kind = self.use("token_embd.weight", o.vocab, o.width)
        x = self.op("token_embd", f"gather {table}, %tokens", "",
                    f"({kind}, {INDEX}) -> {self.value(o.width)}")
        for layer in range(o.layers):
            x = self.layer(f"blk.{layer}", x)
        x = self.op("last", f"gather {x}, %rows", "",
                    f"({self.value(o.width)}, {ROWS}) -> {self.value(o.width, 'rows')}")
        x = self.linear("output", self.norm("output_norm", x, "rows"), o.width, o.vocab, "rows",
                        "token_embd.weight" if o.tied else "")
        yield "#tokens = #cleave.dims<tokens>\n#rows = #cleave.dims<rows>"
        yield "#cache = #cleave.dims<slots, context>"
        yield ('module @decoder attributes {cleave.model = {architecture = "llama", '
               f"context_length = 8192 : i64, vocabulary = {o.vocab} : i64}}}} {{")
        yield from ("  " + line for line in self.held)
        inputs = [f'%{name}: {INDEX} {{cleave.input = "{name}"}}'
                  for name in ("tokens", "positions", "slots")]
        inputs.append(f'%rows: {ROWS} {{cleave.input = "rows"}}')
        yield f"  func.func @step({', '.join(inputs)})"
        yield f"      -> ({self.value(o.vocab, 'rows')} {{cleave.output = \"logits\"}}) {{"
        yield from ("    " + line for line in self.ops)
        yield f"    return {x} : {self.value(o.vocab, 'rows')}\n  }}\n}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("layers", "width", "heads", "kv-heads", "ffn", "vocab"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--type", default="f32", help="the matrices' elements")
    parser.add_argument("--source", default="none", help="where the weights come from")
    parser.add_argument("--tied", action="store_true", help="one matrix for embedding and output")
    print("\n".join(Decoder(parser.parse_args()).lines()))


if __name__ == "__main__":
    main()
