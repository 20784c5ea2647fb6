"""cleave.run: command lines, the stream, failures, and the end of a job."""

from __future__ import annotations

import json
import os
import time

import pytest

import cleave
from cleave import tools
from cleave.runner import error_message

ECHO = "import json; print(json.dumps(sys.argv[1:]))"
# Says with which -n it was called, and becomes the program after it.
MPIRUN = """
sys.stderr.write(f"mpirun {sys.argv[1:3]}\\n"); sys.stderr.flush()
os.execv(sys.argv[3], sys.argv[3:])
"""


def wait_for(condition) -> bool:
    """Whether `condition()` becomes true within ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_run_passes_every_argument(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    package = fake_package(1)
    text = "".join(cleave.run(
        package, prompt="-Once\nupon", n=5, temp=0.5, top_k=3, top_p=0.9, min_p=0.1, seed=7,
        threads=2, ctx=64, batch=8, cache_type="f16", activations="f32", options=["--no-verify"]))
    assert json.loads(text) == [
        str(package), "--prompt=-Once\nupon", "-n", "5", "--temp=0.5", "--top-k=3", "--top-p=0.9",
        "--min-p=0.1", "--seed=7", "--threads=2", "--ctx=64", "--batch=8", "--cache-type=f16",
        "--activations=f32", "--no-verify"]


def test_defaults_are_the_tools(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    package = cleave.Package.open(fake_package(1))
    assert json.loads("".join(cleave.run(package))) == [str(package.path)]


def test_a_prompt_may_be_tokens(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    assert json.loads("".join(cleave.run(fake_package(1), tokens=[1, 403])))[1] == "--tokens=1,403"


def test_text_and_tokens_together_are_refused(fake_tool, fake_package):
    with pytest.raises(cleave.CleaveError, match="either text or tokens"):
        cleave.run(fake_package(1), "Once", tokens=[1])


def test_a_null_character_is_refused(fake_tool, fake_package):
    with pytest.raises(cleave.CleaveError, match="null character"):
        cleave.run(fake_package(1), "a\0b")


def test_several_ranks_run_under_mpirun(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    fake_tool("mpirun", MPIRUN)
    pieces = cleave.run(fake_package(3), "Once")
    assert "--prompt=Once" in "".join(pieces)
    assert pieces.log == "mpirun ['-n', '3']\n"


def test_one_rank_runs_without_mpirun(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    fake_tool("mpirun", "sys.exit('not needed')")
    assert "".join(cleave.run(fake_package(1)))


def test_several_ranks_without_mpirun_are_refused(fake_tool, fake_package):
    fake_tool("cleave-run", ECHO)
    with pytest.raises(cleave.CleaveError, match="for 2 ranks, and there is no mpirun"):
        cleave.run(fake_package(2))


def test_text_arrives_before_the_run_ends(fake_tool, fake_package, tmp_path):
    # The stand-in goes on only when the reader has seen what came before.
    fake_tool("cleave-run", f"""
for part in ("a", "b"):
    os.write(1, part.encode())
    while not os.path.exists({str(tmp_path)!r} + "/" + part): time.sleep(0.01)
os.write(1, b"\\n")
""")
    pieces = cleave.run(fake_package(1))
    for part in ("a", "b"):
        assert next(pieces) == part
        (tmp_path / part).touch()
    with pytest.raises(StopIteration):
        next(pieces)
    with pytest.raises(StopIteration):
        next(pieces)


def test_characters_are_whole_and_one_last_newline_goes(fake_tool, fake_package):
    fake_tool("cleave-run", """
for byte in "\\n\\u00e9\\u4e16\\n\\U0001f600\\n\\n".encode():
    os.write(1, bytes([byte])); time.sleep(0.01)
""")
    pieces = list(cleave.run(fake_package(1)))
    assert "".join(pieces) == "\n\u00e9\u4e16\n\U0001f600\n"
    assert len(pieces) >= 4


def test_bytes_that_are_no_text_are_replaced(fake_tool, fake_package):
    fake_tool("cleave-run", "os.write(1, b'a\\xffb\\n\\xc3')")
    assert "".join(cleave.run(fake_package(1))) == "a\ufffdb\n\ufffd"


def test_a_failure_raises_after_the_text(fake_tool, fake_package):
    fake_tool("cleave-run", "os.write(1, b'Once'); sys.exit('cleave-run: rank 1 is gone')")
    pieces = cleave.run(fake_package(1))
    assert next(pieces) == "Once"
    with pytest.raises(cleave.CleaveError, match="^cleave-run: rank 1 is gone$"):
        next(pieces)


def test_a_silent_failure_names_the_status(fake_tool, fake_package):
    fake_tool("cleave-run", "sys.exit(4)")
    with pytest.raises(cleave.CleaveError, match="ended with status 4"):
        list(cleave.run(fake_package(1)))


def test_much_standard_error_does_not_block(fake_tool, fake_package):
    fake_tool("cleave-run", "sys.stderr.write('x' * 1000000); sys.stderr.flush(); print('done')")
    pieces = cleave.run(fake_package(1))
    assert "".join(pieces) == "done"
    assert len(pieces.log) == 1000000


@pytest.mark.parametrize("end", ["close", "with", "drop"])
def test_leaving_ends_the_job(fake_tool, fake_package, end):
    fake_tool("cleave-run", "os.write(1, str(os.getpid()).encode()); time.sleep(600)")
    pieces = cleave.run(fake_package(1))
    process = int(next(pieces))
    assert alive(process)
    if end == "close":
        pieces.close()
        pieces.close()
    elif end == "with":
        with pieces:
            pass
    else:
        del pieces
    assert wait_for(lambda: not alive(process))


def test_a_job_that_ignores_sigterm_is_killed(fake_tool, fake_package, monkeypatch):
    monkeypatch.setattr("cleave.runner.GRACE", 0.2)
    fake_tool("cleave-run", """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, str(os.getpid()).encode()); time.sleep(600)
""")
    pieces = cleave.run(fake_package(1))
    process = int(next(pieces))
    pieces.close()
    assert wait_for(lambda: not alive(process))


def test_error_message_drops_mpiruns_frame():
    log = ("-----\nPrimary job  terminated normally, but 1 process returned\n"
           "cleave-run: rank 2: no such file\ncleave-run: rank 2: no such file\n-----\n")
    assert error_message(log) == "cleave-run: rank 2: no such file"
    assert error_message("cleave-run: 2 ranks\ncleave-run: error: no\n") == "cleave-run: error: no"
    assert error_message(" something else\n") == "something else"


def test_root_and_too_few_cores_are_told_to_mpirun(monkeypatch):
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                 "OMPI_MCA_rmaps_base_oversubscribe"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tools, "cores", lambda: 2)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    root = tools.mpi_environment(3)
    assert root["OMPI_ALLOW_RUN_AS_ROOT"] == root["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == "1"
    assert root["OMPI_MCA_rmaps_base_oversubscribe"] == "1"
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert not [name for name in tools.mpi_environment(2) if name.startswith("OMPI_")]
    monkeypatch.setenv("OMPI_MCA_rmaps_base_oversubscribe", "0")
    assert tools.mpi_environment(3)["OMPI_MCA_rmaps_base_oversubscribe"] == "0"


def test_there_is_a_core():
    assert 1 <= tools.cores() <= (os.cpu_count() or 1)
