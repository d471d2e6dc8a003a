#!/usr/bin/env python3
"""Makes the goldens in tests/golden/ with Hugging Face transformers, in fp32 on the CPU.

    oracle.py [--case NAME ...] [--out DIR]

A prompt is kept only if nothing in it or in its greedy continuation is nearly tied (MIN_GAP): then
another fp32 implementation, which rounds differently, must choose the same tokens and experts.

golden.json: the checkpoint's path, the versions, how many candidate prompts were rejected and why
(dull: fewer than MIN_DISTINCT greedy tokens), and the prompts: token_ids, greedy_token_ids (64,
none of them eos), kept_positions (the prompt positions whose rows the first three tensors hold).
golden.safetensors, for prompt i of T tokens of which P positions are kept:

    p<i>.hidden.<l>       [P, hidden]  residual stream: 0 embeddings, l after decoder layer l - 1
    p<i>.final_norm       [P, hidden]
    p<i>.logits           [P, vocab]
    p<i>.experts.<layer>  [T, K] i32   chosen experts, ascending; MoE layers only, counted from 0
    p<i>.prompt_logprobs  [T - 1]      of tokens 1 to T - 1; empty for one token
    p<i>.logprobs         [64]         of the greedy tokens
"""

import argparse
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers

from make_checkpoint import Tensor, write_safetensors

ROOT = Path(__file__).resolve().parent.parent
GREEDY_TOKENS = 64
MIN_GAP = 1e-3  # Logits: best to second. Softmax scores: last chosen to first not chosen.
MIN_DISTINCT = 16  # Different tokens among the greedy ones: a loop of a few would test little.
MAX_CANDIDATES = 2000  # Per prompt; beyond it the checkpoint is no good for goldens.


@dataclass(frozen=True)
class Case:
    name: str
    seed: int
    prompt_lengths: tuple[int, ...] = (1, 5, 17, 40)
    kept: int | None = None  # Positions whose wide rows are kept, from the end; None: all.

    @property
    def checkpoint(self) -> Path:
        return ROOT / ("models/tiny" if self.name == "tiny" else f"tests/golden/{self.name}")


CASES = [Case("tiny", 1), Case("noqlora", 2), Case("tied", 3), Case("sharded", 4), Case("odd", 5),
         Case("longyarn", 6, prompt_lengths=(33, 300), kept=8)]


def check_versions() -> dict[str, str]:
    versions = {"transformers": transformers.__version__, "torch": torch.__version__,
                "numpy": np.__version__}
    print("oracle:", ", ".join(f"{k} {v}" for k, v in versions.items()))
    return versions


def load(checkpoint: Path) -> transformers.PreTrainedModel:
    """The model in fp32, after proof that it scales attention by YaRN's mscale squared."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager",
        experts_implementation="eager").eval()
    for what in ("attn", "experts"):
        chosen = getattr(model.config, f"_{what}_implementation")
        if chosen != "eager":
            sys.exit(f"oracle: {what}_implementation is {chosen!r}, not 'eager'")
    c = model.config
    rope = c.rope_parameters
    expected = (c.qk_nope_head_dim + c.qk_rope_head_dim) ** -0.5
    if rope["rope_type"] == "yarn" and rope.get("mscale_all_dim"):
        expected *= (0.1 * rope["mscale_all_dim"] * math.log(rope["factor"]) + 1) ** 2
    found = model.model.layers[0].self_attn.scaling
    if not math.isclose(found, expected, rel_tol=1e-6):
        sys.exit(f"oracle: {checkpoint}: softmax scale {found:.9f}, expected {expected:.9f}: "
                 f"transformers {transformers.__version__} lacks mscale squared; 5.15 has it")
    return model


class Trace:
    """What passed through the model in its last forward: rows by name, gates by layer."""

    def __init__(self, model: transformers.PreTrainedModel):
        self.rows: dict[str, torch.Tensor] = {}
        self.router_logits: dict[int, torch.Tensor] = {}
        self.experts: dict[int, torch.Tensor] = {}
        inner = model.model
        self.keep_rows(inner.embed_tokens, "hidden.0")
        for layer, block in enumerate(inner.layers):
            self.keep_rows(block, f"hidden.{layer + 1}")
            if hasattr(block.mlp, "gate"):
                block.mlp.gate.register_forward_hook(self.gate_hook(layer))
        self.keep_rows(inner.norm, "final_norm")

    def keep_rows(self, module: torch.nn.Module, name: str) -> None:
        def hook(_module, _inputs, output: torch.Tensor) -> None:
            self.rows[name] = output[0]
        module.register_forward_hook(hook)

    def gate_hook(self, layer: int):
        def hook(_module, _inputs, output) -> None:
            self.router_logits[layer] = output[0]
            self.experts[layer] = output[2].sort(dim=-1).values
        return hook


def gap(scores: torch.Tensor, chosen: int) -> float:
    """The least distance, over all rows, from the last of `chosen` to the first not chosen."""
    ordered = scores.sort(dim=-1, descending=True).values
    if chosen >= scores.shape[-1]:
        return math.inf
    return (ordered[:, chosen - 1] - ordered[:, chosen]).min().item()


def gate_gaps(config, router_logits: torch.Tensor, experts: torch.Tensor) -> dict[str, float]:
    """Least gaps of one layer's gate; also checks that these rules choose `experts`."""
    scores = router_logits.double().softmax(dim=-1)
    gaps = {}
    if config.topk_method == "group_limited_greedy":
        by_group = scores.unflatten(-1, (config.n_group, -1))
        group_scores = by_group.max(dim=-1).values
        gaps["group"] = gap(group_scores, config.topk_group)
        permitted = group_scores.topk(config.topk_group, dim=-1).indices
        mask = torch.zeros_like(group_scores).scatter_(-1, permitted, 1)
        # Below any score, so that the gap is to the best expert among the permitted groups.
        scores = by_group.masked_fill(mask.unsqueeze(-1) == 0, -1).flatten(-2)
    gaps["expert"] = gap(scores, config.num_experts_per_tok)
    best = scores.topk(config.num_experts_per_tok, dim=-1).indices.sort(dim=-1).values
    if not torch.equal(best, experts) and min(gaps.values()) >= MIN_GAP:
        sys.exit("oracle: the model's experts are not those that its scores demand")
    return gaps


