"""What cleave-run refuses: damaged packages, wrong starts and options. One clear message each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from harness import (EXAMPLE, HURRY, PATIENCE, command, complaint, cores, find_tool,
                     mpi_environment, run, text_of)

FILES = ("manifest.json", "tokenizer", "rank-0.program", "rank-0.weights", "rank-1.program",
         "rank-1.weights")


def refused(package, *patterns, ranks=2, arguments=("-p", "Once", "-n", 3)):
    return complaint(run(package, ranks, *arguments), *patterns)


# ---- Packages ----


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_missing(damaged, name):
    package = damaged("--tp", 2)
    (package / name).unlink()
    refused(package, re.escape(str(package)) + ".*" + re.escape(name) if name == "manifest.json"
            else re.escape(str(package / name)))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", ["nothing", "half", "all but a byte"])
def test_a_file_is_truncated(damaged, name, keep):
    package = damaged("--tp", 2)
    data = (package / name).read_bytes().rstrip(b"\n")
    size = {"nothing": 0, "half": len(data) // 2, "all but a byte": len(data) - 1}[keep]
    (package / name).write_bytes(data[:size])
    refused(package, re.escape(str(package / name)))


@pytest.mark.parametrize("name", FILES)
def test_a_byte_is_altered(damaged, name):
    package = damaged("--tp", 2)
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 0x04
    (package / name).write_bytes(data)
    refused(package, re.escape(str(package / name)))


@pytest.mark.parametrize("name", [name for name in FILES if "1" not in name])
def test_a_byte_is_altered_anywhere(damaged, name):
    package = damaged()
    data = (package / name).read_bytes().rstrip(b"\n")  # a manifest may end in any white space
    for place in {*range(40), *range(0, len(data), len(data) // 100), len(data) - 1}:
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        (package / name).write_bytes(altered)
        refused(package, re.escape(str(package / name)), ranks=None)


def test_every_number_in_the_manifest_is_guarded(damaged):
    file = damaged() / "manifest.json"
    text = file.read_text()
    for number in re.finditer(r": (\d+)", text):
        file.write_text(f"{text[:number.start(1)]}{int(number[1]) + 1}{text[number.end(1):]}")
        refused(file.parent, re.escape(str(file)), ranks=None)


def test_bytes_are_appended(damaged):
    package = damaged()
    for name in FILES[:4]:
        data = (package / name).read_bytes()
        (package / name).write_bytes(data + b"x")
        refused(package, re.escape(str(package / name)), ranks=None)
        (package / name).write_bytes(data)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_file_is_from_another_package(damaged, package, name):
    # The same plan and sizes, another model: only the package's id tells.
    made = damaged("--tp", 2)
    other = package(EXAMPLE, "--stages", 2)
    shutil.copy(other / name, made / name)
    refused(made, re.escape(str(made / name)))


def test_ranks_are_swapped(damaged):
    for kind in ("program", "weights"):
        package = damaged("--tp", 2)
        first, second = package / f"rank-0.{kind}", package / f"rank-1.{kind}"
        first.rename(package / "away")
        second.rename(first)
        (package / "away").rename(second)
        refused(package, r"rank-0\." + kind)
        shutil.rmtree(package)


def test_no_package_at_all(tmp_path):
    refused(tmp_path / "none.cleave", r"none\.cleave")
    refused(EXAMPLE, r"stories\.gguf")
    (tmp_path / "empty.cleave").mkdir()
    refused(tmp_path / "empty.cleave", r"empty\.cleave.*manifest\.json")


def test_a_file_is_a_folder(damaged):
    for name in FILES:
        package = damaged("--tp", 2)
        (package / name).unlink()
        (package / name).mkdir()
        refused(package, re.escape(name))
        shutil.rmtree(package)


def test_unverified_weights_run_but_headers_are_still_checked(damaged):
    package = damaged("--tp", 2)
    file = package / "rank-1.weights"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    refused(package, r"rank-1\.weights")
    assert text_of(package, 2, "-p", "Once", "-n", 1, "--no-verify").startswith("Once")
    file.write_bytes(data[:-1])
    refused(package, r"rank-1\.weights", arguments=("-p", "Once", "--no-verify"))


# ---- Starts ----


def test_a_wrong_number_of_ranks(package):
    made = package(EXAMPLE, "--tp", 4)
    for ranks in (1, 2, 3, 5):
        refused(made, rf"is for 4 ranks, this job has {ranks}", r"mpirun -n 4 .*", ranks=ranks)
    refused(package(EXAMPLE), "is for 1 rank, this job has 2")


def test_started_without_mpirun(package):
    for flags, ranks in ((("--tp", 2), 2), (("--tp", 8), 8)):
        made = package(EXAMPLE, *flags)
        result = run(made, None, "-p", "it's \"so\" $HOME", "-n", 3, "--temp", 0)
        errors = complaint(result, rf"is for {ranks} ranks, this job has 1", "mpirun -n")
        typed = next(line for line in errors.splitlines() if "mpirun -n" in line).strip()
        assert typed.startswith(f"mpirun -n {ranks} ")
        assert ("--oversubscribe" in typed) == (ranks > cores())
        assert find_tool("cleave-run") in typed and str(made) in typed


def test_the_command_that_is_printed_works(package):
    """Typed as it stands, with nothing set in the environment."""
    made = package(EXAMPLE, "--tp", 4)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OMPI_")}
    words = [find_tool("cleave-run"), str(made), "-p", "Zoë's \"$HOME\"", "-n", "3", "--temp", "0"]
    first = subprocess.run(words, capture_output=True, text=True, env=plain,
                           timeout=PATIENCE)
    typed = next(line for line in first.stderr.splitlines() if "mpirun -n" in line)
    second = subprocess.run(["sh", "-c", typed], capture_output=True, text=True,
                            env=plain, timeout=PATIENCE)
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("Zoë's \"$HOME\"")


# ---- Options ----


@pytest.mark.parametrize("ranks, flags", [(None, ()), (2, ("--tp", 2))])
def test_wrong_options(package, ranks, flags):
    made = package(EXAMPLE, *flags)
    for arguments, pattern in [
        (("--frobnicate",), "frobnicate"),
        (("-p", "a", "stray"), "stray"),
        (("-n", "many"), "many"),
        (("--temp", "hot"), "hot"),
        (("--cache-type", "f8"), "f8"),
        (("--activations", "int3"), "int3"),
        (("--batch", "0"), "--batch"),
        (("--ctx", "-5"), "--ctx"),
        (("--tokens", "1,two"), "two"),
        (("--tokens", "1,1024"), "token 1024 "),
        (("--tokens", "1,-2"), "-2"),
        (("--tokens", ""), "--tokens|token"),
        (("-p", "a", "--tokens", "1"), "--tokens"),
        (("--file", "nowhere.txt"), r"nowhere\.txt"),
        (("--input", "x=x.npy"), "--input is for graphs"),
        (("--output", "logits=/nowhere/l.npy"), "/nowhere/l.npy"),
        (("--output", "probabilities=p.npy"), "probabilities"),
        (("--output", "logits"), "logits"),
    ]:
        errors = complaint(run(made, ranks, *arguments))
        assert re.search(pattern, errors), errors
        said = re.findall("^cleave-run: .*$", errors, re.MULTILINE)
        said = [line for line in said if not re.search(r"\d cores?$|seed \d", line)]
        assert len(said) == 1, errors


def test_a_wrong_option_is_always_told(package):
    """No rank's quick end makes mpirun kill the one that speaks."""
    for _ in range(20):
        complaint(run(package(EXAMPLE, "--tp", 8), 8, "--frobnicate"), "frobnicate")


