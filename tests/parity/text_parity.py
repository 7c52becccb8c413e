#!/usr/bin/env python3
"""The text side against Python: ftfy and html for cleaning, SentencePiece and transformers for ids and umT5."""

import argparse
import html
import json
import random
import re
import subprocess
import tempfile
from html.entities import html5
from pathlib import Path

import ftfy
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"

NEGATIVE = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走")

TEXTS = [
    "", " ", "\n", "a cat", "  A cinematic shot,\tof a cat\n\n on a skateboard!  ", NEGATIVE,
    "“Curly” ‘quotes’ ʼtis ‟odd‛", "ﬁne ﬂuﬀy oﬃce waﬄe ﬅ ﬆ Ǆ ǅ ǆ Ĳ ŉ", "ＬＯＵＤ　ＮＯＩＳＥＳ！？～", "ｶﾞｷﾞｸﾞ ﾊﾟ ｱｲｳ ￥￦￡￣",
    "ﾡﾢￂￃ ￨￩￪", "e\u0301 A\u030a \u1112\u1161\u11ab q\u0307\u0323 \u0344 \u212b", "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁷󠁬󠁳󠁿 ☃️ 🇩🇪", "a\r\nb\rc\u2028d\u2029e\u0085f",
    "\x1b[31;1mred\x1b[0m \x1b[2K \x1b[ \x1b]0;title\x07", "a\x00b\x01c\x08\x0b\x0c\x1f\x7f\ufeff\ufffa\u206ad",
    "&amp; &lt;b&gt; &quot;x&quot; &#39;y&#39; &eacute; &EACUTE; &Eacute; &nTILDE; &SZLIG; &FFLIG; &NAPOS;",
    "&amp;amp;amp;amp;lt;", "this&not that &notit; &ampx &hellip &copy2024 &sup1 &frac12; &AMPLIFY; &LTCC; &THERE4;",
    "<p>&eacute; &amp;eacute; &amp;amp;eacute;</p>", "one &amp;amp;amp;lt;\ntwo <&amp;amp;amp;lt;\nthree &amp;amp;amp;lt;",
    "&CounterClockwiseContourIntegral; &NotEqualTilde; &fjlig; &Tab;|&NewLine;|&nbsp;|&zwj;|&af;",
    "&#65; &#x41; &#X41; &#65 &#x41g &#0; &#13; &#128; &#x85; &#x9f; &#xD83D;&#xDE00; &#x1F600; &#1114112; &#99999999999;",
    "&#1; &#x7f; &#xfdd0; &#xFFFE; &#; &#x; &#59; &#38;amp; &#12ab; &; & && &&amp;;", "\u0093smart\u0094 \u0091c1\u0092 \u0080 \u0081 \u0097",
    "zero\u200bwidth \u200e\u202eRTL no\u00a0break \u1680 \u2003 \u205f \u3000x", "Ĳssel ſtraße İstanbul ΐ ﬗ ﷺ Ⅷ ² ™ ℌ",
    "日本語の「テキスト」、中文，한국어 العربية हिन्दी ไทย", "tab\there &nbsp; end\n", "100% of 3 < 4 & 5 > 2; &c.", "\u0130\u0307 \u01c5\u030c",
    "&" * 50 + "amp;" * 5, "x" * 40 + "&" + "a" * 33 + ";&" + "b" * 24 + ";", "٣\x1b[٣mdigit", "&lt;&#x26;lt;&amp;lt",
]

PROMPTS = [
    "", "a red square moving left", "A large orange circle drifts to the right on a black background", "xylophone 42!",
    "a   b", "猫 red 猫猫 square", "naïve café ＡＢＣ ½ ﬁ", NEGATIVE, "a cat 🐈 on a mat", "word " * 100,
]

UMT5 = [  # d_model, d_kv, heads, d_ff, layers, tokens, padding
    (64, 16, 4, 128, 2, 7, 0),
    (96, 48, 3, 160, 3, 33, 31),
    (80, 64, 2, 96, 2, 1, 5),
    (128, 32, 4, 256, 2, 200, 56),
]


