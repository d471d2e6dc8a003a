"""The expert-level balance loss of the DeepSeek-V2 paper (2.2.3), and a count of what it counts.

For E experts of which K are chosen, over T tokens, f_e is E / (K T) times the number of tokens
that chose e, P_e the mean of its scores, and the loss the sum of f_e P_e: 1 where all is even, more
where the gate prefers experts that are crowded already. Only P has a gradient.
"""

import torch
from torch import nn
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2TopkRouter


def balance_loss(logits: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss, and tokens by expert [E], of gate logits [T, E] and chosen experts [T, K]."""
    tokens, experts = logits.shape
    counts = chosen.flatten().bincount(minlength=experts)
    crowding = counts.float() * (experts / chosen.numel())
    return (crowding * logits.softmax(-1, dtype=torch.float32).sum(0) / tokens).sum(), counts


class GateWatch:
    """Sees what the gates of a model decide: `take` returns, of all forward passes since it was
    last called, the loss, summed over layers, and the counts [layers, E]."""

    def __init__(self, model: nn.Module):
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.gates = [m for m in model.modules() if isinstance(m, DeepseekV2TopkRouter)]
        for gate in self.gates:
            gate.register_forward_hook(self._see)

    def _see(self, _gate, _inputs, outputs) -> None:
        logits, _, chosen = outputs
        self.seen.append(balance_loss(logits, chosen))

    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        seen, self.seen = self.seen, []
        counts = torch.stack([counts for _, counts in seen])
        counts = counts.view(-1, len(self.gates), counts.shape[-1]).sum(0)
        passes = len(seen) // len(self.gates)
        return torch.stack([loss for loss, _ in seen]).sum() / passes, counts


def worst_share(counts: torch.Tensor) -> float:
    """The largest share of an expert in a layer, in even shares; counts [layers, E]."""
    return float((counts.max(1).values / counts.float().mean(1)).max())
