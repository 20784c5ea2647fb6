"""The device annotations of ONNX files: read as a plan, and written from one."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from harness import ROOT, complaint, partition_tool

onnx = pytest.importorskip("onnx", minversion="1.18")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_runs import close, compute  # noqa: E402

WIDTH, INNER = 8, 12


def sharding(tensor, axis=None, devices=(0, 1), shards=None):
    """A spec that cuts one axis into a shard a device, or leaves the tensor whole."""
    spec = onnx.ShardingSpecProto(tensor_name=tensor, device=list(devices))
    if axis is not None:
        cut = spec.sharded_dim.add(axis=axis)
        cut.simple_sharding.add(num_shards=shards or len(devices))
    else:
        del spec.device[:]
        spec.device.append(-1)
        spec.index_to_device_group_map.add(key=-1, value=list(devices))
    return spec


def annotate(node, specs=(), stage=None, configuration="two"):
    given = node.device_configurations.add(configuration_id=configuration)
    given.sharding_spec.extend(specs)
    if stage is not None:
        given.pipeline_stage = stage


def block():
    """y = relu(x up) down, x [batch, WIDTH], the matrices as MatMul has them: inputs first."""
    random = np.random.default_rng(1)
    weights = [("up", random.standard_normal((WIDTH, INNER)).astype(np.float32)),
               ("down", random.standard_normal((INNER, WIDTH)).astype(np.float32))]
    nodes = [helper.make_node("MatMul", ["x", "up"], ["a"], "first"),
             helper.make_node("Relu", ["a"], ["b"], "middle"),
             helper.make_node("MatMul", ["b", "down"], ["y"], "second")]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=11)


def configure(model, devices=2, name="two"):
    model.configuration.add(name=name, num_devices=devices)
    return model


def megatron(devices=2):
    model = configure(block(), devices)
    first, _, second = model.graph.node
    everyone = tuple(range(devices))
    annotate(first, [sharding("x", None, everyone), sharding("up", 1, everyone)])
    annotate(second, [sharding("down", 0, everyone)])
    return model


def save(model, tmp_path, name="m.onnx"):
    onnx.save(model, tmp_path / name)
    return tmp_path / name


def ranks_of(model, *flags):
    """The emitted ranks, without the file's name and the plan's text, which only flags have."""
    result = partition_tool(model, *flags, "--emit=ranks")
    assert result.returncode == 0, result.stderr
    text = result.stdout.replace(str(model), "m.onnx")
    return [line for line in text.splitlines() if not line.startswith("module ")]


PLAN = ("--split", "up=column", "--split", "down=row")


@pytest.mark.parametrize("devices", [2, 3, 4])
def test_shardings_are_a_plan(tmp_path, devices):
    given = ranks_of(save(megatron(devices), tmp_path))
    assert given == ranks_of(save(block(), tmp_path, "plain.onnx"), "--tp", devices, *PLAN)
    assert sum("cleave.all_reduce" in line for line in given) == devices


def test_stages_are_cuts(tmp_path):
    model = configure(block())
    for node, stage in zip(model.graph.node, (0, 0, 1)):
        annotate(node, stage=stage)
    assert ranks_of(save(model, tmp_path)) == ranks_of(save(block(), tmp_path, "plain.onnx"),
                                                       "--cut", "second")


def test_stages_of_two_ranks_each(tmp_path):
    model = configure(block(), 4)
    first, middle, second = model.graph.node
    annotate(first, [sharding("up", 1, (0, 1))], 0)
    annotate(middle, [], 0)
    annotate(second, [sharding("down", 0, (2, 3))], 1)
    assert ranks_of(save(model, tmp_path)) == ranks_of(
        save(block(), tmp_path, "plain.onnx"), "--tp", 2, "--cut", "second", *PLAN)


def test_groups_of_devices_are_axes(tmp_path):
    """Two shards, each on two devices: the batch is cut over the other axis."""
    model = configure(block(), 4)
    first, _, second = model.graph.node
    for node, tensor, axis in ((first, "up", 1), (second, "down", 0)):
        spec = sharding(tensor, axis, (-1, -2))
        spec.index_to_device_group_map.add(key=-1, value=[0, 2])
        spec.index_to_device_group_map.add(key=-2, value=[1, 3])
        annotate(node, [spec])
    spec = sharding("x", 0, (-1, -2))
    spec.index_to_device_group_map.add(key=-1, value=[0, 1])
    spec.index_to_device_group_map.add(key=-2, value=[2, 3])
    first.device_configurations[0].sharding_spec.append(spec)
    text = "\n".join(ranks_of(save(model, tmp_path)))
    assert "tensor<6x8xf32>" in text and "batch[1 of 2]" in text
    assert "group [0, 1]" in text and "group [2, 3]" in text


def test_flags_take_the_annotations_place(tmp_path):
    assert ranks_of(save(megatron(), tmp_path), "--tp", 3, *PLAN) == ranks_of(
        save(block(), tmp_path, "plain.onnx"), "--tp", 3, *PLAN)


def test_several_configurations(tmp_path):
    model = configure(megatron(), 3, "three")
    first, _, second = model.graph.node
    annotate(first, [sharding("up", 1, (0, 1, 2))], configuration="three")
    path = save(model, tmp_path)
    complaint(partition_tool(path, "--emit=ranks"), "'two', 'three'", "--configuration")
    assert ranks_of(path, "--configuration", "two") == ranks_of(save(megatron(), tmp_path, "2.onnx"))
    complaint(partition_tool(path, "--emit=ranks", "--configuration", "four"), "'two', 'three'")


@pytest.mark.parametrize("flags", [("--tp", 2, *PLAN), ("--tp", 4), ("--stages", 2),
                                   ("--tp", 2, "--cut", "second", *PLAN), ("--tp", 5)])
def test_a_plan_is_written_and_read_again(tmp_path, flags):
    plain = save(block(), tmp_path, "plain.onnx")
    result = partition_tool(plain, *flags, "--annotate", tmp_path / "annotated.onnx")
    assert result.returncode == 0, result.stderr
    model = onnx.load(tmp_path / "annotated.onnx")
    onnx.checker.check_model(model)
    assert model.configuration[0].num_devices in (2, 4, 5)
    assert {spec.tensor_name for node in model.graph.node for given in node.device_configurations
            for spec in given.sharding_spec} >= {"up", "down"}
    assert ranks_of(tmp_path / "annotated.onnx") == ranks_of(plain, *flags)


def broken(change):
    model = megatron()
    change(model, model.graph.node[0].device_configurations[0])
    return model


@pytest.mark.parametrize("change, messages", [
    (lambda model, first: first.sharding_spec.append(sharding("down", 0)),
     ("node 'first' \\(MatMul\\)", "'down'", "none of its inputs and outputs")),
    (lambda model, first: first.sharding_spec.append(sharding("a", 5)),
     ("node 'first'", "'a'", "along dimension 5, but has 2 dimensions")),
    (lambda model, first: setattr(first.sharding_spec[1].sharded_dim[0], "axis", 0) or
     setattr(first.sharding_spec[1].sharded_dim[0].simple_sharding[0], "num_shards", 0),
     ("node 'first'", "'up'", "0 shards")),
    (lambda model, first: first.sharding_spec[1].device.append(2),
     ("node 'first'", "'up'", "2 shards, but 3 devices")),
    (lambda model, first: first.sharding_spec[1].device.__setitem__(1, 7),
     ("node 'first'", "'up'", "device 7, expected 0 to 1")),
    (lambda model, first: first.sharding_spec[1].device.__setitem__(1, 0),
     ("node 'first'", "'up'", "two shards on device 0")),
    (lambda model, first: first.sharding_spec[1].device.reverse(),
     ("node 'first'", "'up'", "ascending order")),
    (lambda model, first: setattr(first, "configuration_id", "none"),
     ("node 'first'", "'none'", "does not have")),
    (lambda model, first: setattr(first, "pipeline_stage", 2),
     ("node 'first'", "stage 2, expected 0 to 1")),
    (lambda model, first: setattr(model.configuration[0], "num_devices", -3),
     ("'two'", "-3 devices")),
])
def test_annotations_that_do_not_fit(tmp_path, change, messages):
    complaint(partition_tool(save(broken(change), tmp_path), "--emit=ranks"), *messages)


def test_a_node_before_its_producer(tmp_path):
    model = configure(block())
    for node, stage in zip(model.graph.node, (1, 1, 0)):
        annotate(node, stage=stage)
    complaint(partition_tool(save(model, tmp_path), "--emit=ranks"), "'second' is in stage 0",
              "needs what stage 1 makes")


def made(which):
    """One of the models that are made of nodes; it comes with annotations' version."""
    sys.path.insert(0, str(ROOT / "test" / "models"))
    import onnx_models

    model = getattr(onnx_models, which)()
    model.ir_version = 11
    return model


