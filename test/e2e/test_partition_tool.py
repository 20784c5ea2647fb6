"""What partition-tool leaves on the disk: the same bytes every time, whole packages or none."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess

import pytest
from harness import EXAMPLE, PATIENCE, complaint, find_tool, partition, partition_tool, text_of


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def no_trace(result, folder, *patterns):
    """A refusal after which `folder` is empty."""
    errors = complaint(result, *patterns)
    assert list(folder.iterdir()) == []
    return errors


# ---- Packages ----


@pytest.mark.parametrize("flags", [(), ("--tp", 3), ("--stages", 2, "--tp", 2)])
def test_the_same_input_gives_the_same_bytes(tmp_path, flags):
    first = contents(partition(EXAMPLE, tmp_path / "a.cleave", *flags))
    assert first == contents(partition(EXAMPLE, tmp_path / "b.cleave", *flags))
    assert "manifest.json" in first and "rank-0.mlir" in first


def test_the_place_of_the_model_is_no_part_of_the_package(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(EXAMPLE, elsewhere)
    first = contents(partition(EXAMPLE, tmp_path / "a.cleave", "--tp", 2))
    assert first == contents(partition(elsewhere / EXAMPLE.name, tmp_path / "b.cleave", "--tp", 2))


def test_another_plan_gives_another_package(tmp_path):
    first = contents(partition(EXAMPLE, tmp_path / "a.cleave", "--tp", 2))
    second = contents(partition(EXAMPLE, tmp_path / "b.cleave", "--tp", 2, "--split",
                                "token_embd.weight=none"))
    assert first["manifest.json"] != second["manifest.json"]


# The example in blocks of 32 is not here: its rows of 96 make three, and a cut through the middle
# one keeps its scale, and so the block, on both sides.
@pytest.mark.parametrize("name", ["stories", "stories-f16", "random-q8_0-tied", "random-q4_0",
                                  "stories260K", "stories260K-F16", "stories260K-Q8_0",
                                  "stories260K-Q4_0"])
def test_half_of_the_weights_on_each_of_two_ranks(request, package, name):
    if name.startswith("stories260K"):
        model = request.getfixturevalue("shared_models") / f"{name}.gguf"
    else:
        model = EXAMPLE if name == "stories" else request.getfixturevalue("models") / f"{name}.gguf"

    def held(*flags):
        """Weight bytes a rank, as the report says."""
        report = partition_tool(model, *flags, "--report=json")
        assert report.returncode == 0
        return [rank["weight_bytes"] for rank in json.loads(report.stdout)["ranks"]]

    (whole,) = held("--tp", 1)
    halves = held("--tp", 2)
    made = package(model, "--tp", 2)
    assert len(halves) == 2
    for rank, size in enumerate(halves):
        assert abs(size / whole - 0.5) <= 0.02
        # A file holds its header, the padding of each weight and, of types other than f32, rows that
        # fill groups of 16 beside the bytes.
        file = (made / f"rank-{rank}.weights").stat().st_size
        assert size <= file <= size + 64 * 1024
    if name in ("stories", "stories260K"):
        assert abs((made / "rank-0.weights").stat().st_size
                   / package(model).joinpath("rank-0.weights").stat().st_size - 0.5) <= 0.02
    report = partition_tool(model, "--tp", 2, "--report").stdout
    assert "blk.*.attn_norm.weight" in report and "attn_q.weight" not in report


def test_report_counts_what_the_ranks_hold(package):
    # Two all-reduces a layer, one for the embedding; one all-gather of the logits, or one
    # all-reduce of the best of them.
    report = json.loads(partition_tool(EXAMPLE, "--tp", 2, "--report=json").stdout)
    assert [[(each["op"], each["count"], each.get("only_for")) for each in rank["communication"]]
            for rank in report["ranks"]] == [[
                ("all_reduce", 9, None), ("all_gather", 1, "logits"), ("all_reduce", 1, "candidates")]] * 2
    program = (package(EXAMPLE, "--tp", 2) / "rank-1.mlir").read_text()
    assert len(re.findall(r"cleave\.all_reduce(_add)? sum", program)) == 9
    assert program.count("cleave.all_gather") == program.count("cleave.all_reduce top") == 1


# ---- Places where packages cannot be, or already are ----


def test_an_existing_package_is_replaced_whole(tmp_path):
    made = partition(EXAMPLE, tmp_path / "p.cleave", "--tp", 4)
    (made / "rank-9.weights").write_text("left from long ago")
    partition(EXAMPLE, made, "--tp", 2)
    assert contents(made) == contents(partition(EXAMPLE, tmp_path / "fresh.cleave", "--tp", 2))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fresh.cleave", "p.cleave"]


def test_a_failure_leaves_the_old_package_alone(tmp_path):
    made = partition(EXAMPLE, tmp_path / "p.cleave")
    before = contents(made)
    complaint(partition_tool(EXAMPLE, "--cut", "blk.99", "-o", made), r"error: 'blk\.99'")
    assert contents(made) == before


def test_what_is_no_package_is_not_replaced(tmp_path):
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    complaint(partition_tool(EXAMPLE, "-o", folder), "letters: exists and is no package")
    file = tmp_path / "file"
    file.write_text("dear")
    complaint(partition_tool(EXAMPLE, "-o", file), "file: exists and is no package")
    assert (folder / "letter.txt").read_text() == file.read_text() == "dear"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "p.cleave").mkdir()
    partition(EXAMPLE, tmp_path / "p.cleave")
    partition(EXAMPLE, f"{tmp_path}/p.cleave/")  # and a slash at the end is no name
    assert [each.name for each in tmp_path.iterdir()] == ["p.cleave"]


@pytest.mark.parametrize("place", ["/nowhere/p.cleave", "/proc/p.cleave", "/dev/null/p.cleave"])
def test_a_folder_that_cannot_be_written(place):
    complaint(partition_tool(EXAMPLE, "-o", place), place)


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own in `folder`; skips the test where none can be mounted."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tmp_path):
    with small_disk(tmp_path, "256k"):
        no_trace(partition_tool(EXAMPLE, "--tp", 2, "-o", tmp_path / "p.cleave"), tmp_path,
                 "No space left on device")


@pytest.mark.parametrize("size", [0, 1, 4096, 40_000, 500_000, 1_000_000])
def test_no_room_for_a_file(tmp_path, size):
    """Writes fail at some point, as on a full disk: any of the package's files may be the one."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail with EFBIG instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    result = subprocess.run([find_tool("partition-tool"), EXAMPLE, "--tp", "1", "-o",
                             tmp_path / "p.cleave"], capture_output=True, text=True,
                            timeout=PATIENCE, preexec_fn=limit, restore_signals=False)
    no_trace(result, tmp_path, "File too large")


