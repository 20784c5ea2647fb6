"""Drawn text: the same from the best candidates of a split vocabulary as from all logits."""

from __future__ import annotations

import pytest
from harness import EXAMPLE, partition, run, text_of

from cleave.llama_file import LlamaShape
from cleave.random_model import random_model

# Wide enough that tokens beyond the likeliest are drawn; the best 40 are asked for, or the
# best 64, which is as many as there are candidates.
DRAWS = [
    pytest.param(("--temp", 0.8, "--top-k", 40, "--seed", 11), id="the defaults"),
    pytest.param(("--temp", 1.5, "--top-k", 64, "--top-p", 1, "--min-p", 0, "--seed", 5), id="top-k 64"),
    pytest.param(("--temp", 1.2, "--top-k", 3, "--min-p", 0, "--seed", 3), id="top-k 3"),
]
SPLITS = [(None, ()), (2, ("--tp", 2)), (3, ("--tp", 3)), (4, ("--tp", 2, "--stages", 2)),
          (3, ("--tp", 3, "--shares", "tp=5,2,1"))]


def drawn(package, ranks, *arguments):
    """The text of a run, one thread a rank."""
    result = run(package, ranks, "-p", "Once upon a time", "-n", 60, "--threads", 1, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("options", DRAWS)
def test_candidates_give_the_text_of_all_logits(package, tmp_path, options):
    # A file of all logits has them gathered whole, and chosen from.
    whole = drawn(package(EXAMPLE), None, *options, "--output", f"logits={tmp_path / 'l.npy'}")
    assert len(whole) > 100
    assert whole != text_of(package(EXAMPLE), None, "-p", "Once upon a time", "-n", 60)
    for ranks, flags in SPLITS:
        assert drawn(package(EXAMPLE, *flags), ranks, *options) == whole
    assert drawn(package(EXAMPLE, "--tp", 3), 3, *options, "--output",
                 f"logits={tmp_path / 'l.npy'}") == whole


@pytest.mark.parametrize("top_k", [0, 65])
def test_all_logits_are_gathered_where_candidates_are_too_few(package, top_k):
    options = ("--temp", 3, "--top-k", top_k, "--top-p", 1, "--min-p", 0, "--seed", 2)
    lone = drawn(package(EXAMPLE), None, *options)
    assert lone != drawn(package(EXAMPLE), None, *options[:2], "--top-k", 64, *options[4:])
    for ranks, flags in ((2, ("--tp", 2)), (3, ("--tp", 3))):
        assert drawn(package(EXAMPLE, *flags), ranks, *options) == lone


@pytest.mark.parametrize("vocabulary", [511, 517])
def test_a_vocabulary_that_does_not_divide(tmp_path, vocabulary):
    # Below 512 tokens a model gives its logits alone.
    model = tmp_path / "m.gguf"
    random_model(model, LlamaShape(width=64, layers=1, heads=8, kv_heads=4, ffn=96,
                                   vocab=vocabulary, context=128))
    made = partition(model, tmp_path / "one.cleave")
    assert ("top_k" in (made / "rank-0.mlir").read_text()) == (vocabulary >= 512)
    options = ("--tokens", "1,5,300", "-n", 40, "--temp", 1, "--top-k", 40, "--min-p", 0,
               "--seed", 4, "--threads", 1, "--activations", "f32", "--cache-type", "f32")
    texts = [run(made, None, *options).stdout]
    for tp in (3, 4):
        made = partition(model, tmp_path / f"{tp}.cleave", "--tp", tp)
        texts.append(run(made, tp, *options).stdout)
    assert len(texts[0]) > 40 and len(set(texts)) == 1
