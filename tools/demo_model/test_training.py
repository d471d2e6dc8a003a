#!/usr/bin/env python3
"""Tests of the training code: python -m unittest, in this folder. A minute or two, no corpus."""

import argparse
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from transformers import DeepseekV2ForCausalLM

import evaluate
import fast_parts
import shape
import train
from balance import balance_loss, worst_share
from data import BOS, EOS, Place, Windows, stream, with_bos
from optimizer import Optimizer, orthogonal
from replicas import Replicas, Settings, new_model

TINY = Path(__file__).resolve().parents[2] / "models/tiny"
SMALL = {"num_hidden_layers": 3, "hidden_size": 64, "vocab_size": 2048, "intermediate_size": 96,
         "moe_intermediate_size": 32}


def small_model(seed: int = 1) -> DeepseekV2ForCausalLM:
    model = new_model(seed, yarn=True)
    with torch.no_grad():  # Away from the flat logits and even gates of fresh weights.
        for name, p in model.named_parameters():
            if "norm" not in name:
                p.mul_(5)
    return model


@mock.patch.dict(shape.CONFIG, SMALL)
class FastParts(unittest.TestCase):
    def test_logits_and_gradients_are_transformers_own_in_fp32(self):
        fast = small_model()
        config = shape.model_config(yarn=True)
        config._attn_implementation = config._experts_implementation = "eager"
        plain = DeepseekV2ForCausalLM(config)
        plain.load_state_dict(fast.state_dict())
        ids = torch.randint(0, 2048, (3, 200), generator=torch.Generator().manual_seed(2))
        inputs, targets = with_bos(ids)
        logits = plain(inputs).logits
        ours = fast.model(inputs).last_hidden_state
        torch.testing.assert_close(fast.lm_head(ours), logits, rtol=1e-4, atol=1e-4)
        self.assertGreater(logits.std(), 0.5)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        fast_loss = fast_parts.head_loss(ours, fast.lm_head.weight, targets)
        torch.testing.assert_close(fast_loss, loss, rtol=1e-5, atol=1e-5)
        loss.backward()
        fast_loss.backward()
        expected = dict(plain.named_parameters())
        for name, p in fast.named_parameters():
            size = float(expected[name].grad.abs().max())
            self.assertGreater(size, 0, name)
            torch.testing.assert_close(p.grad, expected[name].grad, rtol=1e-3, atol=1e-4 * size,
                                       msg=lambda text, name=name: f"{name}: {text}")

    def test_an_expert_without_tokens_has_no_gradient(self):
        x = torch.randn(5, 8, requires_grad=True)
        gate_up = torch.randn(4, 6, 8, requires_grad=True)
        down = torch.randn(4, 8, 3, requires_grad=True)
        chosen = torch.tensor([[0, 3]] * 5)
        out = fast_parts.ExpertsFunction.apply(x, chosen, torch.ones(5, 2), gate_up, down)
        out.sum().backward()
        self.assertEqual(float(gate_up.grad[1:3].abs().sum() + down.grad[1:3].abs().sum()), 0)
        self.assertTrue(gate_up.grad[[0, 3]].abs().sum((1, 2)).bool().all())

    def test_replicas_give_the_gradients_of_one_model_and_the_same_bits_each_time(self):
        ids = torch.randint(0, 2048, (6, 128), generator=torch.Generator().manual_seed(3))
        seen = []
        for count in (1, 2, 2):
            replicas = Replicas(small_model(), count, Settings(dropout=0.0, alpha=0.0, seed=1))
            seen.append(replicas.gradients(ids, 0)[0])
            replicas.close()
        for name, grad in seen[0].items():
            self.assertTrue(torch.equal(seen[1][name], seen[2][name]), name)
            difference = (seen[1][name] - grad).norm() / grad.norm()
            self.assertLess(float(difference), 0.05, name)  # Products are in bf16.


class Balance(unittest.TestCase):
    def test_loss_is_one_where_all_is_even_and_more_where_experts_are_crowded(self):
        even = torch.zeros(8, 4)
        chosen = torch.tensor([[0, 1], [2, 3]] * 4)
        self.assertAlmostEqual(float(balance_loss(even, chosen)[0]), 1.0, places=6)
        crowded = torch.tensor([[4.0, 4.0, 0.0, 0.0]] * 8)
        loss, counts = balance_loss(crowded, torch.tensor([[0, 1]] * 8))
        self.assertGreater(float(loss), 1.9)  # At most E / K.
        self.assertEqual(counts.tolist(), [8, 8, 0, 0])
        self.assertEqual(worst_share(counts.view(1, 4)), 2.0)

    def test_descent_evens_out_a_gate_that_prefers_two_experts(self):
        generator = torch.Generator().manual_seed(1)
        rows = torch.randn(512, 16, generator=generator)
        rows[:, 0] = 1
        gate = 0.3 * torch.randn(8, 16, generator=generator)
        gate[:2, 0] = 3
        gate.requires_grad_()

        def share():
            logits = rows @ gate.t()
            loss, counts = balance_loss(logits, logits.topk(2).indices)
            return loss, worst_share(counts.view(1, 8))
        self.assertGreater(share()[1], 3)
        optimizer = torch.optim.SGD([gate], lr=1)
        for _ in range(300):
            optimizer.zero_grad()
            share()[0].backward()
            optimizer.step()
        self.assertLess(share()[1], 1.5)


