"""Runs a package through cleave-run, under mpirun for several ranks, and streams its text."""

from __future__ import annotations

import codecs
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from types import TracebackType

from .errors import CleaveError
from .package import Package, PathLike
from .tools import find_tool, mpi_environment

GRACE = 5.0
"""Seconds that a job gets to end after SIGTERM."""


def run(
    package: Package | PathLike,
    prompt: str = "",
    *,
    tokens: Iterable[int] | None = None,
    n: int | None = None,
    temp: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    seed: int | None = None,
    threads: int | None = None,
    ctx: int | None = None,
    batch: int | None = None,
    cache_type: str | None = None,
    activations: str | None = None,
    options: Iterable[str] = (),
    mpirun_options: Iterable[str] = (),
) -> Run:
    """Starts the model and returns an iterator over its text: the prompt, then what it generates.

    tokens          the prompt as token ids, instead of `prompt`
    n               tokens to generate at most
    temp            temperature; 0 always takes the most likely token
    top_k, top_p, min_p, seed   sampling, as cleave-run has them
    threads         threads a rank
    ctx, batch      tokens in the cache; tokens of a prompt computed at once
    cache_type      "f32" or "f16"
    activations     "f32" (exact) or "quantized" (fast), for quantized weights
    options         further options of cleave-run, word for word
    mpirun_options  options of mpirun, such as ("--hostfile", "hosts")

    What is None is the tool's default. Raises CleaveError when the package or a tool is missing;
    the iterator raises it, with the tool's message, when the run fails.
    """
    opened = package if isinstance(package, Package) else Package.open(package)
    values = {"n": n, "temp": temp, "top-k": top_k, "top-p": top_p, "min-p": min_p, "seed": seed,
              "threads": threads, "ctx": ctx, "batch": batch, "cache-type": cache_type,
              "activations": activations}
    command = run_command(opened, prompt, tokens, values, options, mpirun_options)
    return Run(command, mpi_environment(opened.ranks))


def run_command(
    package: Package,
    prompt: str,
    tokens: Iterable[int] | None,
    values: Mapping[str, object],
    options: Iterable[str],
    mpirun_options: Iterable[str],
) -> list[str]:
    """The command line for `run`'s arguments; values that are None are left out."""
    if tokens is not None and prompt:
        raise CleaveError("a prompt is either text or tokens, and both were given")
    if "\0" in prompt:
        raise CleaveError("the prompt has a null character, which no command line can carry")
    # Options carry their value after '=', so that a prompt may begin with '-'.
    command = command_words(package, mpirun_options)
    if tokens is not None:
        command.append("--tokens=" + ",".join(map(str, tokens)))
    elif prompt:
        command.append(f"--prompt={prompt}")
    for name, value in values.items():
        if value is not None:
            command += ["-n", str(value)] if name == "n" else [f"--{name}={value}"]
    return command + list(options)


def command_words(package: Package, mpirun_options: Iterable[str]) -> list[str]:
    """What starts a package, without options of cleave-run: under mpirun where it has several ranks."""
    launcher: list[str] = []
    if package.ranks > 1:
        mpirun = shutil.which("mpirun")
        if not mpirun:
            raise CleaveError(f"'{package.path}' is for {package.ranks} ranks, and there is no "
                              "mpirun on PATH; install Open MPI")
        launcher = [mpirun, "-n", str(package.ranks), *mpirun_options]
    return [*launcher, find_tool("cleave-run"), os.path.abspath(package)]


class Run:
    """A running model: an iterator over pieces of text, closed at the end or by `close()`.

    `str.join` of all pieces is the tool's standard output without its last newline. Leaving a
    `with` block, or dropping the object, ends the job.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.command = command
        self.log = ""
        """The tool's standard error (speed, binding), complete when the run has ended."""
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._newline = ""
        # A file, not a pipe: nobody reads it while text is awaited, and it may not fill up.
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=self._errors, start_new_session=True)
        except OSError as error:
            self._errors.close()
            raise CleaveError(f"cannot start '{command[0]}': {error.strerror}") from error

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> str:
        output = self._process.stdout
        assert output is not None
        try:
            while not output.closed:
                data = os.read(output.fileno(), 1 << 16)
                piece = self._newline + self._decode(data, final=not data)
                # The tool ends its output with a newline that is no part of the text.
                self._newline = "\n" if piece.endswith("\n") else ""
                piece = piece.removesuffix("\n")
                if not data:
                    self._finish()
                if piece:
                    return piece
        except BaseException:
            self.close()
            raise
        raise StopIteration

    def close(self) -> None:
        """Ends the job, if it still runs, with all its ranks. May be called again."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if not self._errors.closed:
            self._errors.seek(0)
            self.log = self._errors.read().decode(errors="replace")
            self._errors.close()

    def _finish(self) -> None:
        """Waits for the tool, whose output has ended, and raises CleaveError if it failed."""
        status = self._process.wait()
        self.close()
        if status:
            raise CleaveError(error_message(self.log) or f"cleave-run ended with status {status}")

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


def error_message(log: str) -> str:
    """What the tool itself said in `log`, each line once, without mpirun's frame.

    Its errors; without such, all its lines; without such, all of `log`.
    """
    own = dict.fromkeys(line for line in log.splitlines() if line.startswith("cleave-run: "))
    errors = [line for line in own if "error:" in line]
    return "\n".join(errors or own) or log.strip()
