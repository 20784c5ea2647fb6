#!/usr/bin/env python3
"""Makes byte_pair.json beside this file: a small byte-pair vocabulary, and the tokens that
Hugging Face's tokenizers library gives for a list of texts, with each way to cut words. To run
it again: pip install tokenizers (0.23.3 made what is there); the tests do not need it.
"""

import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
# As the models' own tokenizer.json files have them.
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
              r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
             r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
PATTERNS["dbrx"] = PATTERNS["llama3"]

SUBJECTS = ["The miller's", "she'll", "WE'VE", "a grey heron", "nobody", "it's", "I'd"]
REST = ["counted 12345 bells", "hid 7 plums\n\n", "painted the café's sign", "Äpfel und Öl  ",
        "лодка у реки", "θάλασσα", "舟と川", "1999-12-31", "a_b(c) = {d: [e]};\n", "\tindented\r\n",
        "½ ² ٣٤ Ⅷ", "emoji 🛶🛶 and ∑", "no\u00a0break\u3000wide", "!!! ??? ..."]
TEXTS = [
    " ", "  ", "     ", "\n", "\n\n  \n", " \n", "\t\t a", "a", " a", "a ", "don't DON'T Don'T 'S's",
    "12", "123456789 1 22 333 4444", "x1y22z333", "a  b   c    d", "end   ", "line\r\nline\n\n\nline",
    "  \n  indented\n\tmore", "!!!\n\n", " !?\r\n x", "naïve café", "лодка у реки", "θάλασσα θάλασσα",
    "舟と川 舟🛶川 ∑", "e\u0301 \u200d \u00a0 \u3000 \u2028", "½ ² ٣٤ Ⅷ", "__init__(self)", "'", "''s",
    "<|im_start|>user", "a\u0000b", "\ufeffx", "ÀÉÎ àéî ß ſ 'ſ", "https://example.org/?q=1&r=2",
    "the the the the", "counted counted", "bellsbellsbells", "🛶" * 5, "\u0300\u0301",
]


def corpus(rng):
    for _ in range(400):
        yield " ".join([rng.choice(SUBJECTS), *rng.choices(REST, k=3)])


def random_texts(rng, count):
    letters = list("aaeehinorst    '''sStTdD\n\n\r\t12345.,!_-éл舟🛶½\u0301\u00a0")
    for _ in range(count):
        yield "".join(rng.choice(letters) for _ in range(rng.randrange(1, 30)))


def tokenizer(model, pattern):
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    return made


def main():
    rng = random.Random(1)
    trained = tokenizer(models.BPE(), PATTERNS["llama3"])
    trained.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    content = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in content["merges"]]
    # A piece that is a word and that no merges lead to: Llama 3 alone takes it.
    vocabulary = content["vocab"] | {"\u0120counted\u0120": len(content["vocab"]),
                                     "zq": len(content["vocab"]) + 1}
    texts = [*TEXTS, "zq zq", " zq", *corpus(random.Random(2))][: len(TEXTS) + 22]
    texts += random_texts(rng, 60)
    cases = {}
    for name, pattern in PATTERNS.items():
        model = models.BPE(vocab=vocabulary, merges=merges, ignore_merges=name == "llama3")
        made = tokenizer(model, pattern)
        cases[name] = [made.encode(text).ids for text in texts]
        for text, ids in zip(texts, cases[name]):
            assert made.decode(ids) == text, text
    tokens = sorted(vocabulary, key=vocabulary.get)
    with open(HERE / "byte_pair.json", "w", encoding="utf-8") as file:
        file.write('{"tokens": ' + json.dumps(tokens, ensure_ascii=False))
        file.write(',\n"merges": ' + json.dumps([" ".join(pair) for pair in merges], ensure_ascii=False))
        file.write(',\n"texts": ' + json.dumps(texts))
        for name, ids in cases.items():
            file.write(f',\n"{name}": {json.dumps(ids)}')
        file.write("}\n")


if __name__ == "__main__":
    main()
