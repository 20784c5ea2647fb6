"""cleave-run --profile: the trace of all ranks, and the tables. How long things take is not
judged here."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from decimal import Decimal

import numpy as np
import pytest
from harness import EXAMPLE, complaint, one_thread, partition, run, text_of

STEPS, OPS, CALLS = range(3)
"""The rows of a rank in the trace."""
PROMPT = (1, 403, 407, 261, 378)
GENERATED = 6


def profiled(package, ranks, file, *arguments):
    """A run's result and its trace: the parsed file, and the events of each rank and row."""
    result = run(package, ranks, "--tokens", ",".join(map(str, PROMPT)), "-n", GENERATED,
                 "--temp", 0, f"--profile={file}", *one_thread(arguments), *arguments)
    assert result.returncode == 0, result.stderr
    trace = json.loads(file.read_text(), parse_float=Decimal)
    return result, trace, rows_of(trace)


def rows_of(trace):
    rows = defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            rows[event["pid"], event["tid"]].append(event)
    return rows


def check_times(rows):
    """Events of a row follow each other, and those of a rank lie in its steps."""
    for events in rows.values():
        assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in events)
        for one, next_one in zip(events, events[1:]):
            assert one["ts"] + one["dur"] <= next_one["ts"]
    for (rank, _), events in rows.items():
        steps = [(step["ts"], step["ts"] + step["dur"]) for step in rows[rank, STEPS]]
        for event in events:
            assert any(begin <= event["ts"] and event["ts"] + event["dur"] <= end
                       for begin, end in steps)


def ops_of(package, rank):
    """How many ops of each kind the rank's program has: kinds of which none serves only an output
    that is not asked for (the logits)."""
    text = (package / f"rank-{rank}.mlir").read_text()
    kinds = Counter(re.findall(r"= cleave\.(?:joined_)?(\w+)", text))
    return {kind: kinds[kind] for kind in ("linear", "rms_norm", "rope", "state_update",
                                           "attention", "all_reduce_add", "silu", "mul")
            if kinds[kind]}


def table(text, phase, kind):
    """The count of a row of a phase's table."""
    tables = re.split(r"^(prompt|generation|graph): ", text, flags=re.M)
    part = tables[tables.index(phase) + 1]
    return int(re.search(rf"^ +{kind} +(\d+) ", part, flags=re.M)[1])


@pytest.mark.parametrize("ranks, flags, threads", [
    (None, (), 1), (None, (), 2), (2, ("--tp", 2), 1), (2, ("--stages", 2), 2),
    (3, ("--tp", 3), 1)])
def test_ops_and_calls_of_all_ranks(package, tmp_path, ranks, flags, threads):
    made = package(EXAMPLE, *flags)
    result, trace, rows = profiled(made, ranks, tmp_path / "trace.json", "--threads", threads)
    count = ranks or 1
    assert trace["otherData"]["note"] == f"all {GENERATED} steps"
    names = {(event["pid"], event["args"]["name"]) for event in trace["traceEvents"]
             if event["name"] == "process_name"}
    assert names == {(rank, f"rank {rank}") for rank in range(count)}
    check_times(rows)
    expected = Counter()
    for rank in range(count):
        assert [step["name"] for step in rows[rank, STEPS]] == \
            ["prompt"] + ["generation"] * (GENERATED - 1)
        assert [step["args"]["tokens"] for step in rows[rank, STEPS]] == \
            [len(PROMPT)] + [1] * (GENERATED - 1)
        found = Counter(event["cat"] for event in rows[rank, OPS])
        of_program = ops_of(made, rank)
        for kind, number in of_program.items():
            assert found[kind] == number * GENERATED, kind
        expected += Counter(of_program)
    for kind, number in expected.items():
        assert table(result.stderr, "prompt", kind) == number
        assert table(result.stderr, "generation", kind) == number * (GENERATED - 1)
    assert result.stdout == text_of(made, ranks, "--tokens", ",".join(map(str, PROMPT)), "-n",
                                    GENERATED)