def attention():
    """Queries, keys and values that one matrix makes; and what is mixed of them."""
    return made("self_attention")


def test_segments_are_written_and_read(tmp_path):
    """A dimension that is three in one is cut in each of them."""
    plain = save(attention(), tmp_path, "plain.onnx")
    result = partition_tool(plain, "--tp", 2, "--annotate", tmp_path / "annotated.onnx")
    assert result.returncode == 0, result.stderr
    model = onnx.load(tmp_path / "annotated.onnx")
    fused, = (spec for node in model.graph.node for given in node.device_configurations
              for spec in given.sharding_spec if spec.tensor_name == "qkv.weight")
    cut, = fused.sharded_dim
    assert cut.axis == 1
    assert [(part.dim_value, part.num_shards) for part in cut.simple_sharding] == [(3, 1), (0, 2)]
    assert ranks_of(tmp_path / "annotated.onnx") == ranks_of(plain, "--tp", 2)


def test_segments_that_nothing_takes_apart(tmp_path):
    model = megatron()
    cut = model.graph.node[0].device_configurations[0].sharding_spec[1].sharded_dim[0]
    cut.simple_sharding[0].num_shards = 2
    cut.simple_sharding.insert(0, onnx.SimpleShardedDimProto(dim_value=3, num_shards=1))
    complaint(partition_tool(save(model, tmp_path), "--emit=ranks"), "'up'", "in 3 segments",
              "do not take it apart")


