"""The same mathematics as transformers' DeepSeek-V2, arranged for training on a few CPU cores.

    model_of(config)  is transformers' model with the attention, experts and norms below
    head_loss(...)    is the cross-entropy of the output head, which never holds all logits

Matrices are multiplied in bf16 where autocast is on and in fp32 elsewhere, where the results equal
transformers' own up to rounding (test_training.py).
"""

import types
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2RMSNorm

NAME = "demo_training"
QUERIES, HEADS = 128, 16  # Of a block of attention.
HEAD_ROWS = 512  # Rows of logits that are held at a time.


def product_dtype(values: torch.Tensor) -> torch.dtype:
    """What autocast would multiply in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype


class AttentionFunction(torch.autograd.Function):
    """Causal attention of q, k [N, T, d] and v [N, T, dv], where N counts heads of all sequences.

    Goes by blocks small enough for the caches, leaves out keys that no query of a block may see,
    and keeps the probabilities, so that nothing is computed twice."""

    @staticmethod
    def forward(ctx, q, k, v, scale):
        q = q * scale
        out = torch.empty_like(v)
        hidden = torch.full((QUERIES, QUERIES), float("-inf"), dtype=q.dtype).triu(1)
        kept = []
        for heads, rows, keys in blocks(q):
            scores = torch.bmm(q[heads, rows], k[heads, keys].transpose(1, 2))
            size = rows.stop - rows.start
            scores[:, :, rows.start:].add_(hidden[:size, :size])
            kept.append(torch.softmax(scores, -1))
            out[heads, rows] = torch.bmm(kept[-1], v[heads, keys])
        ctx.save_for_backward(q, k, v, *kept)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, *kept = ctx.saved_tensors
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (heads, rows, keys), shares in zip(blocks(q), kept):
            grad_rows = grad[heads, rows]
            grad_shares = torch.bmm(grad_rows, v[heads, keys].transpose(1, 2))
            grad_v[heads, keys] += torch.bmm(shares.transpose(1, 2), grad_rows)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_shares, shares, -1, q.dtype)
            grad_q[heads, rows] = torch.bmm(grad_scores, k[heads, keys])
            grad_k[heads, keys] += torch.bmm(grad_scores.transpose(1, 2), q[heads, rows])
        return grad_q * ctx.scale, grad_k, grad_v, None


def blocks(q: torch.Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Heads, query rows and keys of each block of [N, T, d]."""
    for head in range(0, q.shape[0], HEADS):
        for start in range(0, q.shape[1], QUERIES):
            end = min(start + QUERIES, q.shape[1])
            yield slice(head, head + HEADS), slice(start, end), slice(0, end)


def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    """transformers' attention of whole sequences: q, k, v [batch, heads, length, dims]."""
    del module, attention_mask, dropout
    out = AttentionFunction.apply(*(part.flatten(0, 1) for part in (query, key, value)), scaling)
    return out.view(value.shape).transpose(1, 2), None


