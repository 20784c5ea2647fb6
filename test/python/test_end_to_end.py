"""Golden files against the reference, and the package against golden files with the real tools."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from make_golden import golden
from reference import Reference

import cleave
from cleave.llama_file import LlamaShape
from cleave.random_model import random_model

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test" / "e2e" / "data" / "stories.greedy.json"
SHARED = ROOT.parent / "shared" / "data" / "models"


def expected(prompt: str) -> str:
    """What cleave-run prints for `prompt`, without the last newline."""
    return json.loads(GOLDEN.read_text())["cases"][prompt]["text"][1:]


def assert_same(found: dict, wanted: dict) -> None:
    """Cases agree: tokens and text exactly, logits as far as float64 goes."""
    for name in ("prompt_ids", "tokens", "text", "f32_equal"):
        assert found[name] == wanted[name]
    for name in ("first_logits_f64", "last_logits_f64", "min_top2_gap_f64"):
        assert np.allclose(found[name], wanted[name], rtol=0, atol=1e-9)


def test_golden_file_is_what_the_model_says(stories):
    wanted = json.loads(GOLDEN.read_text())
    for prompt in ("", "Once upon a time"):
        assert_same(golden(stories, [prompt], 256)["cases"][prompt], wanted["cases"][prompt])


def test_golden_text_is_far_from_ties():
    # Float32 moves a logit of this model by some 1e-5: races closer than 1e-3 would be a gamble.
    for case in json.loads(GOLDEN.read_text())["cases"].values():
        assert case["min_top2_gap_f64"] > 1e-3
        assert case["f32_equal"]


def test_reference_reproduces_a_golden_file_that_others_wrote():
    if not SHARED.is_dir():
        pytest.skip(f"no shared test data in {SHARED}")
    wanted = json.loads((SHARED / "stories260K.greedy.json").read_text())["cases"]
    for prompt, case in wanted.items():
        count = len(case["tokens"]) - len(case["prompt_ids"])
        assert_same(golden(SHARED / "stories260K.gguf", [prompt], count)["cases"][prompt], case)


def test_cached_steps_equal_one_pass(models):
    for path in sorted(models.glob("*.gguf")):
        model = Reference(path)
        whole = model.step([1, 300, 7, 65])
        model.restart()
        steps = np.concatenate([model.step([1, 300]), model.step([7]), model.step([65])])
        assert np.abs(whole - steps).max() < 1e-10, path.name


def test_test_models_cover_every_type(models):
    kinds = {path.name: {tensor.tensor_type.name for tensor in Reference(path).reader.tensors}
             for path in models.glob("*.gguf")}
    assert kinds["random-q4_0.gguf"] == {"F32", "F16", "Q4_0"}
    assert kinds["stories-q8_0.gguf"] == {"F32", "Q8_0"}
    assert kinds["random-q4_k_m.gguf"] == {"F32", "Q4_K", "Q6_K"}
    assert set.union(*kinds.values()) == {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                          "Q5_1", "Q4_K", "Q5_K", "Q6_K"}


@pytest.mark.usefixtures("built_tools")
@pytest.mark.parametrize("split", [{}, {"tp": 2}, {"tp": 3}, {"tp": 4}, {"stages": 2},
                                   {"stages": 2, "tp": 2}, {"cut": "blk.3"}], ids=str)
def test_partitioned_runs_print_the_golden_text(stories, tmp_path, split):
    package = cleave.partition(stories, tmp_path / "s.cleave", **split)
    for prompt in ("", "Once upon a time"):
        text = "".join(cleave.run(package, prompt, n=256, temp=0, threads=1))
        assert text == expected(prompt)


@pytest.mark.usefixtures("built_tools")
def test_a_refused_model_is_an_error_with_the_files_name(tmp_path):
    (tmp_path / "m.gguf").write_text("not a model")
    with pytest.raises(cleave.CleaveError, match="m.gguf"):
        cleave.partition(tmp_path / "m.gguf", tmp_path / "m.cleave")
    assert not (tmp_path / "m.cleave").exists()


def processes_of(package: cleave.Package) -> list[str]:
    """The processes that have the package on their command line."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(package.path).encode() in command.read_bytes():
                found.append(command.parent.name)
        except OSError:
            pass  # It has ended meanwhile.
    return found


@pytest.mark.usefixtures("built_tools")
def test_closing_a_job_ends_all_ranks(tmp_path):
    # Large enough that 4000 tokens take much longer than this test.
    shape = LlamaShape(width=512, layers=6, heads=8, kv_heads=4, ffn=2048, vocab=400, context=4096)
    random_model(tmp_path / "m.gguf", shape)
    package = cleave.partition(tmp_path / "m.gguf", tmp_path / "m.cleave", tp=2)
    pieces = cleave.run(package, "a", n=4000, temp=0, threads=1)
    assert "".join(itertools.islice(pieces, 3)).startswith("a")
    assert len(processes_of(package)) == 3
    pieces.close()
    end = time.monotonic() + 10
    while processes_of(package) and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes_of(package)
    assert list(pieces) == []