@pytest.mark.parametrize("flags", [
    ("--mesh", "axis0=2,axis1=2", "--split", "up=column@axis0", "--split", "down=row@axis1"),
    ("--mesh", "axis0=2,axis1=3", "--split", "up=column@axis1", "--split", "down=row@axis0"),
    ("--mesh", "axis0=2,axis1=3", "--split", "up=column@axis0+row@axis1",
     "--split", "down=row@axis0"),
])
def test_groups_of_devices_are_written_and_read(tmp_path, flags):
    """A weight that is whole over one of two axes lies on groups of devices."""
    plain = save(block(), tmp_path, "plain.onnx")
    result = partition_tool(plain, *flags, "--annotate", tmp_path / "annotated.onnx")
    assert result.returncode == 0, result.stderr
    model = onnx.load(tmp_path / "annotated.onnx")
    onnx.checker.check_model(model)
    specs = [spec for node in model.graph.node for given in node.device_configurations
             for spec in given.sharding_spec]
    assert any(spec.index_to_device_group_map for spec in specs)
    kept = ranks_of(tmp_path / "annotated.onnx")
    assert [line for line in kept if "coordinate" not in line] == [
        line for line in ranks_of(plain, *flags) if "coordinate" not in line]


# ---- Values between weights and inputs ----


def annotate_all(model, cuts, devices=2, segments=()):
    """Every tensor of every node, as a tool would that knows a whole plan: `cuts` are the axes of
    those that are cut; of `segments` each of three parts is.
    """
    everyone = tuple(range(devices))
    for node in model.graph.node:
        specs = []
        for tensor in dict.fromkeys([*node.input, *node.output]):
            spec = sharding(tensor, cuts.get(tensor), everyone)
            if tensor in segments:
                parts = spec.sharded_dim[0].simple_sharding
                parts.insert(0, onnx.SimpleShardedDimProto(dim_value=3, num_shards=1))
            specs.append(spec)
        annotate(node, specs)
    return configure(model, devices)


def output_of(model, op, number=0):
    return [node.output[0] for node in model.graph.node if node.op_type == op][number]


