"""cleave-run --bench: what it measures and says. How fast anything is, no test asserts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gguf import GGUFReader
from harness import EXAMPLE, complaint, partition, run
from test_graphs import graph, rows


def measured(package, ranks, *arguments):
    """The measurements, and the line about the ranks, which comes last."""
    result = run(package, ranks, *arguments)
    assert result.returncode == 0, result.stderr
    *tests, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(test["seconds"] > 0 for test in tests)
    assert all(0 <= test.get("communication_seconds", 0) <= test["seconds"] for test in tests)
    assert [rank["rank"] for rank in last["ranks"]] == list(range(ranks or 1))
    return [(test["test"], test.get("tokens"), test.get("depth"), test["repetition"])
            for test in tests], last


def test_repetitions_take_turns(package):
    tests, last = measured(package(EXAMPLE), None, "--bench", "prompt=7,generate=3,repeat=2",
                           "--bench", "generate=5,depth=40,repeat=1", "--batch", 4)
    assert tests == [("prompt", 7, 0, 0), ("generate", 3, 0, 0), ("generate", 5, 40, 0),
                     ("prompt", 7, 0, 1), ("generate", 3, 0, 1)]
    assert last["context"] == 45 and last["batch"] == 4
    assert last["ranks"][0]["communication_seconds"] < 0.1


@pytest.mark.parametrize("ranks", [1, 2])
def test_reads_follow_each_repetition(package, ranks, tmp_path):
    trace = tmp_path / "trace.json"
    tests, last = measured(package(EXAMPLE, *(("--tp", 2) * (ranks > 1))),
                           ranks if ranks > 1 else None, "-t", 2, "--bench",
                           "generate=2,read=2,repeat=2", f"--profile={trace}")
    reads = [("read", None, None, round) for round in (0, 1) for _ in range(2 * 6)]
    assert tests == [("generate", 2, 0, 0), *reads[:12], ("generate", 2, 0, 1), *reads[12:]]
    assert len(last["ranks"]) == ranks
    assert json.loads(trace.read_text())


@pytest.mark.parametrize("flags", [("--tp", 2), ("--stages", 2)])
def test_all_ranks_report(package, flags):
    tests, last = measured(package(EXAMPLE, *flags), 2, "-t", 1, "--bench",
                           "generate=2,repeat=1,prompt=20,depth=10")
    assert tests == [("prompt", 20, 10, 0), ("generate", 2, 10, 0)]
    for rank in last["ranks"]:
        assert rank["threads"] == 1
        assert rank["load_seconds"] > 0 and rank["communication_seconds"] > 0
        assert rank["weight_bytes"] >= rank["weight_bytes_per_token"] > 0
        # The activations' memory need not be touched, the weights' is.
        assert rank["pss_bytes"] > rank["weight_bytes"]


def test_bytes_of_a_token_are_the_models(package):
    tensors = {tensor.name: tensor.n_bytes for tensor in GGUFReader(EXAMPLE).tensors}
    embedding = GGUFReader(EXAMPLE).tensors[0]
    assert embedding.name == "token_embd.weight"
    row = embedding.n_bytes // int(embedding.shape[1])
    read = sum(tensors.values()) - (embedding.n_bytes - row if "output.weight" in tensors else 0)
    whole = measured(package(EXAMPLE), None, "--bench", "generate=1,repeat=1")[1]["ranks"][0]
    assert whole["weight_bytes_per_token"] == read
    cache = whole["cache_bytes_per_token"]
    halves = measured(package(EXAMPLE, "--tp", 2), 2, "--bench", "generate=1,repeat=1")[1]["ranks"]
    assert [half["cache_bytes_per_token"] for half in halves] == [cache // 2] * 2
    half_cache = measured(package(EXAMPLE), None, "--bench", "generate=1,repeat=1", "--cache-type",
                          "f16")[1]["ranks"][0]["cache_bytes_per_token"]
    assert cache in (half_cache, 2 * half_cache)


def test_experts_that_are_not_taken_are_not_read(tmp_path, package):
    from cleave.llama_file import LlamaShape
    from cleave.random_model import random_model

    model = tmp_path / "experts.gguf"
    shape = LlamaShape(width=64, layers=1, heads=4, kv_heads=4, ffn=64, vocab=400, experts=4,
                       experts_used=1)
    random_model(model, shape)
    rank = measured(package(model), None, "--bench", "generate=1,repeat=1")[1]["ranks"][0]
    unread = 3 * 3 * 64 * 64 + 399 * 64  # matrices of experts, rows of the embedding
    written = sum(tensor.n_bytes for tensor in GGUFReader(model).tensors)
    assert rank["weight_bytes_per_token"] == written - 4 * unread


@pytest.fixture
def small_graph(tmp_path):
    """A graph's package on so many ranks, and the words that give it its inputs."""
    model = tmp_path / "g.mlir"
    model.write_text(graph(
        {"x": rows(64)},
        "  %w = cleave.use @w : tensor<64x64xf32>\n"
        f"  %y.out = cleave.linear %x, %w : ({rows(64)}, tensor<64x64xf32>) -> {rows(64)}\n",
        {"y": rows(64)}, "cleave.weight @w : tensor<64x64xf32> from random<1>\n"))
    np.save(tmp_path / "x.npy", np.ones((5, 64), np.float32))

    def make(ranks):
        made = partition(model, tmp_path / f"{ranks}.cleave", *(("--tp", ranks) * (ranks > 1)))
        return made, ["--input", f"x={tmp_path / 'x.npy'}"]

    return make


