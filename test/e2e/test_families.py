"""The model families beside llama: what they compute, whole and split."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import ROOT, logits_of, partition_tool
from reference import Reference
from rounding import Tolerance

EXACT = ("--activations", "f32", "--cache-type", "f32")
# Six heads over two key heads: at tp 3 and 4 there are more ranks than key heads, and at tp 4 the
# shares are uneven.
SPLITS = [
    pytest.param(2, ("--tp", 2), id="tp 2"),
    pytest.param(3, ("--tp", 3), id="tp 3"),
    pytest.param(4, ("--tp", 4), id="tp 4"),
    pytest.param(2, ("--stages", 2), id="stages 2"),
]
GOLDEN = json.loads((ROOT / "test" / "e2e" / "data" / "families.json").read_text())
TOKENS = GOLDEN["tokens"]
FAMILIES = ("qwen2", "qwen2-biases", "qwen3", "phi3", "phi3-bias")


@pytest.mark.parametrize("name", GOLDEN["logits"])
def test_reference_agrees_with_transformers(models, name):
    # Its norms and rotations are in float32 whatever the rest is in.
    found = Reference(models / f"{name}-f32.gguf").step(TOKENS)[-1]
    assert np.abs(found - GOLDEN["logits"][name]).max() <= 1e-5


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
@pytest.mark.parametrize("name", FAMILIES)
def test_exact_path_agrees_with_the_reference(models, package, name, kind):
    model = models / f"{name}-{kind}.gguf"
    expected = Reference(model).step(TOKENS)
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        found = logits_of(package(model, *flags), ranks, TOKENS, *EXACT)
        assert np.abs(found - expected).max() <= 1e-4, flags


@pytest.mark.parametrize("name", ["qwen2-biases", "qwen3", "phi3"])
def test_fast_path_deviates_by_its_rounding_only(models, package, name):
    model = models / f"{name}-q8_0.gguf"
    tolerance = Tolerance(model, TOKENS)
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        assert tolerance.verdict(logits_of(package(model, *flags), ranks, TOKENS)) == "", flags


def test_plans_name_fused_matrices_as_the_file_does(models, package):
    model = models / "phi3-f32.gguf"
    expected = Reference(model).step(TOKENS)
    for split in ("blk.*.attn_qkv.weight=none", "blk.*.attn_qkv.weight:k=column",
                  "blk.0.ffn_up.weight=row"):
        made = package(model, "--tp", 2, "--split", split)
        assert np.abs(logits_of(made, 2, TOKENS, *EXACT) - expected).max() <= 1e-4, split


@pytest.mark.parametrize("name", FAMILIES)
def test_check_finds_no_difference(models, name):
    for flags in (("--tp", 4), ("--tp", 3, "--stages", 2)):
        result = partition_tool(models / f"{name}-q8_0.gguf", *flags, "--check")
        assert result.returncode == 0, result.stdout + result.stderr
