"""Small models with random weights, exported from PyTorch to ONNX by either of its exporters, and
inputs for them. Comparing what runs them is the tests' affair.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn

WIDTH, HEADS, LAYERS, VOCABULARY = 32, 4, 2, 96

Sizes = dict[str, int]


@dataclass
class Model:
    """A module, with a tensor for each parameter of its `forward`, given sizes by name."""

    module: nn.Module
    inputs: dict[str, tuple[str | int, ...]]
    """The shape of each input, in the order of `forward`: sizes by name stay open."""
    outputs: list[str]
    sizes: list[Sizes]
    """Some sizes that the open ones may have; those of the export come first."""
    integers: dict[str, int] = field(default_factory=dict)
    """Inputs of integers, and the first integer that is too large."""
    flags: tuple[str, ...] = ()
    """What partition-tool must be told."""

    def values(self, sizes: Sizes) -> dict[str, np.ndarray]:
        """Random values for all inputs."""
        random = np.random.default_rng(len(self.inputs) + sum(sizes.values()))
        made = {}
        for name, dims in self.inputs.items():
            shape = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in dims]
            made[name] = random.integers(0, self.integers[name], shape) \
                if name in self.integers else random.standard_normal(shape).astype(np.float32)
        return made


def export(model: Model, path: Path, dynamo: bool) -> Path:
    """Writes the model as ONNX, without the exporters' chatter."""
    arguments = tuple(torch.from_numpy(value) for value in model.values(model.sizes[0]).values())
    open_dims = {name: {i: dim for i, dim in enumerate(dims) if isinstance(dim, str)}
                 for name, dims in model.inputs.items()}
    options: dict = {"dynamo": dynamo, "input_names": list(model.inputs),
                     "output_names": model.outputs}
    if dynamo:
        options |= {"external_data": False, "verbose": False, "dynamic_shapes": tuple(
            {i: torch.export.Dim(dim) if dim.isidentifier() else torch.export.Dim.DYNAMIC
             for i, dim in dims.items()} for dims in open_dims.values())}
    else:
        options |= {"opset_version": 17, "dynamic_axes": open_dims}
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(model.module, arguments, str(path), **options)
    finally:
        logging.disable(logging.NOTSET)
    return path


def randomize(module: nn.Module) -> nn.Module:
    """Weights as large as makes activations of about 1: initial ones are so small that mistakes
    would not show.
    """
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.dim() >= 2:
                fan = weight[0].numel()
                weight.copy_(torch.randn(weight.shape, generator=generator) / fan**0.5)
            elif "norm" in name.lower() or "ln_" in name:
                weight.copy_(torch.rand(weight.shape, generator=generator) + 0.5)
            else:
                weight.copy_(torch.randn(weight.shape, generator=generator) / 4)
    return module.eval()


# ---- Encoders ----

def bert() -> Model:
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, intermediate_size=2 * WIDTH, max_position_embeddings=40)

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.BertModel(config)

        def forward(self, input_ids, attention_mask, token_type_ids):
            result = self.model(input_ids, attention_mask, token_type_ids)
            return result.last_hidden_state, result.pooler_output

    shape = ("batch", "seq")
    return Model(randomize(Bert()), {"input_ids": shape, "attention_mask": shape,
                                     "token_type_ids": shape}, ["hidden", "pooled"],
                 [{"batch": 2, "seq": 7}, {"batch": 3, "seq": 20}],
                 {"input_ids": VOCABULARY, "attention_mask": 2, "token_type_ids": 2})


def vit() -> Model:
    config = transformers.ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH, image_size=16, patch_size=4, num_labels=10)

    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.ViTForImageClassification(config)

        def forward(self, pixels):
            return self.model(pixels).logits

    return Model(randomize(Vit()), {"pixels": ("batch", 3, 16, 16)}, ["logits"],
                 [{"batch": 2}, {"batch": 3}])


