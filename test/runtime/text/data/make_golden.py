#!/usr/bin/env python3
"""Makes the golden vocabularies beside this file, with the tokens that the
SentencePiece library itself gives for a list of texts. To run it again:
pip install sentencepiece protobuf; the tests need neither.

  bytes.json   byte tokens for what has no piece, a space put before a text
  unused.json  no byte tokens, no space put before, a third of the pieces unused
"""

import io
import json
import pathlib
import random

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2

HERE = pathlib.Path(__file__).parent
USER_DEFINED = ["<tool>", "<tool>>", "==="]

SUBJECTS = ["a miller", "the old ferryman", "my sister", "a grey heron", "the smith", "nobody"]
VERBS = ["mended", "counted", "carried", "painted", "remembered", "hid", "weighed"]
OBJECTS = ["seven lanterns", "the wooden gate", "a basket of plums", "both oars", "12 bells",
           "the naïve café's sign", "Äpfel und Öl", "лодка у реки", "θάλασσα", "舟と川",
           "aaaaaah", "zzzzzzz", "-------- ------"]
PLACES = ["by the river", "under the bridge", "before the rain", "on the 31st of May",
          "while the others slept", "again and again", "in the afternoon"]

TEXTS = [
    "", " ", "  ", "     ", "a", " a", "a ", "the miller", " the miller", "The Miller",
    "the old ferryman carried 12 bells under the bridge.", "thethethe  the   the", "aaaaaaa",
    "eeeeeeeeeeeeeeee", "zzzzzzzz zzzzzzzzzzzzz zz", "aaaahhhaaaaa", "---------------------",
    "!!!!!!", "1234567890", "rememberremember", "\n", "a\n\nb\tc\r\n",
    "naïve café", "лодка у реки", "θάλασσα θάλασσα", "舟と川", "舟🛶川 ∑ 🛶🛶", "\u2581a\u2581\u2581b",
    "<s>", "</s> <unk> <0x41>", "call <tool>", "a <tool>>", "x===", "\u00e9\u0301 \u200d", "Ünter",
]
# With a space put before texts, what follows a user-defined token differs on
# purpose (tokenizer.h), so these go to the vocabulary without it only.
TEXTS_WITHOUT_PREFIX = ["<tool> the gate", "a<tool>b<tool>>c", "======= the", "<tool<tool>the"]


def corpus(rng):
    for _ in range(3000):
        yield " ".join(rng.choice(words) for words in (SUBJECTS, VERBS, OBJECTS, PLACES)) + "."


def random_texts(rng, count):
    letters = list("aaaaaeehhinorst     zzz---dlmbgf.,12éл舟🛶")
    words = " ".join(SUBJECTS + VERBS + OBJECTS + PLACES).split()
    for i in range(count):
        if i % 2:
            yield "".join(rng.choice(letters) for _ in range(rng.randrange(1, 40)))
        else:
            yield rng.choice(["", " "]).join(rng.choice(words) for _ in range(rng.randrange(1, 8)))


def train(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=corpus(random.Random(1)), model_writer=model, model_type="bpe",
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=USER_DEFINED, num_threads=1, minloglevel=2, **options)
    return model_pb2.ModelProto.FromString(model.getvalue())


def write(name, proto, texts):
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    cases = [{"text": text, "ids": ids, "decoded": processor.decode(ids)}
             for text in texts for ids in [processor.encode(text)]]
    vocabulary = {
        "bos": processor.bos_id(), "eos": processor.eos_id(), "unknown": processor.unk_id(),
        "add_space_prefix": proto.normalizer_spec.add_dummy_prefix,
        # Piece, score, type; SentencePiece numbers the types as GGUF does.
        "tokens": [[piece.piece, piece.score, piece.type] for piece in proto.pieces],
    }
    with open(HERE / name, "w", encoding="utf-8") as file:
        file.write('{"vocabulary": ' + json.dumps(vocabulary, ensure_ascii=False))
        lines = (json.dumps(case, ensure_ascii=False) for case in cases)
        file.write(',\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")


def main():
    texts = TEXTS + list(random_texts(random.Random(2), 60))
    write("bytes.json", train(vocab_size=600, byte_fallback=True), texts)

    proto = train(vocab_size=400, add_dummy_prefix=False)
    normal = [p for p in proto.pieces if p.type == model_pb2.ModelProto.SentencePiece.NORMAL]
    for piece in normal[::3]:
        piece.type = model_pb2.ModelProto.SentencePiece.UNUSED
    write("unused.json", proto, texts + TEXTS_WITHOUT_PREFIX)


if __name__ == "__main__":
    main()
