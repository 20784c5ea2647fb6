"""A SentencePiece-style vocabulary as GGUF carries it: pieces, scores, token types.

Learning one from text is example/vocabulary.py's; here are its form and one of any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product

from gguf import GGUFWriter, TokenType

from .errors import CleaveError

UNKNOWN, BOS, EOS = 0, 1, 2
BYTES = 3
"""The id of `<0x00>`; the 256 byte tokens follow each other."""
SPACE = "\u2581"
"""What stands for a space in a piece."""


@dataclass(frozen=True)
class Vocabulary:
    """Per token: its piece, its score (higher joins first) and its `gguf.TokenType`."""

    pieces: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]

    @classmethod
    def of_pieces(cls, pieces: Iterable[str]) -> Vocabulary:
        """Unknown, beginning, end, 256 byte tokens, then `pieces`, those that join first first."""
        ordinary = list(pieces)
        special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        return cls(
            special + ordinary,
            [0.0] * len(special) + [-float(rank) for rank in range(len(ordinary))],
            [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
            + [TokenType.BYTE] * 256
            + [TokenType.NORMAL] * len(ordinary),
        )

    @classmethod
    def synthetic(cls, size: int) -> Vocabulary:
        """`size` tokens: the special ones, printable ASCII, then `▁a`, `▁b`, ..., `▁aa`, ...

        Raises CleaveError below 355, which is what special tokens and ASCII need.
        """
        singles = [SPACE, *map(chr, range(0x21, 0x7F))]
        count = size - BYTES - 256 - len(singles)
        if count < 0:
            raise CleaveError(f"a vocabulary of {size} tokens is too small: the special tokens, "
                              f"the 256 bytes and the printable characters need {size - count}")
        letters = "abcdefghijklmnopqrstuvwxyz"
        # A piece is reached by joining its beginning with one more letter.
        made = (SPACE + "".join(word) for length in range(1, 8)
                for word in product(letters, repeat=length))
        return cls.of_pieces([*islice(made, count), *singles])

    def write(self, writer: GGUFWriter) -> None:
        """Adds the `tokenizer.ggml.*` keys."""
        writer.add_tokenizer_model("llama")
        writer.add_token_list(self.pieces)
        writer.add_token_scores(self.scores)
        writer.add_token_types(self.types)
        writer.add_unk_token_id(UNKNOWN)
        writer.add_bos_token_id(BOS)
        writer.add_eos_token_id(EOS)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(True)
