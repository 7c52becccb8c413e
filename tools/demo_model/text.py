"""The text encoder: umT5's parameters and arithmetic, small, and a SentencePiece vocabulary of the world's words.

`check.py` compares it with transformers' UMT5EncoderModel.
"""

import math
import os
import random

import torch
import torch.nn.functional as F
from torch import nn

import world

TEXT_LENGTH = 32  # rows of context the DiT sees; those without a piece are zero
WIDTH, HEADS, HEAD, HIDDEN, LAYERS, BUCKETS, FAR = 128, 4, 32, 256, 2, 32, 128

# Words nobody is taught: so that they have pieces, and so that known words are not swallowed by longer pieces.
OTHER_WORDS = """video clip shape colour small large slowly quickly slides drifts goes travels across against over and of
    in at it then dark light gray violet rectangle disc box ball background upward downward leftward rightward one solid
    plain scene shows""".split()


def corpus():
    """Random sequences of words.  From plain captions the trainer makes pieces of words that always occur together,
    which then fall apart in every other sentence."""
    choose = random.Random(0)
    words = sorted({word for scene in world.SCENES for i in range(world.CAPTIONS_PER_SCENE)
                    for word in world.caption(scene, i).replace(",", " ,").split()})
    lines = [" ".join(choose.choice(words if choose.random() < 0.85 else OTHER_WORDS)
                      for _ in range(choose.randint(3, 9))) for _ in range(20000)]
    return lines + [" ".join("abcdefghijklmnopqrstuvwxyz,.-'0123456789")] * 20


def train_tokenizer(path):
    import io

    import sentencepiece
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, model_type="unigram", vocab_size=150,
        hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>",
        unk_piece="<unk>", character_coverage=1.0, normalization_rule_name="nmt_nfkc_cf", num_threads=1, minloglevel=2)
    with open(path + ".part", "wb") as file:
        file.write(model.getvalue())
    os.replace(path + ".part", path)


class Captions:
    """All captions as piece numbers, on the device: [scene * CAPTIONS_PER_SCENE + which], and last the empty one."""

    def __init__(self, model_file, device="cpu"):
        import sentencepiece
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=model_file)
        self.size = self.pieces.get_piece_size()
        texts = [world.caption(s, i) for s in world.SCENES for i in range(world.CAPTIONS_PER_SCENE)] + [""]
        self.ids = self.encode(texts).to(device)
        self.number = torch.zeros(6, 3, 4, 3, dtype=torch.long, device=device)
        for i, scene in enumerate(world.SCENES):
            self.number[scene] = i

    def encode(self, texts):
        rows = torch.zeros(len(texts), TEXT_LENGTH, dtype=torch.long)
        for row, text in zip(rows, texts):
            ids = self.pieces.encode(text) + [1]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    def choose(self, scenes, generator, drop):
        """A random caption of each scene [B, 4]; the empty one for a share `drop`."""
        device, count = self.ids.device, len(scenes)
        which = torch.randint(world.CAPTIONS_PER_SCENE, (count,), generator=generator, device=device)
        rows = self.number[tuple(scenes.T)] * world.CAPTIONS_PER_SCENE + which
        dropped = torch.rand(count, generator=generator, device=device) < drop
        return self.ids[torch.where(dropped, len(self.ids) - 1, rows)]


def buckets(length):
    """The T5 bucket of each pair of positions [query, key], both directions, logarithmic from a quarter on."""
    table = torch.zeros(length, length, dtype=torch.long)
    half, exact = BUCKETS // 2, BUCKETS // 4
    for query in range(length):
        for key in range(length):
            far = abs(key - query)
            if far >= exact:
                far = exact + int(math.log(far / exact) / math.log(FAR / exact) * (half - exact))
            table[query, key] = min(far, half - 1) + (half if key > query else 0)
    return table


class Scale(nn.Module):
    """RMS norm with a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        wide = x.float()
        return self.weight * wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)


def matrix(inputs, outputs, deviation):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=deviation)
    return layer


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        inner = HEADS * HEAD
        self.q = matrix(WIDTH, inner, (WIDTH * HEAD) ** -0.5)
        self.k, self.v = (matrix(WIDTH, inner, WIDTH**-0.5) for _ in range(2))
        self.o = matrix(inner, WIDTH, inner**-0.5)
        self.relative_attention_bias = nn.Embedding(BUCKETS, HEADS)
        nn.init.normal_(self.relative_attention_bias.weight, std=WIDTH**-0.5)

    def forward(self, x, mask, pairs):
        b, n, _ = x.shape
        q, k, v = (layer(x).view(b, n, HEADS, HEAD).transpose(1, 2) for layer in (self.q, self.k, self.v))
        bias = self.relative_attention_bias(pairs).permute(2, 0, 1)[None].float() + mask
        weights = (torch.matmul(q, k.transpose(2, 3)).float() + bias).softmax(-1)
        return self.o(torch.matmul(weights.to(v.dtype), v).transpose(1, 2).reshape(b, n, -1))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.wi_0, self.wi_1 = (matrix(WIDTH, HIDDEN, WIDTH**-0.5) for _ in range(2))
        self.wo = matrix(HIDDEN, WIDTH, HIDDEN**-0.5)

    def forward(self, x):
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class Layer(nn.Module):
    def __init__(self, name, inner):
        super().__init__()
        self.add_module(name, inner)
        self.layer_norm = Scale()
        self.inner = name

    def forward(self, x, *rest):
        return x + getattr(self, self.inner)(self.layer_norm(x), *rest).float()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList([Layer("SelfAttention", SelfAttention()), Layer("DenseReluDense", Gated())])


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.ModuleList(Block() for _ in range(LAYERS))
        self.final_layer_norm = Scale()


class TextEncoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.shared = nn.Embedding(vocabulary, WIDTH)
        self.encoder = Stack()
        self.register_buffer("pairs", buckets(TEXT_LENGTH), persistent=False)

    def forward(self, ids):
        """[B, 32] pieces, 0 where there is none -> [B, 32, 128], zero there"""
        there = ids != 0
        mask = torch.where(there, 0.0, torch.finfo(torch.float32).min)[:, None, None, :]
        x = self.shared(ids).float()
        for block in self.encoder.block:
            x = block.layer[1](block.layer[0](x, mask, self.pairs))
        return self.encoder.final_layer_norm(x) * there[..., None]


def config(vocabulary):
    """transformers' config.json"""
    return {"architectures": ["UMT5EncoderModel"], "model_type": "umt5", "vocab_size": vocabulary, "d_model": WIDTH,
            "d_kv": HEAD, "num_heads": HEADS, "d_ff": HIDDEN, "num_layers": LAYERS, "num_decoder_layers": LAYERS,
            "relative_attention_num_buckets": BUCKETS, "relative_attention_max_distance": FAR, "dropout_rate": 0.0,
            "feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu_new", "is_gated_act": True,
            "is_encoder_decoder": True, "layer_norm_epsilon": 1e-06, "pad_token_id": 0, "eos_token_id": 1,
            "decoder_start_token_id": 0, "tie_word_embeddings": True, "dtype": "bfloat16"}
