"""Training on a few cores: one replica of the model a process, each for its part of the batch.

A process with a core of its own waits for the others once a step only. torch's threads wait for
each other in each product, and Python's for the interpreter: slow where other programs want the
cores, too. The weights are shared memory. Each replica has gradients of its own, which are summed
in the same order always: the result does not depend on who was faster.
"""

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
from torch import multiprocessing
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

import fast_parts
from balance import GateWatch
from data import with_bos
from shape import model_config

Tensors = dict[str, torch.Tensor]


def new_model(seed: int, *, yarn: bool) -> DeepseekV2ForCausalLM:
    """transformers' model in fp32 with its own initialisation, and our arrangement of the parts."""
    torch.manual_seed(seed)
    return fast_parts.model_of(model_config(yarn=yarn))


class Dropout:
    """Zeroes a share of the outputs of embeddings, attention and MLP blocks, in training only."""

    def __init__(self, model: DeepseekV2ForCausalLM, share: float):
        self.model, self.share, self.random = model, share, torch.Generator()
        if not share:
            return
        model.model.embed_tokens.register_forward_hook(self._drop)
        for layer in model.model.layers:
            layer.self_attn.register_forward_hook(self._drop)
            layer.mlp.register_forward_hook(self._drop)

    def _drop(self, _module, _inputs, output):
        if not self.model.training:
            return output
        values = output[0] if isinstance(output, tuple) else output
        kept = torch.empty_like(values).bernoulli_(1 - self.share, generator=self.random)
        values = values * kept.div_(1 - self.share)
        return (values, *output[1:]) if isinstance(output, tuple) else values


@dataclass(frozen=True)
class Settings:
    dropout: float
    alpha: float  # Weight of the balance loss.
    seed: int


@dataclass
class Outcome:
    loss: float  # Nats a token.
    balance: float
    counts: torch.Tensor  # Tokens by expert [layers, E].


class Replica:
    def __init__(self, model: DeepseekV2ForCausalLM, index: int, settings: Settings):
        self.model, self.index, self.settings = model, index, settings
        self.watch = GateWatch(model)
        self.dropout = Dropout(model, settings.dropout)

    def _loss(self, targets: torch.Tensor) -> torch.Tensor:
        inputs, targets = with_bos(targets)
        with torch.autocast("cpu", torch.bfloat16):
            states = self.model.model(inputs, use_cache=False).last_hidden_state
            return fast_parts.head_loss(states, self.model.lm_head.weight, targets)

    def learn(self, targets: torch.Tensor, step: int, share: float) -> Outcome:
        """Leaves `share` times the gradients of windows [n, L] in the model."""
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        self.dropout.random.manual_seed(hash((self.settings.seed, step, self.index)))
        loss = self._loss(targets)
        balance, counts = self.watch.take()
        ((loss + self.settings.alpha * balance) * share).backward()
        return Outcome(loss.item(), balance.item(), counts)

    @torch.no_grad()
    def nats(self, parts: list[torch.Tensor]) -> float:
        """Total nats of windows, [n, L] at a time."""
        self.model.eval()
        total = sum(self._loss(part).item() * part.numel() for part in parts)
        if parts:
            self.watch.take()
        return total


def _serve(pipe: Connection, config: DeepseekV2Config, weights: Tensors, grads: Tensors,
           index: int, settings: Settings) -> None:
    """A replica in a process of its own, until the pipe is closed."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)  # The first process saves, and closes the pipe.
    torch.set_num_threads(1)
    model = fast_parts.model_of(config)
    for name, p in model.named_parameters():
        p.data = weights[name]
    replica = Replica(model, index, settings)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return
        if what == "nats":
            pipe.send(replica.nats(*arguments))
            continue
        outcome = replica.learn(*arguments)
        for name, p in model.named_parameters():
            grads[name].copy_(p.grad)
        pipe.send(outcome)


class Replicas:
    """`count` replicas of the model, the first of them in this process. Close it."""

    def __init__(self, model: DeepseekV2ForCausalLM, count: int, settings: Settings):
        torch.set_num_threads(1)
        self.first = Replica(model, 0, settings)
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
        model.share_memory()
        weights = {name: p.data for name, p in model.named_parameters()}
        self.pipes: list[Connection] = []
        self.grads: list[Tensors] = []
        self.processes = []
        context = multiprocessing.get_context("spawn")
        for index in range(1, count):
            grads = {name: torch.zeros_like(p).share_memory_() for name, p in weights.items()}
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, model.config, weights, grads, index, settings),
                daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self.pipes.append(ours)
            self.grads.append(grads)

    def gradients(self, targets: torch.Tensor, step: int) -> tuple[Tensors, Outcome]:
        """Mean gradients of windows [n, L], and what they showed."""
        parts = targets.tensor_split(len(self.pipes) + 1)
        shares = [len(part) / len(targets) for part in parts]
        for pipe, part, share in zip(self.pipes, parts[1:], shares[1:], strict=True):
            pipe.send(("learn", (part.clone(), step, share)))
        outcomes = [self.first.learn(parts[0], step, shares[0])]
        outcomes += [pipe.recv() for pipe in self.pipes]
        grads = {name: p.grad for name, p in self.first.model.named_parameters()}
        for other in self.grads:
            for name, grad in grads.items():
                grad += other[name]
        return grads, Outcome(sum(o.loss * s for o, s in zip(outcomes, shares)),
                              sum(o.balance * s for o, s in zip(outcomes, shares)),
                              torch.stack([o.counts for o in outcomes]).sum(0))

    def nats(self, targets: torch.Tensor, rows: int) -> float:
        """Total nats of windows [n, L], `rows` at a time."""
        parts = [part.clone() for part in targets.split(rows)]
        count = len(self.pipes) + 1
        for i, pipe in enumerate(self.pipes, 1):
            pipe.send(("nats", (parts[i::count],)))
        return self.first.nats(parts[::count]) + sum(pipe.recv() for pipe in self.pipes)

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join()
        self.pool.shutdown()
