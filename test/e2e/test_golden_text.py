"""Greedy text of F32 models, byte for byte, however the model is split."""

from __future__ import annotations

import json

import pytest
from harness import EXAMPLE, ROOT, SHARED, run, text_of
from reference import Reference, Text

# Every degree with every number of stages, as far as 16 ranks.
GRID = [
    pytest.param(tp * stages if tp * stages > 1 else None,
                 (*(("--tp", tp) if tp > 1 else ()), *(("--stages", stages) if stages > 1 else ())),
                 id=f"tp {tp}, stages {stages}")
    for tp in range(1, 9) for stages in range(1, 6) if tp * stages <= 16
]
UNEVEN = [
    pytest.param(2, ("--tp", 2, "--shares", "tp=3,1"), id="shares 3:1"),
    pytest.param(3, ("--tp", 3, "--shares", "tp=5,2,1"), id="shares 5:2:1"),
    pytest.param(6, ("--tp", 3, "--shares", "tp=5,2,1", "--stages", 2), id="shares 5:2:1, stages 2"),
    pytest.param(2, ("--cut", "blk.3"), id="cut blk.3"),
    pytest.param(9, ("--cut", "blk.1", "--cut", "blk.3", "--tp", 3), id="cuts blk.1 and blk.3, tp 3"),
]
SEQUENCE = [
    pytest.param(tp * stages, ("--tp", tp, "--stages", stages, "--sequence", "tp"),
                 id=f"tp {tp}, stages {stages}, tokens split")
    for tp, stages in ((2, 1), (3, 1), (4, 1), (2, 2), (3, 2))
]
SOME_SPLITS = [(None, ()), (2, ("--tp", 2)), (4, ("--stages", 2, "--tp", 2)),
               (3, ("--tp", 3, "--sequence", "tp"))]
PROMPTS = ("", "Once upon a time")


class Golden:
    """A model and the tokens that it is known to write."""

    def __init__(self, model, file):
        self.model = model
        self.cases = json.loads(file.read_text())["cases"]
        self.text = Text(Reference(model))

    def expected(self, prompt, count):
        """All that standard output may hold after `count` new tokens."""
        case = self.cases[prompt]
        text = self.text.decode(case["tokens"][: len(case["prompt_ids"]) + count])
        return text.removeprefix(" ") + "\n"


@pytest.fixture(scope="module", params=["example", "stories260K"])
def golden(request):
    if request.param == "example":
        return Golden(EXAMPLE, ROOT / "test" / "e2e" / "data" / "stories.greedy.json")
    if not SHARED.is_dir():
        pytest.skip(f"no shared test data in {SHARED}")
    return Golden(SHARED / "stories260K.gguf", SHARED / "stories260K.greedy.json")


@pytest.mark.parametrize("ranks, flags", GRID + UNEVEN + SEQUENCE)
def test_every_split_prints_the_golden_text(golden, package, ranks, flags):
    made = package(golden.model, *flags)
    for prompt in PROMPTS:
        found = text_of(made, ranks, "--prompt", prompt, "-n", 200, "--threads", 0)
        assert found == golden.expected(prompt, 200)


def test_expected_text_is_long_and_plain(golden):
    # Guards the tests above: they would hold little if the golden text were short or the
    # decoder lost what it does not know.
    text = golden.expected("Once upon a time", 200)
    assert text.startswith("Once upon a time") and len(text) > 400 and text.isascii()


@pytest.mark.parametrize("ranks, flags", SOME_SPLITS)
def test_prompt_as_token_ids(golden, package, ranks, flags):
    tokens = ",".join(map(str, golden.cases["Once upon a time"]["prompt_ids"]))
    found = text_of(package(golden.model, *flags), ranks, "--tokens", tokens, "-n", 40)
    assert found == golden.expected("Once upon a time", 40)


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_batches_of_the_prompt(golden, package, batch):
    # The story's first half as a prompt of many batches, the last of them not full.
    case = golden.cases["Once upon a time"]
    prompt = case["tokens"][:101]
    tokens = ",".join(map(str, prompt))
    expected = golden.text.decode(case["tokens"][:121]).removeprefix(" ") + "\n"
    for ranks, flags in SOME_SPLITS:
        made = package(golden.model, *flags)
        assert text_of(made, ranks, "--tokens", tokens, "-n", 20, "--batch", batch) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(golden, package, threads):
    for ranks, flags in ((None, ()), (2, ("--tp", 2)), (3, ("--tp", 3))):
        made = package(golden.model, *flags)
        found = text_of(made, ranks, "-p", "Once upon a time", "-n", 60, "--threads", threads)
        assert found == golden.expected("Once upon a time", 60)


def test_a_story_that_ends_ends_the_run(package):
    golden = Golden(EXAMPLE, ROOT / "test" / "e2e" / "data" / "stories.greedy.json")
    for prompt in golden.cases:
        made = package(EXAMPLE, "--tp", 2)
        assert text_of(made, 2, "-p", prompt) == golden.expected(prompt, 512)


def test_one_rank_under_mpirun(golden, package):
    found = text_of(package(golden.model), 1, "-p", "Once upon a time", "-n", 20)
    assert found == golden.expected("Once upon a time", 20)


def test_no_tokens_and_one(golden, package):
    for ranks, flags in ((None, ()), (2, ("--tp", 2)), (2, ("--stages", 2))):
        made = package(golden.model, *flags)
        for prompt in PROMPTS:
            for count in (0, 1):
                found = text_of(made, ranks, "-p", prompt, "-n", count)
                assert found == golden.expected(prompt, count)


def test_speed_goes_to_standard_error(golden, package):
    result = run(package(golden.model, "--tp", 2), 2, "--temp", 0, "-n", 5)
    assert result.returncode == 0
    assert "tokens/s" in result.stderr and "communication" in result.stderr