def ask(probe, arguments, value):
    done = subprocess.run([probe, *map(str, arguments)], input=json.dumps(value), check=True, capture_output=True,
                          text=True)
    return json.loads(done.stdout)


PIECES = ["a", "B", "7", " ", "\n", "\r", "<", ">", "&", "#", "x", ";", "&amp;", "amp", "lt;", "&lt", "&#38;", "&#x26;",
          "&Eacute;", "\x1b[", "0m", "\x85", "\x93", "\u3000", "，", "ﬁ", "ﾊ", "ﾟ", "e", "\u0301", "\u0323", "’", "”", "\u2028",
          "\ufeff", "\x00", "猫", "🐈", "ß", "&szlig;"]


def random_texts():
    """Without ftfy's guesses at wrong encodings, which such text provokes."""
    generator = random.Random(7)
    return ["".join(generator.choices(PIECES, k=generator.randint(1, 30))) for _ in range(20000)]


def reference_clean(text, fix_encoding=True):
    fixed = ftfy.fix_text(text, fix_encoding=fix_encoding)
    return re.sub(r"\s+", " ", html.unescape(html.unescape(fixed)).strip()).strip()


def compare_cleaning(probe, texts, fix_encoding):
    for text, found in zip(texts, ask(probe, ["clean"], texts), strict=True):
        wanted = reference_clean(text, fix_encoding)
        assert found == wanted, f"clean {text!r}: {found!r}, ftfy {wanted!r}"
    print(f"cleaning: {len(texts)} texts equal")


def check_cleaning(probe):
    names = list(html5)
    every_entity = [f"&{form}" for name in names for form in (name, name.upper(), name + "x")]
    every_character = [chr(c) + "x" for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    compare_cleaning(probe, TEXTS + PROMPTS + every_entity + every_character, fix_encoding=True)
    compare_cleaning(probe, random_texts(), fix_encoding=False)


def train_byte_fallback(folder):
    lines = ["the quick brown fox jumps over the lazy dog", "a cat runs in the snow at dusk", "two dogs play"] * 50
    (folder / "text").write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "bytes"), vocab_size=340, model_type="unigram",
        byte_fallback=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False, minloglevel=2)
    return folder / "bytes.model"


def check_ids(probe, model, text_len):
    processor = sentencepiece.SentencePieceProcessor(str(model))
    wanted = [processor.encode(p)[: text_len - 1] + [processor.eos_id()] for p in PROMPTS]
    found = ask(probe, ["tokens", model, text_len], PROMPTS)
    assert found == wanted, f"{model}: {found} wanted {wanted}"
    print(f"{model.name}, at most {text_len}: {sum(map(len, found))} ids equal")
    return found


def check_tokenizer(probe, folder):
    found = check_ids(probe, DEMO / "tokenizer" / "spiece.model", 512)
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "tokenizer")
    for prompt, ids in zip(PROMPTS, found, strict=True):
        wanted = tokenizer(prompt, max_length=512, truncation=True).input_ids
        assert ids == wanted, f"transformers, {prompt!r}: {ids} wanted {wanted}"
    check_ids(probe, DEMO / "tokenizer" / "spiece.model", 16)
    fallback = train_byte_fallback(folder)
    ids = check_ids(probe, fallback, 512)
    pieces = sentencepiece.SentencePieceProcessor(str(fallback))
    assert any(pieces.is_byte(i) for i in ids[-2]), "no byte piece for an emoji"


def official(state):
    """umT5's tensors of transformers under official names."""
    names = {"SelfAttention.relative_attention_bias": "pos_embedding.embedding", "SelfAttention": "attn",
             "DenseReluDense.wi_0": "ffn.gate.0", "DenseReluDense.wi_1": "ffn.fc1", "DenseReluDense.wo": "ffn.fc2"}
    out = {"token_embedding.weight": state["shared.weight"], "norm.weight": state["encoder.final_layer_norm.weight"]}
    for key, tensor in state.items():
        match = re.fullmatch(r"encoder\.block\.(\d+)\.layer\.(\d)\.(.*)\.weight", key)
        if match is None:
            continue
        layer, half, rest = match.groups()
        rest = rest.replace("layer_norm", f"norm{int(half) + 1}")
        for theirs, ours in names.items():
            rest = rest.replace(theirs, ours)
        out[f"blocks.{layer}.{rest}.weight"] = tensor
    return {key: tensor.detach().float().clone() for key, tensor in out.items()}