@pytest.mark.parametrize("devices", [2, 3])
def test_all_values_of_a_feed_forward_block(tmp_path, devices):
    model = made("feed_forward")
    inner = {node.output[0]: 2 for node in model.graph.node
             if node.op_type in ("Mul", "Erf", "Div", "Add", "MatMul")}
    del inner[output_of(model, "MatMul", -1)], inner[output_of(model, "Add", -1)]
    annotate_all(model, inner | {"up.weight": 1, "up.bias": 0, "down.weight": 0}, devices)
    given = ranks_of(save(model, tmp_path))
    assert given == ranks_of(save(made("feed_forward"), tmp_path, "plain.onnx"), "--tp", devices)


def attention_cuts(model):
    """The axis of the heads, or of what becomes heads, through the block."""
    cuts = {"qkv.weight": 1, "qkv.bias": 0, "mix.weight": 0}
    for node in model.graph.node:
        axis = next((cuts[each] for each in node.input if each in cuts and "." not in each), None)
        if node.name == "qkv":
            axis = 2
        elif node.name == "mix":
            axis = None
        elif node.op_type == "Transpose":
            axis = list(node.attribute[0].ints).index(axis)
        if axis is not None:
            cuts |= dict.fromkeys(node.output, axis)
    return cuts


def test_all_values_of_an_attention_block(tmp_path):
    """Also of the fused product, which is cut segment by segment."""
    model = attention()
    cuts = attention_cuts(model)
    fused = {"qkv.weight", "qkv.bias", "qkv_out", output_of(model, "Add")}
    assert cuts["qkv_out"] == 2 and cuts[output_of(model, "Softmax")] == 1
    assert cuts[output_of(model, "Reshape", -1)] == 2 and "mix_out" not in cuts
    annotate_all(model, cuts, segments=fused)
    path = save(model, tmp_path)
    result = partition_tool(path, "--emit=ranks")
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert ranks_of(path) == ranks_of(save(attention(), tmp_path, "plain.onnx"), "--tp", 2)


def test_a_fused_dimension_cut_as_one(tmp_path):
    """It is cut segment by segment all the same, and a warning says so of each tensor."""
    model = attention()
    path = save(annotate_all(model, attention_cuts(model)), tmp_path)
    result = partition_tool(path, "--emit=ranks")
    assert result.returncode == 0, result.stderr
    warnings = result.stderr.splitlines()
    assert len(warnings) == 4
    for tensor in ("qkv.weight", "qkv.bias", "qkv_out", output_of(model, "Add")):
        line, = (each for each in warnings if f"tensor '{tensor}'" in each)
        assert "partition-tool: warning:" in line and "m.onnx: node '" in line
        assert "as one, but its readers take 3 parts of it" in line
    assert ranks_of(path) == ranks_of(save(attention(), tmp_path, "plain.onnx"), "--tp", 2)


def runs_like_whole(path, tmp_path, ranks):
    """The package of annotated `path` gives what NumPy does."""
    model = onnx.load(path)
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    x = np.random.default_rng(2).standard_normal((5, WIDTH)).astype(np.float32)
    package = tmp_path / "annotated.cleave"
    result = partition_tool(path, "-o", package, "--check")
    assert result.returncode == 0, result.stderr
    found = compute(package, ranks, {"x": x}, ["y"], tmp_path)
    close(found, [np.maximum(x @ weights["up"], 0) @ weights["down"]])


