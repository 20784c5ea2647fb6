"""The command `cleave`: partition, run, random-model, train-example."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from . import package, runner
from .errors import CleaveError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status; errors go to standard error as one line."""
    logging.basicConfig(format="cleave: %(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    try:
        options.call(options)
    except CleaveError as error:
        print(f"cleave: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line's grammar; each command puts its function in `call`."""
    top = argparse.ArgumentParser(prog="cleave", description="cut a model along its grain",
                                  allow_abbrev=False)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("partition", help="partition a model file for several ranks")
    add.set_defaults(call=partition)
    add.add_argument("model", help="a GGUF, ONNX or MLIR file")
    add.add_argument("-o", "--output", metavar="DIR", help="package to write (MODEL.cleave)")
    add.add_argument("--tp", type=int, metavar="N", help="ranks that share each weight")
    add.add_argument("--stages", type=int, metavar="N", help="pipeline stages")
    add.add_argument("--cut", action="append", default=[], metavar="NAME",
                     help="a stage begins here; repeatable")
    add.add_argument("--split", action="append", default=[], metavar="PATTERN=TYPE",
                     help="how weights are cut: column, row, head, none; repeatable")
    add.add_argument("--plan", metavar="FILE", help="a YAML plan")
    add.add_argument("--mesh", action="append", default=[], metavar="AXIS=N", type=mesh_axis,
                     help="an axis of ranks; repeatable")
    add.add_argument("--shares", action="append", default=[], metavar="AXIS=N,N...",
                     type=axis_shares, help="uneven ranks; repeatable")
    add.add_argument("--sequence", metavar="AXIS",
                     help="cut the tokens of prompts, too, over this axis")
    add.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", type=named_size,
                     help="a size that an ONNX file only names; repeatable")

    add = commands.add_parser("run", help="run a package, streaming its text")
    add.set_defaults(call=run)
    add.add_argument("package", help="a folder that `cleave partition` wrote")
    add.add_argument("-p", "--prompt", default="", metavar="TEXT")
    add.add_argument("-n", type=int, metavar="N", help="tokens to generate at most")
    for name, kind, text in (
        ("temp", float, "temperature; 0 always takes the most likely token"),
        ("top-k", int, "sample from the K most likely tokens"),
        ("top-p", float, "sample from the most likely tokens of this much probability"),
        ("min-p", float, "sample from tokens at least this likely, relative to the best"),
        ("seed", int, "seed of the sampling"),
        ("threads", int, "threads a rank"),
        ("ctx", int, "tokens in the cache"),
        ("batch", int, "tokens of a prompt computed at once"),
        ("cache-type", str, "f32 or f16"),
        ("activations", str, "f32 or quantized"),
    ):
        add.add_argument(f"--{name}", type=kind, help=text, metavar=kind.__name__.upper())

    add = commands.add_parser("random-model", help="write a GGUF file with random weights")
    add.set_defaults(call=random_model)
    for name, text in (("width", "elements of the hidden state"), ("layers", "decoder layers"),
                       ("heads", "attention heads"), ("kv-heads", "key/value heads"),
                       ("ffn", "elements of the feed-forward block"),
                       ("vocab", "tokens of the vocabulary")):
        add.add_argument(f"--{name}", type=int, required=True, metavar="N", help=text)
    add.add_argument("--context", type=int, default=2048, metavar="N", help="context length (2048)")
    add.add_argument("--type", default="f32", dest="kind", metavar="TYPE",
                     help="f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, q4_k_m "
                          "or q5_k_m (f32)")
    add.add_argument("--experts", type=int, default=0, metavar="N",
                     help="experts in the place of each feed-forward block (none)")
    add.add_argument("--experts-used", type=int, default=2, metavar="N",
                     help="experts for each token (2)")
    add.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the weights (0)")
    add.add_argument("--tied", action="store_true", help="the output matrix is the embedding")
    add.add_argument("--bias", action="store_true", help="q, k and v have biases")
    add.add_argument("-o", "--output", required=True, metavar="FILE")

    add = commands.add_parser("train-example", help="tell stories and train a small model on them")
    add.set_defaults(call=train_example)
    add.add_argument("-o", "--output", required=True, metavar="FILE")
    add.add_argument("--steps", type=int, default=1500, metavar="N",
                     help="training steps of the first round (1500)")
    add.add_argument("--stories", type=int, default=40000, metavar="N", help="stories told (40000)")
    add.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything (1)")
    add.add_argument("--threads", type=int, default=1, metavar="N", help="threads (1)")
    return top


def mesh_axis(text: str) -> tuple[str, int]:
    """ "tp=2" as ("tp", 2)."""
    axis, _, size = text.partition("=")
    if not axis or not size.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no axis with a size, such as tp=2")
    return axis, int(size)


def axis_shares(text: str) -> tuple[str, list[int]]:
    """ "tp=2,1" as ("tp", [2, 1])."""
    axis, _, parts = text.partition("=")
    if not axis or not all(part.isdecimal() for part in parts.split(",")):
        raise argparse.ArgumentTypeError(f"'{text}' is no axis with shares, such as tp=2,1")
    return axis, [int(part) for part in parts.split(",")]


def named_size(text: str) -> tuple[str, str]:
    """ "batch=4" as ("batch", "4")."""
    name, _, size = text.partition("=")
    if not name or not size:
        raise argparse.ArgumentTypeError(f"'{text}' is no size with a name, such as batch=4")
    return name, size


def partition(options: argparse.Namespace) -> None:
    made = package.partition(
        options.model, options.output, tp=options.tp, stages=options.stages, cut=options.cut,
        split=options.split, plan=options.plan, mesh=dict(options.mesh),
        shares=dict(options.shares), sequence=options.sequence, dims=dict(options.dim))
    print(f"{made.path}: {made.ranks} rank{'s' * (made.ranks > 1)}")


def run(options: argparse.Namespace) -> None:
    given = dict(vars(options))
    del given["call"], given["package"]
    with runner.run(options.package, **given) as pieces:
        for piece in pieces:
            print(piece, end="", flush=True)
        print(flush=True)
    sys.stderr.write(pieces.log)


def random_model(options: argparse.Namespace) -> None:
    # NumPy and gguf are loaded by the commands that need them.
    from .llama_file import LlamaShape
    from .random_model import random_model

    shape = LlamaShape(
        width=options.width, layers=options.layers, heads=options.heads, kv_heads=options.kv_heads,
        ffn=options.ffn, vocab=options.vocab, context=options.context, tied=options.tied,
        bias=options.bias, experts=options.experts, experts_used=options.experts_used)
    random_model(options.output, shape, options.kind, options.seed)


def train_example(options: argparse.Namespace) -> None:
    try:
        from .example.train import train_example
    except ModuleNotFoundError as error:
        raise CleaveError(f"{error.name} is missing; install it with "
                          "pip install './python[train]'") from error
    train_example(options.output, options.steps, options.stories, options.seed, options.threads)