def run_encoder(probe, folder, model, ids, dtype):
    c = model.config
    config = {"vocab": c.vocab_size, "dim": c.d_model, "attn_dim": c.d_kv * c.num_heads, "ffn_dim": c.d_ff,
              "heads": c.num_heads, "layers": c.num_layers, "text_len": 512}
    save_file({**official(model.state_dict()), "ids": ids}, folder / "in.safetensors")
    subprocess.run([probe, "encode", json.dumps(config), dtype, folder / "in.safetensors", folder / "out.safetensors"],
                   check=True)
    return load_file(folder / "out.safetensors")["context"]


def relative(found, wanted):
    return ((found.double() - wanted.double()).norm() / wanted.double().norm()).item()


def check_encoder(probe, folder, model, ids, padding, name, gpu):
    """fp32 to rounding, with the padding that we leave out; bf16 to the bits, without padding.

    transformers' eager attention rounds where the official code does.  A GEMM of another number of rows may round
    differently, so bf16 is compared on the real tokens alone; a GPU's differ from the CPU's
    by a few roundings a layer, which an ill-conditioned encoder magnifies as it does those between bf16 and fp32.
    """
    count = len(ids)
    padded = torch.cat([ids, torch.zeros(padding, dtype=torch.int64)])[None]
    mask = (torch.arange(count + padding) < count).long()[None]
    exact = None
    for dtype, cast in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = model.to(cast).eval()
        shown = slice(0, None if dtype == "fp32" else count)
        with torch.no_grad():
            wanted = model(input_ids=padded[:, shown], attention_mask=mask[:, shown]).last_hidden_state[0, :count]
        exact = wanted if dtype == "fp32" else exact
        tolerance = {"fp32": 1e-5, "bf16": max(2e-2, 0.6 * relative(wanted, exact)) if gpu else 0.0}[dtype]
        error = relative(run_encoder(probe, folder, model, ids, dtype), wanted)
        print(f"umT5 {name}, {count} tokens + {padding}, {dtype}: relative L2 {error:.2e}")
        assert error <= tolerance, f"umT5 {name} {dtype}: {error} > {tolerance}"


def check_random_encoders(probe, folder, gpu):
    for i, (dim, d_kv, heads, d_ff, layers, count, padding) in enumerate(UMT5):
        torch.manual_seed(i)
        model = UMT5EncoderModel(UMT5Config(
            vocab_size=300, d_model=dim, d_kv=d_kv, num_heads=heads, d_ff=d_ff, num_layers=layers, dropout_rate=0.0,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False, attn_implementation="eager"))
        for parameter in model.parameters():
            spread = 0.3 if parameter.dim() == 1 or parameter.shape[0] == 32 else parameter.shape[-1] ** -0.5
            parameter.data.normal_(1.0 if parameter.dim() == 1 else 0.0, spread)
        # In transformers 5 the encoder keeps an embedding of its own.
        model.encoder.embed_tokens.weight.data.copy_(model.shared.weight.data)
        check_encoder(probe, folder, model, torch.randint(0, 300, (count,)), padding, f"{heads} x {d_kv}", gpu)


def check_demo_encoder(probe, folder, gpu):
    model = UMT5EncoderModel.from_pretrained(DEMO / "text_encoder", dtype=torch.float32, attn_implementation="eager")
    ids = torch.tensor(AutoTokenizer.from_pretrained(DEMO / "tokenizer")(PROMPTS[2]).input_ids)
    check_encoder(probe, folder, model, ids, 32 - len(ids), "demo", gpu)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--gpu", action="store_true", help="the probe computes on a GPU; only the encoder is compared")
    options = parser.parse_args()
    probe = options.probe
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not options.gpu:
            check_cleaning(probe)
            check_tokenizer(probe, folder)
        check_random_encoders(probe, folder, options.gpu)
        check_demo_encoder(probe, folder, options.gpu)


if __name__ == "__main__":
    main()
