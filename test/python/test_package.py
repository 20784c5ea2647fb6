"""cleave.partition: command lines, errors, manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cleave

# Writes what it was called with beside a manifest for four ranks.
PARTITION_TOOL = """
import json
out = sys.argv[sys.argv.index("-o") + 1]
os.mkdir(out)
json.dump(sys.argv[1:], open(out + "/arguments.json", "w"))
open(out + "/manifest.json", "w").write(
    '{"ranks": 4, "stages": 2, "mesh": [{"axis": "tp", "size": 2}], "files": []}')
"""


def arguments(package: cleave.Package) -> list[str]:
    return json.loads((package.path / "arguments.json").read_text())


def test_partition_passes_every_argument(fake_tool, tmp_path):
    fake_tool("partition-tool", PARTITION_TOOL)
    made = cleave.partition(
        "m.gguf", tmp_path / "o.cleave", tp=2, stages=2, cut=["blk.1", "blk.3"],
        split={"blk.*.ffn_down.weight": "row", "output.weight": "none"}, plan="plan.yaml",
        mesh={"tp": 2, "ep": 3}, shares={"tp": [2, 1]}, sequence="tp",
        dims={"batch": 4, "total": "past+seq"}, options=["--report"])
    assert arguments(made) == [
        "m.gguf", "-o", f"{tmp_path}/o.cleave", "--emit=package", "--tp=2", "--stages=2",
        "--cut=blk.1", "--cut=blk.3", "--split=blk.*.ffn_down.weight=row",
        "--split=output.weight=none", "--plan=plan.yaml", "--mesh=tp=2,ep=3", "--shares=tp=2,1",
        "--sequence=tp", "--dim=batch=4", "--dim=total=past+seq", "--report"]


def test_partition_leaves_defaults_to_the_tool(fake_tool, tmp_path, monkeypatch):
    fake_tool("partition-tool", PARTITION_TOOL)
    monkeypatch.chdir(tmp_path)
    made = cleave.partition("/elsewhere/my.model.gguf")
    assert made.path == Path("my.model.cleave")
    assert arguments(made) == [
        "/elsewhere/my.model.gguf", "-o", "my.model.cleave", "--emit=package"]


def test_one_cut_and_one_split_may_be_strings(fake_tool, tmp_path):
    fake_tool("partition-tool", PARTITION_TOOL)
    made = cleave.partition("m.gguf", tmp_path / "o", cut="blk.1", split="*.weight=none")
    assert arguments(made)[4:] == ["--cut=blk.1", "--split=*.weight=none"]


def test_a_path_that_looks_like_an_option_stays_a_path(fake_tool, tmp_path):
    fake_tool("partition-tool", PARTITION_TOOL)
    assert arguments(cleave.partition("-x.gguf", tmp_path / "o"))[0] == "./-x.gguf"


def test_partition_returns_what_the_manifest_says(fake_tool, tmp_path):
    fake_tool("partition-tool", PARTITION_TOOL)
    made = cleave.partition("m.gguf", tmp_path / "o")
    assert (made.ranks, made.stages, made.mesh) == (4, 2, {"tp": 2})
    assert made == cleave.Package.open(tmp_path / "o")


def test_a_refusal_is_the_tools_message(fake_tool, tmp_path):
    fake_tool("partition-tool", "sys.exit('m.gguf: error: not a model')")
    with pytest.raises(cleave.CleaveError, match="^m.gguf: error: not a model$"):
        cleave.partition("m.gguf", tmp_path / "o")


def test_warnings_are_logged(fake_tool, tmp_path, caplog):
    fake_tool("partition-tool", "sys.stderr.write('warning: rank 2 is empty\\n')" + PARTITION_TOOL)
    cleave.partition("m.gguf", tmp_path / "o")
    assert caplog.messages == ["warning: rank 2 is empty"]


def test_a_silent_failure_names_the_status(fake_tool, tmp_path):
    fake_tool("partition-tool", "sys.exit(3)")
    with pytest.raises(cleave.CleaveError, match="partition-tool ended with status 3"):
        cleave.partition("m.gguf", tmp_path / "o")


def test_a_missing_tool_names_where_it_was_looked_for(fake_tool, tmp_path):
    with pytest.raises(cleave.CleaveError, match="no program 'partition-tool' in .*CLEAVE_BIN"):
        cleave.partition("m.gguf", tmp_path / "o")


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{}", "[" * 100000, '{"ranks": 1, "stages": 1}',
                                  '{"ranks": 0, "stages": 1, "mesh": []}',
                                  '{"ranks": true, "stages": 1, "mesh": []}',
                                  '{"ranks": 1e9, "stages": 1, "mesh": []}',
                                  '{"ranks": 2, "stages": 1, "mesh": [{"axis": "tp"}]}', "\ud800"])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(cleave.CleaveError, match="manifest.json"):
        cleave.Package.open(tmp_path)


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(cleave.CleaveError, match="is not a package: .*No such file"):
        cleave.Package.open(tmp_path)


def test_tools_are_found_in_the_checkout_around_the_current_folder(tmp_path, monkeypatch):
    from cleave.tools import find_tool

    program = tmp_path / "build" / "bin" / "cleave-run-stand-in"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "CMakeLists.txt").touch()
    (tmp_path / "python" / "cleave").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    monkeypatch.delenv("CLEAVE_BIN", raising=False)
    monkeypatch.chdir(tmp_path / "docs")
    assert find_tool("cleave-run-stand-in") == str(program)
    (tmp_path / "CMakeLists.txt").unlink()
    with pytest.raises(cleave.CleaveError, match="no program 'cleave-run-stand-in' on PATH"):
        find_tool("cleave-run-stand-in")