def test_members_of_a_collective_exchange_together(package, tmp_path):
    _, _, rows = profiled(package(EXAMPLE, "--tp", 2), 2, tmp_path / "trace.json")
    calls = [[event for event in rows[rank, CALLS] if event["name"] == "all_reduce"]
             for rank in range(2)]
    waits = [{event["ts"] + event["dur"] for event in rows[rank, CALLS]
              if event["name"] == "waiting: all_reduce"} for rank in range(2)]
    assert len(calls[0]) == len(calls[1]) > 0
    for one, other in zip(*calls):
        assert one["args"] == other["args"]
        assert one["ts"] == other["ts"]  # the last has come
        assert not (one["ts"] in waits[0] and other["ts"] in waits[1])


def test_a_linear_op_says_what_it_moves_and_computes(package, tmp_path):
    made = package(EXAMPLE)
    _, _, rows = profiled(made, None, tmp_path / "trace.json")
    weight = re.search(r"@blk\.0\.ffn_down\.weight : tensor<(\d+)x(\d+)xf32>",
                       (made / "rank-0.mlir").read_text())
    outputs, inputs = map(int, weight.groups())
    events = [event for event in rows[0, OPS] if event["name"] == "linear blk.0.ffn_down"]
    assert [event["args"]["FLOPs"] for event in events] == \
        [2 * outputs * inputs * tokens for tokens in [len(PROMPT)] + [1] * (GENERATED - 1)]
    assert events[1]["args"]["bytes"] == 4 * (outputs * inputs + outputs + inputs)


def test_a_graph(tmp_path):
    model = tmp_path / "graph.mlir"
    kind = "tensor<?x8xf32, #cleave.dims<n>>"
    model.write_text(f"""
      func.func @main(%x: {kind} {{cleave.input = "x"}}) -> ({kind} {{cleave.output = "y"}}) {{
        %y = cleave.silu %x {{cleave.name = "act"}} : {kind}
        return %y : {kind}
      }}""")
    made = partition(model, tmp_path / "graph.cleave")
    np.save(tmp_path / "x.npy", np.ones((3, 8), np.float32))
    result = run(made, None, "--input", f"x={tmp_path}/x.npy", f"--profile={tmp_path}/trace.json")
    assert result.returncode == 0, result.stderr
    assert table(result.stderr, "graph", "silu") == 1
    rows = rows_of(json.loads((tmp_path / "trace.json").read_text()))
    assert [event["name"] for event in rows[0, OPS]] == ["silu act"]
    assert rows[0, OPS][0]["args"]["bytes"] == 2 * 3 * 8 * 4


def test_the_file_has_a_name_of_its_own(package, tmp_path, monkeypatch):
    made = package(EXAMPLE).resolve()
    monkeypatch.chdir(tmp_path)
    result = run(made, None, "--tokens", 1, "-n", 1, "--profile", "--temp", 0)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cleave-profile.json"]
    assert json.loads((tmp_path / "cleave-profile.json").read_text())["traceEvents"]


@pytest.mark.parametrize("ranks, flags", [(None, ()), (2, ("--tp", 2))])
@pytest.mark.parametrize("file, reason", [("missing/trace.json", "No such file or directory"),
                                          ("", "not a regular file"),
                                          ("/dev/null", "not a regular file")])
def test_a_file_that_cannot_be_written(package, tmp_path, ranks, flags, file, reason):
    path = tmp_path / file if file != "" else tmp_path
    result = run(package(EXAMPLE, *flags), ranks, "-p", "Once", "-n", 3, f"--profile={path}")
    text = complaint(result, f"{re.escape(str(path))}: .*{reason}")
    assert "thread" not in text and "tokens/s" not in text  # nothing had begun
    assert list(tmp_path.iterdir()) == []


def test_without_it_nothing_is_written(package, tmp_path, monkeypatch):
    made = package(EXAMPLE).resolve()
    monkeypatch.chdir(tmp_path)
    result = run(made, None, "--tokens", 1, "-n", 1, "--temp", 0)
    assert result.returncode == 0 and "profile" not in result.stderr
    assert list(tmp_path.iterdir()) == []
