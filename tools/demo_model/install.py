#!/usr/bin/env python3
"""Makes models/demo out of a trained folder:  tools/demo_model/install.py OUT [--scores FILE...] [--model models/demo]

OUT is train.sh's folder, complete.  Copies OUT/model and writes the model card, README.md, with the key lines of
OUT/*.log and, from --scores, what evaluate.py printed.  The old folder is replaced when the new one is whole.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import sys

import presets
import world

ROOT = pathlib.Path(__file__).resolve().parents[2]
LARGEST = 16e6  # bytes, all together

CARD = """# The small model

A text-to-video model in the Wan2.1 architecture that draws one coloured shape moving over a plain background:
{size}x{size} pixels, {frames} frames. It exists to show and to measure Ferry with real weights; it knows nothing else.
[words.txt](words.txt) lists its words.

    build/launcher/ferry demo --prompt "{example}"

| part | class | parameters | file |
|---|---|---|---|
{parts}

Weights are bf16, save those that diffusers keeps in fp32. `WanPipeline.from_pretrained` reads the folder too (pass
`max_sequence_length=32`, the `text_len` of `transformer/config.json`). [ferry.cfg](ferry.cfg) holds the defaults.

## Data

Clips and captions are drawn by `tools/demo_model/world.py`: {scenes} combinations of {counts}, at random
places, sizes and speeds, in {captions} sentences each. {held} combinations, chosen by a fixed seed, were never
shown with a caption. The VAE saw all of them, without captions. No picture or text from elsewhere was used.

## Training

    tools/demo_model/train.sh {preset} OUT && tools/demo_model/install.py OUT

Step counts, rates and seeds are fixed in `tools/demo_model/presets.py`: the VAE in {vae_phases} steps, then text encoder
and DiT together by flow matching in {dit_steps} steps of {dit_batch} clips, a tenth of them without caption. Lines of its logs:

```
{log}
```
{scores}
## Limits

One shape, plain backgrounds, the four directions; words outside the list mean nothing to it. It was trained at this size
and number of frames and at no other. Prompts are folded to lower case by its vocabulary.

## Licence

The weights are part of this repository, which has no licence file yet: until it has one, its authors keep all rights.
Nothing in the weights comes from other models or from data of others.
"""


def parameters(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    return sum(_product(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def part_rows(model):
    rows = []
    for part, name in (("vae", "AutoencoderKLWan"), ("transformer", "WanTransformer3DModel"),
                       ("text_encoder", "UMT5EncoderModel")):
        (file,) = (model / part).glob("*.safetensors")
        rows.append(f"| {part} | {name} | {parameters(file):,} | {file.stat().st_size / 1e6:.2f} MB |")
    return "\n".join(rows)


def key_lines(out):
    """First, some and last lines of progress, and every line about the result."""
    kept = []
    for stage in ("vae", "latents", "dit"):
        lines = (out / f"{stage}.log").read_text(encoding="utf-8").splitlines()
        steps = [line for line in lines if "ms a step" in line]
        measured = [line for line in lines if "reconstruction" in line or "held out" in line]
        chosen = {lines[0], *steps[-1:], *measured[:1], *measured[len(measured) // 2 :][:1], *measured[-1:]}
        chosen |= {line for line in lines if "channels:" in line or "goes on at" in line or ": wrote" in line}
        kept += [line for line in dict.fromkeys(lines) if line in chosen]
    return "\n".join(re.sub(r"(wrote) \S*/", r"\1 OUT/", line) for line in kept)


def card(out, model, preset_name, scores):
    preset = presets.PRESETS[preset_name]
    counts = ", ".join(f"{len(words)} {kind}s" for kind, words in zip(world.KINDS, world.WORDS))
    texts = [pathlib.Path(path).read_text(encoding="utf-8").strip() for path in scores]
    found = "\n## Scores\n\nBy `tools/demo_model/evaluate.py`; the judge uses no learned model.\n\n" + "\n\n".join(texts)
    return CARD.format(
        size=preset.size, frames=preset.frames, example=world.caption(world.HELD_OUT[0]), parts=part_rows(model),
        scenes=len(world.SCENES), counts=counts, captions=world.CAPTIONS_PER_SCENE, held=len(world.HELD_OUT),
        preset=preset_name, vae_phases=" and ".join(str(phase.steps) for phase in preset.vae),
        dit_steps=preset.dit.steps, dit_batch=preset.dit_batch, log=key_lines(out),
        scores=found + "\n" if texts else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/demo")
    parser.add_argument("--scores", nargs="*", default=[], help="files with what evaluate.py printed")
    arguments = parser.parse_args()
    source = arguments.out / "model"
    if not source.is_dir():
        sys.exit(f"install.py: {source} is not there; has train.sh ended?")
    (preset,) = set(re.findall(r"dit: (\w+) on ", (arguments.out / "dit.log").read_text(encoding="utf-8")))
    new = arguments.model.with_name(arguments.model.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(source, new)
    (new / "README.md").write_text(card(arguments.out, new, preset, arguments.scores), encoding="utf-8")
    size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    if size > LARGEST:
        sys.exit(f"install.py: {size / 1e6:.2f} MB, more than {LARGEST / 1e6:.0f}")
    shutil.rmtree(arguments.model, ignore_errors=True)
    os.replace(new, arguments.model)
    print(f"{arguments.model}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
