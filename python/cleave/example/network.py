"""A llama decoder in PyTorch whose parameters carry the names and layouts of the GGUF file."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..llama_file import LlamaShape

Parameters = dict[str, Tensor]


def initial(shape: LlamaShape, seed: int) -> Parameters:
    """Norms of one, matrices of a normal distribution; what adds to the residual starts smaller."""
    generator = torch.Generator().manual_seed(seed)
    parameters: Parameters = {}
    for name, size in shape.tensors():
        if name.endswith("norm.weight"):
            value = torch.ones(size)
        else:
            value = torch.randn(size, generator=generator) * 0.02
            if "attn_output" in name or "ffn_down" in name:
                value /= (2 * shape.layers) ** 0.5
        parameters[name] = value.requires_grad_()
    return parameters


def rotate(x: Tensor, shape: LlamaShape) -> Tensor:
    """Rotary position embedding of `x` [batch, tokens, heads, head_dim], positions from 0.

    Elements 2i and 2i+1 are a pair, as GGUF's `llama` stores q and k (Su et al., arXiv:2104.09864).
    """
    frequency = shape.rope_base ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
    angle = torch.arange(x.shape[1])[:, None] * frequency
    cos, sin = angle.cos()[:, None, :], angle.sin()[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def logits(parameters: Parameters, shape: LlamaShape, tokens: Tensor) -> Tensor:
    """[batch, tokens] ids to [batch, tokens, vocab] logits."""
    batch, length = tokens.shape
    weight = parameters["token_embd.weight"]
    x = weight[tokens]

    def norm(values: Tensor, name: str) -> Tensor:
        return F.rms_norm(values, (shape.width,), parameters[name], shape.norm_epsilon)

    for layer in range(shape.layers):
        block = f"blk.{layer}."

        def linear(values: Tensor, name: str) -> Tensor:
            return F.linear(values, parameters[f"{block}{name}.weight"])

        h = norm(x, block + "attn_norm.weight")
        q, k, v = (linear(h, f"attn_{each}").view(batch, length, -1, shape.head_dim)
                   for each in "qkv")
        q, k = rotate(q, shape), rotate(k, shape)
        group = shape.heads // shape.kv_heads
        k, v = (each.repeat_interleave(group, dim=2) for each in (k, v))
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(a.transpose(1, 2).flatten(2), "attn_output")
        h = norm(x, block + "ffn_norm.weight")
        x = x + linear(F.silu(linear(h, "ffn_gate")) * linear(h, "ffn_up"), "ffn_down")
    return F.linear(norm(x, "output_norm.weight"), parameters.get("output.weight", weight))
