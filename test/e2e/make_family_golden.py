"""Writes what Hugging Face's transformers make of the models of test/models/families.py, as JSON.

    make_family_golden.py -o test/e2e/data/families.json

Needs torch and transformers; run with version 5.23 and torch 2.13 for the file that is there. Per
model: tokens, and the logits after the last of them. reference.py is tested against these.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "test" / "models")]
from families import CONTEXT, SHAPES, VOCABULARY, Shape, seed_of, write  # noqa: E402

TOKENS = [1, *np.random.SFC64(7).random_raw(23).__mod__(VOCABULARY - 3).__add__(3).tolist()]
NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate_inp": "mlp.gate", "ffn_up_exps": "mlp.experts.gate_up_proj",
    "ffn_down_exps": "mlp.experts.down_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def network(shape: Shape) -> Any:
    """The untrained module that transformers have for the family."""
    sizes = dict(vocab_size=VOCABULARY, hidden_size=shape.width, intermediate_size=shape.ffn,
                 num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
                 num_key_value_heads=shape.kv_heads, max_position_embeddings=CONTEXT,
                 rms_norm_eps=1e-6, tie_word_embeddings=shape.tied, attn_implementation="eager",
                 pad_token_id=None, bos_token_id=1, eos_token_id=2)
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    if shape.architecture == "qwen2":
        config = transformers.Qwen2Config(rope_parameters=rope, **sizes)
        return transformers.Qwen2ForCausalLM(config)
    if shape.architecture == "qwen3":
        config = transformers.Qwen3Config(rope_parameters=rope | {"rope_theta": 1000000.0},
                                          head_dim=shape.head_dim, **sizes)
        return transformers.Qwen3ForCausalLM(config)
    experts = dict(num_experts_per_tok=shape.used, experts_implementation="eager")
    if shape.architecture == "llama":
        config = transformers.MixtralConfig(rope_parameters=rope, head_dim=shape.head_dim,
                                            num_local_experts=shape.experts, **experts, **sizes)
        return transformers.MixtralForCausalLM(config)
    if shape.architecture == "qwen3moe":
        config = transformers.Qwen3MoeConfig(
            rope_parameters=rope | {"rope_theta": 1000000.0}, head_dim=shape.head_dim,
            num_experts=shape.experts, moe_intermediate_size=shape.ffn, norm_topk_prob=True,
            **experts, **sizes)
        return transformers.Qwen3MoeForCausalLM(config)
    rope["partial_rotary_factor"] = shape.rotated / shape.head_dim
    config = transformers.Phi3Config(rope_parameters=rope, sliding_window=shape.window or None,
                                     original_max_position_embeddings=CONTEXT, **sizes)
    return transformers.Phi3ForCausalLM(config)


def weight_name(name: str, shape: Shape) -> str:
    """A tensor's name in transformers."""
    *block, linear, kind = name.split(".")
    theirs = NAMES[linear]
    if shape.fused and linear == "ffn_up":
        theirs = "mlp.gate_up_proj"
    if linear.endswith("_exps"):
        return f"model.layers.{block[1]}.{theirs}"
    return f"{f'model.layers.{block[1]}.' if block else ''}{theirs}.{kind}"


def logits(path: Path, shape: Shape) -> list[float]:
    """Those after the last token."""
    model = network(shape).to(torch.float64).eval()
    tensors = {each.name: torch.from_numpy(each.data.astype(np.float64))
               for each in gguf.GGUFReader(path).tensors}
    if shape.architecture == "llama":
        # The converter has interleaved the halves of each head of q and k.
        for name in tensors:
            if "attn_q." in name or "attn_k." in name:
                rows = tensors[name]
                pairs = rows.reshape(-1, shape.head_dim // 2, 2, rows.shape[-1])
                tensors[name] = pairs.swapaxes(1, 2).reshape(rows.shape)
    for name in [name for name in tensors if name.endswith("ffn_gate_exps.weight")]:
        up = name.replace("gate", "up")
        tensors[up] = torch.cat([tensors.pop(name), tensors[up]], dim=1)
    given = {weight_name(name, shape): tensor for name, tensor in tensors.items()}
    missing, unexpected = model.load_state_dict(given, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= ({"lm_head.weight"} if shape.tied else set()), missing
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0, -1].tolist()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", "--output", type=Path, required=True)
    given = options.parse_args()
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in SHAPES.items():
            # transformers have no biases at these places.
            if shape.other_bias:
                continue
            path = Path(folder) / f"{name}.gguf"
            write(path, shape, gguf.GGMLQuantizationType.F32, seed_of(name))
            cases[name] = [round(each, 7) for each in logits(path, shape)]
    content = {"note": f"by make_family_golden.py with transformers {transformers.__version__}",
               "tokens": TOKENS, "logits": cases}
    given.output.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