class Data(unittest.TestCase):
    def test_each_epoch_has_nearly_every_token_once_in_another_order(self):
        tokens = np.arange(1000)
        windows = Windows(tokens, 64, 1, Place())
        epochs = []
        for epoch in range(2):
            epochs.append(windows.take(len(windows.starts)).flatten().tolist())
            self.assertEqual(windows.place.epoch, epoch)
            self.assertEqual(len(epochs[-1]), len(set(epochs[-1])))
            self.assertGreater(len(epochs[-1]), 1000 - 2 * 64)
            following = windows.take(1)[0].tolist()  # The next epoch's first.
            windows.place.window = 0
            self.assertEqual(windows.place.epoch, epoch + 1)
        self.assertEqual(len(following), 64)
        self.assertNotEqual(epochs[0][:64], epochs[1][:64])

    def test_windows_go_on_from_a_place(self):
        first = Windows(np.arange(500), 16, 3, Place())
        first.take(40)
        second = Windows(np.arange(500), 16, 3, Place(first.place.epoch, first.place.window))
        self.assertTrue(torch.equal(first.take(10), second.take(10)))

    def test_books_are_apart(self):
        joined = stream([np.array([5, 6]), np.array([7])])
        self.assertEqual(joined.tolist(), [5, 6, EOS, BOS, 7, EOS])

    def test_evaluation_scores_each_token_once_with_enough_before_it(self):
        for size in (1, 1023, 1024, 5000):
            done = 0
            for text, scored in evaluate.windows(np.arange(size), 1024):
                self.assertLessEqual(len(text), 1023)
                self.assertEqual(text[-scored], done)
                self.assertGreaterEqual(len(text) - scored, min(done, evaluate.OVERLAP))
                done += scored
            self.assertEqual(done, size)


class Optimising(unittest.TestCase):
    def test_muon_steps_are_nearly_orthogonal(self):
        for shape_of in ((3, 16, 48), (3, 48, 16)):
            values = torch.linalg.svdvals(orthogonal(torch.randn(shape_of)).float())
            self.assertGreater(float(values.min()), 0.3)
            self.assertLess(float(values.max()), 1.5)

    def test_both_halves_find_a_minimum(self):
        wanted = {"x.weight": torch.randn(6, 4), "norm.weight": torch.randn(4)}
        found = {name: torch.zeros_like(values) for name, values in wanted.items()}
        optimizer = Optimizer(found)
        with ThreadPoolExecutor(2) as pool:
            for step in range(400):
                grads = {name: found[name] - wanted[name] for name in found}
                optimizer.step(grads, 0.1 * (1 - step / 400), 0.0, pool)
        for name, values in wanted.items():
            torch.testing.assert_close(found[name], values, rtol=0, atol=0.05)


@mock.patch.dict(shape.CONFIG, SMALL)
@mock.patch.object(train, "TRAINED_LENGTH", 64)
@mock.patch.object(train, "LONG_LENGTH", 128)
@mock.patch.object(train, "QUICK_WINDOWS", 2)
class Resuming(unittest.TestCase):
    def run_in(self, folder: Path, steps: int, decay_steps: int = 0) -> train.Run:
        args = argparse.Namespace(
            corpus=folder, tokenizer=TINY, run=folder / "run", processes=2, seed=1,
            batch_tokens=256, rate=1e-3, weight_decay=0.1, dropout=0.1, alpha=0.01,
            decay_steps=decay_steps)
        run = train.Run(args)
        for _ in range(steps):
            run.report([run.step()], run.bits_per_byte())
        return run

    def test_a_resumed_run_has_the_bits_of_one_that_never_stopped(self):
        weights = []
        for pieces in ((5,), (2, 3)):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for part in (folder / "books", folder / "heldout"):
                    part.mkdir()
                    (part / "a.txt").write_text("The cat sat on the mat, it is said.\n" * 99)
                for steps in pieces:
                    run = self.run_in(folder, steps)
                    run.save()
                    run.step()  # Lost.
                    run.replicas.close()
                self.run_in(folder, 0).replicas.close()
                log = (folder / "run/log.csv").read_text().splitlines()
                self.assertEqual([line.split(",")[0] for line in log[1:]], list("12345"))
                decayed = self.run_in(folder, 3, decay_steps=3)
                self.assertTrue(decayed.progress.done)
                self.assertEqual(decayed.progress.rate(1.0), 0.0)
                self.assertTrue((folder / "run/stable.pt").exists())
                weights.append(decayed.model.state_dict())
                decayed.replicas.close()
        for tensor, other in zip(weights[0].values(), weights[1].values(), strict=True):
            self.assertTrue(torch.equal(tensor, other))


if __name__ == "__main__":
    unittest.main()
