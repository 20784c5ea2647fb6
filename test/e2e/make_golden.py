"""Writes the greedy continuations that end-to-end tests expect of a model, as JSON.

    make_golden.py examples/stories.gguf -o test/e2e/data/stories.greedy.json

Per prompt: its ids, all tokens, their text with SentencePiece's leading space, the closest race
between best and second token (logits), whether float32 arithmetic gives the same tokens, and 16
logits after the first token and of those the last one was taken from.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from reference import Reference, Text

PROMPTS = ("", "Once upon a time", "Mira was a brave fox", "Long ago, a kind bear named Hugo",
           "Zoë had 3 bells")
"""The last has characters that examples/stories.gguf spells in bytes."""


def golden(path: Path, prompts: list[str], count: int) -> dict[str, Any]:
    """The file's content for `count` new tokens a prompt."""
    model = Reference(path)
    single = Reference(path, np.float32)
    text = Text(model)
    cases = {}
    for prompt in prompts:
        ids = text.encode(prompt)
        tokens, rows = model.greedy(ids, count)
        best = np.sort(rows[len(ids) - 1 :], axis=-1)
        cases[prompt] = {
            "prompt_ids": ids,
            "tokens": tokens,
            "text": text.decode(tokens),
            "min_top2_gap_f64": float(np.min(best[:, -1] - best[:, -2])),
            "f32_equal": single.greedy(ids, count)[0] == tokens,
            "first_logits_f64": rows[0, :16].tolist(),
            "last_logits_f64": rows[-1, :16].tolist(),
        }
    return {
        "model": path.name,
        "note": f"greedy decoding of at most {count} tokens in float64 by make_golden.py; a story "
                "that ends has the end-of-sequence token as its last",
        "cases": cases,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model", type=Path)
    options.add_argument("-o", "--output", type=Path, required=True)
    options.add_argument("-n", type=int, default=256, help="new tokens a prompt (256)")
    options.add_argument("--prompt", action="append", help="repeatable; without it, some of ours")
    given = options.parse_args()
    content = golden(given.model, given.prompt or list(PROMPTS), given.n)
    given.output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
