"""The diffusion transformer of Wan2.1 for training: the parameters of diffusers' WanTransformer3DModel, with the
rotary table made once.  `check.py` compares it with the class.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

HEADS, HEAD, LAYERS, HIDDEN, CHANNELS, TEXT_WIDTH, FREQUENCIES = 4, 48, 6, 768, 16, 128, 256
WIDTH = HEADS * HEAD
PATCH = (1, 2, 2)
CONFIG = {"patch_size": list(PATCH), "num_attention_heads": HEADS, "attention_head_dim": HEAD, "in_channels": CHANNELS,
          "out_channels": CHANNELS, "text_dim": TEXT_WIDTH, "freq_dim": FREQUENCIES, "ffn_dim": HIDDEN,
          "num_layers": LAYERS, "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "eps": 1e-6,
          "image_dim": None, "added_kv_proj_dim": None, "rope_max_seq_len": 1024, "pos_embed_seq_len": None}


def rotary(shape):
    """Cosine and sine [tokens, HEAD / 2] of a clip of `shape` (frames, rows, columns) of tokens."""
    sides = [HEAD - 4 * (HEAD // 6), 2 * (HEAD // 6), 2 * (HEAD // 6)]
    places = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    angles = [place.reshape(-1, 1) / 10000.0 ** (torch.arange(0, side, 2, dtype=torch.float64) / side)
              for place, side in zip(places, sides)]
    angles = torch.cat(angles, 1)
    return angles.cos().float(), angles.sin().float()


def rotate(x, cosine, sine):
    """x [B, heads, tokens, HEAD], neighbours as pairs"""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2).to(x.dtype)


class Rms(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * self.weight).to(x.dtype)


def plain_norm(x):
    return F.layer_norm(x.float(), (WIDTH,), eps=1e-6)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])
        self.norm_q, self.norm_k = Rms(), Rms()

    def forward(self, x, context, angles=None):
        heads = lambda y: y.unflatten(-1, (HEADS, HEAD)).transpose(1, 2)
        q, k = heads(self.norm_q(self.to_q(x))), heads(self.norm_k(self.to_k(context)))
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        y = F.scaled_dot_product_attention(q, k, heads(self.to_v(context)))
        return self.to_out[0](y.transpose(1, 2).flatten(2))


class Gelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(WIDTH, HIDDEN)

    def forward(self, x):
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.ModuleList([Gelu(), nn.Identity(), nn.Linear(HIDDEN, WIDTH)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn1, self.attn2, self.ffn = Attention(), Attention(), FeedForward()
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, WIDTH) / WIDTH**0.5)

    def forward(self, x, context, time, cosine, sine):
        """x [B, tokens, WIDTH] fp32, context [B, 32, WIDTH], time [B, 6, WIDTH] fp32"""
        shift, scale, gate, shift2, scale2, gate2 = (self.scale_shift_table + time).chunk(6, 1)
        y = plain_norm(x) * (1 + scale) + shift
        x = x + self.attn1(y, y, (cosine, sine)).float() * gate
        x = x + self.attn2(self.norm2(x), context).float()
        y = plain_norm(x) * (1 + scale2) + shift2
        return x + self.ffn(y).float() * gate2


class TwoLinear(nn.Module):
    def __init__(self, inputs, activation):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.activation = activation

    def forward(self, x):
        return self.linear_2(self.activation(self.linear_1(x)))


class Conditions(nn.Module):
    def __init__(self):
        super().__init__()
        self.time_embedder = TwoLinear(FREQUENCIES, F.silu)
        self.time_proj = nn.Linear(WIDTH, 6 * WIDTH)
        self.text_embedder = TwoLinear(TEXT_WIDTH, lambda x: F.gelu(x, approximate="tanh"))


class Dit(nn.Module):
    def __init__(self, latent_shape):
        """latent_shape: (frames, height, width) of the latents it will see"""
        super().__init__()
        self.patch_embedding = nn.Conv3d(CHANNELS, WIDTH, PATCH, PATCH)
        self.condition_embedder = Conditions()
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.proj_out = nn.Linear(WIDTH, CHANNELS * math.prod(PATCH))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, WIDTH) / WIDTH**0.5)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)
        self.grid = tuple(n // p for n, p in zip(latent_shape, PATCH))
        for name, table in zip(("cosine", "sine"), rotary(self.grid)):
            self.register_buffer(name, table, persistent=False)

    def embed(self, x):
        """[B, 16, T, H, W] -> [B, tokens, WIDTH]; a convolution without overlap is a product"""
        t, h, w = self.grid
        patches = x.reshape(len(x), CHANNELS, t, h, 2, w, 2).permute(0, 2, 3, 5, 1, 4, 6).reshape(len(x), t * h * w, -1)
        return F.linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias).float()

    def forward(self, x, time, context):
        """x [B, 16, T, H, W], time [B] in 0 .. 1000, context [B, 32, 128] -> velocity like x"""
        half = FREQUENCIES // 2
        rates = torch.exp(-math.log(10000.0) / half * torch.arange(half, device=x.device))
        angles = time.float()[:, None] * rates
        conditions = self.condition_embedder
        moment = conditions.time_embedder(torch.cat([angles.cos(), angles.sin()], 1)).float()
        six = conditions.time_proj(F.silu(moment)).float().unflatten(1, (6, WIDTH))
        context = conditions.text_embedder(context)
        y = self.embed(x)
        for block in self.blocks:
            y = block(y, context, six, self.cosine, self.sine)
        shift, scale = (self.scale_shift_table + moment[:, None]).chunk(2, 1)
        y = self.proj_out(plain_norm(y) * (1 + scale) + shift).float()
        t, h, w = self.grid
        y = y.reshape(len(x), t, h, w, 2, 2, CHANNELS).permute(0, 6, 1, 2, 4, 3, 5)
        return y.reshape(x.shape)
