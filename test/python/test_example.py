"""The example's grammar, vocabulary and network, and the model made of them."""

from __future__ import annotations

import re

import gguf
import numpy as np
import pytest
from reference import Reference, Text, logits

from cleave.example import vocabulary
from cleave.example.grammar import article, stories
from cleave.llama_file import LlamaShape
from cleave.random_model import random_model

TEXTS = stories(300, seed=3)


def test_stories_are_deterministic_and_differ():
    assert stories(20, seed=3) == TEXTS[:20]
    assert stories(20, seed=4) != TEXTS[:20]
    assert len(set(TEXTS)) == len(TEXTS)


def test_stories_are_clean_text():
    for text in TEXTS:
        assert text.isascii()
        assert not re.search(r"[{}]|  | $| \n|\n |\n\n|\.\.", text), text
        assert 3 <= len(text.split("\n")) <= 5
        assert text.count('"') % 2 == 0
        assert all(re.search(r'[.!?]"?$', paragraph) for paragraph in text.split("\n"))


def test_no_sentence_begins_small():
    for text in TEXTS:
        assert not re.search(r'(^|[.!?] |\n)"?[a-z]', re.sub(r'[!?]" \w+ \w+', "", text)), text


def test_article_fits_the_word():
    assert article("apple pie") == "an apple pie"
    assert article("honey cake") == "a honey cake"


def test_a_vocabulary_round_trips_stories(tmp_path):
    learned = vocabulary.learn(TEXTS, 500)
    assert len(learned.pieces) == len(set(learned.pieces)) == 500
    shape = LlamaShape(width=64, layers=1, heads=8, kv_heads=4, ffn=32, vocab=500)
    writer = shape.writer(tmp_path / "m.gguf", "test", learned)
    for name, size in shape.tensors():
        writer.add_tensor(name, np.ones(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    text = Text(Reference(tmp_path / "m.gguf"))
    encoder = vocabulary.Encoder(learned)
    for story in TEXTS[:20]:
        ids = encoder.story(story)
        # Word by word, as training encodes, equals all at once, as SentencePiece does.
        assert ids == [*text.encode(story), 2]
        assert text.decode(ids) == " " + story


def test_frequent_words_become_one_piece():
    learned = vocabulary.learn(TEXTS, 600)
    assert "\u2581the" in learned.pieces
    assert learned.pieces.index("\u2581the") < learned.pieces.index("t")


def test_learning_stops_when_nothing_is_left_to_join():
    assert len(vocabulary.learn(["ab ab"], 1000).pieces) == 3 + 256 + 2 + 3


def test_the_network_computes_what_the_reference_does(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from cleave.example import network

    for tied in (False, True):
        shape = LlamaShape(width=48, layers=2, heads=6, kv_heads=2, ffn=40, vocab=400, tied=tied)
        random_model(tmp_path / "m.gguf", shape, seed=5)
        parameters = {tensor.name: torch.from_numpy(np.array(tensor.data))
                      for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
        tokens = [1, 17, 399, 5, 5, 260]
        found = network.logits(parameters, shape, torch.tensor([tokens]))[0].numpy()
        assert np.abs(found - logits(tmp_path / "m.gguf", tokens)).max() < 1e-5


def test_training_writes_a_model(tmp_path):
    pytest.importorskip("torch", reason="needs the extra 'train'")
    from cleave.cli import main

    output = tmp_path / "m.gguf"
    command = ["train-example", "--steps", "2", "--stories", "120", "-o"]
    assert main([*command, str(output)]) == 0
    assert main([*command, str(tmp_path / "again.gguf")]) == 0
    assert output.read_bytes() == (tmp_path / "again.gguf").read_bytes()
    model = Reference(output)
    assert model.tensors["token_embd.weight"].shape == (1024, 96)
    assert np.isfinite(model.step([1])).all()


def test_the_committed_model_is_small_and_float32(stories):
    assert stories.stat().st_size <= 3_000_000
    reader = gguf.GGUFReader(stories)
    assert {tensor.tensor_type.name for tensor in reader.tensors} == {"F32"}
    assert reader.fields["llama.attention.head_count"].contents() == 12
