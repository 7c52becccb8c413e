#!/usr/bin/env python3
"""One stage of making the small model:  tools/demo_model/train.py STAGE --preset cpu64|gpu128 --out FOLDER

  tokenizer  the vocabulary                     FOLDER/spiece.model
  vae        the VAE                            FOLDER/vae.pt
  latents    the data set that the DiT sees     FOLDER/latents.pt
  dit        text encoder and DiT together      FOLDER/dit.pt
  export     the folder as diffusers writes it  FOLDER/model/

A stage whose file exists is done; `vae` and `dit` save their state as they go (FOLDER/*.state) and go on from it.
"""

import argparse
import contextlib
import os
import random
import sys

import torch
import torch.nn.functional as F

import presets
import text
import vae as vae_module
import world
from dit import Dit
from training import Trainer, clock, save_atomically


class Run:
    """Where and how: the preset, the folder, the device."""

    def __init__(self, arguments):
        self.preset = presets.scaled(presets.PRESETS[arguments.preset], arguments.steps_scale)
        self.folder, self.compile = arguments.out, arguments.compile
        self.device = "cuda" if torch.cuda.is_available() and arguments.preset.startswith("gpu") else "cpu"
        os.makedirs(self.folder, exist_ok=True)
        torch.manual_seed(self.preset.seed)
        if self.device == "cpu":
            torch.set_num_threads(min(self.preset.threads, os.cpu_count()))
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    def path(self, name):
        return os.path.join(self.folder, name)

    def autocast(self):
        return torch.autocast("cuda", torch.bfloat16) if self.device == "cuda" else contextlib.nullcontext()

    def painter(self, seed):
        return world.Painter(self.preset.size, self.preset.frames, self.device, self.preset.seed * 1000 + seed)

    def scenes(self, scenes):
        return torch.tensor(scenes, device=self.device)

    def load(self, module, name):
        state = torch.load(self.path(name), map_location=self.device, weights_only=True)
        module.to(self.device).load_state_dict(state["weights"])
        return module.eval().requires_grad_(False), state


# --- tokenizer

def train_tokenizer(run):
    text.train_tokenizer(run.path("spiece.model"))
    print(f"{clock()} {text.Captions(run.path('spiece.model')).size} pieces")


# --- VAE

def reconstruction(error, covered):
    """Weighted error: what is at an outline counts most, what is near the shape in place or time next."""
    mask = covered.permute(0, 4, 1, 2, 3)
    near = F.max_pool3d(mask, 5, 1, 2)
    inside = -F.max_pool3d(-mask, (1, 5, 5), 1, (0, 2, 2))
    outline = F.max_pool3d(mask, (1, 5, 5), 1, (0, 2, 2)) - inside
    weight = (1 + 2 * near + 3 * outline).permute(0, 2, 3, 4, 1)
    return (weight * (error.abs() + error.square())).mean() / weight.mean()