@pytest.mark.parametrize("devices", [2, 3])
def test_rows_in_the_middle(tmp_path, devices):
    """The batch is cut between weights that all ranks hold: nothing is added up."""
    model = configure(block(), devices)
    first, middle, second = model.graph.node
    everyone = tuple(range(devices))
    annotate(first, [sharding("up", None, everyone)])
    annotate(middle, [sharding("b", 0, everyone)])
    annotate(second, [sharding("down", None, everyone)])
    path = save(model, tmp_path)
    text = "\n".join(ranks_of(path))
    assert "cleave.all_reduce" not in text and text.count("cleave.all_gather") == devices
    assert f"batch[1 of {devices}]" in text and f"tensor<{INNER}x{WIDTH}xf32>" in text
    runs_like_whole(path, tmp_path, devices)


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("cuts, collectives", [
    ({"up": 1, "b": None, "down": 0}, ["all_gather", "all_reduce"]),  # joined between a pair
    ({"up": 1, "b": 0, "down": 0},  # rows, also of what follows: a run-time size has no all_to_all
     ["all_gather", "all_gather", "reduce_scatter", "all_gather"]),
    ({"up": 1, "down": 0, "y": 0}, ["reduce_scatter", "all_gather"]),
    ({"up": None, "b": 1, "down": None}, ["all_gather"]),
])
def test_values_against_their_weights(tmp_path, devices, cuts, collectives):
    """Weights stay where they are: values are moved, so that all is as it says."""
    model = configure(block(), devices)
    for node, tensors in zip(model.graph.node, (["up", "a"], ["b"], ["down", "y"])):
        annotate(node, [sharding(each, cuts[each], tuple(range(devices)))
                        for each in tensors if each in cuts])
    path = save(model, tmp_path)
    rank = "\n".join(ranks_of(path)).split("module @rank1", 1)[0]
    assert re.findall(r"cleave\.(all_\w+|reduce_scatter)", rank) == collectives
    runs_like_whole(path, tmp_path, devices)


def test_two_names_of_one_value(tmp_path):
    """What Identity passes on may lie otherwise than what it is given."""
    model = configure(block())
    model.graph.node.insert(1, helper.make_node("Identity", ["a"], ["c"], "same"))
    model.graph.node[2].input[0] = "c"
    first, same, middle, _ = model.graph.node
    annotate(first, [sharding("up", 1)])
    annotate(same, [sharding("a", 1), sharding("c", None)])
    annotate(middle, [sharding("c", None)])
    path = save(model, tmp_path)
    rank = "\n".join(ranks_of(path)).split("module @rank1", 1)[0]
    assert re.findall(r"cleave\.(all_\w+|relu|expand)", rank)[:3] == ["expand", "all_gather", "relu"]
    runs_like_whole(path, tmp_path, 2)


def test_inputs_of_odd_sizes(tmp_path):
    """What does not divide is shared out unevenly."""
    model = configure(block(), 3)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5
    annotate(model.graph.node[0], [sharding("x", 0, (0, 1, 2))])
    path = save(model, tmp_path)
    assert "tensor<2x8xf32>" in "\n".join(ranks_of(path))
    runs_like_whole(path, tmp_path, 3)


@pytest.mark.parametrize("change, messages", [
    (lambda nodes: annotate(nodes[0], [sharding("a", 2)]),
     ("node 'first' \\(MatMul\\)", "'a'", "dimension 2, but has 2 dimensions")),
    (lambda nodes: (annotate(nodes[0], [sharding("a", 1)]), annotate(nodes[1], [sharding("a", 0)])),
     ("node 'middle' \\(Relu\\)", "'a'", "otherwise than node 'first'")),
    (lambda nodes: annotate(nodes[1], [onnx.ShardingSpecProto(
        tensor_name="b", device=[0, 1], sharded_dim=[onnx.ShardedDimProto(
            axis=1, simple_sharding=[onnx.SimpleShardedDimProto(dim_value=3, num_shards=1),
                                     onnx.SimpleShardedDimProto(num_shards=2)])])]),
     ("node 'middle' \\(Relu\\)", "'b'", "in 3 segments", "do not take it apart")),
])
def test_values_that_cannot_be_cut_so(tmp_path, change, messages):
    model = configure(block())
    change(model.graph.node)
    complaint(partition_tool(save(model, tmp_path), "--emit=ranks"), *messages)


def test_too_small_a_value(tmp_path):
    model = configure(block(), 13)
    annotate(model.graph.node[1], [sharding("b", 1, tuple(range(13)))])
    complaint(partition_tool(save(model, tmp_path), "--emit=ranks"), "node 'middle' \\(Relu\\)",
              "tensor 'b' has size 12", "13 shards")


def test_why_a_value_lies_so(tmp_path):
    model = configure(block())
    annotate(model.graph.node[1], [sharding("b", 0)])
    path = save(model, tmp_path)
    for name in ("middle", "second"):
        result = partition_tool(path, "--explain", name)
        assert result.returncode == 0, result.stderr
        assert 'is to be #cleave.sharding<[{"tp"}, {}]>, by the model' in result.stdout
