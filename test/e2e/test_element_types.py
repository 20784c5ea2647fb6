"""Element types: the exact path agrees with the model, the fast path within rounding."""

from __future__ import annotations

import json
import shutil

import gguf
import numpy as np
import pytest
from harness import ROOT, SHARED, logits_of, partition, text_of
from reference import Reference, Text
from rounding import ROUNDS_BF16, ROUNDS_TO_Q16, Rounded, Tolerance

EXACT = ("--activations", "f32", "--cache-type", "f32")
# In stories260K and the random models a rank of four has two heads of 8, half a block, and a rank
# of eight one head.
SPLITS = [
    pytest.param(2, ("--tp", 2), id="tp 2"),
    pytest.param(3, ("--tp", 3), id="tp 3"),
    pytest.param(4, ("--tp", 4), id="tp 4"),
    pytest.param(8, ("--tp", 8), id="tp 8"),
    pytest.param(4, ("--stages", 2, "--tp", 2), id="stages 2, tp 2"),
]
LENGTH = 100


class Case:
    """A model, and tokens that it is made to read."""

    def __init__(self, model, golden):
        self.model = model
        self.tokens = json.loads(golden.read_text())["cases"]["Once upon a time"]["tokens"][:LENGTH]
        self._tolerance = None

    def tolerance(self):
        if not self._tolerance:
            self._tolerance = Tolerance(self.model, self.tokens)
        return self._tolerance


@pytest.fixture(scope="module", params=["stories-f16", "stories-bf16", "stories-q8_0",
                                        "stories-q4_0", "stories260K-F16", "stories260K-Q8_0",
                                        "stories260K-Q4_0"])
def case(request, models):
    if request.param.startswith("stories-"):
        golden = ROOT / "test" / "e2e" / "data" / "stories.greedy.json"
        return Case(models / f"{request.param}.gguf", golden)
    if not SHARED.is_dir():
        pytest.skip(f"no shared test data in {SHARED}")
    return Case(SHARED / f"{request.param}.gguf", SHARED / "stories260K.greedy.json")


@pytest.fixture(scope="module")
def lone(case, package):
    """Logits of one rank, exact."""
    return logits_of(package(case.model), None, case.tokens, *EXACT)


def greedy(model, prompt, count, decided):
    """The reference's greedy text up to the first race that `decided(gap)` says may be lost."""
    reference = Reference(model)
    text = Text(reference)
    ids = text.encode(prompt)
    tokens, rows = reference.greedy(ids, count)
    best = np.sort(rows[len(ids) - 1:], axis=-1)
    sure = np.append(decided(best[:, -1] - best[:, -2]), False)
    return text.decode(tokens[: len(ids) + int(np.argmin(sure))]).removeprefix(" ")


def test_exact_path_of_one_rank_agrees_with_the_reference(case, lone):
    assert np.abs(lone - Reference(case.model).step(case.tokens)).max() <= 1e-4


@pytest.mark.parametrize("ranks, flags", SPLITS)
def test_exact_path_agrees_in_logits(case, lone, package, ranks, flags):
    found = logits_of(package(case.model, *flags), ranks, case.tokens, *EXACT)
    assert np.abs(found - lone).max() <= 1e-4
    assert np.abs(found - Reference(case.model).step(case.tokens)).max() <= 1e-4


def test_exact_path_agrees_in_text(case, package):
    prompt, count = "Once upon a time", 100
    expected = greedy(case.model, prompt, count, lambda gap: gap > 2e-4)
    assert len(expected) > 200
    alone = text_of(package(case.model), None, "-p", prompt, "-n", count, *EXACT)
    assert alone.startswith(expected)
    for ranks, flags in (each.values for each in SPLITS):
        made = package(case.model, *flags)
        assert text_of(made, ranks, "-p", prompt, "-n", count, *EXACT) == alone


@pytest.mark.parametrize("ranks, flags", [pytest.param(None, (), id="one rank"), *SPLITS])
def test_fast_path_deviates_by_its_rounding_only(case, package, ranks, flags):
    tolerance = case.tolerance()
    found = logits_of(package(case.model, *flags), ranks, case.tokens)
    assert tolerance.verdict(found) == ""
    sure = tolerance.decided()
    assert np.mean(sure) > 0.7
    assert np.array_equal(np.argmax(found, axis=-1)[sure], tolerance.best[sure])


def test_fast_path_agrees_in_text_until_a_close_race(case, package):
    # The deviation of a race between two tokens, on average over those of the golden text.
    limit = 6 * np.sqrt(np.mean(np.square(case.tolerance().race_sigma)))
    expected = greedy(case.model, "Once upon a time", 100, lambda gap: gap > limit)
    assert len(expected) > len("Once upon a time")
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        made = package(case.model, *flags)
        assert text_of(made, ranks, "-p", "Once upon a time", "-n", 100).startswith(expected)


