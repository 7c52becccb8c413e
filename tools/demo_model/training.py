"""What both networks' training has in common: two optimizers, rates, averaged weights, progress, and a checkpoint
that a killed run goes on from."""

import math
import os
import signal
import time

import torch

from muon import Muon


class Stopped(SystemExit):
    """The run was asked to end and has saved its state; exit code 3."""

    def __init__(self):
        super().__init__(3)


def save_atomically(value, path):
    torch.save(value, path + ".part")
    os.replace(path + ".part", path)


def clock():
    return time.strftime("%H:%M:%S")


class Trainer:
    """Trains `module` through `phases`; `generator` is where all its random numbers come from.

    The state in `path` is compact: the average as its difference from the weights and the momenta in bf16.
    """

    def __init__(self, module, phases, path, generator, is_matrix, weight_decay=0.0):
        self.module, self.phases, self.path, self.generator = module, phases, path, generator
        named = list(module.named_parameters())
        matrices = [p for name, p in named if is_matrix(name, p)]
        chosen = {id(p) for p in matrices}
        vectors = [p for _, p in named if id(p) not in chosen]
        fused = {"fused": True} if vectors[0].is_cuda else {}
        self.adam = torch.optim.AdamW(vectors, 1e-3, betas=(0.9, 0.95), weight_decay=weight_decay, **fused)
        self.muon = Muon(matrices, 1e-3, weight_decay=weight_decay)
        self.parameters = [p for _, p in named]
        self.average = [p.detach().clone() for p in self.parameters]
        self.step, self.seconds = 0, 0.0
        print(f"{clock()} {sum(p.numel() for p in matrices):,} weights with Muon, "
              f"{sum(p.numel() for p in vectors):,} with AdamW", flush=True)

    @property
    def steps(self):
        return sum(phase.steps for phase in self.phases)

    def where(self):
        """The phase of the current step, and the step's number in it."""
        step = self.step
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        return self.phases[-1], self.phases[-1].steps

    # --- state

    def save(self):
        small = lambda tensors: [t.to(torch.bfloat16).cpu() for t in tensors]
        save_atomically({"step": self.step, "seconds": self.seconds, "generator": self.generator.get_state(),
                         "weights": [p.detach().cpu() for p in self.parameters],
                         "average": small(a - p for a, p in zip(self.average, self.parameters)),
                         "momenta": small(self.muon.state[p]["momentum"] for p in self.muon.param_groups[0]["params"]),
                         "adam": self.adam.state_dict()["state"]}, self.path)

    @torch.no_grad()
    def load(self):
        if not os.path.exists(self.path):
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.generator.set_state(state["generator"])
        for p, average, weight, change in zip(self.parameters, self.average, state["weights"], state["average"]):
            p.copy_(weight)
            average.copy_(p + change.to(p.device))
        for p, momentum in zip(self.muon.param_groups[0]["params"], state["momenta"]):
            self.muon.state[p]["momentum"] = momentum.to(p.device, torch.float32)
        self.adam.load_state_dict({"state": state["adam"], "param_groups": self.adam.state_dict()["param_groups"]})
        print(f"{clock()} goes on at step {self.step} of {self.steps}", flush=True)

    @torch.no_grad()
    def swap_average(self):
        """Puts the averaged weights into the module, and at the second call the others back."""
        for p, average in zip(self.parameters, self.average):
            kept = p.detach().clone()
            p.copy_(average)
            average.copy_(kept)

    # --- steps

    def set_rates(self, phase, step):
        share = 0.5 * (1 + math.cos(math.pi * step / phase.steps))
        factor = min(1.0, (step + 1) / phase.warm_up) * (phase.floor + (1 - phase.floor) * share)
        self.adam.param_groups[0]["lr"] = phase.rate * factor
        self.muon.param_groups[0]["lr"] = phase.muon_rate * factor

    def take_step(self, loss_of):
        phase, step = self.where()
        self.set_rates(phase, step)
        parts = loss_of(phase, self.step)
        parts["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        self.muon.step()
        for p in self.parameters:
            p.grad = None
        share = min(phase.averaging, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - share)
        self.step += 1
        return {name: value.detach() for name, value in parts.items()}

    def report(self, evaluate):
        self.swap_average()
        with torch.compiler.set_stance("force_eager"):  # other sizes than in training: not worth compiling for
            print(f"{clock()} step {self.step:5d}  {evaluate()}", flush=True)
        self.swap_average()

    def run(self, loss_of, evaluate, save_every, print_every=50):
        """loss_of(phase, step) gives {"loss": tensor, ...}; evaluate() a line about the averaged weights."""
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
        self.load()
        begin, since, sums, count = time.monotonic() - self.seconds, time.monotonic(), {}, 0
        while self.step < self.steps:
            for name, value in self.take_step(loss_of).items():
                sums[name] = sums.get(name, 0) + value
            count += 1
            if self.step % print_every == 0 or self.step in (5, 20):
                means = "  ".join(f"{name} {float(value) / count:.4f}" for name, value in sums.items())
                now = time.monotonic()
                print(f"{clock()} step {self.step:5d}/{self.steps}  {1000 * (now - since) / count:.0f} ms a step, "
                      f"{now - begin:.0f} s in all  {means}", flush=True)
                since, sums, count = now, {}, 0
            self.seconds = time.monotonic() - begin
            if self.step % save_every == 0 or self.step == self.steps:
                self.save()
                self.report(evaluate)
                since = time.monotonic()
            elif asked:
                self.save()
            if asked and self.step < self.steps:
                print(f"{clock()} stopped at step {self.step}; the same command goes on from here", flush=True)
                raise Stopped
