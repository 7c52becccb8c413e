#!/usr/bin/env python3
"""Our samplers against diffusers' schedulers on the same noise levels and velocities, fp32, 10 steps.

Only the step equations are compared: each scheduler is given our sigmas and timesteps, since the time grids of
the official code and of diffusers differ.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from safetensors.torch import load_file, save_file

STEPS = 10
# Both sides work in fp32 with the same equations; what is left is the last bits of log and expm1.
TOLERANCE = 1e-5


def unipc():
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2, solver_type="bh2",
        predict_x0=True, lower_order_final=True, final_sigmas_type="zero")


def dpmpp():
    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2, solver_type="midpoint",
        algorithm_type="dpmsolver++", lower_order_final=True, final_sigmas_type="zero")


CASES = [("unipc", unipc), ("dpm++", dpmpp), ("euler", FlowMatchEulerDiscreteScheduler),
         ("step_distill", FlowMatchEulerDiscreteScheduler)]


def reference(make, ours, x, v):
    scheduler = make()
    scheduler.set_timesteps(STEPS)
    scheduler.sigmas = ours["sigmas"]
    scheduler.timesteps = ours["timesteps"].float()
    samples = []
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(v[i], t, x, return_dict=False)[0]
        samples.append(x)
    return torch.stack(samples)


def compare(probe, folder, name, make, shift):
    torch.manual_seed(int(shift * 10))
    x = torch.randn(16, 3, 5, 7)
    v = torch.randn(STEPS, *x.shape)
    save_file({"x": x, "v": v}, folder / "in.safetensors")
    subprocess.run([probe, name, str(STEPS), str(shift), folder / "in.safetensors", folder / "out.safetensors"],
                   check=True)
    ours = load_file(folder / "out.safetensors")
    wanted = reference(make, ours, x, v)
    error = max(((a - b).norm() / b.norm()).item() for a, b in zip(ours["samples"], wanted))
    print(f"{name:13} shift {shift:4}: relative L2 {error:.2e}")
    assert error <= TOLERANCE, f"{name}, shift {shift}: {error} > {TOLERANCE}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--gpu", action="store_true", help="the probe computes on a GPU")
    probe = parser.parse_args().probe
    with tempfile.TemporaryDirectory() as folder:
        for name, make in CASES:
            for shift in (1.0, 3.0, 5.0, 12.0):
                compare(probe, Path(folder), name, make, shift)


if __name__ == "__main__":
    main()
