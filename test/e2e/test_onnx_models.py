"""Small ONNX models of real structure, made here, against ONNX's reference implementation: whole,
in stages, and split over ranks, with sizes that stay open.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from harness import ROOT

onnx = pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_runs import close, collectives, compute  # noqa: E402

sys.path.insert(0, str(ROOT / "test" / "models"))
from onnx_models import MODELS, VOCABULARY  # noqa: E402

SIZES = [{"batch": 2, "seq": 5}, {"batch": 1, "seq": 11}]

SPLITS = {
    "classifier": ["filters0=column", "filters1=row"],
    "encoder": ["*.attention.{query,key,value}.weight=head", "*.attention.mix.weight=row",
                "*.up.weight=column", "*.down.weight=row"],
    "feed_forward": ["up.weight=column", "down.weight=row"],
    "self_attention": ["qkv.weight=column", "mix.weight=row"],
    "upscaler": ["first=column", "second=row"],
}

MESSAGES = {"classifier": {"all_reduce": 1, "all_gather": 1},
            "encoder": {"all_reduce": 4, "all_gather": 1}, "feed_forward": {"all_reduce": 1},
            "self_attention": {"all_reduce": 1}, "upscaler": {"all_reduce": 1}}
"""Under the default plan. A block costs two sums; at the end, what is not summed is joined."""


def values(model, sizes):
    random = np.random.default_rng(sum(sizes.values()))
    made = {}
    for port in model.graph.input:
        kind = port.type.tensor_type
        shape = [each.dim_value or sizes[each.dim_param] for each in kind.shape.dim]
        if kind.elem_type == onnx.TensorProto.INT64:
            made[port.name] = random.integers(0, 2 if port.name == "mask" else VOCABULARY, shape)
        else:
            made[port.name] = random.standard_normal(shape).astype(np.float32)
    return made


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """`saved(name)`: the file, and for each of the sizes inputs and what they should give."""
    folder, known = tmp_path_factory.mktemp("onnx"), {}

    def save(name):
        if name not in known:
            model = MODELS[name]()
            onnx.save(model, folder / f"{name}.onnx")
            reference = ReferenceEvaluator(model)
            cases = []
            for sizes in SIZES:
                given = values(model, sizes)
                cases.append((given, reference.run(None, given)))
            outputs = [port.name for port in model.graph.output]
            known[name] = (folder / f"{name}.onnx", outputs, cases)
        return known[name]

    return save


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ranks, plan", [(None, "whole"), (2, "stages"), (2, "default"),
                                         (3, "default"), (4, "default"), (2, "given"),
                                         (3, "given")])
def test_outputs(tmp_path, saved, package, name, ranks, plan):
    path, outputs, cases = saved(name)
    flags = {"whole": [], "stages": ["--stages", 2], "default": ["--tp", ranks],
             "given": ["--tp", ranks, *(word for split in SPLITS[name]
                                        for word in ("--split", split))]}[plan]
    made = package(path, *flags)
    for given, expected in cases:
        close(compute(made, ranks, given, outputs, tmp_path), expected)


@pytest.mark.parametrize("name", MODELS)
def test_messages(saved, name):
    assert collectives(saved(name)[0], "--tp", 2) == MESSAGES[name]
