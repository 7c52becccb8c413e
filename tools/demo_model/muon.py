"""Muon (Jordan et al., 2024): momentum, made orthogonal by a Newton-Schulz iteration, for matrices.  Its steps have
the size of AdamW's (Liu et al., 2025), so that learning rates mean the same.  Matrices of one shape go together."""

import collections

import torch


def orthogonal(x):
    """[n, rows, columns] -> nearly orthogonal matrices of the same row and column space."""
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = collections.defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[(p.shape[0], p[0].numel())].append(p)
            for shape, parameters in shapes.items():
                self.step_together(group, shape, parameters)

    def step_together(self, group, shape, parameters):
        for p in parameters:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients, momenta = [p.grad for p in parameters], [self.state[p]["momentum"] for p in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        steps = orthogonal(torch.stack([a.reshape(shape) for a in ahead])).unbind(0)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        size = group["lr"] * 0.2 * max(shape) ** 0.5
        torch._foreach_add_(parameters, [s.reshape(p.shape) for s, p in zip(steps, parameters)], alpha=-size)
