"""The VAE of Wan2.1 for training: the parameters of diffusers' AutoencoderKLWan, whole clips at once.

The published class goes through a clip in chunks with a cache of past frames.  The same function of the whole clip
is: frame 0 passes by every time convolution, and all others are causal.  Activations are [B, T, H, W, C], and a causal
3D convolution is a 2D one over three frames stacked along the channels, which is what makes training fast.
`check.py` compares it with the class.
"""

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {"base_dim": 16, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1, "attn_scales": [],
          "temperal_downsample": [False, True, True], "dropout": 0.0}
WIDTHS = [CONFIG["base_dim"] * m for m in CONFIG["dim_mult"]]  # 16, 32, 64, 64


def fused(x, gamma):
    """x [n, width]"""
    wide = x.float()
    scale = torch.rsqrt((wide * wide).sum(-1, keepdim=True).clamp_min(1e-24)) * gamma.shape[0] ** 0.5
    return F.silu(wide * scale * gamma).to(x.dtype)


def norm_silu(x, gamma):
    return fused(x.reshape(-1, x.shape[-1]), gamma).reshape(x.shape)


def compile_norms():
    """Makes one kernel of each norm: a third of the memory traffic on a GPU.  Where the compiler does not work,
    everything stays as it was."""
    global fused
    import torch._dynamo
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.recompile_limit = 64
    compiled = torch.compile(fused)

    def any_length(x, gamma):  # one kernel for each width, whatever the number of pixels
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_static(x, 1)
        return compiled(x, gamma)

    fused = any_length


def flat_conv(x, weight, bias, stride=1, padding=0):
    b, t, h, w, c = x.shape
    y = F.conv2d(x.reshape(b * t, h, w, c).permute(0, 3, 1, 2), weight, bias, stride, padding)
    y = y.permute(0, 2, 3, 1)
    return y.reshape(b, t, *y.shape[1:])


def stacked(weight):
    """[O, I, 3, kh, kw] as a 2D kernel over three stacked frames."""
    o, _, _, kh, kw = weight.shape
    return weight.permute(0, 2, 1, 3, 4).reshape(o, -1, kh, kw)