def changes(error):
    """Error of the differences to the neighbours: across a picture (soft edges), and in time (trails)."""
    across = (error[:, :, 1:] - error[:, :, :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    in_time = (error[:, 1:] - error[:, :-1]).abs().mean() if error.shape[1] > 1 else across.new_zeros(())
    return across, in_time


def decibels(clips, pictures):
    """PSNR of each clip over the range [-1, 1]."""
    return -10 * ((clips.clamp(-1, 1) - pictures).square().mean((1, 2, 3, 4)) / 4).log10()


class VaeTraining:
    def __init__(self, run):
        self.run, self.painter = run, run.painter(1)
        self.vae = vae_module.Vae().to(run.device)
        self.pool = run.scenes(world.SCENES)  # without captions: no combination is given away
        self.test = run.painter(2).clips(run.scenes(world.SCENES[::9]))[0]

    def batch(self, phase, step):
        choice = random.Random(self.run.preset.seed * 1000003 + step).random()
        for share, frames, side, count in phase.batches:
            choice -= share
            if choice < 0:
                break
        scenes = self.painter.choose(count, self.pool)
        if side:
            return self.painter.crops(scenes, frames, side)
        clips, covered = self.painter.clips(scenes)
        if frames == self.run.preset.frames:
            return clips, covered
        at = torch.randint(self.run.preset.frames, (1,), generator=self.painter.random, device=self.run.device)
        return clips[:, at], covered[:, at]

    def loss(self, phase, step):
        with torch.no_grad():
            pictures, covered = self.batch(phase, step)
        with self.run.autocast():
            mean, log_variance = self.vae.encode(pictures)
            log_variance = log_variance.clamp(-20, 5)
            deviation = (0.5 * log_variance).exp()
            least = phase.noise * mean.detach().flatten(0, 3).std(0)
            noise = torch.randn(mean.shape, generator=self.painter.random, device=self.run.device)
            decoded = self.vae.decode(mean + noise * torch.maximum(deviation, least))
        error = decoded - pictures
        across, in_time = changes(error)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        near = reconstruction(error, covered)
        return {"loss": near + 0.5 * across + 0.5 * in_time + phase.kl * kl, "error": near, "kl": kl}

    @torch.no_grad()
    def evaluate(self):
        values = []
        for clips in self.test.split(4):
            with self.run.autocast():
                values.append(decibels(self.vae.decode(self.vae.encode(clips)[0]), clips))
        values = torch.cat(values)
        return f"reconstruction {values.mean():.2f} dB, worst {values.min():.2f} dB ({len(values)} clips)"


def conv_matrix(name, p):
    return p.ndim >= 4 and min(p.shape[0], p[0].numel()) >= 16 and "gamma" not in name and "conv_in" not in name


def train_vae(run):
    training = VaeTraining(run)
    if run.device == "cuda" and run.compile:
        vae_module.compile_norms()
    trainer = Trainer(training.vae, run.preset.vae, run.path("vae.state"), training.painter.random, conv_matrix)
    trainer.run(training.loss, training.evaluate, save_every=500 if run.device == "cuda" else 200)
    trainer.swap_average()
    save_atomically({"weights": training.vae.state_dict()}, run.path("vae.pt"))


# --- latents

@torch.no_grad()
def make_latents(run):
    vae, _ = run.load(vae_module.Vae(), "vae.pt")
    painter, pool = run.painter(3), run.scenes(world.SEEN)
    scenes = painter.choose(run.preset.pool, pool)
    latents = torch.empty(len(scenes), 16, *run.preset.latent_shape(), dtype=torch.float16, device=run.device)
    for i, part in enumerate(scenes.split(run.preset.encode_batch)):
        with run.autocast() if run.device == "cuda" else torch.autocast("cpu", torch.bfloat16):
            mean, _ = vae.encode(painter.clips(part)[0])
        latents[i * run.preset.encode_batch :][: len(part)] = mean.permute(0, 4, 1, 2, 3)
        if i % 64 == 63:
            print(f"{clock()} {(i + 1) * run.preset.encode_batch} of {len(scenes)} clips", flush=True)
    wide = latents[:4096].float()
    mean, deviation = wide.mean((0, 2, 3, 4)), wide.std((0, 2, 3, 4))
    print(f"{clock()} channels: mean {mean.min():.2f} .. {mean.max():.2f}, deviation {deviation.min():.2f} .. "
          f"{deviation.max():.2f}", flush=True)
    save_atomically({"latents": latents.cpu(), "scenes": scenes.cpu(), "mean": mean.cpu(), "std": deviation.cpu()},
                    run.path("latents.pt"))


# --- DiT and text encoder

SHIFT = 3.0           # of the noise levels in training, and by default when sampling
CAPTION_DROP = 0.1    # share of clips without a caption, for guidance


class DitTraining:
    def __init__(self, run):
        self.run, self.random = run, torch.Generator(run.device).manual_seed(run.preset.seed * 1000 + 4)
        self.captions = text.Captions(run.path("spiece.model"), run.device)
        self.networks = torch.nn.ModuleDict({"dit": Dit(run.preset.latent_shape()),
                                             "text": text.TextEncoder(self.captions.size)}).to(run.device)
        data = torch.load(run.path("latents.pt"), map_location=run.device, weights_only=True)
        self.mean, self.std = data["mean"], data["std"]
        per_channel = lambda v: v.view(1, -1, 1, 1, 1)
        self.normalise = lambda z: (z.float() - per_channel(self.mean)) / per_channel(self.std)
        self.latents, self.scenes = data["latents"], data["scenes"]
        self.held_out = self.encode_held_out()

    @torch.no_grad()
    def encode_held_out(self):
        vae, _ = self.run.load(vae_module.Vae(), "vae.pt")
        scenes = self.run.scenes(world.HELD_OUT)
        clips = self.run.painter(5).clips(scenes)[0]
        means = [vae.encode(part)[0].permute(0, 4, 1, 2, 3) for part in clips.split(4)]
        return self.normalise(torch.cat(means)), self.captions.choose(scenes, self.random, drop=0.0)

    def velocity(self, noisy, level, ids):
        with self.run.autocast():
            return self.networks["dit"](noisy, 1000 * level, self.networks["text"](ids)).float()

    def flow(self, clean, level, ids, noise):
        at = level.view(-1, 1, 1, 1, 1)
        return (self.velocity((1 - at) * clean + at * noise, level, ids) - (noise - clean)).square().mean()

    def loss(self, phase, step):
        device, count = self.run.device, self.run.preset.dit_batch
        rows = torch.randint(len(self.latents), (count,), generator=self.random, device=device)
        clean = self.normalise(self.latents[rows])
        ids = self.captions.choose(self.scenes[rows], self.random, CAPTION_DROP)
        even = (torch.arange(count, device=device) + torch.rand(count, generator=self.random, device=device)) / count
        level = SHIFT * even / (1 + (SHIFT - 1) * even)
        noise = torch.randn(clean.shape, generator=self.random, device=device)
        return {"loss": self.flow(clean, level, ids, noise)}

    @torch.no_grad()
    def evaluate(self):
        clean, ids = self.held_out
        fixed = torch.Generator(self.run.device).manual_seed(1)
        losses = []
        for level in (0.95, 0.85, 0.7, 0.5, 0.25):
            noise = torch.randn(clean.shape, generator=fixed, device=self.run.device)
            levels = torch.full((len(clean),), level, device=self.run.device)
            losses.append(self.flow(clean, levels, ids, noise).item())
        return "held out, at noise .95 .85 .7 .5 .25: " + " ".join(f"{loss:.4f}" for loss in losses)


def block_matrix(name, p):
    return p.ndim == 2 and (".blocks." in name or "SelfAttention" in name or "DenseReluDense" in name) \
        and "relative" not in name


def compile_blocks(networks):
    import torch._dynamo
    torch._dynamo.config.suppress_errors = True
    for block in networks["dit"].blocks:
        block.compile()


def train_dit(run):
    training = DitTraining(run)
    if run.device == "cuda" and run.compile:
        compile_blocks(training.networks)
    trainer = Trainer(training.networks, (run.preset.dit,), run.path("dit.state"), training.random, block_matrix,
                      weight_decay=0.01)
    trainer.run(training.loss, training.evaluate, save_every=1000 if run.device == "cuda" else 300)
    trainer.swap_average()
    weights = {name: training.networks[name].state_dict() for name in training.networks}
    save_atomically({"weights": weights, "mean": training.mean.cpu(), "std": training.std.cpu()}, run.path("dit.pt"))


def export(run):
    import export as exporting
    exporting.write(run.folder, run.preset)


STAGES = {"tokenizer": (train_tokenizer, "spiece.model"), "vae": (train_vae, "vae.pt"),
          "latents": (make_latents, "latents.pt"), "dit": (train_dit, "dit.pt"), "export": (export, "model")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--preset", choices=presets.PRESETS, default="cpu64")
    parser.add_argument("--out", required=True, help="folder of everything that is made")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="for trying out: times all step counts")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="no torch.compile on a GPU")
    arguments = parser.parse_args()
    run = Run(arguments)
    stage, result = STAGES[arguments.stage]
    if os.path.exists(run.path(result)):
        print(f"{clock()} {arguments.stage}: {run.path(result)} is there")
        return 0
    print(f"{clock()} {arguments.stage}: {arguments.preset} on {run.device}, torch {torch.__version__}", flush=True)
    stage(run)
    print(f"{clock()} {arguments.stage}: wrote {run.path(result)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
