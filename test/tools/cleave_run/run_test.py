"""cleave-run as a user meets it: text, arrays, errors, and ranks that fail."""

import argparse
import ast
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = argparse.Namespace()


def run(package, *arguments, ranks=None, timeout=60, environment=None):
    """The finished process; under mpirun where `ranks` is given."""
    command = [TOOLS.run, package, *arguments]
    if ranks:
        command = [TOOLS.mpiexec, "-n", str(ranks), *command]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
    )


def write_npy(path, shape, values, order=False):
    header = f"{{'descr': '<f4', 'fortran_order': {order}, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}f", *values))


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10 : 10 + length].decode())
    assert header["descr"] == "<f4", header
    body = data[10 + length :]
    return header["shape"], list(struct.unpack(f"<{len(body) // 4}f", body))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = cls.temporary.name
        subprocess.run([TOOLS.packages, cls.folder], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def copy(self, package):
        """A copy of a package to damage."""
        copy = tempfile.mkdtemp(dir=self.folder)
        shutil.copytree(self.path(package), copy, dirs_exist_ok=True)
        return copy

    def assert_fails(self, result, *patterns, once=True):
        """A status, no text, and each pattern in one line of standard error."""
        self.assertNotEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "")
        for pattern in patterns:
            found = re.findall(pattern, result.stderr)
            self.assertTrue(found, f"no {pattern!r} in:\n{result.stderr}")
            if once:
                self.assertEqual(len(found), 1, result.stderr)
        self.assertNotRegex(result.stderr, r"Segmentation|terminate called|\[ *0\] ")


# How each package is started: its folder and the ranks under mpirun.
ALL = [("tp1", None), ("tp1", 1), ("tp2", 2), ("tp4", 4), ("stages", 2)]