class ExpertsFunction(torch.autograd.Function):
    """Rows x [T, h], chosen experts [T, K], their weights [T, K], gate_up [E, 2I, h] and down
    [E, h, I] to the weighted sum of the chosen experts' outputs [T, h].

    The rows are sorted by expert, and each expert multiplies its own at once. The weight of a row
    is applied between the two matrices, where a row is narrowest."""

    @staticmethod
    def forward(ctx, x, chosen, weights, gate_up, down):
        count, top_k = chosen.shape
        flat = chosen.reshape(-1)
        order = flat.argsort(stable=True)
        back = torch.empty_like(order)
        back[order] = torch.arange(order.numel())
        ends = flat.bincount(minlength=gate_up.shape[0]).cumsum(0).tolist()
        rows = x.index_select(0, order // top_k)
        inner = rows.new_empty(rows.shape[0], gate_up.shape[1])
        for expert, (start, end) in enumerate(zip([0, *ends], ends)):
            torch.mm(rows[start:end], gate_up[expert].t(), out=inner[start:end])
        gate, up = inner.chunk(2, dim=-1)
        row_weights = weights.reshape(-1)[order].to(x.dtype).unsqueeze(1)
        active = F.silu(gate) * up
        weighted = active * row_weights
        out = torch.empty_like(rows)
        for expert, (start, end) in enumerate(zip([0, *ends], ends)):
            torch.mm(weighted[start:end], down[expert].t(), out=out[start:end])
        ctx.save_for_backward(rows, inner, active, row_weights, gate_up, down, order, back)
        ctx.ends, ctx.top_k, ctx.weights_dtype = ends, top_k, weights.dtype
        return F.embedding_bag(back.view(count, top_k), out, mode="sum")

    @staticmethod
    def backward(ctx, grad):
        rows, inner, active, row_weights, gate_up, down, order, back = ctx.saved_tensors
        top_k, ends = ctx.top_k, ctx.ends
        grad_rows = grad.to(rows.dtype).index_select(0, order // top_k)
        weighted = active * row_weights
        grad_weighted = torch.empty_like(active)
        grad_down = torch.zeros_like(down)
        for expert, (start, end) in enumerate(zip([0, *ends], ends)):
            torch.mm(grad_rows[start:end], down[expert], out=grad_weighted[start:end])
            torch.mm(grad_rows[start:end].t(), weighted[start:end], out=grad_down[expert])
        grad_weights = (grad_weighted * active).sum(1, dtype=torch.float32)
        grad_active = grad_weighted * row_weights
        gate, up = inner.chunk(2, dim=-1)
        grad_inner = torch.empty_like(inner)
        half = gate.shape[1]
        torch.mul(grad_active, F.silu(gate), out=grad_inner[:, half:])
        grad_inner[:, :half] = torch.ops.aten.silu_backward(grad_active * up, gate)
        grad_gate_up = torch.zeros_like(gate_up)
        grad_x = torch.empty_like(rows)
        for expert, (start, end) in enumerate(zip([0, *ends], ends)):
            torch.mm(grad_inner[start:end], gate_up[expert], out=grad_x[start:end])
            torch.mm(grad_inner[start:end].t(), rows[start:end], out=grad_gate_up[expert])
        grad_x = F.embedding_bag(back.view(-1, top_k), grad_x, mode="sum")
        grad_weights = grad_weights[back].view(-1, top_k).to(ctx.weights_dtype)
        return grad_x, None, grad_weights, grad_gate_up, grad_down


def experts(module, hidden_states, top_k_index, top_k_weights):
    """transformers' experts: hidden_states [T, h], top_k_index and top_k_weights [T, K]."""
    dtype = product_dtype(hidden_states)
    return ExpertsFunction.apply(
        hidden_states.to(dtype), top_k_index, top_k_weights, module.gate_up_proj.to(dtype),
        module.down_proj.to(dtype)).to(hidden_states.dtype)


class HeadLoss(torch.autograd.Function):
    """Final states [T, h], the head's weight [V, h] and targets [T] to the mean loss in nats.
    Gradients are made in the same pass, some rows at a time."""

    @staticmethod
    def forward(ctx, states, weight, targets):
        total = torch.zeros((), dtype=torch.float64)
        grad_states = torch.empty_like(states)
        grad_weight = torch.zeros(weight.shape, dtype=torch.float32)
        for first in range(0, len(targets), HEAD_ROWS):
            part = slice(first, first + HEAD_ROWS)
            shares = torch.softmax(states[part] @ weight.t(), 1, dtype=torch.float32)
            chosen = targets[part, None]
            total -= shares.gather(1, chosen).clamp_min_(1e-38).log_().sum(dtype=torch.float64)
            grad = shares.scatter_add_(1, chosen, torch.full(chosen.shape, -1.0)).to(states.dtype)
            grad_states[part] = grad @ weight
            grad_weight += grad.t() @ states[part]
        grad_states /= len(targets)
        grad_weight /= len(targets)
        ctx.save_for_backward(grad_states, grad_weight)
        return (total / len(targets)).float()

    @staticmethod
    def backward(ctx, grad):
        grad_states, grad_weight = ctx.saved_tensors
        return grad_states * grad, grad_weight * grad, None


class NormFunction(torch.autograd.Function):
    """Values [..., h] over the root of their mean square, times a weight [h]; in fp32."""

    @staticmethod
    def forward(ctx, values, weight, epsilon):
        ctx.dtype = values.dtype
        values = values.float()
        size = values.shape[-1]
        inverse = torch.linalg.vector_norm(values, dim=-1, keepdim=True).square_()
        inverse = inverse.div_(size).add_(epsilon).rsqrt_()
        normed = values * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight

    @staticmethod
    def backward(ctx, grad):
        normed, inverse, weight = ctx.saved_tensors
        grad_weight = (grad * normed).flatten(0, -2).sum(0)
        grad = grad * weight
        along = torch.linalg.vecdot(grad, normed).unsqueeze(-1).div_(-normed.shape[-1])
        return grad.addcmul_(normed, along).mul_(inverse).to(ctx.dtype), grad_weight, None


def norm(module, hidden_states):
    """transformers' RMSNorm."""
    return NormFunction.apply(hidden_states, module.weight, module.variance_epsilon)


def head_loss(states: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of [..., h] states; see HeadLoss."""
    dtype = product_dtype(states)
    return HeadLoss.apply(states.flatten(0, -2).to(dtype), weight.to(dtype), targets.flatten())


def model_of(config: DeepseekV2Config) -> DeepseekV2ForCausalLM:
    """transformers' model with the parts of this file."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_EXPERTS_FUNCTIONS.register(NAME, experts)
    config._attn_implementation = config._experts_implementation = NAME
    model = DeepseekV2ForCausalLM(config)
    for module in model.modules():
        if isinstance(module, DeepseekV2RMSNorm):
            module.forward = types.MethodType(norm, module)
    return model
