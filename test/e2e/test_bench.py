"""bench/run: a whole run on a tiny model beside a stand-in for llama-bench, and its arithmetic;
the same of bench/dense and onnxruntime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import xml.dom.minidom
from collections import Counter
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from harness import PATIENCE, ROOT

sys.path.insert(0, str(ROOT / "bench"))
import models  # noqa: E402
import plot  # noqa: E402
import results  # noqa: E402

PEER = """#!{python}
import json, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with open("{log}", "a") as log:
    print(json.dumps(given), file=log)
# The best choice: flash attention, and micro-batches of 256.
time = 3e9 - 1e9 * int(given["-fa"]) - (given["-ub"] == "256") * 1e8
print(json.dumps([{{"build_commit": "abc", "samples_ns": [time] * int(given["-r"])}}]))
"""


def bench(*arguments: object, program: str = "run", **environment: str
          ) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(ROOT / "bench" / program), *map(str, arguments)],
                          capture_output=True, text=True, timeout=PATIENCE, check=False,
                          env=os.environ | environment)


def module(program: str) -> types.ModuleType:
    """A program of bench/ as a module."""
    loader = SourceFileLoader(f"bench_{program}", str(ROOT / "bench" / program))
    made = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(made)
    return made


def test_a_whole_run(tmp_path: Path) -> None:
    peer = tmp_path / "llama-bench"
    peer.write_text(PEER.format(python=sys.executable, log=tmp_path / "log"))
    peer.chmod(0o755)
    tiny = "--width 64 --layers 1 --heads 4 --kv-heads 2 --ffn 96 --vocab 400".split()
    done = bench(tmp_path / "cache", "-o", tmp_path / "r", *tiny, "--types", "q8_0", "--depths", "5",
                 "--prompts", "300", "--generate", "2", "--repeat", "3", "--rounds", "2", "--quiet", "100",
                 "--peer", peer)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "r.md").read_text()
    record = json.loads((tmp_path / "r.json").read_text())
    # What a CPU can multiply with is its own affair.
    assert all(each["products_per_second"] > 0 for each in record["samples"]
               if each["who"] == "compute")
    found = Counter((each["who"], each.get("setup"), each.get("test"))
                    for each in record["samples"] if each["who"] != "compute")
    cleave = {("cleave", setup, test): 2 * times for setup in ("1x1", "1x2", "2x1")
              for test, times in (("generate", 3), ("prompt", 1))}
    ours = {("peer", setup, test): 2 for setup in ("1x1", "1x2") for test in ("generate", "prompt")}
    assert found == cleave | ours
    # Six ways to read, behind generation.
    assert all(len(each.get("reads", [])) == 6 * (each["test"] == "generate")
               for each in record["samples"] if each["who"] != "compute")
    # The peer at its best, bound to as many processors as it has threads.
    last = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()][-1]
    assert last["-fa"] == "1" and last["-ub"] == "256" and last["-p"] == "300"
    assert {each["batch"] for each in record["samples"]
            if each["who"] == "peer" and each["test"] == "prompt"} == {256}
    xml.dom.minidom.parseString((tmp_path / "r.svg").read_text())
    assert sorted(file.suffix for file in (tmp_path / "cache").iterdir()) == [".gguf"]


def test_the_least_disturbed_attempt_is_kept(tmp_path: Path) -> None:
    program = module("run")
    for quiet, attempts, kept in ((["--quiet", "0.5"], [0.9, 0.7, 0.4], 0.4),
                                  (["--quiet", "0.1"], [0.9, 0.3, 0.4, 0.6, 0.5], 0.3),
                                  ([], [0.9], 0.9)):
        session = program.Session(program.parser().parse_args([str(tmp_path), "-o", "r", *quiet]))
        values = iter(attempts)
        session.keep("q8_0", 1, lambda: [{"others": next(values)}] * 2)
        assert session.record["samples"] == [{"type": "q8_0", "round": 1, "others": kept}] * 2
        assert next(values, None) is None


def ranks(count: int) -> list[dict]:
    return [{"weight_bytes": 1000 // count, "weight_bytes_per_token": 900 // count,
             "cache_bytes_per_token": 2 / count, "load_seconds": 0.001, "pss_bytes": 2 << 20,
             "activation_bytes": 24, "communication_seconds": 0.0}] * count


def samples() -> list[dict]:
    made = []
    for number, seconds in enumerate((1.0, 4.0, 2.0)):
        common = {"type": "q8_0", "round": number}
        # When a machine is slow, so are its reads.
        for setup, factor, rate in (("1x1", 1.0, 4e4), ("1x2", 0.5, 8e4), ("2x1", 0.625, 8e4)):
            made.append(common | {
                "who": "cleave", "setup": setup, "test": "generate", "tokens": 39, "depth": 30,
                "seconds": seconds * factor, "communication_seconds": 0.1 * seconds * factor,
                "context": 100, "ranks": ranks(int(setup[0])),
                "reads": [7e3, rate / seconds, 6e3]})
        for setup in ("1x1", "1x2"):
            made.append(common | {"who": "peer", "setup": setup, "test": "generate", "tokens": 39,
                                  "depth": 30, "seconds": 3 * seconds, "reads": [4e4 / seconds]})
    return made


def test_limits_and_ratios() -> None:
    found = results.Results(samples())
    one, two, split = found.keys("generate")
    # Steps at positions 30 to 68 read 31 to 69 rows, 50 in the mean, of two bytes.
    assert found.bytes_of_step(one) == found.bytes_of_step(split) == 900 + 2 * 50
    # The best way behind each measurement, of these the median.
    assert found.read_rate(two) == found.read_rate_of_setup("q8_0", "1x2") == 4e4
    assert found.limit(one) == pytest.approx(20) and found.limit(split) == pytest.approx(40)
    # Each measurement has its own limit.
    assert found.of_limit(one) == pytest.approx(0.975)
    assert found.of_limit(split) == pytest.approx(0.78)
    assert found.rate("cleave", one) == 39 / 2 and found.rate("cleave", split) == 39 / 1.25
    assert found.peer_rate(split) == found.peer_rate(two) == 39 / 6
    assert found.peer_of_limit(split) == found.peer_of_limit(two) == pytest.approx(0.325)
    assert found.communication(split) == pytest.approx(0.1)
    text = results.generation_table(found)
    assert "| q8_0 | 30 | 1x1 | 0.0 | 20.0 | 19.5 | 97.5% | 6.5 | 3.00 | 3.00 |" in text
    assert "| q8_0 | 30 | 2x1 | 0.0 | 40.0 | 31.2 | 78.0% | 6.5 | 4.80 | 2.40 |" in text
    assert ("| generate 39 at 30 | 2x1 | 80.0% | 80.0% | 1.60 | 80.0% | 10.0% |"
            in results.ranks_table(found))
    assert "| q8_0 | 2x1 | 1 | 25 | 2 | 0 |" in results.load_table(found)


def test_each_measurement_has_its_own_limit() -> None:
    # 39, 19.5 and 9.75 tokens a second of 100, 20 and 12.5: 39, 97.5 and 78 %. The medians alone
    # would make 19.5 of 20.
    made = [{"type": "q8_0", "round": 0, "who": who, "setup": "1x1", "test": "generate",
             "tokens": 39, "depth": 30, "seconds": seconds, "ranks": ranks(1),
             "reads": [rate / 2, rate]} for who in ("cleave", "peer")
            for seconds, rate in ((1.0, 1e5), (2.0, 2e4), (4.0, 1.25e4))]
    found = results.Results(made)
    one, = found.keys("generate")
    assert found.of_limit(one) == found.peer_of_limit(one) == pytest.approx(0.78)


def test_prompts_are_held_against_the_best_instruction() -> None:
    made = [{"type": "q8_0", "round": number, "who": "compute", "threads": 1, "bits": bits,
             "instruction": name, "products_per_second": rate * (1 + number)}
            for number in range(3) for bits, name, rate in (
                (8, "slow", 1e9), (8, "fast", 2e9), (16, "half", 1.5e9))]
    made += [{"type": kind, "round": 0, "who": "cleave", "setup": "1x1", "test": "prompt",
              "tokens": 100, "depth": 0, "seconds": 2.0, "communication_seconds": 0.0,
              "context": 100, "ranks": ranks(1)} for kind in ("q8_0", "f16", "f32")]
    text = results.prompt_table(results.Results(made), {"100": 6_000_000_000})
    assert "| q8_0 | 100 | 1x1 | 50.0 | 3 | 75.0% |" in text
    assert "| f16 | 100 | 1x1 | 50.0 | 3 | 100.0% |" in text
    assert "| f32 | 100 | 1x1 | 50.0 | 3 |  |" in text
    # 3 tokens: two layers of q, k, v, o and three matrices, and of 1, 2 and 3 keys and values.
    shape = models.Shape(width=8, layers=2, heads=2, kv_heads=1, ffn=10, vocab=5)
    assert shape.products_of_prompt(3) == 2 * (
        3 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 10) + 2 * 8 * (1 + 2 + 3))


def test_missing_peers_and_limits_leave_cells_empty() -> None:
    found = results.Results({name: value for name, value in each.items() if name != "reads"}
                            for each in samples() if each["who"] == "cleave")
    assert "| q8_0 | 30 | 1x1 |  |  | 19.5 |  |  |  |  |" in results.generation_table(found)
    assert "llama.cpp" not in plot.plot(found)


def test_the_plot_has_a_bar_for_each() -> None:
    picture = xml.dom.minidom.parseString(plot.plot(results.Results(samples())))
    titles = [title.firstChild.data for title in picture.getElementsByTagName("title")]
    assert titles == ["Cleave 1x1: 19.5 tokens/s", "llama.cpp: 6.5 tokens/s",
                      "limit: 20.0 tokens/s", "Cleave 1x2: 39.0 tokens/s",
                      "Cleave 2x1: 31.2 tokens/s", "llama.cpp: 6.5 tokens/s",
                      "limit: 40.0 tokens/s"]


def test_grid_lines_are_round() -> None:
    assert [plot.round_step(value) for value in (0.7, 8, 10, 11, 49, 51, 250, 999)] == [
        pytest.approx(step) for step in (0.1, 1, 1, 2, 5, 10, 50, 100)]


@pytest.mark.parametrize(("arguments", "pattern"), [
    (["--setups", "2y1"], "'2y1' is no setup such as 2x1"),
    (["--peer-options", "1"], "'1' is no pair such as 1,512"),
    (["--depths", "a"], "'a' is no list of numbers"),
    (["--types", "q9_9"], "unknown element type 'q9_9'"),
    (["--types", "q8_0", "--width", "63"], "63 is no multiple"),
])
def test_what_it_refuses(tmp_path: Path, arguments: list[str], pattern: str) -> None:
    done = bench(tmp_path / "cache", "-o", tmp_path / "r", *arguments)
    assert done.returncode and pattern in done.stderr and "Traceback" not in done.stderr


def test_a_peer_that_says_something_else(tmp_path: Path) -> None:
    tiny = "--width 64 --layers 1 --heads 4 --kv-heads 2 --ffn 96 --vocab 400".split()
    done = bench(tmp_path / "cache", "-o", tmp_path / "r", *tiny, "--types", "q8_0", "--prompts",
                 "", "--peer", "/bin/echo")
    assert done.returncode == 1 and "no JSON as llama-bench writes it" in done.stderr


ONNXRUNTIME = """
import json, time
__version__ = "9.9"
class SessionOptions: pass
class InferenceSession:
    def __init__(self, file, options, providers):
        assert file.endswith(".onnx") and providers == ["CPUExecutionProvider"]
        self.threads = options.intra_op_num_threads
    def io_binding(self): return self
    def get_outputs(self): return []
    def bind_cpu_input(self, name, value): assert (name, value.shape) == ("x", (1, 1, 28, 28))
    def run_with_iobinding(self, binding): time.sleep(1e-5 / self.threads)
