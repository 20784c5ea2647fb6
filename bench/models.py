"""The models that are measured, and their packages: random weights, kept between runs."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cleave import CleaveError, Package, partition

TYPES = ("q4_0", "q8_0", "q4_k", "q5_k", "q6_k", "q4_k_m", "f16", "bf16")


@dataclass(frozen=True)
class Shape:
    """A llama decoder's sizes; by default those of a model of 1.1 billion weights."""

    width: int = 2048
    layers: int = 22
    heads: int = 32
    kv_heads: int = 4
    ffn: int = 5632
    vocab: int = 32000

    @property
    def name(self) -> str:
        return "-".join(map(str, (self.width, self.layers, self.heads, self.kv_heads, self.ffn,
                                  self.vocab)))

    def products_of_prompt(self, tokens: int) -> int:
        """Multiplications that a prompt of so many tokens needs: of all matrices but the output's,
        whose result only the last token needs, and of attention to the tokens before."""
        keys = self.width // self.heads * self.kv_heads
        matrices = 2 * self.width * (self.width + keys) + 3 * self.width * self.ffn
        attention = 2 * self.width * (tokens + 1) // 2
        return self.layers * tokens * (matrices + attention)


def model_file(folder: Path, shape: Shape, kind: str, context: int) -> Path:
    """The model of that type, made unless it is there."""
    file = folder / f"{shape.name}-{context}-{kind}.gguf"
    if not file.exists():
        # NumPy and gguf are needed for this only.
        try:
            from cleave.llama_file import LlamaShape
            from cleave.random_model import random_model
        except ModuleNotFoundError as error:
            raise CleaveError(f"making '{file}' needs the Python package '{error.name}'; install it "
                              "with pip") from error
        random_model(file, LlamaShape(width=shape.width, layers=shape.layers, heads=shape.heads,
                                      kv_heads=shape.kv_heads, ffn=shape.ffn, vocab=shape.vocab,
                                      context=context), kind)
    return file


def make_packages(model: Path, rank_counts: list[int]) -> dict[int, Package]:
    """Packages of `model` for these numbers of ranks. Made anew each time, as their form belongs
    to the build that is measured; what is written has reached the disk at the end."""
    packages = {ranks: partition(model, model.with_suffix(f".{ranks}.cleave"), tp=ranks)
                for ranks in rank_counts}
    os.sync()
    return packages


def remove_packages(packages: dict[int, Package]) -> None:
    for package in packages.values():
        shutil.rmtree(package, ignore_errors=True)
