"""Everything that a training run is made of, in numbers.  Nothing else decides what comes out, save the device."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Phase:
    """One part of a network's training: a warm-up, then a cosine from the rates down to `floor` of them."""

    steps: int
    batches: tuple = ()      # (share of the steps, frames, side or 0 for whole clips, clips a step)
    rate: float = 1e-3       # AdamW, for vectors and the tensors at both ends
    muon_rate: float = 3e-3  # Muon, for the matrices in between
    warm_up: int = 100
    floor: float = 0.02
    kl: float = 1e-5         # weight of the KL term, per latent element
    noise: float = 0.0       # least noise in the latent, in standard deviations of its channel
    averaging: float = 0.995  # of the weights


@dataclasses.dataclass(frozen=True)
class Preset:
    size: int
    frames: int
    fps: int
    vae: tuple          # of Phase
    pool: int           # clips in the data set of latents
    encode_batch: int
    dit: Phase
    dit_batch: int
    threads: int = 2    # on the CPU
    seed: int = 1

    def latent_shape(self):
        """(frames, height, width)"""
        return (self.frames - 1) // 4 + 1, self.size // 8, self.size // 8


CPU64 = Preset(
    size=64, frames=9, fps=8,
    vae=(Phase(2600, ((0.70, 5, 32, 16), (0.15, 1, 32, 48), (0.15, 9, 32, 8)), rate=1e-3, muon_rate=3e-3),
         Phase(3800, ((0.80, 9, 0, 4), (0.20, 1, 0, 16)), rate=2.5e-4, muon_rate=7e-4, kl=1e-4, noise=0.08)),
    pool=12000, encode_batch=16,
    dit=Phase(6600, rate=1e-3, muon_rate=2e-3, warm_up=150, averaging=0.999), dit_batch=64)

GPU128 = Preset(
    size=128, frames=17, fps=12,
    vae=(Phase(2000, ((0.70, 9, 48, 64), (0.15, 1, 64, 128), (0.15, 17, 48, 32)), rate=1e-3, muon_rate=3e-3),
         Phase(3500, ((0.85, 17, 0, 16), (0.15, 1, 0, 96)), rate=5e-4, muon_rate=1.5e-3, kl=1e-4, noise=0.05,
               averaging=0.998)),
    pool=24576, encode_batch=48,
    dit=Phase(4500, rate=1e-3, muon_rate=2e-3, warm_up=200, averaging=0.9993), dit_batch=192)

PRESETS = {"cpu64": CPU64, "gpu128": GPU128}


def scaled(preset, factor):
    """The preset with its step counts (and data set) times `factor`: to try the scripts out, not to train."""
    if factor == 1:
        return preset
    shorter = lambda phase: dataclasses.replace(phase, steps=max(3, round(phase.steps * factor)))
    return dataclasses.replace(preset, vae=tuple(map(shorter, preset.vae)), dit=shorter(preset.dit),
                               pool=max(2 * preset.dit_batch, round(preset.pool * factor)))