def test_each_half_of_the_exact_path_by_itself(case, package):
    made = package(case.model, "--tp", 2)
    tolerance = case.tolerance()

    def deviation(*options):
        return np.abs(logits_of(made, 2, case.tokens, *options) - tolerance.exact)

    kind = case.model.stem.lower().rpartition("-")[2]
    if kind in ("f16", "bf16") and not (kind == "bf16" and ROUNDS_BF16):
        both = deviation()
        for half in (("--activations", "f32"), ("--cache-type", "f32")):
            found = deviation(*half)
            if ROUNDS_TO_Q16:
                # Integers of 14 bits move logits about as much as the cache's f16: each has its
                # part.
                assert 1e-4 < found.max()
                assert not np.array_equal(found, both)
            elif "--cache-type" in half:
                assert found.max() <= 1e-4
            else:
                # Products with these weights are in f32; only the cache rounds.
                assert np.array_equal(found, both)
    else:
        rounded = deviation().mean()
        assert deviation("--activations", "f32").mean() < rounded / 3
        assert deviation("--activations", "f32").max() > 1e-4
        assert tolerance.verdict(logits_of(made, 2, case.tokens, "--cache-type", "f32")) == ""


# ---- The tolerance itself ----


def test_tolerance_holds_for_errors_of_its_own_kind(case):
    for seed in (1000, 1001):
        assert case.tolerance().verdict(Rounded(case.model, seed).step(case.tokens)) == ""


def test_tolerance_is_broken_by_coarser_rounding(case):
    # Scales of twice the size: as if activations had 7 bits.
    assert case.tolerance().verdict(Rounded(case.model, 1000, scale=2).step(case.tokens))


def test_tolerance_is_broken_by_exact_arithmetic(case, lone):
    assert "together" in case.tolerance().verdict(lone)


def test_tolerance_is_broken_by_a_wrong_scale_of_one_block(case, tmp_path):
    """One block of one matrix in the middle of the model, as a wrong stride may make it."""
    model = shutil.copy(case.model, tmp_path / "altered.gguf")
    tensor = next(each for each in gguf.GGUFReader(model, "r+").tensors
                  if each.name == "blk.2.attn_output.weight")
    if tensor.tensor_type == gguf.GGMLQuantizationType.F16:
        tensor.data[3, :32] *= np.float16(2)
    elif tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
        tensor.data[3, :64].view(np.uint16)[:] += 0x80  # the exponent + 1
    else:
        tensor.data[3, :2].view(np.float16)[0] *= np.float16(2)
    made = partition(model, tmp_path / "altered.cleave", "--tp", 2)
    assert "deviate" in case.tolerance().verdict(logits_of(made, 2, case.tokens))


# ---- Other shapes, where only the exact path is followed ----


@pytest.mark.parametrize("name", ["random-f32", "random-f32-tied-bias", "random-f16-tied",
                                  "random-bf16", "random-q8_0-tied", "random-q4_0",
                                  "random-q4_0-tied-bias", "random-odd-f32"])
def test_random_models(models, package, name):
    model = models / f"{name}.gguf"
    tokens = np.random.default_rng(5).integers(3, 380, 24).tolist()
    expected = Reference(model).step(tokens)
    for ranks, flags in ((None, ()), *(each.values for each in SPLITS)):
        found = logits_of(package(model, *flags), ranks, tokens, *EXACT)
        assert np.abs(found - expected).max() <= 1e-4


@pytest.mark.parametrize("name, degrees", [
    ("random-q4_1", (1, 2, 8)), ("random-q5_0-tied", (1, 3, 8)), ("random-q5_1-tied", (1, 4)),
    ("random-q4_k", (1, 4, 8)), ("random-q5_k-tied", (4, 8)), ("random-q6_k-tied", (4, 8)),
    ("random-q4_k_m", (3, 16))])
def test_blocks_cut_inside(models, package, name, degrees):
    """A rank has 16 to 96 columns of attn_output's blocks of 256, or 8 to 32 of those of 32, and
    whole blocks of ffn_down or none."""
    model = models / f"{name}.gguf"
    tokens = np.random.default_rng(6).integers(3, 380, 40).tolist()
    tolerance = Tolerance(model, tokens)
    for ranks in degrees:
        made = package(model, "--tp", ranks)
        found = logits_of(made, ranks, tokens, *EXACT)
        assert np.abs(found - tolerance.exact).max() <= 1e-4, ranks
        assert tolerance.verdict(logits_of(made, ranks, tokens)) == "", ranks
