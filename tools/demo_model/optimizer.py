"""Muon for the layers' matrices, AdamW for all else: embeddings and norms.

Muon (Keller Jordan et al., 2024) steps along the nearest orthogonal matrix of the momentum. Its
step is scaled as in Moonlight (Liu et al., 2025), so that both halves share one learning rate.
"""

from concurrent.futures import ThreadPoolExecutor

import torch

MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.95), 1e-8
MUON_SCALE = 0.2  # Deviation of a Muon step's elements, about that of an AdamW step.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """[n, rows, columns] with each matrix's singular values brought near 1, in bf16."""
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2).contiguous() if tall else x
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7).bfloat16()
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


def as_matrices(name: str, values: torch.Tensor) -> torch.Tensor:
    """A parameter as matrices [n, rows, columns]; experts' gate and up are two."""
    if name.endswith("gate_up_proj"):
        return values.view(-1, values.shape[1] // 2, values.shape[2])
    return values if values.dim() == 3 else values.unsqueeze(0)


def takes_muon(name: str, values: torch.Tensor) -> bool:
    return values.dim() >= 2 and "embed_tokens" not in name


class Optimizer:
    """Over named fp32 parameters, whose state stands in `state` by name."""

    def __init__(self, parameters: dict[str, torch.Tensor]):
        self.parameters = parameters
        self.steps = 0
        self.state = {name: [torch.zeros_like(p) for _ in range(1 if takes_muon(name, p) else 2)]
                      for name, p in parameters.items()}
        shapes = {as_matrices(name, p).shape[1:] for name, p in parameters.items()
                  if takes_muon(name, p)}
        # Parameters whose matrices are of one shape are stepped at once; the dearest first.
        self.groups = sorted(([name for name, p in parameters.items() if takes_muon(name, p)
                               and as_matrices(name, p).shape[1:] == shape] for shape in shapes),
                             key=lambda names: -sum(parameters[n].numel() for n in names))

    def state_dict(self) -> dict:
        return {"steps": self.steps, "state": self.state}

    def load_state_dict(self, saved: dict) -> None:
        self.steps = saved["steps"]
        for name, tensors in self.state.items():
            for mine, other in zip(tensors, saved["state"][name], strict=True):
                mine.copy_(other)

    @torch.no_grad()
    def step(self, grads: dict[str, torch.Tensor], rate: float, decay: float,
             pool: ThreadPoolExecutor) -> None:
        self.steps += 1
        jobs = [pool.submit(self._muon, names, grads, rate, decay) for names in self.groups]
        for name, p in self.parameters.items():
            if not takes_muon(name, p):
                self._adam(name, grads[name], rate, decay if p.dim() > 1 else 0.0)
        for job in jobs:
            job.result()

    @torch.no_grad()
    def _muon(self, names: list[str], grads: dict[str, torch.Tensor], rate: float,
              decay: float) -> None:
        ahead = []
        for name in names:
            momentum = self.state[name][0]
            momentum.lerp_(grads[name], 1 - MOMENTUM)
            ahead.append(as_matrices(name, grads[name].lerp(momentum, MOMENTUM)))
        steps = orthogonal(torch.cat(ahead)).float()
        scale = MUON_SCALE * max(steps.shape[1:]) ** 0.5
        for name, step in zip(names, steps.split([len(part) for part in ahead])):
            p = self.parameters[name]
            p.mul_(1 - rate * decay).sub_(step.reshape(p.shape), alpha=rate * scale)

    def _adam(self, name: str, grad: torch.Tensor, rate: float, decay: float) -> None:
        p, (first, second) = self.parameters[name], self.state[name]
        first.lerp_(grad, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
        unbiased = (second / (1 - BETAS[1] ** self.steps)).sqrt_().add_(EPSILON)
        p.mul_(1 - rate * decay)
        p.addcdiv_(first, unbiased, value=-rate / (1 - BETAS[0] ** self.steps))