@pytest.mark.parametrize("ranks, flags", [(None, ()), (2, ("--tp", 2)), (2, ("--stages", 2))])
def test_a_prompt_longer_than_the_context(package, ranks, flags):
    made = package(EXAMPLE, *flags)
    tokens = ",".join(["1", *["300"] * 64])
    refused(made, "the prompt has 65 tokens, more than the context of 64",
            ranks=ranks, arguments=("--tokens", tokens, "--ctx", 64))
    result = run(made, ranks, "--tokens", tokens, "--ctx", 65, "-n", 5)
    assert result.returncode == 0 and "context of 65 tokens is full" in result.stderr


@pytest.mark.parametrize("ranks, flags", [(None, ()), (2, ("--tp", 2))])
def test_a_context_that_no_memory_holds(package, ranks, flags):
    # 2^31 - 1 positions of this model's cache are 2 TB. A machine that lets a process reserve as
    # much refuses nothing: so the process is allowed 64 GB.
    limited = ["prlimit", f"--as={64 << 30}", *command(package(EXAMPLE, *flags), ranks, [
        "-p", "Once", "-n", 2, "--temp", 0, "--ctx", 2**31 - 1])]
    complaint(subprocess.run(limited, capture_output=True, text=True, timeout=PATIENCE,
                             env=mpi_environment(2) | HURRY),
              "context = 2147483647.* memory", "--ctx")


def test_a_file_of_text_as_a_prompt(package, tmp_path):
    made = package(EXAMPLE, "--tp", 2)
    (tmp_path / "prompt.txt").write_text("Once upon a time\n")
    assert text_of(made, 2, "-f", tmp_path / "prompt.txt", "-n", 9) == text_of(
        made, 2, "-p", "Once upon a time", "-n", 9)
