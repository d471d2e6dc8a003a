#!/usr/bin/env python3
"""Trains the demo model, from scratch or from its last checkpoint.

    train.py --corpus DIR --tokenizer DIR --run DIR [--processes 2] [--decay-steps N]

Without --decay-steps the learning rate stays where it is after warming up, and training goes on
until it is stopped: by SIGTERM or SIGINT, which save first, or at --hours. With it the rate falls
to zero within N steps, under YaRN and with windows of LONG_LENGTH tokens, and the model is done.
RUN/last.pt is the checkpoint, RUN/log.csv the log; RUN/stable.pt is kept where the decay began, so
that training can also go on from there (copy it to last.pt).
"""

import argparse
import csv
import math
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from balance import worst_share
from data import Place, Windows, read_tokens, stream
from optimizer import Optimizer
from replicas import Replicas, Settings, new_model
from shape import TRAINED_LENGTH

LONG_LENGTH = 2048  # Tokens of a window while the learning rate falls.
WARM_UP_STEPS = 200
REPORT_STEPS, MEASURE_STEPS = 25, 100
CLIP = 1.0  # Of the gradient's length.
QUICK_WINDOWS = 48  # Held-out windows of TRAINED_LENGTH that the log's bits per byte are of.
COLUMNS = ("step", "tokens", "epoch", "seconds", "rate", "train_loss", "balance", "worst_share",
           "gradient", "heldout_bpb")


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # Of training, whatever else ran on the machine.
    decay_start: int = -1  # Step; -1 before.
    decay_steps: int = 0
    place: Place = field(default_factory=Place)

    def rate(self, peak: float) -> float:
        """The learning rate of the step after this."""
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        if self.decay_start < 0:
            return peak * warm
        return peak * warm * max(0.0, 1 - (self.step - self.decay_start) / self.decay_steps)

    @property
    def decaying(self) -> bool:
        return self.decay_start >= 0

    @property
    def done(self) -> bool:
        return self.decaying and self.step >= self.decay_start + self.decay_steps