def test_a_killed_tool_leaves_nothing_under_the_final_name(tmp_path):
    tool = subprocess.Popen([find_tool("partition-tool"), EXAMPLE, "-o", tmp_path / "p.cleave"],
                            stderr=subprocess.PIPE)
    while tool.poll() is None and not any(tmp_path.iterdir()):
        pass
    tool.send_signal(signal.SIGKILL)
    tool.communicate(timeout=PATIENCE)
    if (tmp_path / "p.cleave").exists():  # it was quicker
        assert contents(tmp_path / "p.cleave").keys() >= {"manifest.json", "rank-0.weights"}


def test_standard_output_is_full():
    with open("/dev/full", "w") as full:
        result = subprocess.run([find_tool("partition-tool"), EXAMPLE, "--emit=ranks", "-o", "-"],
                                stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert result.returncode > 0 and "No space left" in result.stderr


# ---- Ranks as text ----


def test_ranks_are_read_back_and_packaged(package, tmp_path):
    ranks = tmp_path / "ranks.mlir"
    flags = ("--stages", 2, "--tp", 2, "--emit=ranks")
    partition_tool(EXAMPLE, *flags, "-o", ranks).check_returncode()
    again = partition(ranks, tmp_path / "again.cleave")
    made = package(EXAMPLE, "--stages", 2, "--tp", 2)
    assert text_of(again, 4, "-p", "Once", "-n", 30) == text_of(made, 4, "-p", "Once", "-n", 30)


def edited(package, tmp_path, pattern, replacement, count=0):
    """A package of the example on 2 ranks whose modules were edited."""
    ranks = partition_tool(EXAMPLE, "--tp", 2, "--emit=ranks", "-o", "-").stdout
    text, edits = re.subn(pattern, replacement, ranks, count=count)
    assert edits
    file = tmp_path / "edited.mlir"
    file.write_text(text)
    return file


def test_an_edit_takes_effect(package, tmp_path):
    """Values renamed change nothing; an epsilon changed on all ranks changes the text."""
    made = package(EXAMPLE, "--tp", 2)
    expected = text_of(made, 2, "-p", "Once", "-n", 40)
    file = edited(package, tmp_path, r"%blk\.", "%layer.")
    assert text_of(partition(file, tmp_path / "a.cleave"), 2, "-p", "Once", "-n", 40) == expected
    file = edited(package, tmp_path, r"epsilon = [0-9.Ee+-]+ : f32", "epsilon = 5.0 : f32")
    assert text_of(partition(file, tmp_path / "b.cleave"), 2, "-p", "Once", "-n", 40) != expected


def test_an_edit_that_breaks_the_communication_is_refused(package, tmp_path):
    file = edited(package, tmp_path, r"group \[0, 1\]", "group [0]", count=1)
    result = partition_tool(file, "-o", tmp_path / "p.cleave")
    assert "edited.mlir:" in complaint(result) and not (tmp_path / "p.cleave").exists()


def test_ranks_of_a_model_that_is_gone_are_refused(tmp_path):
    model = shutil.copy(EXAMPLE, tmp_path / "m.gguf")
    ranks = tmp_path / "ranks.mlir"
    partition_tool(model, "--tp", 2, "--emit=ranks", "-o", ranks).check_returncode()
    os.remove(model)
    errors = complaint(partition_tool(ranks, "-o", tmp_path / "p.cleave"))
    assert "m.gguf" in errors
    assert [each.name for each in tmp_path.iterdir()] == ["ranks.mlir"]


# ---- Models and plans that are refused ----


def test_no_model(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    text = tmp_path / "in" / "text.gguf"
    text.write_text("Once upon a time there was no model in this file at all.\n" * 9)
    empty = tmp_path / "in" / "empty.gguf"
    empty.touch()
    for model in (text, empty, tmp_path / "in" / "none.gguf", tmp_path / "in"):
        result = partition_tool(model, "-o", tmp_path / "out" / "p.cleave")
        no_trace(result, tmp_path / "out", f"error: .*{re.escape(str(model))}")


def test_truncated_models(tmp_path):
    data = EXAMPLE.read_bytes()
    (tmp_path / "out").mkdir()
    model = tmp_path / "cut.gguf"
    for size in (3, 4, 8, 23, 24, 60, 1000, 20_000, 60_000, len(data) // 2, len(data) - 1):
        model.write_bytes(data[:size])
        no_trace(partition_tool(model, "-o", tmp_path / "out" / "p.cleave"), tmp_path / "out",
                 r"error: .*cut\.gguf")


def test_altered_models_are_refused_or_run(tmp_path):
    """A flipped bit in the header is an error that names the file, or a model of other numbers."""
    data = EXAMPLE.read_bytes()
    model = tmp_path / "altered.gguf"
    for place in range(0, 2400, 37):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        model.write_bytes(altered)
        result = partition_tool(model, "--tp", 2, "-o", tmp_path / "p.cleave")
        if result.returncode:
            assert "altered.gguf" in complaint(result)
            assert not (tmp_path / "p.cleave").exists()
        else:
            shutil.rmtree(tmp_path / "p.cleave")


@pytest.mark.parametrize("what, replacement, pattern", [
    (b"llama", b"lhama", "lhama"),
    (b"blk.2.ffn_up.weight", b"blk.2.ffn_xx.weight", r"blk\.2\.ffn_"),
])
def test_models_of_other_kinds(tmp_path, what, replacement, pattern):
    model = tmp_path / "other.gguf"
    model.write_bytes(EXAMPLE.read_bytes().replace(what, replacement))
    (tmp_path / "out").mkdir()
    errors = no_trace(partition_tool(model, "-o", tmp_path / "out" / "p.cleave"), tmp_path / "out")
    assert re.search(pattern, errors) and "other.gguf" in errors


def test_wrong_plans(tmp_path):
    plan = tmp_path / "plan.yaml"
    (tmp_path / "out").mkdir()
    for text, patterns in [
        ("mesh: {tp: 2}\nsplitt: []\n", (r"plan\.yaml:2:1: ", "splitt")),
        ("mesh: {tp: two}\n", (r"plan\.yaml:1:\d+: ", "two")),
        ("mesh: {tp: 2}\nsplit:\n  - {weights: \"blk.*.atn_q.weight\", type: head}\n",
         (r"plan\.yaml:3:\d+: ", r"atn_q")),
        ("mesh: {tp: 2}\nsplit:\n  - {weights: \"*\", type: diagonal}\n",
         (r"plan\.yaml:3:\d+: ", "diagonal")),
        ("cut: [blk.77]\n", (r"plan\.yaml:1:\d+: ", r"blk\.77")),
        ("mesh: {tp: 2\n", (r"plan\.yaml:\d+:\d+: ",)),
    ]:
        plan.write_text(text)
        result = partition_tool(EXAMPLE, "--plan", plan, "-o", tmp_path / "out" / "p.cleave")
        errors = no_trace(result, tmp_path / "out")
        for pattern in patterns:
            assert re.search(pattern, errors), errors


def test_wrong_flags(tmp_path):
    for flags, pattern in [
        (("--tp", 0), "--tp"),
        (("--tp", "many"), "many"),
        (("--tp", 13), "13"),
        (("--stages", 99), "99"),
        (("--cut", "blk.4x"), r"blk\.4x"),
        (("--split", "blk.*.nothing=row"), "nothing"),
        (("--split", "output.weight=slantwise"), "slantwise"),
        (("--mesh", "tp=2,tp=3"), "tp"),
        (("--frobnicate",), "frobnicate"),
        (("--emit=pictures",), "pictures"),
        (("--plan", "nowhere.yaml"), r"nowhere\.yaml"),
    ]:
        errors = no_trace(partition_tool(EXAMPLE, *flags, "-o", tmp_path / "p.cleave"), tmp_path)
        assert re.search(pattern, errors), errors
