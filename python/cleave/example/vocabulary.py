"""A SentencePiece-style vocabulary learned from text: byte pair merges with scores, byte fallback.

The merges are those of byte pair encoding (Sennrich et al., 2016, arXiv:1508.07909) within words;
encoding then joins, as SentencePiece does, the neighbours whose joint piece has the best score.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from ..vocabulary import BOS, BYTES, EOS, SPACE, Vocabulary

# A run of letters with the space before it, or one other character likewise. Pieces end where words
# do, so that encoding word by word equals encoding the whole text.
WORD = re.compile(f"{SPACE}?[A-Za-z]+|{SPACE}?[^A-Za-z{SPACE}\n]|\n|{SPACE}")


def learn(texts: Iterable[str], size: int) -> Vocabulary:
    """The vocabulary of at most `size` tokens that joins the most frequent pairs first."""
    counts = Counter(word for text in texts for word in words(text) if word != "\n")
    characters = sorted({character for word in counts for character in word})
    splits = {word: list(word) for word in counts}
    merged: dict[str, None] = {}
    while len(merged) < size - BYTES - 256 - len(characters):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in splits.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merged[left + right] = None
        for word, parts in splits.items():
            if left + right in word:
                splits[word] = join(parts, left, right)
    return Vocabulary.of_pieces([*merged, *characters])


def words(text: str) -> list[str]:
    """`text` with SentencePiece's leading space, cut into words."""
    return WORD.findall(SPACE + text.replace(" ", SPACE))


def join(parts: Sequence[str], left: str, right: str) -> list[str]:
    """`parts` with every `left` that a `right` follows made one."""
    joined: list[str] = []
    for part in parts:
        if part == right and joined and joined[-1] == left:
            joined[-1] = left + right
        else:
            joined.append(part)
    return joined


class Encoder:
    """Text to ids of a vocabulary that `learn` made."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ids = {piece: number for number, piece in enumerate(vocabulary.pieces)}
        self.scores = vocabulary.scores
        self.word = cache(self._word)

    def story(self, text: str) -> list[int]:
        """The ids of `text` between beginning and end of sequence."""
        return [BOS, *(number for word in words(text) for number in self.word(word)), EOS]

    def _word(self, word: str) -> list[int]:
        parts = list(word)
        while True:
            joined = [(-self.scores[self.ids[pair]], place)
                      for place, pair in enumerate(map("".join, zip(parts, parts[1:])))
                      if pair in self.ids]
            if not joined:
                break
            place = min(joined)[1]
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return [number for part in parts for number in self._piece(part)]

    def _piece(self, piece: str) -> list[int]:
        if piece in self.ids:
            return [self.ids[piece]]
        return [BYTES + byte for byte in piece.replace(SPACE, " ").encode()]
