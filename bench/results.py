"""What the samples say: medians, limits and ratios, as Markdown tables.

The limit of generation is what the machine reads in a second over what a step reads: the weights,
and the cache up to the step's position. Both are measured in turn, and each measurement is held
against the reads right behind it. Prompts are held against the machine's multiplications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

Sample = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """A row of a table: one type, test and number of ranks and threads."""

    kind: str
    test: str
    tokens: int
    depth: int
    setup: str

    @property
    def cores(self) -> int:
        ranks, threads = map(int, self.setup.split("x"))
        return ranks * threads


class Results:
    """The samples of a run, by what they measure."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.times: dict[tuple[str, Key], list[float]] = {}
        self.facts: dict[Key, list[Sample]] = {}
        self._peers: dict[Key, list[Sample]] = {}
        self._computes: dict[tuple[int, int, str], list[float]] = {}
        for sample in samples:
            if sample["who"] == "compute":
                self._computes.setdefault(
                    (sample["threads"], sample["bits"], sample["instruction"]), []).append(
                        sample["products_per_second"])
                continue
            key = Key(sample["type"], sample["test"], sample["tokens"], sample["depth"],
                      sample["setup"])
            self.times.setdefault((sample["who"], key), []).append(sample["seconds"])
            (self.facts if sample["who"] == "cleave" else self._peers).setdefault(
                key, []).append(sample)

    def keys(self, test: str) -> list[Key]:
        """Cleave's rows, in the order in which they were measured first."""
        return [key for who, key in self.times if who == "cleave" and key.test == test]

    def rate(self, who: str, key: Key) -> float | None:
        """Tokens a second, the median."""
        times = self.times.get((who, key))
        return key.tokens / median(times) if times else None

    def peer_rate(self, key: Key) -> float | None:
        """The peer's on as many cores, in one process."""
        return self.rate("peer", self.other(key, f"1x{key.cores}"))

    def reads(self, key: Key) -> list[float]:
        """Bytes a second in the best way of reading, behind each measurement of generation."""
        return [max(fact["reads"]) for fact in self.facts.get(key, []) if "reads" in fact]

    def read_rate(self, key: Key) -> float | None:
        """Of reads() the median."""
        rates = self.reads(key)
        return median(rates) if rates else None

    def read_rate_of_setup(self, kind: str, setup: str) -> float | None:
        """The same of all generation of a type in a setup."""
        rates = [rate for key in self.facts if (key.kind, key.setup) == (kind, setup)
                 for rate in self.reads(key)]
        return median(rates) if rates else None

    def instructions(self) -> list[tuple[int, int, str, float]]:
        """Cores, bits, instruction and its multiplications a second, the median."""
        return [(*place, median(rates)) for place, rates in self._computes.items()]

    def compute_rate(self, kind: str, cores: int) -> float | None:
        """Multiplications a second of the best instruction that could serve a type: of 8 bits for
        types in blocks, of 16 for halves, else of 32."""
        bits = {"f16": 16, "bf16": 16, "f32": 32}.get(kind, 8)
        return max((rate for at, width, _, rate in self.instructions()
                    if at == cores and width == bits), default=None)

    def bytes_of_step(self, key: Key) -> float:
        """Bytes that all ranks read for a token of generation, the mean over its steps."""
        ranks = self.facts[key][0]["ranks"]
        rows = key.depth + (key.tokens + 1) / 2
        return sum(rank["weight_bytes_per_token"] + rows * rank["cache_bytes_per_token"]
                   for rank in ranks)

    def limit(self, key: Key) -> float | None:
        """Tokens a second of generation that reading allows, the median."""
        read = self.read_rate(key)
        return read / self.bytes_of_step(key) if read else None

    def of_limit(self, key: Key) -> float | None:
        """Which part of its own limit a measurement of generation is, the median."""
        return self._part(key, self.facts.get(key, []))

    def peer_of_limit(self, key: Key) -> float | None:
        """The same of the peer on as many cores."""
        return self._part(key, self._peers.get(self.other(key, f"1x{key.cores}"), []))

    def _part(self, key: Key, samples: list[Sample]) -> float | None:
        parts = [key.tokens / sample["seconds"] * self.bytes_of_step(key) / max(sample["reads"])
                 for sample in samples if "reads" in sample]
        return median(parts) if parts else None

    def communication(self, key: Key) -> float:
        """The median part of the time that the first rank communicates or waits."""
        return median(fact["communication_seconds"] / fact["seconds"] for fact in self.facts[key])

    def other(self, key: Key, setup: str) -> Key:
        """The same test in another setup."""
        return Key(key.kind, key.test, key.tokens, key.depth, setup)


def number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def ratio(value: float | None, by: float | None, form: str = "{:.2f}") -> str:
    return form.format(value / by) if value is not None and by else ""


PERCENT = "{:.1%}"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def generation_table(results: Results) -> str:
    def row(key: Key) -> list[str]:
        rate, peer, read = results.rate("cleave", key), results.peer_rate(key), results.read_rate(key)
        part = results.of_limit(key)
        return [key.kind, str(key.depth), key.setup, number(read / 1e9 if read else None),
                number(results.limit(key)), number(rate), ratio(part, 1, PERCENT),
                number(peer), ratio(rate, peer), ratio(part, results.peer_of_limit(key))]

    return table(["type", "depth", "ranks x threads", "read, GB/s", "limit, tokens/s",
                  "Cleave, tokens/s", "of the limit", "llama.cpp, tokens/s", "Cleave / llama.cpp",
                  "by parts of the limit"], map(row, results.keys("generate")))