class Run:
    """A training run in its folder."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.progress = args, Progress()
        args.run.mkdir(parents=True, exist_ok=True)
        saved = self._load()
        if saved:
            progress = saved["progress"]
            self.progress = Progress(**progress | {"place": Place(**progress["place"])})
        self._begin_decay()
        tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
        length = LONG_LENGTH if self.progress.decaying else TRAINED_LENGTH
        self.rows = args.batch_tokens // length
        self.windows = Windows(stream(read_tokens(args.corpus, "books", tokenizer)), length,
                               args.seed, self.progress.place)
        self._choose_heldout(tokenizer)
        model = new_model(args.seed, yarn=self.progress.decaying)
        self.parameters = dict(model.named_parameters())
        self.optimizer = Optimizer(self.parameters)
        if saved:
            model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
        self.model = model
        self.replicas = Replicas(model, args.processes,
                                 Settings(args.dropout, args.alpha, args.seed))
        self._open_log()

    def _load(self) -> dict | None:
        path = self.args.run / "last.pt"
        return torch.load(path, weights_only=True) if path.exists() else None

    def _begin_decay(self) -> None:
        p = self.progress
        if not self.args.decay_steps or p.decaying:
            return
        last = self.args.run / "last.pt"
        if last.exists():
            (self.args.run / "stable.pt").write_bytes(last.read_bytes())
        p.decay_start, p.decay_steps = p.step, self.args.decay_steps
        p.place = Place(p.place.epoch + 1, 0)

    def _choose_heldout(self, tokenizer: Tokenizer) -> None:
        tokens = np.concatenate(read_tokens(self.args.corpus, "heldout", tokenizer))
        starts = np.linspace(0, len(tokens) - TRAINED_LENGTH, QUICK_WINDOWS).astype(int)
        rows = [tokens[start:start + TRAINED_LENGTH] for start in starts]
        self.heldout = torch.from_numpy(np.stack(rows))
        self.heldout_bytes = sum(len(tokenizer.decode(row.tolist(), skip_special_tokens=False)
                                     .encode()) for row in rows)

    def _open_log(self) -> None:
        """Keeps the rows up to the checkpoint, and appends."""
        path, rows = self.args.run / "log.csv", []
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file)
                        if int(row["step"]) <= self.progress.step]
        temporary = path.with_suffix(".new")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(path)

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "progress": asdict(self.progress)}
        temporary = self.args.run / "last.new"
        torch.save(state, temporary)
        os.replace(temporary, self.args.run / "last.pt")

    def bits_per_byte(self) -> float:
        nats = self.replicas.nats(self.heldout, 4)
        return nats / math.log(2) / self.heldout_bytes

    def step(self) -> dict:
        """One step; what the log says of it."""
        p, started = self.progress, time.monotonic()
        rate = p.rate(self.args.rate)
        grads, outcome = self.replicas.gradients(self.windows.take(self.rows), p.step)
        length = torch.stack([g.norm() for g in grads.values()]).norm()
        for grad in grads.values():
            grad.mul_(min(1.0, CLIP / (float(length) + 1e-6)))
        self.optimizer.step(grads, rate, self.args.weight_decay, self.replicas.pool)
        p.step, p.tokens = p.step + 1, p.tokens + self.args.batch_tokens
        p.seconds += time.monotonic() - started
        return {"rate": rate, "train_loss": outcome.loss, "balance": outcome.balance,
                "gradient": float(length), "counts": outcome.counts}

    def report(self, seen: list[dict], bits: float | None) -> None:
        """Writes a row of the log, the mean of the steps since the last, and a line to see."""
        p = self.progress
        mean = {key: sum(s[key] for s in seen) / len(seen)
                for key in ("train_loss", "balance", "gradient")}
        row = {"step": p.step, "tokens": p.tokens, "epoch": p.place.epoch,
               "seconds": round(p.seconds, 1), "rate": f"{seen[-1]['rate']:.3g}",
               **{key: f"{value:.4f}" for key, value in mean.items()},
               "worst_share": f"{worst_share(sum(s['counts'] for s in seen)):.3f}",
               "heldout_bpb": "" if bits is None else f"{bits:.4f}"}
        with (self.args.run / "log.csv").open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        end = f" of {p.decay_start + p.decay_steps}" if p.decaying else ""
        print(f"step {p.step}{end}, epoch {p.place.epoch}, {p.tokens / 1e6:.1f} M tokens, "
              f"{p.seconds / 3600:.2f} h: loss {mean['train_loss']:.3f}, "
              f"worst share {row['worst_share']}"
              + ("" if bits is None else f", held-out {bits:.4f} bits per byte"), flush=True)

    def train(self) -> None:
        stopped = []
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda number, _: stopped.append(number))
        started = saved = time.monotonic()
        seen: list[dict] = []
        while not stopped and not self.progress.done:
            seen.append(self.step())
            now = time.monotonic()
            if self.args.hours and now - started > self.args.hours * 3600:
                break
            if self.progress.step % REPORT_STEPS == 0:
                measured = self.progress.step % MEASURE_STEPS == 0
                self.report(seen, self.bits_per_byte() if measured else None)
                seen = []
            if now - saved > self.args.save_minutes * 60:
                self.save()
                saved = time.monotonic()
        if seen:
            self.report(seen, self.bits_per_byte() if self.progress.done else None)
        self.save()
        self.replicas.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2, help="a core each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--rate", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.15)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--alpha", type=float, default=0.01, help="weight of the balance loss")
    parser.add_argument("--decay-steps", type=int, default=0, help="begin the decay, if not begun")
    parser.add_argument("--hours", type=float, default=0, help="stop after; 0: never")
    parser.add_argument("--save-minutes", type=float, default=5)
    Run(parser.parse_args()).train()


if __name__ == "__main__":
    main()
