"""cleave random-model: files that the gguf package reads, of the shape and types asked for."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from reference import Reference, Text, logits

from cleave import CleaveError
from cleave.cli import main
from cleave.llama_file import LlamaShape
from cleave.random_model import MIXES, TYPES, random_model
from cleave.vocabulary import SPACE, Vocabulary

SHAPE = LlamaShape(width=64, layers=2, heads=8, kv_heads=2, ffn=96, vocab=400, context=128)
WIDE = LlamaShape(width=256, layers=2, heads=8, kv_heads=2, ffn=512, vocab=400, context=128)


def shape_for(kind):
    """A shape of whole blocks of `kind`."""
    return WIDE if "_k" in kind else SHAPE


@pytest.mark.parametrize("kind", TYPES)
def test_tensors_have_the_shape_and_type(tmp_path, kind):
    shape = shape_for(kind)
    random_model(tmp_path / "m.gguf", shape, kind)
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert list(found) == [name for name, _ in shape.tensors()]
    for name, size in shape.tensors():
        assert tuple(map(int, reversed(found[name].shape))) == size
        assert found[name].tensor_type == (gguf.GGMLQuantizationType.F32 if len(size) == 1
                                           else TYPES[kind])
    keys = {name: field.contents() for name, field in reader.fields.items()}
    assert keys["llama.embedding_length"] == shape.width
    assert keys["llama.attention.head_count_kv"] == 2
    assert keys["llama.context_length"] == 128


@pytest.mark.parametrize("kind", TYPES)
def test_weights_spread_as_they_should(tmp_path, kind):
    # The smallest matrix has 512 blocks, so that a mean or deviation is known to two percent.
    shape = LlamaShape(width=256, layers=2, heads=8, kv_heads=2, ffn=512, vocab=400)
    random_model(tmp_path / "m.gguf", shape, kind)
    for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        if values.ndim == 1:
            assert abs(values.mean() - 1) < 0.05
            continue
        expected = values.shape[1] ** -0.5
        if "attn_output" in tensor.name or "ffn_down" in tensor.name:
            expected /= 2
        assert abs(values.std() / expected - 1) < 0.08, tensor.name
        assert abs(values.mean()) < 0.05 * expected, tensor.name


@pytest.mark.parametrize("kind", TYPES)
def test_logits_are_finite_and_of_the_order_of_one(tmp_path, kind):
    random_model(tmp_path / "m.gguf", shape_for(kind), kind)
    rows = logits(tmp_path / "m.gguf", [1, 5, 399, 260])
    assert rows.shape == (4, 400)
    assert 0.3 < rows.std() < 3


def test_experts_are_written_as_readers_expect(tmp_path):
    model = str(tmp_path / "m.gguf")
    shape = "--width 64 --layers 2 --heads 8 --kv-heads 2 --ffn 96 --vocab 400"
    assert main(["random-model", *shape.split(), "--experts", "5", "--experts-used", "3",
                 "--type", "q8_0", "-o", model]) == 0
    reader = gguf.GGUFReader(model)
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert tuple(found["blk.1.ffn_down_exps.weight"].shape) == (96, 64, 5)
    assert found["blk.1.ffn_down_exps.weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0
    assert found["blk.1.ffn_gate_inp.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    assert "blk.1.ffn_gate.weight" not in found
    assert reader.get_field("llama.expert_count").contents() == 5
    assert reader.get_field("llama.expert_used_count").contents() == 3
    rows = logits(model, [1, 5, 399, 260])
    assert rows.shape == (4, 400) and 0.3 < rows.std() < 3
    with pytest.raises(CleaveError, match="6 of 5 experts"):
        LlamaShape(width=64, layers=2, heads=8, kv_heads=2, ffn=96, vocab=400, experts=5,
                   experts_used=6)


def test_rows_that_are_no_whole_blocks_become_f16_and_are_reported(tmp_path, caplog):
    shape = LlamaShape(width=64, layers=2, heads=8, kv_heads=4, ffn=172, vocab=400)
    random_model(tmp_path / "m.gguf", shape, "q4_0")
    kinds = {tensor.name: tensor.tensor_type.name
             for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert kinds["blk.1.ffn_down.weight"] == "F16"
    assert kinds["blk.1.ffn_up.weight"] == "Q4_0"
    assert "2 tensors have rows of 172 weights" in caplog.text


@pytest.mark.parametrize("kind", MIXES)
def test_mixes_have_two_types(tmp_path, kind):
    random_model(tmp_path / "m.gguf", WIDE, kind)
    kinds = {tensor.name: tensor.tensor_type
             for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    finer = {name for name, found in kinds.items() if found == gguf.GGMLQuantizationType.Q6_K}
    assert finer == {"output.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"}
    assert kinds["blk.1.ffn_down.weight"] == MIXES[kind]


def test_tied_and_bias(tmp_path):
    shape = LlamaShape(width=64, layers=1, heads=8, kv_heads=4, ffn=32, vocab=400, tied=True,
                       bias=True)
    random_model(tmp_path / "m.gguf", shape)
    names = [tensor.name for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors]
    assert "output.weight" not in names
    assert {f"blk.0.attn_{each}.bias" for each in "qkv"} < set(names)


def test_the_seed_decides_every_byte(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        random_model(tmp_path / name, SHAPE, "q8_0", seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c and len(a) == len(c)


def test_large_tensors_are_written_in_pieces(tmp_path, monkeypatch):
    # 64 x 96 weights are not a multiple of 2048, so the last piece is short.
    monkeypatch.setattr("cleave.random_model.PIECE", 2048)
    random_model(tmp_path / "m.gguf", SHAPE, "q4_0")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    end = max(tensor.data_offset + tensor.n_bytes for tensor in reader.tensors)
    assert end <= (tmp_path / "m.gguf").stat().st_size < end + 32
    assert np.isfinite(logits(tmp_path / "m.gguf", [1, 2])).all()


def test_the_vocabulary_encodes_and_decodes_any_text(tmp_path):
    random_model(tmp_path / "m.gguf", SHAPE)
    text = Text(Reference(tmp_path / "m.gguf"))
    for sample in ("a word, and <another>", "\n\t", "Zo\u00eb \u4e16"):
        assert text.decode(text.encode(sample)) == " " + sample
    assert text.pieces[:4] == ["<unk>", "<s>", "</s>", "<0x00>"]
    # "▁a" to "▁z" come first among the pieces that join.
    assert text.encode("b") == [1, text.ids[SPACE + "b"]]


def test_pieces_are_as_many_as_asked_and_all_different():
    for size in (354, 355, 5000):
        pieces = Vocabulary.synthetic(size).pieces
        assert len(pieces) == len(set(pieces)) == size


@pytest.mark.parametrize(("change", "message"), [
    ({"heads": 7}, "width 64 is no multiple of twice the 7 heads"),
    ({"heads": 64}, "heads of an even width"),
    ({"kv_heads": 3}, "8 heads cannot share 3 key/value heads"),
    ({"layers": 0}, "layers is 0, expected at least 1"),
])
def test_shapes_that_do_not_fit_are_refused(change, message):
    sizes = dict(width=64, layers=2, heads=8, kv_heads=2, ffn=96, vocab=400)
    with pytest.raises(CleaveError, match=message):
        LlamaShape(**(sizes | change))


def test_refusals_leave_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(CleaveError, match="unknown element type 'q5_9', expected one of f32"):
        random_model(tmp_path / "m.gguf", SHAPE, "q5_9")
    with pytest.raises(CleaveError, match="300 tokens is too small"):
        random_model(tmp_path / "m.gguf", LlamaShape(64, 1, 8, 8, 32, 300))
    with pytest.raises(CleaveError, match="No such file or directory"):
        random_model(tmp_path / "no" / "m.gguf", SHAPE)
    with pytest.raises(CleaveError, match="is no regular file"):
        random_model(tmp_path / "folder", SHAPE)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cleave.random_model.draw", full)
    with pytest.raises(CleaveError, match="cannot write .*No space left on device"):
        random_model(tmp_path / "m.gguf", SHAPE)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_and_reports(tmp_path, capsys):
    sizes = "--width 64 --layers 1 --heads 4 --kv-heads 4 --ffn 64 --vocab 400".split()
    output = tmp_path / "m.gguf"
    assert main(["random-model", *sizes, "--type", "q8_0", "--tied", "-o", str(output)]) == 0
    assert len(gguf.GGUFReader(output).tensors) == 11
    assert main(["random-model", *sizes, "--type", "q9", "-o", str(output)]) == 1
    assert "cleave: error: unknown element type 'q9'" in capsys.readouterr().err
