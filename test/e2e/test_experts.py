"""Mixtures of experts: what they compute, whole and with their experts split in every way.

Where two experts are nearly as good for a token, rounding may choose the other, and the result is
another one. The models' seeds are such that this does not happen to the tokens here, on the exact
path by far and on the fast path by more than its rounding; the tests look whether that holds.
"""

from __future__ import annotations

import numpy as np
import pytest
from harness import logits_of, partition_tool
from reference import Reference
from rounding import DRAWS, Rounded, Tolerance
from test_families import EXACT, GOLDEN

TOKENS = GOLDEN["tokens"][:16]
MODELS = ("mixtral", "qwen3moe")
# Of 5 experts three ranks have 2, 2 and 1. At tp 4 each expert is cut inside the quantization
# blocks of its down matrix.
SPLITS = [
    pytest.param(2, ("--mesh", "expert=2"), id="expert 2"),
    pytest.param(3, ("--mesh", "expert=3"), id="expert 3"),
    pytest.param(2, ("--tp", 2), id="tp 2"),
    pytest.param(4, ("--tp", 4), id="tp 4"),
    pytest.param(4, ("--mesh", "expert=2,tp=2"), id="expert 2, tp 2"),
    pytest.param(2, ("--stages", 2), id="stages 2"),
]


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
@pytest.mark.parametrize("name", MODELS)
def test_exact_path_agrees_with_the_reference(models, package, name, kind):
    model = models / f"{name}-{kind}.gguf"
    reference = Reference(model)
    expected = reference.step(TOKENS)
    assert np.min(reference.margins) > 0.02
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        found = logits_of(package(model, *flags), ranks, TOKENS, *EXACT)
        assert np.abs(found - expected).max() <= 1e-4, flags


@pytest.mark.parametrize("name", MODELS)
def test_fast_path_deviates_by_its_rounding_only(models, package, name):
    model = models / f"{name}-q8_0.gguf"
    exact, moved = Reference(model), []
    exact.step(TOKENS)
    for seed in range(DRAWS):
        rounded = Rounded(model, seed)
        rounded.step(TOKENS)
        moved.append(np.subtract(rounded.margins, exact.margins))
    assert np.min(exact.margins / np.sqrt(np.mean(np.square(moved), axis=0))) > 3
    tolerance = Tolerance(model, TOKENS)
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        assert tolerance.verdict(logits_of(package(model, *flags), ranks, TOKENS)) == "", flags


@pytest.mark.parametrize("name", MODELS)
def test_tokens_one_by_one_are_as_all_at_once(models, package, name):
    """A step of one token reads its experts only, a prompt groups its tokens by expert."""
    made = package(models / f"{name}-f32.gguf", "--mesh", "expert=2")
    together = logits_of(made, 2, TOKENS, *EXACT)
    alone = logits_of(made, 2, TOKENS, "--batch", 1, *EXACT)
    assert np.abs(together - alone).max() <= 1e-5


def test_plans_split_experts_as_they_are_told(models, package):
    model = models / "mixtral-q8_0.gguf"
    expected = Reference(model).step(TOKENS)
    for flags in (("--tp", 2, "--split", "blk.*.ffn_*_exps.weight=expert"),
                  ("--tp", 2, "--split", "blk.*.ffn_*_exps.weight=none"),
                  ("--tp", 2, "--split", "blk.0.ffn_down_exps.weight=column",
                   "--split", "blk.0.ffn_*_exps.weight=none"),
                  ("--mesh", "expert=2", "--shares", "expert=3,1")):
        found = logits_of(package(model, *flags), 2, TOKENS, *EXACT)
        assert np.abs(found - expected).max() <= 1e-4, flags


@pytest.mark.parametrize("name", MODELS)
def test_check_finds_no_difference(models, name):
    for flags in (("--mesh", "expert=3"), ("--mesh", "expert=2,tp=2", "--stages", 2)):
        result = partition_tool(models / f"{name}-q8_0.gguf", *flags, "--check")
        assert result.returncode == 0, result.stdout + result.stderr
