"""Makes examples/stories.gguf: tells stories, learns a vocabulary and a small llama from them.

The same arguments give the same file on the same machine and PyTorch. Needs the extra `train`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from os import PathLike

import torch
from torch.nn import functional as F

from ..llama_file import LlamaShape, complete_file
from ..vocabulary import SPACE, UNKNOWN, Vocabulary
from . import lexicon, network, vocabulary
from .grammar import stories

SHAPE = LlamaShape(width=96, layers=4, heads=12, kv_heads=4, ffn=384, vocab=1024, context=512,
                   tied=True)
BATCH = 16
NAME_WEIGHT = 4.0
"""How much a name counts in the later rounds' loss, where another token counts 1."""
WARM_UP = 100
IGNORED = -100


def batches(sequences: list[list[int]], seed: int) -> Iterator[torch.Tensor]:
    """Batches [BATCH, longest] of stories in random order, without end; the rest is IGNORED."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(sequences), generator=generator).tolist()
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = [torch.tensor(sequences[each]) for each in order[start : start + BATCH]]
            yield torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=IGNORED)


def rate(step: int, steps: int, peak: float) -> float:
    """The learning rate: a linear rise to `peak`, then half a cosine down to a hundredth of it."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def fit(parameters: network.Parameters, sequences: list[list[int]], steps: int, seed: int,
        peak: float, weights: torch.Tensor) -> None:
    """Changes `parameters` by `steps` steps of AdamW on the next-token loss.

    `seed` orders the batches, `peak` is the learning rate, `weights` [vocab] say how much a token
    counts in the loss.
    """
    optimizer = torch.optim.AdamW(
        [
            {"params": [each for each in parameters.values() if each.dim() > 1]},
            {"params": [each for each in parameters.values() if each.dim() == 1],
             "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95), weight_decay=0.1)
    began = time.monotonic()
    for step, batch in zip(range(steps), batches(sequences, seed)):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        inputs, targets = batch[:, :-1].clamp_min(0), batch[:, 1:]
        predicted = network.logits(parameters, SHAPE, inputs)
        loss = F.cross_entropy(predicted.flatten(0, 1), targets.flatten(), weights,
                               ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step} of {steps}: loss {loss.item():.4f}, "
                  f"{time.monotonic() - began:.0f} s", file=sys.stderr)


def write(path: str | PathLike[str], parameters: network.Parameters, words: Vocabulary) -> None:
    """Writes the model as GGUF, every tensor F32."""
    with complete_file(path) as part:
        writer = SHAPE.writer(part, "stories", words)
        for name, _ in SHAPE.tensors():
            writer.add_tensor(name, parameters[name].detach().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def train_example(output: str | PathLike[str], steps: int = 1500, told: int = 40000, seed: int = 1,
                  threads: int = 1) -> None:
    """Trains on `told` stories and writes `output`.

    Three rounds, of `steps` batches and each of half as many as the one before: who is who in a
    story is learned last and is a small part of the loss, so names count more from the second on.
    """
    torch.set_num_threads(threads)
    texts = stories(told, seed)
    words = vocabulary.learn(texts, SHAPE.vocab)
    encoder = vocabulary.Encoder(words)
    sequences = [encoder.story(text) for text in texts]
    longest = max(map(len, sequences))
    print(f"{told} stories of {sum(map(len, sequences)) / told:.0f} tokens, at most {longest}; "
          f"{len(words.pieces)} pieces", file=sys.stderr)
    parameters = network.initial(SHAPE, seed)
    weights = torch.ones(SHAPE.vocab)
    fit(parameters, sequences, steps, seed, 5e-3, weights)
    for name in lexicon.GIRLS + lexicon.BOYS:
        weights[encoder.ids.get(SPACE + name, UNKNOWN)] = NAME_WEIGHT
    # A prompt may begin in the middle: one story in four loses its first paragraph.
    sequences[::4] = [encoder.story(text.partition("\n")[2]) for text in texts[::4]]
    for later in (1, 2):
        fit(parameters, sequences, steps >> later, seed + later, 3e-3, weights)
    write(output, parameters, words)