@pytest.mark.parametrize("ranks", [1, 2])
def test_runs_of_a_graph(small_graph, ranks, tmp_path):
    package, inputs = small_graph(ranks)
    result = run(package, ranks if ranks > 1 else None, *inputs, "-t", 1, "--bench",
                 "run=3,repeat=2", "--bench", "run=7,repeat=1", f"--profile={tmp_path / 'trace.json'}")
    assert result.returncode == 0, result.stderr
    *tests, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(test["test"], test["runs"], test["repetition"]) for test in tests] == [
        ("run", 3, 0), ("run", 7, 0), ("run", 3, 1)]
    assert all(test["seconds"] > test["communication_seconds"] >= 0 for test in tests)
    assert [rank["rank"] for rank in last["ranks"]] == list(range(ranks))
    for rank in last["ranks"]:
        assert rank["threads"] == 1 and rank["load_seconds"] > 0
        assert rank["pss_bytes"] > rank["weight_bytes"] > 0
        assert (rank["communication_seconds"] > 0) == (ranks > 1)
    assert "graph: 14 steps" in result.stderr  # one does not count


def test_graphs_and_models_are_measured_apart(small_graph, package):
    made, inputs = small_graph(1)
    for spec in ("generate=1", "run=1,prompt=1", "run=1,read=1"):
        complaint(run(made, None, *inputs, "--bench", spec),
                  r"is no language model; --bench measures it with run=N")
    complaint(run(package(EXAMPLE), None, "--bench", "run=1"), "measures it with prompt=N")
    complaint(run(made, None, "--bench", "run=1"), "input 'x' .* is missing")


@pytest.mark.parametrize(("arguments", "pattern"), [
    (["words=3"], "'words=3' is none of prompt=N, generate=N, read=N, run=N, depth=N, repeat=N"),
    (["generate"], "'generate' has no number"),
    (["generate=-1"], "'generate=-1' has no number"),
    (["prompt=1x"], "'prompt=1x' has no number"),
    (["depth=9"], "'depth=9' measures nothing"),
    ([""], "'' measures nothing|at least 1 required"),
    (["generate=30", "--ctx", "20"], r"needs a context of 30 tokens, not 20 \(--ctx\)"),
    (["generate=1", "--prompt", "Once"], "excludes"),
    (["generate=1", "-n", "3"], "excludes"),
    (["generate=1", "--output", "logits=x.npy"], "excludes"),
])
def test_what_cannot_be_measured(package, arguments, pattern):
    complaint(run(package(EXAMPLE), None, "--bench", *arguments), pattern)
