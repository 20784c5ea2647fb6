"""Plans that fight the default one, two axes, odd shares: the logits stay the model's."""

from __future__ import annotations

import numpy as np
import pytest
from harness import EXAMPLE, logits_of
from reference import logits

TOKENS = [1, *(3 + 37 * i % 380 for i in range(19))]
EXACT = ("--activations", "f32", "--cache-type", "f32")
TOLERANCE = 1e-4
"""Between float64 and f32 sums in any order; the logits are of the order of ten."""


def split(*entries: str) -> list[str]:
    """A --split flag for each entry."""
    return [word for entry in entries for word in ("--split", entry)]


@pytest.mark.parametrize("ranks, flags", [
    (3, ["--tp", 3, "--shares", "tp=5,2,1"]),
    (5, ["--tp", 5, "--shares", "tp=8,7,1,1,9"]),
    (11, ["--tp", 11]),
    (2, ["--tp", 2, *split("*.attn_q.weight=row")]),
    (3, ["--tp", 3, *split("*.attn_{q,k,v}.weight=row")]),
    (2, ["--tp", 2, *split("*.attn_k.weight=none")]),
    (3, ["--tp", 3, *split("*.attn_output.weight=column", "*.ffn_{gate,up}.weight=row")]),
    (5, ["--tp", 5, *split("token_embd.weight=row", "*.ffn_down.weight=column")]),
    (2, ["--tp", 2, "--shares", "tp=2,1", *split("token_embd.weight=row")]),
    (6, ["--mesh", "a=2,b=3", *split("*.attn_{q,k,v}.weight=head@b", "*.attn_output.weight=column@a",
                                     "*.ffn_{gate,up}.weight=column@a", "*.ffn_down.weight=column@b")]),
    (6, ["--tp", 2, "--cut", "blk.1.ffn_norm", "--cut", "output_norm"]),
], ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None)
def test_logits_are_those_of_the_model(package, ranks, flags):
    found = logits_of(package(EXAMPLE, *flags), ranks, TOKENS, *EXACT)
    assert np.abs(found - logits(EXAMPLE, TOKENS)).max() < TOLERANCE


@pytest.mark.parametrize("model", ["random-odd-f32", "random-f32-tied-bias", "random-q4_0"])
def test_two_axes_cut_attention_and_feed_forward_apart(package, models, model):
    flags = ["--mesh", "a=2,b=2", *split(
        "*.attn_{q,k,v}.weight=head@a", "*.attn_output.weight=row@a",
        "*.ffn_{gate,up}.weight=column@b", "*.ffn_down.weight=row@b", "token_embd.weight=column@b")]
    made = package(models / f"{model}.gguf", *flags)
    found = logits_of(made, 4, TOKENS, *EXACT)
    assert np.abs(found - logits(models / f"{model}.gguf", TOKENS)).max() < TOLERANCE


@pytest.mark.parametrize("ranks, flags", [
    # One dim over two axes: six query heads' worth of ranks, the key heads on groups of them.
    (6, ["--mesh", "data=2,tp=3", *split("*.attn_{q,k,v}.weight=head@data+head@tp",
                                         "*.attn_output.weight=row@data+row@tp")]),
    # Two dims, one axis each, for every matrix: a rank holds a tile.
    (4, ["--mesh", "a=2,b=2", *split("*.attn_{q,k,v}.weight=head@a+row@b",
                                     "*.attn_output.weight=row@a+column@b",
                                     "*.ffn_{gate,up}.weight=column@a+row@b",
                                     "*.ffn_down.weight=row@a+column@b",
                                     "token_embd.weight=column@a+row@b")]),
    # Twelve ranks in two stages, uneven on both axes.
    (12, ["--mesh", "a=2,b=3", "--stages", 2, "--shares", "a=2,1", "--shares", "b=3,2,1",
          *split("*.attn_{q,k,v}.weight=head@b", "*.attn_output.weight=row@b",
                 "*.ffn_{gate,up}.weight=column@b+column@a", "*.ffn_down.weight=row@b+row@a",
                 "token_embd.weight=column@a+column@b")]),
], ids=["one dim", "tiles", "twelve"])
def test_one_weight_over_two_axes(package, ranks, flags):
    found = logits_of(package(EXAMPLE, *flags), ranks, TOKENS, *EXACT)
    assert np.abs(found - logits(EXAMPLE, TOKENS)).max() < TOLERANCE


def test_empty_share_inside_a_group_and_a_block(package, models):
    # Heads 3, 0 and 5: the empty share stands in the middle of a pair of query heads, and of a
    # block of attn_output's columns.
    model = models / "random-q4_0.gguf"
    made = package(model, "--tp", 3, "--shares", "tp=5,1,10")
    found = logits_of(made, 3, TOKENS, *EXACT)
    assert np.abs(found - logits(model, TOKENS)).max() < TOLERANCE