def prompt_table(results: Results, products: dict[str, int]) -> str:
    """`products`: the multiplications of a prompt, by its length."""
    def row(key: Key) -> list[str]:
        rate, peer = results.rate("cleave", key), results.peer_rate(key)
        work = rate * products[str(key.tokens)] / key.tokens if rate else None
        return [key.kind, str(key.tokens), key.setup, number(rate),
                number(work and work / 1e9, 0),
                ratio(work, results.compute_rate(key.kind, key.cores), PERCENT), number(peer),
                ratio(rate, peer), ratio(rate, results.rate("cleave", results.other(key, "1x1")))]

    return table(["type", "tokens", "ranks x threads", "Cleave, tokens/s", "Cleave, GMAC/s",
                  "of the instruction's", "llama.cpp, tokens/s", "Cleave / llama.cpp",
                  "Cleave / its 1x1"], map(row, results.keys("prompt")))


def instruction_table(results: Results) -> str:
    return table(["instruction", "bits", "cores", "GMAC/s"],
                 ([name, str(bits), str(cores), number(rate / 1e9, 0)]
                  for cores, bits, name, rate in results.instructions()))


def ranks_table(results: Results) -> str:
    """Several ranks against one rank with as many threads: rates, and where there are reads what
    each makes of those behind it."""
    def row(key: Key) -> list[str]:
        rate, part = results.rate("cleave", key), results.of_limit(key)
        threads, one = results.other(key, f"1x{key.cores}"), results.other(key, "1x1")
        return [key.kind, f"{key.test} {key.tokens} at {key.depth}", key.setup,
                ratio(rate, results.rate("cleave", threads), PERCENT),
                ratio(part, results.of_limit(threads), PERCENT),
                ratio(rate, results.rate("cleave", one)), ratio(part, results.of_limit(one), PERCENT),
                PERCENT.format(results.communication(key))]

    keys = [key for test in ("generate", "prompt") for key in results.keys(test)
            if not key.setup.startswith("1x")]
    return table(["type", "test", "ranks x threads", "of one rank with as many threads",
                  "by parts of the limit", "times 1x1", "by parts of the limit",
                  "communication and waiting"], map(row, keys)) if keys else ""


def load_table(results: Results) -> str:
    """Seconds to load and memory, of the ranks' the largest, beside what may be expected."""
    best: dict[tuple[str, str], list[Sample]] = {}
    for key in results.keys("generate") + results.keys("prompt"):
        best.setdefault((key.kind, key.setup), []).extend(results.facts[key])

    def row(kind: str, setup: str, facts: list[Sample]) -> list[str]:
        def largest(value: Callable[[Sample, Sample], float]) -> float:
            return median(max(value(fact, rank) for rank in fact["ranks"]) for fact in facts)

        read = results.read_rate_of_setup(kind, setup)
        weights = sum(rank["weight_bytes"] for rank in facts[0]["ranks"])
        load = largest(lambda _, rank: rank["load_seconds"])
        memory = largest(lambda _, rank: rank["pss_bytes"])
        planned = largest(lambda fact, rank: rank["weight_bytes"] + rank["activation_bytes"]
                          + fact["context"] * rank["cache_bytes_per_token"])
        mebibyte = 1 << 20
        return [kind, setup, number(load * 1e3, 0),
                number(1e3 * weights / read if read else None, 0), number(memory / mebibyte, 0),
                number(planned / mebibyte, 0)]

    return table(["type", "ranks x threads", "load, ms", "one read of the bytes, ms",
                  "memory of a rank, MiB", "weights, cache, activations, MiB"],
                 (row(*place, facts) for place, facts in best.items()))


def disturbance(samples: list[Sample]) -> str:
    """Whether the machine was idle otherwise."""
    others = sorted(sample["others"] for sample in samples)
    return (f"Meanwhile other processes used {median(others):.2f} processors, in a tenth of the "
            f"measurements {others[len(others) * 9 // 10]:.2f} or more.")


def report(record: dict[str, Any]) -> str:
    """The whole report on a run's record, as bench/run keeps it."""
    results = Results(record["samples"])
    parts = [f"Measured on {record['date']}: {record['machine']}. Cleave {record['version']}"
             + (f", llama.cpp {record['peer']}" if record.get("peer") else "")
             + f"; medians of {record['rounds']} rounds, of long tests {record['long_rounds']}. "
             + disturbance(record["samples"]) + "\n"]
    sections = [("Generation", generation_table(results), bool(results.keys("generate"))),
                ("Prompts", prompt_table(results, record["products"]),
                 bool(results.keys("prompt"))),
                ("Multiplications", instruction_table(results), bool(results.instructions())),
                ("Several ranks", ranks_table(results), bool(ranks_table(results))),
                ("Load and memory", load_table(results), True)]
    parts += [f"## {title}\n\n{text}" for title, text, shown in sections if shown]
    return "\n".join(parts)