class Text(Case):
    def check(self, text, *arguments, errors="tokens/s"):
        for package, ranks in ALL:
            with self.subTest(package=package, ranks=ranks):
                result = run(self.path(package), "--temp", "0", *arguments, ranks=ranks)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result.stdout, text)
                self.assertRegex(result.stderr, errors)

    def test_until_the_end_of_text(self):
        self.check("abcd\n", "-p", "a", errors=r"prompt 3 tokens, .* generation 3 steps")

    def test_empty_prompt_begins_with_bos(self):
        self.check("abcd\n", "-p", "")

    def test_number_of_tokens(self):
        self.check("abc\n", "-p", "a", "-n", "2")
        self.check("xyxyxy\n", "-p", "x", "-n", "5")

    def test_no_token(self):
        self.check("ab\n", "-p", "ab", "-n", "0")

    def test_tokens_for_a_prompt(self):
        self.check("abcd\n", "--tokens", "4,5")

    def test_batches(self):
        self.check("a" * 99 + "bcd\n", "-p", "a" * 99, "-b", "7")
        self.check("a" * 99 + "bcd\n", "-p", "a" * 99, "-b", "1")

    def test_until_the_context_is_full(self):
        # Begin of text, a space and x leave room for three.
        self.check("xyxy\n", "-p", "x", "-c", "6", errors="context of 6 tokens is full")

    def test_prompt_from_a_file(self):
        with open(self.path("prompt"), "w") as file:
            file.write("ab\n")
        self.check("abcd\n", "-f", self.path("prompt"))

    def test_a_seed_gives_the_same_text(self):
        texts = set()
        for package, ranks in ALL:
            result = run(
                self.path(package), "-p", "x", "-n", "40", "-s", "7", "--temp", "9", ranks=ranks
            )
            self.assertEqual(result.returncode, 0, result.stderr)
            texts.add(result.stdout)
        self.assertEqual(len(texts), 1)
        random = run(self.path("tp2"), "-p", "x", "-n", "3", ranks=2)
        self.assertRegex(random.stderr, r"seed \d+\n")

    def test_standard_output_is_full(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                [TOOLS.run, self.path("tp1"), "-p", "a"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("cannot write to standard output: No space left", result.stderr)


class Arrays(Case):
    def test_logits_of_every_token(self):
        expected = []
        for token, following in [(4, 5), (5, 6), (6, 7)]:
            row = [token * 0.5] + [0.0] * 9
            row[following] = 8.0
            expected += row
        for package, ranks in ALL:
            for arguments in (["--tokens", "4,5,6", "-n", "0"], ["--tokens", "4", "-n", "3"]):
                with self.subTest(package=package, ranks=ranks, arguments=arguments):
                    file = self.path("logits.npy")
                    output = f"logits={file}"
                    result = run(
                        self.path(package), "--temp", "0", "-b", "2", "--output", output,
                        *arguments, ranks=ranks,
                    )
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(read_npy(file), ((3, 10), expected))
                    os.remove(file)

    def graph(self, package, ranks, x="x.npy", **files):
        write_npy(self.path("x.npy"), "(3, 2)", [1, 2, 3, 4, 5, 6])
        write_npy(self.path("bias.npy"), "(2,)", [10, 20])
        arguments = []
        for name, file in ({"x": x, "bias": "bias.npy"} | files).items():
            if file:
                arguments += ["--input", f"{name}={self.path(file)}"]
        return run(
            self.path(package), *arguments, "--output", f"y={self.path('y.npy')}", ranks=ranks
        )

    def test_graphs(self):
        for package, ranks, factor in (("graph1", None, 1), ("graph2", 2, 3)):
            result = self.graph(package, ranks)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, "")
            expected = [value * factor + (20 if value % 2 == 0 else 10) for value in range(1, 7)]
            self.assertEqual(read_npy(self.path("y.npy")), ((3, 2), expected))

    def test_wrong_arrays(self):
        for package, ranks in (("graph1", None), ("graph2", 2)):
            self.assert_fails(
                self.graph(package, ranks, bias=None),
                r"input 'bias' \[2\] f32 is missing; give --input bias=FILE.npy",
            )
            self.assert_fails(
                self.graph(package, ranks, z="x.npy"), "no input 'z'; entry 'step' has: x, bias"
            )
            self.assert_fails(
                self.graph(package, ranks, x="bias.npy"),
                r"bias.npy: holds \[2\] f32, but input 'x' is \[n, 2\] f32",
            )
            self.assert_fails(self.graph(package, ranks, x="nothing.npy"), "cannot be opened")
        self.assert_fails(
            run(self.path("graph1"), "--output", "q=q.npy"), "no output 'q'; .* has: y"
        )
        self.assert_fails(run(self.path("graph1"), "-p", "a"), "is no language model")
        self.assert_fails(run(self.path("graph1"), "--bench", "generate=1"),
                          "is no language model; --bench measures it with run=N")

    def test_unwritable_outputs(self):
        for package, ranks in ALL:
            result = run(self.path(package), "--output", "logits=/nowhere/l.npy", ranks=ranks)
            self.assert_fails(result, "/nowhere/l.npy: cannot be written: No such file")
        self.assert_fails(run(self.path("tp2"), "--output", "x=x.npy", ranks=2), "one output, logits")


class Refusals(Case):
    def test_command_lines(self):
        for ranks in (None, 2):
            for arguments, message in (
                (["--tokens", "1,x"], "'x' does not begin with a token id"),
                (["--frobnicate"], "frobnicate"),
                (["-p", "a", "-f", "b"], "excludes"),
                (["--temp", "nan"], "no finite number"),
                (["-c", "many"], "many"),
            ):
                self.assert_fails(run(self.path("tp2"), *arguments, ranks=ranks), message)

    def test_wrong_number_of_ranks(self):
        command = r"mpirun -n 4 (--oversubscribe )?(--allow-run-as-root )?\S*cleave-run \S*tp4 -p 'it'\\''s'\n"
        for ranks in (None, 1, 2):
            result = run(self.path("tp4"), "-p", "it's", ranks=ranks)
            self.assert_fails(result, "is for 4 ranks, this job has [12]", command)
        self.assert_fails(
            run(self.path("tp1"), ranks=2), "is for 1 rank, this job has 2", "mpirun -n 1 "
        )

    def test_prompts(self):
        for package, ranks in ALL:
            result = run(self.path(package), "-p", "a" * 30, "-c", "31", ranks=ranks)
            self.assert_fails(result, r"the prompt has 32 tokens, more than the context of 31")
        self.assert_fails(
            run(self.path("tp2"), "--tokens", "4,10", ranks=2), "token 10 is not in the vocabulary"
        )
        self.assert_fails(run(self.path("tp2"), "-f", "/nowhere", ranks=2), "/nowhere")

    def test_no_package(self):
        for ranks in (None, 2):
            self.assert_fails(run("/nowhere", ranks=ranks), "/nowhere")
            self.assert_fails(run(TOOLS.run, ranks=ranks), "cleave-run: .*not")

    def test_damaged_files(self):
        for name in ("rank-1.weights", "rank-1.program", "tokenizer", "manifest.json"):
            for damage in ("missing", "empty", "truncated", "altered"):
                with self.subTest(name=name, damage=damage):
                    package = self.copy("tp2")
                    file = os.path.join(package, name)
                    with open(file, "rb") as original:
                        data = original.read()
                    os.remove(file)
                    if damage != "missing":
                        keep = {"empty": 0, "truncated": len(data) - 7}.get(damage, len(data))
                        data = bytearray(data[:keep])
                        if damage == "altered":
                            data[-100] ^= 0x10
                        with open(file, "wb") as damaged:
                            damaged.write(data)
                    # Without its manifest it is no package, and the folder is named.
                    named = file if os.path.exists(file) else f"{package}.*{name}"
                    self.assert_fails(run(package, "-p", "a", ranks=2), named)

    def test_no_verify(self):
        package = self.copy("tp2")
        with open(os.path.join(package, "rank-1.weights"), "r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"\0")
        result = run(package, "-p", "a", "-n", "1", "--no-verify", ranks=2)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_files_of_another_package(self):
        for name in ("rank-1.weights", "rank-1.program"):
            package = self.copy("tp2")
            shutil.copy(self.path("stages", name), package)
            self.assert_fails(run(package, ranks=2), f"rank 1: .*{name}")

    def test_memory(self):
        result = run(self.path("tp1"), "-p", "a", "-b", "1000000", "-c", "1000000", "-n", "0")
        self.assertEqual(result.returncode, 0, result.stderr)  # room that is not used is free


class Faults(Case):
    """A rank that is killed or stopped while text comes."""

    def start(self, package, ranks=2):
        process = subprocess.Popen(
            [TOOLS.mpiexec, "-n", str(ranks), TOOLS.run, self.path(package), "-p", "x",
             "-c", "1000000000", "--temp", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertEqual(process.stdout.read(5), "xyxyx")
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            pids = [int(pid) for pid in children.read().split()]
        self.assertEqual(len(pids), ranks)
        return process, pids

    def end(self, process, pids, within):
        begin = time.monotonic()
        try:
            _, errors = process.communicate(timeout=within + 20)
        except subprocess.TimeoutExpired:
            for pid in [*pids, process.pid]:
                os.kill(pid, signal.SIGKILL)
            self.fail("the job does not end")
        self.assertLess(time.monotonic() - begin, within, errors)
        self.assertNotEqual(process.returncode, 0)
        for pid in pids:
            self.assertTrue(self.ended(pid), f"process {pid} is still there")
        return errors

    def ended(self, pid):
        for _ in range(10):
            try:
                with open(f"/proc/{pid}/status") as status:
                    if "State:\tZ" in status.read():
                        return True
            except (FileNotFoundError, ProcessLookupError):
                return True
            time.sleep(0.1)
        return False

    def test_killed(self):
        for package in ("tp2", "stages"):
            process, pids = self.start(package)
            os.kill(pids[1], signal.SIGKILL)
            self.end(process, pids, 2)

    def test_stopped(self):
        for package in ("tp2", "stages"):
            process, pids = self.start(package)
            os.kill(pids[1], signal.SIGSTOP)
            errors = self.end(process, pids, 5)
            self.assertRegex(errors, rf"rank \d \(host \S+, process {pids[1]}\) is stopped")

    def test_interrupted(self):
        process, pids = self.start("tp4", ranks=4)
        process.send_signal(signal.SIGINT)
        self.end(process, pids, 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for tool in ("mpiexec", "run", "packages"):
        parser.add_argument(f"--{tool}", required=True)
    TOOLS, names = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *names])