"""


def test_a_run_of_graphs(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "onnxruntime.py").write_text(ONNXRUNTIME)
    done = bench(tmp_path / "cache", "-o", tmp_path / "r", "--graphs", "mnist", "--rounds", "2",
                 "--repeat", "2", program="dense", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (tmp_path / "r.md").read_text() and "onnxruntime 9.9" in done.stdout
    record = json.loads((tmp_path / "r.json").read_text())
    found = Counter((each["who"], each["setup"], "seconds" in each)
                    for each in record["samples"] if each["who"] != "compute")
    assert found == ({("cleave", setup, True): 4 for setup in ("1x1", "1x2", "2x1")}
                     | {("cleave", setup, False): 2 for setup in ("1x1", "1x2", "2x1")}
                     | {("onnxruntime", setup, True): 4 for setup in ("1x1", "1x2")})
    # Of 5 x 5 and 8 channels, of 5 x 5 x 8 and 16, and of the last product.
    assert record["products"] == {"mnist": 28**2 * 25 * 8 + 14**2 * 25 * 8 * 16 + 256 * 10}


def test_ratios_of_graphs() -> None:
    made = []
    for number, (own, peer) in enumerate(((2.0, 1.0), (9.0, 3.0), (4.0, 8.0))):
        for who, setup, seconds in (("cleave", "1x1", own), ("cleave", "2x1", own / 2),
                                    ("onnxruntime", "1x1", peer), ("onnxruntime", "1x2", peer / 4)):
            made += [{"graph": "g", "round": number, "who": who, "setup": setup, "runs": 10,
                      "seconds": 10e-3 * seconds * factor, "others": 0.5} for factor in (1, 7, 0.5)]
        for setup in ("1x1", "2x1"):
            made.append({"graph": "g", "round": number, "who": "cleave", "setup": setup,
                         "others": 0.5, "ranks": ranks(int(setup[0]))})
        made.append({"graph": "g", "round": number, "who": "compute", "threads": 1, "bits": 32,
                     "instruction": "fma", "products_per_second": 1e9, "others": 0.5})
    text = module("dense").report({"samples": made, "products": {"g": 2_000_000}, "rounds": 3,
                                   "date": "", "machine": "", "version": "", "peer": "9.9"})
    # The median of each round's repetitions, then of the rounds, or of their ratios: 2, 3, 0.5.
    assert "| g | 1x1 | 4.000 | 3.000 | 2.00 | 2.00 | 0.5 | 50.0% |" in text
    assert "| g | 2x1 | 2.000 | 0.750 | 4.00 | 1.00 | 1.0 |  |" in text


def test_what_dense_refuses(tmp_path: Path) -> None:
    done = bench(tmp_path / "cache", "-o", tmp_path / "r", "--graphs", "vgg", program="dense")
    assert done.returncode == 1 and "'vgg' is no graph; there are mnist" in done.stderr
