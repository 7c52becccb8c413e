"""The world of the small model: one coloured shape that moves over a plain background, and sentences about it.

A scene is four indices (colour, shape, direction, background).  The numbers here are also in
tests/support/demo_world.h, where the judge of the model's clips has them.
"""

import itertools
import math
import random

import torch

COLOURS = {"red": (225, 30, 35), "green": (30, 170, 60), "blue": (35, 80, 235), "yellow": (250, 225, 40),
           "purple": (150, 40, 175), "orange": (250, 125, 10)}
SHAPES = ("circle", "square", "triangle")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
BACKGROUNDS = {"black": (10, 10, 10), "white": (245, 245, 245), "grey": (128, 128, 128)}
KINDS = ("colour", "shape", "direction", "background")
WORDS = tuple(tuple(names) for names in (COLOURS, SHAPES, DIRECTIONS, BACKGROUNDS))

SCENES = tuple(itertools.product(*(range(len(words)) for words in WORDS)))
HELD_OUT = tuple(sorted(random.Random(1234).sample(SCENES, 36)))  # never shown with a caption in training
SEEN = tuple(scene for scene in SCENES if scene not in set(HELD_OUT))

SENTENCES = ("{a} {c} {s} moving {d} on a {b} background",
             "{a} {c} {s} moves {d} on a {b} background",
             "{c} {s} moving {d}, {b} background",
             "on a {b} background, {a} {c} {s} moves {d}",
             "a {b} background with {a} {c} {s} moving {d}",
             "the {c} {s} is moving {d} on a {b} background")
WAYS = (("left", "to the left"), ("right", "to the right"), ("up", "upwards"), ("down", "downwards"))
OTHER_WORDS = ("a", "an", "the", "is", "moving", "moves", "on", "with", "background", "to", "upwards", "downwards")
CAPTIONS_PER_SCENE = len(SENTENCES) * 2

RADIUS = (0.133, 0.203)  # of the picture's side
TRAVEL = (0.275, 0.475)  # of the side, from the first to the last frame
MARGIN = 0.0235          # of the side, always between shape and border
TINT = 5.0               # the colour of a shape varies by this much, of 255


def caption(scene, which=0):
    """The sentence number `which` (0 .. CAPTIONS_PER_SCENE - 1) about a scene."""
    colour, shape, direction, background = (words[i] for words, i in zip(WORDS, scene))
    article = "an" if colour[0] in "aeiou" else "a"
    return SENTENCES[which // 2].format(a=article, c=colour, s=shape, d=WAYS[scene[2]][which % 2], b=background)


def prompts(count):
    """`count` different (scene, prompt) pairs of held-out scenes: colours, shapes and sentences mixed from the start."""
    scenes = [HELD_OUT[7 * i % len(HELD_OUT)] for i in range(count)]
    return [(scene, caption(scene, (5 * i + i // len(HELD_OUT)) % CAPTIONS_PER_SCENE))
            for i, scene in enumerate(scenes)]


class Painter:
    """Draws clips of size x size pixels on a device, many at a time, from that device's random numbers."""

    def __init__(self, size, frames, device="cpu", seed=0):
        self.size, self.frames, self.device = size, frames, device
        self.random = torch.Generator(device).manual_seed(seed)
        table = lambda rows: torch.tensor(list(rows), dtype=torch.float32, device=device)
        self.colours, self.backgrounds = table(COLOURS.values()), table(BACKGROUNDS.values())
        self.directions = table(DIRECTIONS.values())

    def uniform(self, *shape):
        return torch.rand(*shape, generator=self.random, device=self.device)

    def choose(self, count, pool):
        """[count, 4] scenes out of a [n, 4] tensor."""
        return pool[torch.randint(len(pool), (count,), generator=self.random, device=self.device)]

    def clips(self, scenes):
        """scenes [B, 4] -> clips [B, F, S, S, 3] in [-1, 1] and coverage [B, F, S, S, 1]."""
        u = self.uniform(len(scenes), 4)
        side = self.size
        radius = side * (RADIUS[0] + (RADIUS[1] - RADIUS[0]) * u[:, 0])
        travel = side * (TRAVEL[0] + (TRAVEL[1] - TRAVEL[0]) * u[:, 1])
        low, high = radius + MARGIN * side, side - radius - MARGIN * side
        travel = torch.minimum(travel, high - low)
        across = low + (high - low) * u[:, 2]
        begin = low + (high - low - travel) * u[:, 3]
        way = self.directions[scenes[:, 2]]
        sign = way.sum(1)
        start = torch.where(sign > 0, begin, begin + travel)
        times = torch.linspace(0, 1, self.frames, device=self.device)
        along = start[:, None] + (sign * travel)[:, None] * times
        sideways = (way[:, 0] != 0)[:, None]
        x = torch.where(sideways, along, across[:, None])
        y = torch.where(sideways, across[:, None], along)
        return self.draw(scenes, radius, x, y, side)

    def crops(self, scenes, frames, side):
        """The same at full scale, but only `frames` frames of a side x side window that the shape crosses."""
        u = self.uniform(len(scenes), 5)
        radius = self.size * (RADIUS[0] + (RADIUS[1] - RADIUS[0]) * u[:, 0])
        speed = self.size * (TRAVEL[0] + (TRAVEL[1] - TRAVEL[0]) * u[:, 1]) / (self.frames - 1)
        times = torch.arange(frames, device=self.device) - (frames - 1) * u[:, 2:3]
        way = self.directions[scenes[:, 2]]
        x = side * u[:, 3:4] + (way[:, 0] * speed)[:, None] * times
        y = side * u[:, 4:5] + (way[:, 1] * speed)[:, None] * times
        return self.draw(scenes, radius, x, y, side)

    def draw(self, scenes, radius, x, y, side):
        """Shapes of that radius [B] with their middle at x, y [B, F]."""
        grid = torch.arange(side, device=self.device) + 0.5
        dx = grid[None, None, None, :] - x[:, :, None, None]
        dy = grid[None, None, :, None] - y[:, :, None, None]
        covered = coverage(scenes[:, 1].view(-1, 1, 1, 1), dx, dy, radius.view(-1, 1, 1, 1))[..., None]
        tint = (2 * self.uniform(len(scenes), 3) - 1) * TINT
        colour = (self.colours[scenes[:, 0]] + tint).view(-1, 1, 1, 1, 3)
        background = self.backgrounds[scenes[:, 3]].view(-1, 1, 1, 1, 3)
        picture = background + (colour - background) * covered
        return (picture / 127.5 - 1).clamp(-1, 1), covered


def coverage(shape, dx, dy, radius):
    """How much of each pixel the shape covers: its distance from the outline, half a pixel either side."""
    circle = (dx * dx + dy * dy).sqrt() - radius
    square = torch.maximum(dx.abs(), dy.abs()) - 0.9 * radius
    slope = (2 * dx.abs() - (dy + 0.95 * radius)) / math.sqrt(5)
    triangle = torch.maximum(slope, (dy - 0.95 * radius).expand_as(slope))
    outside = torch.where(shape == 0, circle, torch.where(shape == 1, square, triangle))
    return (0.5 - outside).clamp(0, 1)


def to_bytes(clips):
    """Clips in [-1, 1] as uint8, rounded."""
    return ((clips + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
