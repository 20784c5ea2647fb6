"""The command `cleave`: what it passes on, and how it reports errors."""

from __future__ import annotations

import json

import pytest
from test_package import PARTITION_TOOL

from cleave.cli import main


def test_partition_passes_its_options_on(fake_tool, tmp_path, capsys):
    fake_tool("partition-tool", PARTITION_TOOL)
    output = tmp_path / "o.cleave"
    assert main(["partition", "m.gguf", "-o", str(output), "--tp", "2", "--stages", "1", "--cut",
                 "blk.1", "--split", "a.*=row", "--split", "b=none", "--mesh", "tp=2", "--shares",
                 "tp=2,1", "--plan", "p.yaml", "--sequence", "tp", "--dim", "n=4"]) == 0
    assert json.loads((output / "arguments.json").read_text()) == [
        "m.gguf", "-o", str(output), "--emit=package", "--tp=2", "--stages=1", "--cut=blk.1",
        "--split=a.*=row", "--split=b=none", "--plan=p.yaml", "--mesh=tp=2", "--shares=tp=2,1",
        "--sequence=tp", "--dim=n=4"]
    assert capsys.readouterr().out == f"{output}: 4 ranks\n"


@pytest.mark.parametrize("option", ["--mesh=tp", "--mesh=tp=x", "--mesh==2", "--shares=tp",
                                    "--shares=tp=2,", "--shares=tp=1,-1"])
def test_axes_without_sense_are_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["partition", "m.gguf", option])
    assert ended.value.code == 2
    assert "such as tp=2" in capsys.readouterr().err


def test_run_streams_text_and_then_the_log(fake_tool, fake_package, capsys):
    fake_tool("cleave-run", "print(*sys.argv[2:]); sys.stderr.write('10 tokens/s\\n')")
    assert main(["run", str(fake_package(1)), "-p", "Once", "-n", "3", "--temp", "0", "--top-k",
                 "5", "--cache-type", "f32"]) == 0
    out, err = capsys.readouterr()
    assert out == "--prompt=Once -n 3 --temp=0.0 --top-k=5 --cache-type=f32\n"
    assert err == "10 tokens/s\n"


def test_errors_are_one_line_and_a_status(fake_tool, fake_package, tmp_path, capsys):
    fake_tool("cleave-run", "sys.exit('cleave-run: rank 0: no')")
    assert main(["run", str(fake_package(1))]) == 1
    assert capsys.readouterr().err == "cleave: error: cleave-run: rank 0: no\n"
    assert main(["run", str(tmp_path / "nothing")]) == 1
    assert "is not a package" in capsys.readouterr().err
