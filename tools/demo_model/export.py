"""Writes the trained networks as a model folder in diffusers' layout: weights in bf16, save those that diffusers
itself keeps in fp32."""

import json
import os
import shutil

import torch
from safetensors.torch import save_file

import dit
import text
import vae
import world

KEPT_IN_FP32 = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")  # WanTransformer3DModel's own list

FERRY_CFG = """# How this model's videos are made unless somebody says otherwise.
[model]
dtype = fp32

[job]
size = {size}x{size}
frames = {frames}
sampler = unipc
steps = 20
shift = 3
guidance = 2.5
negative_prompt =
fps = {fps}
"""


def write_json(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_part(folder, name, weights, config, config_name="config.json", file="diffusion_pytorch_model.safetensors"):
    part = os.path.join(folder, name)
    write_json(part, config_name, config)
    kept = lambda key: any(word in key for word in KEPT_IN_FP32) and name == "transformer"
    tensors = {key: value.cpu().to(torch.float32 if kept(key) else torch.bfloat16).contiguous()
               for key, value in weights.items()}
    # fp32 first, so that every tensor is aligned
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].dtype != torch.float32, item[0])))
    path = os.path.join(part, file)
    save_file(ordered, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)


def write_tokenizer(folder, model_file):
    part = os.path.join(folder, "tokenizer")
    os.makedirs(part, exist_ok=True)
    shutil.copy(model_file, os.path.join(part, "spiece.model"))
    try:  # transformers reads its own form of the vocabulary; Ferry needs the first file only
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2
        from transformers import T5Tokenizer
        pieces = sentencepiece.SentencePieceProcessor(model_file=model_file)
        vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
        # The rules that fold letters to lower case; without them a capital is an unknown piece.
        rules = sentencepiece_model_pb2.ModelProto.FromString(pieces.serialized_model_proto()).normalizer_spec
        tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0, _spm_precompiled_charsmap=rules.precompiled_charsmap)
        tokenizer.model_max_length = text.TEXT_LENGTH
        tokenizer.save_pretrained(part)
    except ImportError as error:
        print("no tokenizer.json for transformers:", error)


def write_words(folder):
    """What `ferry demo` tells the user (launcher/commands/demo_words.h)."""
    with open(os.path.join(folder, "words.txt"), "w", encoding="utf-8") as file:
        for kind, words in zip(world.KINDS, world.WORDS):
            file.write(f"{kind}s: {', '.join(words)}\n")
        file.write(f"other: {', '.join(world.OTHER_WORDS)}\n")
        file.write(f"example: {world.caption((0, 0, 1, 0), 0)}\n")


def write(folder, preset):
    """folder/model/ from folder/{vae,dit}.pt and folder/spiece.model; it appears under its name when complete."""
    load = lambda name: torch.load(os.path.join(folder, name), map_location="cpu", weights_only=True)
    autoencoder, networks = load("vae.pt"), load("dit.pt")
    result = os.path.join(folder, "model.part")
    shutil.rmtree(result, ignore_errors=True)
    write_part(result, "vae", autoencoder["weights"],
               {"_class_name": "AutoencoderKLWan", "_diffusers_version": "0.42.1", **vae.CONFIG,
                "latents_mean": networks["mean"].tolist(), "latents_std": networks["std"].tolist(),
                "in_channels": 3, "out_channels": 3, "is_residual": False, "patch_size": None, "decoder_base_dim": None,
                "scale_factor_spatial": 8, "scale_factor_temporal": 4})
    write_part(result, "transformer", networks["weights"]["dit"],
               {"_class_name": "WanTransformer3DModel", "_diffusers_version": "0.42.1", **dit.CONFIG,
                "text_len": text.TEXT_LENGTH})
    vocabulary = len(networks["weights"]["text"]["shared.weight"])
    write_part(result, "text_encoder", networks["weights"]["text"], text.config(vocabulary), file="model.safetensors")
    write_tokenizer(result, os.path.join(folder, "spiece.model"))
    write_json(os.path.join(result, "scheduler"), "scheduler_config.json",
               {"_class_name": "UniPCMultistepScheduler", "num_train_timesteps": 1000,
                "prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0, "solver_order": 2,
                "solver_type": "bh2", "predict_x0": True, "final_sigmas_type": "zero", "lower_order_final": True})
    classes = {"scheduler": "UniPCMultistepScheduler", "transformer": "WanTransformer3DModel",
               "vae": "AutoencoderKLWan"}
    write_json(result, "model_index.json",
               {"_class_name": "WanPipeline", "_diffusers_version": "0.42.1",
                **{part: ["diffusers", name] for part, name in classes.items()},
                "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "T5Tokenizer"]})
    with open(os.path.join(result, "ferry.cfg"), "w", encoding="utf-8") as file:
        file.write(FERRY_CFG.format(size=preset.size, frames=preset.frames, fps=preset.fps))
    write_words(result)
    os.replace(result, os.path.join(folder, "model"))
    total = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(os.path.join(folder, "model"))
                for name in names)
    print(f"{total / 1e6:.2f} MB in all")
