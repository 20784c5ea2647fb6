"""Models exported from PyTorch, with random weights, against onnxruntime: whole, in stages, and
split over ranks, with open sizes of which one package takes any.
"""

from __future__ import annotations

import pytest

for module in ("torch", "transformers", "onnxruntime", "onnxscript"):
    pytest.importorskip(module)
import onnxruntime  # noqa: E402
from exported_models import MODELS, export  # noqa: E402
from onnx_runs import close, collectives, compute  # noqa: E402


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`exported(name, exporter)`: the model, its file, and for each of its sizes inputs and what
    onnxruntime makes of them.
    """
    folder, known = tmp_path_factory.mktemp("exports"), {}

    def make(name, exporter):
        if (name, exporter) not in known:
            model = MODELS[name]()
            path = export(model, folder / f"{name}-{exporter}.onnx", exporter == "dynamo")
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            wanted = {port.name for port in session.get_inputs()}
            cases = []
            for sizes in model.sizes:
                given = model.values(sizes)
                cases.append((given, session.run(model.outputs, {
                    name: value for name, value in given.items() if name in wanted})))
            known[name, exporter] = model, path, cases
        return known[name, exporter]

    return make


EXPORTS = [*((name, "legacy") for name in MODELS),
           *((name, "dynamo") for name in ("bert", "fused_vit", "torch_encoder", "gpt2",
                                              "llama"))]
"""By PyTorch's newer exporter those that differ most. It takes seconds for each."""

GIVEN = {
    "bert": ["*.attention.self.{query,key,value}.bias=head", "*.intermediate.dense.bias=column"],
    "fused_vit": ["*.qkv.bias=head", "*.up.bias=column"],
    "gpt2": ["*.c_attn.weight=head", "*.attn.c_proj.weight=row", "*.c_fc.weight=column",
             "*.mlp.c_proj.weight=row"],
}
"""Splits by the names that the older exporter keeps: matrices that it turns lose theirs, but
follow their biases.
"""

MESSAGES = {"bert": {"all_reduce": 4, "all_gather": 1}, "vit": {"all_reduce": 4, "all_gather": 2},
            "fused_vit": {"all_reduce": 4, "all_gather": 2},
            "torch_encoder": {"all_reduce": 5}, "resnet": {"all_reduce": 5},
            "gpt2": {"all_reduce": 4, "all_gather": 5},
            "llama": {"all_reduce": 4, "all_gather": 5}, "t5": {"all_reduce": 9, "all_gather": 1}}
"""Under the default plan over two ranks: two sums for each of two blocks (of T5's decoder three, and
two sums go together; that of the encoder's last attention goes with the mean of its weights). What is
given out is joined, caches included; so are image patches.
"""


PLANS = [(None, ()), (2, ("--tp", 2)), (3, ("--tp", 3)), (4, ("--tp", 4)), (2, ("--stages", 2)),
         (4, ("--tp", 2, "--stages", 2))]


@pytest.mark.parametrize("name, exporter, ranks, flags", [
    (*export, *plan) for export in EXPORTS
    for plan in (PLANS if export[1] == "legacy" else [PLANS[0], PLANS[2], PLANS[5]])])
def test_outputs(tmp_path, package, exported, name, exporter, ranks, flags):
    model, path, cases = exported(name, exporter)
    made = package(path, *model.flags, *flags)
    for given, expected in cases:
        close(compute(made, ranks, given, model.outputs, tmp_path), expected, 1e-4)


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("name", GIVEN)
def test_given_splits(tmp_path, package, exported, name, ranks):
    model, path, cases = exported(name, "legacy")
    made = package(path, "--tp", ranks, *(word for split in GIVEN[name]
                                          for word in ("--split", split)))
    for given, expected in cases:
        close(compute(made, ranks, given, model.outputs, tmp_path), expected, 1e-4)


@pytest.mark.parametrize("name, exporter", EXPORTS)
def test_messages(exported, name, exporter):
    model, path, _ = exported(name, exporter)
    assert collectives(path, *model.flags, "--tp", 2) == MESSAGES[name]