@torch.inference_mode()
def try_prompt(model: transformers.PreTrainedModel, trace: Trace, prompt: list[int],
               kept: list[int]) -> tuple[str | None, dict[str, np.ndarray]]:
    """Why the prompt is unfit (None if it is fit), and its goldens."""
    eos = model.config.eos_token_id
    ids = torch.tensor([prompt])
    ids = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                         max_new_tokens=GREEDY_TOKENS, min_new_tokens=GREEDY_TOKENS,
                         eos_token_id=None, pad_token_id=eos)
    greedy = ids[0, len(prompt):]
    # Once more as a whole, without a cache: both ways must agree, and this one is what is kept.
    logits = model(ids[:, :-1], use_cache=False).logits[0]
    if gap(logits, 1) < MIN_GAP:
        return "logit", {}
    for layer, router_logits in trace.router_logits.items():
        for kind, least in gate_gaps(model.config, router_logits, trace.experts[layer]).items():
            if least < MIN_GAP:
                return kind, {}
    if eos in greedy:
        return "eos", {}
    if len(greedy.unique()) < MIN_DISTINCT:
        return "dull", {}
    if not torch.equal(logits[len(prompt) - 1:].argmax(dim=-1), greedy):
        sys.exit("oracle: greedy tokens with a cache differ from those without")

    logprobs = logits.double().log_softmax(dim=-1)
    logprobs = logprobs.gather(1, ids[0, 1:].unsqueeze(1)).squeeze(1)
    goldens = {name: rows[kept] for name, rows in trace.rows.items()}
    goldens |= {"logits": logits[kept], "prompt_logprobs": logprobs[:len(prompt) - 1],
                "logprobs": logprobs[len(prompt) - 1:], "greedy": greedy}
    goldens |= {f"experts.{layer}": chosen[:len(prompt)] for layer, chosen in trace.experts.items()}
    return None, {name: value.numpy() for name, value in goldens.items()}


def make_case(case: Case, out: Path, versions: dict[str, str]) -> None:
    model = load(case.checkpoint)
    trace = Trace(model)
    rng = np.random.default_rng(case.seed)
    prompts, arrays, rejected = [], {}, Counter(logit=0, expert=0, group=0, eos=0, dull=0)
    for index, length in enumerate(case.prompt_lengths):
        kept = list(range(length))[-(case.kept or length):]
        for _ in range(MAX_CANDIDATES):
            # Not 0 and 1, which are bos and eos.
            ids = rng.integers(2, model.config.vocab_size, size=length).tolist()
            reason, goldens = try_prompt(model, trace, ids, kept)
            if reason is None:
                break
            rejected[reason] += 1
        else:
            sys.exit(f"oracle: {case.name}: {MAX_CANDIDATES} prompts of {length} tokens rejected: "
                     f"{dict(rejected)}")
        prompts.append({"token_ids": ids, "greedy_token_ids": goldens.pop("greedy").tolist(),
                        "kept_positions": kept})
        arrays |= {f"p{index}.{name}": value for name, value in goldens.items()}
    write_case(case, out / case.name, prompts, arrays, rejected, versions)


def write_case(case: Case, folder: Path, prompts: list[dict], arrays: dict[str, np.ndarray],
               rejected: Counter, versions: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    golden = {"checkpoint": str(case.checkpoint.relative_to(ROOT)), "versions": versions,
              "seed": case.seed, "min_gap": MIN_GAP, "rejected_candidates": dict(rejected)}
    # One line a list of ids: readable, and small.
    text = json.dumps(golden | {"prompts": "@"}, indent=2)
    lines = ",\n".join("    " + json.dumps(prompt) for prompt in prompts)
    (folder / "golden.json").write_text(text.replace('"@"', f"[\n{lines}\n  ]") + "\n")
    tensors = [Tensor(name, value.shape, "i32" if "experts" in name else "f32")
               for name, value in arrays.items()]
    write_safetensors(folder / "golden.safetensors", tensors, lambda name: arrays[name])
    distinct = [len(set(p["greedy_token_ids"])) for p in prompts]
    print(f"{case.name}: {len(prompts)} prompts kept, {rejected.total()} rejected "
          f"{dict(rejected)}; distinct greedy tokens {distinct}; max |logit| "
          f"{max(abs(v).max() for k, v in arrays.items() if k.endswith('.logits')):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--case", action="append", choices=[c.name for c in CASES],
                        help="may be repeated; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "tests/golden")
    args = parser.parse_args()
    torch.set_num_threads(1)  # The same sums in the same order on every machine.
    transformers.utils.logging.disable_progress_bar()
    versions = check_versions()
    for case in CASES:
        if args.case is None or case.name in args.case:
            make_case(case, args.out, versions)


if __name__ == "__main__":
    main()