class Conv(nn.Conv3d):
    """Causal: the output at a frame sees that frame and the two before it."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__(inputs, outputs, kernel)

    def forward(self, x):
        time, height, _ = self.kernel_size
        frames = x.shape[1]
        if time == 1:
            weight = self.weight[:, :, 0]
        elif frames == 1:  # before it there are zeros
            weight = self.weight[:, :, 2]
        else:
            x = F.pad(x, (0, 0) * 3 + (2, 0))
            x = torch.cat([x[:, i : i + frames] for i in range(3)], -1)
            weight = stacked(self.weight)
        if height == 1:
            return F.linear(x, weight[:, :, 0, 0], self.bias)
        return flat_conv(x, weight, self.bias, padding=1)


class Norm(nn.Module):
    def __init__(self, width, ones):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width, *[1] * ones))


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = Norm(inputs, 3), Conv(inputs, outputs, 3)
        self.norm2, self.conv2 = Norm(outputs, 3), Conv(outputs, outputs, 3)
        self.conv_shortcut = Conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = self.conv1(norm_silu(x, self.norm1.gamma.flatten()))
        return self.conv2(norm_silu(y, self.norm2.gamma.flatten())) + self.conv_shortcut(x)


class Attention(nn.Module):
    """Over the pixels of each frame, one head."""

    def __init__(self, width):
        super().__init__()
        self.norm = Norm(width, 2)
        self.to_qkv, self.proj = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x):
        b, t, h, w, c = x.shape
        y = F.normalize(x.float(), dim=-1, eps=1e-12) * c**0.5 * self.norm.gamma.flatten()
        y = F.linear(y.to(x.dtype).reshape(b * t, 1, h * w, c), self.to_qkv.weight[:, :, 0, 0], self.to_qkv.bias)
        y = F.scaled_dot_product_attention(*y.chunk(3, -1))
        return x + F.linear(y.reshape(x.shape), self.proj.weight[:, :, 0, 0], self.proj.bias)


class Down(nn.Module):
    def __init__(self, width, in_time):
        super().__init__()
        self.resample = nn.Sequential(nn.Identity(), nn.Conv2d(width, width, 3, stride=2))
        if in_time:
            self.time_conv = nn.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1))

    def forward(self, x):
        conv = self.resample[1]
        x = flat_conv(F.pad(x, (0, 0, 0, 1, 0, 1)), conv.weight, conv.bias, stride=2)
        if not hasattr(self, "time_conv") or x.shape[1] == 1:
            return x
        frames = x.shape[1]
        y = torch.cat([x[:, i : frames - 2 + i : 2] for i in range(3)], -1)
        y = F.linear(y, stacked(self.time_conv.weight)[:, :, 0, 0], self.time_conv.bias)
        return torch.cat([x[:, :1], y], 1)


class Up(nn.Module):
    def __init__(self, width, in_time):
        super().__init__()
        self.resample = nn.Sequential(nn.Identity(), nn.Conv2d(width, width // 2, 3))
        if in_time:
            self.time_conv = Conv(width, 2 * width, (3, 1, 1))

    def forward(self, x):
        b, t, h, w, c = x.shape
        if hasattr(self, "time_conv") and t > 1:
            y = self.time_conv(x[:, 1:]).reshape(b, t - 1, h, w, 2, c)
            y = y.permute(0, 1, 4, 2, 3, 5).reshape(b, 2 * (t - 1), h, w, c)
            x = torch.cat([x[:, :1], y], 1)
        x = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2, -1).reshape(b, -1, 2 * h, 2 * w, c)
        return flat_conv(x, self.resample[1].weight, self.resample[1].bias, padding=1)


class Middle(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.resnets = nn.ModuleList([Residual(width, width), Residual(width, width)])
        self.attentions = nn.ModuleList([Attention(width)])

    def forward(self, x):
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_in = Conv(3, WIDTHS[0], 3)
        self.down_blocks = nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip(WIDTHS[:1] + WIDTHS, WIDTHS)):
            self.down_blocks.append(Residual(inputs, outputs))
            if i + 1 < len(WIDTHS):
                self.down_blocks.append(Down(outputs, CONFIG["temperal_downsample"][i]))
        self.mid_block = Middle(WIDTHS[-1])
        self.norm_out, self.conv_out = Norm(WIDTHS[-1], 3), Conv(WIDTHS[-1], 2 * CONFIG["z_dim"], 3)

    def forward(self, x):
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(norm_silu(self.mid_block(x), self.norm_out.gamma.flatten()))


class UpBlock(nn.Module):
    def __init__(self, inputs, outputs, up, in_time):
        super().__init__()
        self.resnets = nn.ModuleList([Residual(inputs, outputs), Residual(outputs, outputs)])
        self.upsamplers = nn.ModuleList([Up(outputs, in_time)] if up else [])

    def forward(self, x):
        for block in [*self.resnets, *self.upsamplers]:
            x = block(x)
        return x


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        widths = WIDTHS[::-1]
        in_time = CONFIG["temperal_downsample"][::-1] + [False]
        self.conv_in = Conv(CONFIG["z_dim"], widths[0], 3)
        self.mid_block = Middle(widths[0])
        self.up_blocks = nn.ModuleList()
        for i, outputs in enumerate(widths):
            inputs = widths[i - 1] // 2 if i else widths[0]
            self.up_blocks.append(UpBlock(inputs, outputs, i + 1 < len(widths), in_time[i]))
        self.norm_out, self.conv_out = Norm(widths[-1], 3), Conv(widths[-1], 3, 3)

    def forward(self, z):
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(norm_silu(x, self.norm_out.gamma.flatten()))


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        z = CONFIG["z_dim"]
        self.encoder, self.quant_conv = Encoder(), Conv(2 * z, 2 * z, 1)
        self.post_quant_conv, self.decoder = Conv(z, z, 1), Decoder()
        with torch.no_grad():
            self.quant_conv.bias[z:] = -5.0  # begins nearly without noise, or nothing is learnt

    def encode(self, x):
        """[B, T, H, W, 3] in [-1, 1] -> mean and log variance, [B, t, h, w, 16]"""
        return self.quant_conv(self.encoder(x)).float().chunk(2, -1)

    def decode(self, z):
        """[B, t, h, w, 16] -> [B, T, H, W, 3], not clamped"""
        return self.decoder(self.post_quant_conv(z)).float()