def fused_vit() -> Model:
    """Queries, keys and values of one matrix, taken apart by number, as many vision transformers
    have them.
    """
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.mix = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x):
            batch, tokens, _ = x.shape
            qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, HEADS, WIDTH // HEADS)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            scores = (q * (WIDTH // HEADS) ** -0.5) @ k.transpose(-2, -1)
            mixed = scores.softmax(-1) @ v
            x = x + self.mix(mixed.transpose(1, 2).reshape(batch, tokens, WIDTH))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, WIDTH, 4, 4)
            self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.places = nn.Parameter(torch.zeros(1, 17, WIDTH))
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

        def forward(self, pixels):
            x = self.patches(pixels).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
            return self.head(self.norm(self.blocks(x))[:, 0])

    return Model(randomize(Vit()), {"pixels": ("batch", 3, 16, 16)}, ["logits"],
                 [{"batch": 2}, {"batch": 3}])


def torch_encoder() -> Model:
    """PyTorch's own layers, which put batch and heads into one dimension, and attention that gives
    its weights, too, and so is products and a softmax of three dimensions.
    """
    torch.backends.mha.set_fastpath_enabled(False)  # it makes an op that is no ONNX

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*[nn.TransformerEncoderLayer(
                WIDTH, HEADS, 2 * WIDTH, batch_first=True) for _ in range(LAYERS)])
            self.pool = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x, mask):
            y = self.layers(x)
            return self.pool(y, y, y, attn_mask=mask)

    return Model(randomize(Encoder()), {"x": ("batch", 6, WIDTH), "mask": (6, 6)},
                 ["pooled", "weights"],
                 [{"batch": 2}, {"batch": 3}])


def resnet() -> Model:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 24], depths=[2, 1], layer_type="bottleneck",
        num_labels=10)

    class Resnet(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.ResNetForImageClassification(config)

        def forward(self, pixels):
            return self.model(pixels).logits

    module = randomize(Resnet())
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
            part.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    return Model(module, {"pixels": ("batch", 3, 32, 32)}, ["logits"],
                 [{"batch": 2}, {"batch": 1}])


# ---- Decoders ----

class Decoder(nn.Module):
    """A causal language model with its cache as inputs and outputs."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, past_k0, past_v0, past_k1, past_v1):
        cache = transformers.DynamicCache([(past_k0, past_v0), (past_k1, past_v1)])
        result = self.model(input_ids, past_key_values=cache, use_cache=True)
        layers = result.past_key_values.layers
        return (result.logits, layers[0].keys, layers[0].values, layers[1].keys, layers[1].values)


def decoder(model: nn.Module, kv_heads: int) -> Model:
    past = ("batch", kv_heads, "past", WIDTH // HEADS)
    names = ["k0", "v0", "k1", "v1"]
    return Model(randomize(Decoder(model)),
                 {"input_ids": ("batch", "seq")} | {f"past_{name}": past for name in names},
                 ["logits", *(f"present_{name}" for name in names)],
                 [{"batch": 2, "past": 6, "seq": 3}, {"batch": 1, "past": 12, "seq": 1},
                  {"batch": 3, "past": 0, "seq": 8}],
                 {"input_ids": VOCABULARY})


def gpt2(attention: str = "sdpa") -> Model:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=40,
        attn_implementation=attention)
    return decoder(transformers.GPT2LMHeadModel(config), HEADS)


def llama() -> Model:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS // 2, intermediate_size=2 * WIDTH,
        max_position_embeddings=40)
    return decoder(transformers.LlamaForCausalLM(config), HEADS // 2)


# ---- An encoder with a decoder ----

def t5() -> Model:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=2 * WIDTH,
        num_layers=LAYERS, num_decoder_layers=LAYERS, num_heads=HEADS,
        relative_attention_num_buckets=8, relative_attention_max_distance=16)

    class T5(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = transformers.T5ForConditionalGeneration(config)

        def forward(self, input_ids, decoder_input_ids):
            return self.model(input_ids=input_ids, decoder_input_ids=decoder_input_ids,
                              use_cache=False).logits

    return Model(randomize(T5()), {"input_ids": ("batch", "source"),
                                   "decoder_input_ids": ("batch", "target")}, ["logits"],
                 [{"batch": 2, "source": 7, "target": 5}, {"batch": 1, "source": 12, "target": 9}],
                 {"input_ids": VOCABULARY, "decoder_input_ids": VOCABULARY})


MODELS: dict[str, Callable[[], Model]] = {
    "bert": bert, "vit": vit, "fused_vit": fused_vit, "torch_encoder": torch_encoder,
    "resnet": resnet, "gpt2": gpt2, "llama": llama, "t5": t5,
}
