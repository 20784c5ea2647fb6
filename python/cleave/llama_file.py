"""The shape of a llama-architecture model and its GGUF file: names, sizes and metadata.

What the weights hold is the caller's: example/train.py learns them, random_model.py draws them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike

from gguf import GGUFWriter

from .errors import CleaveError
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of a llama decoder, in elements; raises CleaveError where they do not fit together."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    context: int = 2048
    tied: bool = False
    """Whether the output matrix is the embedding."""
    bias: bool = False
    """Whether q, k and v have biases."""
    experts: int = 0
    """Experts in the place of each feed-forward block, each as wide as it; 0: none."""
    experts_used: int = 2
    """Of these, how many a token takes."""
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "kv_heads", "ffn", "vocab", "context"):
            if getattr(self, name) < 1:
                raise CleaveError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.width % self.heads or self.head_dim % 2:
            raise CleaveError(f"width {self.width} is no multiple of twice the {self.heads} heads; "
                              "rotary embedding needs heads of an even width")
        if self.experts < 0 or (self.experts and not 1 <= self.experts_used <= self.experts):
            raise CleaveError(f"{self.experts_used} of {self.experts} experts for a token, expected "
                              "at least 1 and at most all")
        if self.heads % self.kv_heads:
            raise CleaveError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads: "
                              "the first must be a multiple of the second")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of each tensor in the file's order; matrices are [outputs, inputs], those
        of experts [experts, outputs, inputs].
        """
        width, kv_width = self.width, self.kv_heads * self.head_dim
        yield "token_embd.weight", (self.vocab, width)
        for layer in range(self.layers):
            block = f"blk.{layer}."
            yield block + "attn_norm.weight", (width,)
            for name, outputs in (("q", width), ("k", kv_width), ("v", kv_width)):
                yield f"{block}attn_{name}.weight", (outputs, width)
                if self.bias:
                    yield f"{block}attn_{name}.bias", (outputs,)
            yield block + "attn_output.weight", (width, width)
            yield block + "ffn_norm.weight", (width,)
            if self.experts:
                yield block + "ffn_gate_inp.weight", (self.experts, width)
                yield block + "ffn_gate_exps.weight", (self.experts, self.ffn, width)
                yield block + "ffn_up_exps.weight", (self.experts, self.ffn, width)
                yield block + "ffn_down_exps.weight", (self.experts, width, self.ffn)
                continue
            yield block + "ffn_gate.weight", (self.ffn, width)
            yield block + "ffn_up.weight", (self.ffn, width)
            yield block + "ffn_down.weight", (width, self.ffn)
        yield "output_norm.weight", (width,)
        if not self.tied:
            yield "output.weight", (self.vocab, width)

    def writer(self, path: str | PathLike[str], name: str, vocabulary: Vocabulary) -> GGUFWriter:
        """A writer of `path` that has the metadata and waits for the tensors."""
        writer = GGUFWriter(path, "llama")
        writer.add_name(name)
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.width)
        writer.add_block_count(self.layers)
        writer.add_feed_forward_length(self.ffn)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_rope_dimension_count(self.head_dim)
        writer.add_rope_freq_base(self.rope_base)
        writer.add_layer_norm_rms_eps(self.norm_epsilon)
        writer.add_vocab_size(self.vocab)
        if self.experts:
            writer.add_expert_count(self.experts)
            writer.add_expert_used_count(self.experts_used)
        vocabulary.write(writer)
        return writer


@contextmanager
def complete_file(path: str | PathLike[str]) -> Iterator[str]:
    """A path beside `path` to write to, renamed to it at the end; nothing is left after a failure.

    Raises CleaveError where the file system refuses, or where `path` is a device or a folder.
    """
    if os.path.lexists(path) and not os.path.isfile(path):
        raise CleaveError(f"cannot write '{os.fspath(path)}': it exists and is no regular file")
    part = f"{os.fspath(path)}.part"
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise CleaveError(f"cannot write '{os.fspath(path)}': {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            os.unlink(part)
