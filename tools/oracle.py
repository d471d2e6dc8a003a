#!/usr/bin/env python3
"""Makes the goldens in tests/golden/ with Hugging Face transformers, in fp32 on the CPU.

    oracle.py [--checkpoints] [--case NAME ...] [--out DIR]

With --checkpoints each case's checkpoint is made anew first, by the preset of its name in
checkpoint_presets.py: `oracle.py --checkpoints` regenerates all that is there.

A prompt is kept only if nothing in it or in its greedy continuation is nearly tied (MIN_GAP): then
another fp32 implementation, which rounds differently, must choose the same tokens and experts.

golden.json: the checkpoint's path, the versions, how many candidate prompts were rejected and why
(dull: fewer than MIN_DISTINCT greedy tokens), of V3 the share of the prompts' choices of experts
that the correction biases change, and the prompts: token_ids, greedy_token_ids (64, none of them
eos; none without lm_head), kept_positions (the prompt positions whose rows the first three tensors
hold); of a classifier pooled_position too, whose row decides.
golden.safetensors, for prompt i of T tokens of which P positions are kept:

    p<i>.hidden.<l>       [P, hidden]  residual stream: 0 embeddings, l after decoder layer l - 1
    p<i>.final_norm       [P, hidden]
    p<i>.logits           [P, vocab]
    p<i>.experts.<layer>  [T, K] i32   chosen experts, ascending; MoE layers only, counted from 0
    p<i>.prompt_logprobs  [T - 1]      of tokens 1 to T - 1; empty for one token
    p<i>.logprobs         [64]         of the greedy tokens
    p<i>.class_logits     [1, labels]  of a classifier

A bare model has the first two and the experts alone, a classifier those and class_logits. The
embedding of a prompt is the last row of final_norm, or the mean of all where all are kept.
"""

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import transformers

from checkpoint_presets import PRESETS
from make_checkpoint import (FP8_BLOCK, Tensor, config_of, head_of, is_v3, write_checkpoint,
                             write_safetensors)

ROOT = Path(__file__).resolve().parent.parent
GREEDY_TOKENS = 64
MIN_GAP = 1e-3  # Logits: best to second. Scores of choice: last chosen to first not chosen.
MIN_DISTINCT = 16  # Different tokens among the greedy ones: a loop of a few would test little.
MIN_BIASED = 0.25  # V3: share of choices that would be others without the correction bias.
MAX_CANDIDATES = 2000  # Per prompt; beyond it the checkpoint is no good for goldens.


@dataclass(frozen=True)
class Case:
    name: str
    seed: int
    prompt_lengths: tuple[int, ...] = (1, 5, 17, 40)
    kept: int | None = None  # Positions whose wide rows are kept, from the end; None: all.
    padding: tuple[str, ...] = ()  # More prompts of a classifier: where their pad tokens are.

    @property
    def checkpoint(self) -> Path:
        return ROOT / ("models/tiny" if self.name == "tiny" else f"tests/golden/{self.name}")


CASES = [Case("tiny", 1), Case("noqlora", 2), Case("tied", 3), Case("sharded", 4), Case("odd", 5),
         Case("longyarn", 6, prompt_lengths=(33, 300), kept=8),
         Case("v3", 7, prompt_lengths=(1, 24, 300), kept=16),
         Case("v3raw", 8, prompt_lengths=(2, 30)), Case("v3one", 9, prompt_lengths=(3, 26)),
         Case("v3fp8", 10, prompt_lengths=(1, 12, 70), kept=12),
         Case("v3bare", 11, prompt_lengths=(1, 8, 33)),
         Case("v3score", 12, prompt_lengths=(1, 7, 25)),
         Case("biased", 13, prompt_lengths=(1, 31)),
         Case("linear", 14, prompt_lengths=(4, 130), kept=20),
         Case("dynamic", 15, prompt_lengths=(1, 200), kept=20),
         Case("factor", 16, prompt_lengths=(5, 150), kept=20),
         Case("noshared", 17, prompt_lengths=(1, 22)), Case("dense", 18, prompt_lengths=(1, 37)),
         Case("topone", 19, prompt_lengths=(1, 19)), Case("topall", 20, prompt_lengths=(2, 18)),
         Case("fused", 21, prompt_lengths=(1, 28)),
         Case("bare", 22, prompt_lengths=(1, 2, 9, 64, 65)),
         Case("score", 23, prompt_lengths=(1, 13, 40),
              padding=("end", "inside", "begin", "all"))]


def check_versions() -> dict[str, str]:
    versions = {"transformers": transformers.__version__, "torch": torch.__version__,
                "numpy": np.__version__}
    print("oracle:", ", ".join(f"{k} {v}" for k, v in versions.items()))
    return versions


def load(checkpoint: Path) -> transformers.PreTrainedModel:
    """The model in fp32, with every weight from the file."""
    config = json.loads((checkpoint / "config.json").read_text())
    if "quantization_config" not in config:
        return check(checkpoint, *read_model(checkpoint, head_of(config)))
    with tempfile.TemporaryDirectory() as folder:
        write_dequantised(checkpoint, config, Path(folder))
        return check(checkpoint, *read_model(Path(folder), head_of(config)))


def read_model(checkpoint: Path, head: str) -> tuple[transformers.PreTrainedModel, dict]:
    reader = {"ForCausalLM": transformers.AutoModelForCausalLM, "Model": transformers.AutoModel,
              "ForSequenceClassification": transformers.AutoModelForSequenceClassification}[head]
    return reader.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager",
                                  experts_implementation="eager", output_loading_info=True)


def write_dequantised(checkpoint: Path, config: dict, out: Path) -> None:
    """The checkpoint in fp32: each fp8 matrix times its blocks' scales."""
    tensors = safetensors.torch.load_file(checkpoint / "model.safetensors")
    for name in [n for n, t in tensors.items() if t.dtype == torch.float8_e4m3fn]:
        scales = tensors.pop(name + "_scale_inv")
        rows, cols = tensors[name].shape
        of_element = scales.repeat_interleave(FP8_BLOCK, 0).repeat_interleave(FP8_BLOCK, 1)
        tensors[name] = tensors[name].float() * of_element[:rows, :cols]
    assert not any("scale_inv" in name for name in tensors)
    safetensors.torch.save_file(tensors, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text(json.dumps(
        {key: value for key, value in config.items() if key != "quantization_config"}))


def check(checkpoint: Path, model: transformers.PreTrainedModel,
          info: dict) -> transformers.PreTrainedModel:
    """Proof that all was read, and that attention is scaled by YaRN's mscale squared."""
    wrong = [(kind, str(name)) for kind, names in info.items() for name in names
             if kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
             and not (kind == "missing_keys" and model.get_parameter(name).numel() == 0)]
    if wrong:
        sys.exit(f"oracle: {checkpoint}: {wrong}")
    for what in ("attn", "experts"):
        chosen = getattr(model.config, f"_{what}_implementation")
        if chosen != "eager":
            sys.exit(f"oracle: {what}_implementation is {chosen!r}, not 'eager'")
    c = model.config
    rope = c.rope_parameters
    expected = (c.qk_nope_head_dim + c.qk_rope_head_dim) ** -0.5
    if rope["rope_type"] == "yarn" and rope.get("mscale_all_dim"):
        expected *= (0.1 * rope["mscale_all_dim"] * math.log(rope["factor"]) + 1) ** 2
    found = model.base_model.layers[0].self_attn.scaling
    if not math.isclose(found, expected, rel_tol=1e-6):
        sys.exit(f"oracle: {checkpoint}: softmax scale {found:.9f}, expected {expected:.9f}: "
                 f"transformers {transformers.__version__} lacks mscale squared; 5.15 has it")
    return model.eval()


class Trace:
    """What passed through the model in its last forward: rows by name, gates by layer."""

    def __init__(self, model: transformers.PreTrainedModel):
        self.rows: dict[str, torch.Tensor] = {}
        self.router_logits: dict[int, torch.Tensor] = {}
        self.experts: dict[int, torch.Tensor] = {}
        inner = model.base_model
        self.biases: dict[int, torch.Tensor] = {}  # V3's, of choice
        self.keep_rows(inner.embed_tokens, "hidden.0")
        for layer, block in enumerate(inner.layers):
            self.keep_rows(block, f"hidden.{layer + 1}")
            if hasattr(block.mlp, "gate"):
                block.mlp.gate.register_forward_hook(self.gate_hook(layer))
                if is_v3(model.config.to_dict()):
                    self.biases[layer] = block.mlp.gate.e_score_correction_bias.double()
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


def choose(config, scores: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """The experts that scores of choice demand, ascending, and the least gaps."""
    v3, gaps = config.model_type == "deepseek_v3", {}
    if v3 or config.topk_method == "group_limited_greedy":
        by_group = scores.unflatten(-1, (config.n_group, -1))
        group_scores = by_group.topk(2 if v3 else 1, dim=-1).values.sum(dim=-1)
        gaps["group"] = gap(group_scores, config.topk_group)
        permitted = group_scores.topk(config.topk_group, dim=-1).indices
        mask = torch.zeros_like(group_scores).scatter_(-1, permitted, 1)
        # Below any score, so that the gap is to the best expert among the permitted groups.
        scores = by_group.masked_fill(mask.unsqueeze(-1) == 0, -1e3).flatten(-2)
    gaps["expert"] = gap(scores, config.num_experts_per_tok)
    return scores.topk(config.num_experts_per_tok, dim=-1).indices.sort(dim=-1).values, gaps


def gate_gaps(config, trace: Trace, layer: int) -> dict[str, float]:
    """Least gaps of one layer's gate; also checks that these rules choose as the model did."""
    logits = trace.router_logits[layer].double()
    if layer in trace.biases:
        scores = logits.sigmoid() + trace.biases[layer]
    else:
        scores = logits.softmax(dim=-1)
    best, gaps = choose(config, scores)
    if not torch.equal(best, trace.experts[layer]) and min(gaps.values()) >= MIN_GAP:
        sys.exit("oracle: the model's experts are not those that its scores demand")
    return gaps


def unfit_gate(config, trace: Trace) -> str | None:
    for layer in trace.router_logits:
        for kind, least in gate_gaps(config, trace, layer).items():
            if least < MIN_GAP:
                return kind
    return None


def changed_by_bias(config, trace: Trace, rows: int) -> list[bool]:
    """Of each choice of the prompt: whether it would be another without V3's bias."""
    changed = []
    for layer in trace.biases:
        unbiased, _ = choose(config, trace.router_logits[layer][:rows].double().sigmoid())
        changed += (unbiased != trace.experts[layer][:rows]).any(dim=-1).tolist()
    return changed


@torch.inference_mode()
def try_headless(model: transformers.PreTrainedModel, trace: Trace, prompt: list[int],
                 kept: list[int]) -> tuple[str | None, dict[str, np.ndarray]]:
    """The same as try_prompt for a bare model or a classifier."""
    output = model(torch.tensor([prompt]), use_cache=False)
    reason = unfit_gate(model.config, trace)
    if reason is not None:
        return reason, {}
    goldens = {name: rows[kept] for name, rows in trace.rows.items()}
    if hasattr(model, "score"):
        pooled = pooled_position(model.config, prompt)
        if not torch.allclose(output.logits, model.score(trace.rows["final_norm"][[pooled]])):
            sys.exit(f"oracle: the classifier does not look at position {pooled} of {prompt}")
        goldens["class_logits"] = output.logits
    goldens |= {f"experts.{layer}": chosen for layer, chosen in trace.experts.items()}
    return None, {name: value.numpy() for name, value in goldens.items()}


def pooled_position(config, prompt: list[int]) -> int:
    """The last one that is no padding; if there is none, the first."""
    real = [i for i, token in enumerate(prompt) if token != config.pad_token_id]
    return real[-1] if real else 0


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
    reason = unfit_gate(model.config, trace)
    if reason is not None:
        return reason, {}
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


def padded(ids: list[int], pad: int, where: str) -> list[int]:
    """The prompt with pad tokens in the place of some of its own."""
    n = len(ids)
    chosen = {"end": range(n * 2 // 3, n), "begin": range(n // 3), "all": range(n),
              "inside": range(n // 3, n * 2 // 3)}[where]
    return [pad if i in chosen else token for i, token in enumerate(ids)]


def make_case(case: Case, out: Path, versions: dict[str, str]) -> None:
    model = load(case.checkpoint)
    trace = Trace(model)
    try_one = try_prompt if model.can_generate() else try_headless
    rng = np.random.default_rng(case.seed)
    prompts, arrays, biased = [], {}, []
    rejected = Counter(logit=0, expert=0, group=0, eos=0, dull=0)
    plans = [(length, None) for length in case.prompt_lengths]
    plans += [(case.prompt_lengths[-1] // 2, where) for where in case.padding]
    for index, (length, padding) in enumerate(plans):
        kept = list(range(length))[-(case.kept or length):]
        for _ in range(MAX_CANDIDATES):
            # Not 0 and 1, which are bos and eos.
            ids = rng.integers(2, model.config.vocab_size, size=length).tolist()
            if padding is not None:
                ids = padded(ids, model.config.pad_token_id, padding)
            reason, goldens = try_one(model, trace, ids, kept)
            if reason is None:
                break
            rejected[reason] += 1
        else:
            sys.exit(f"oracle: {case.name}: {MAX_CANDIDATES} prompts of {length} tokens rejected: "
                     f"{dict(rejected)}")
        biased += changed_by_bias(model.config, trace, length)
        greedy = goldens.pop("greedy", np.zeros(0, np.int64)).tolist()
        prompts.append({"token_ids": ids, "greedy_token_ids": greedy, "kept_positions": kept})
        if "class_logits" in goldens:
            prompts[-1]["pooled_position"] = pooled_position(model.config, ids)
        arrays |= {f"p{index}.{name}": value for name, value in goldens.items()}
    golden = {"checkpoint": str(case.checkpoint.relative_to(ROOT)), "versions": versions,
              "seed": case.seed, "min_gap": MIN_GAP, "rejected_candidates": dict(rejected)}
    if biased:
        golden["changed_by_bias"] = round(sum(biased) / len(biased), 3)
        if golden["changed_by_bias"] < MIN_BIASED:
            sys.exit(f"oracle: {case.name}: the bias changes {golden['changed_by_bias']} only")
    write_case(case, out / case.name, golden, prompts, arrays)


def write_case(case: Case, folder: Path, golden: dict, prompts: list[dict],
               arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # One line a list of ids: readable, and small.
    text = json.dumps(golden | {"prompts": "@"}, indent=2)
    lines = ",\n".join("    " + json.dumps(prompt) for prompt in prompts)
    (folder / "golden.json").write_text(text.replace('"@"', f"[\n{lines}\n  ]") + "\n")
    tensors = [Tensor(name, value.shape, "i32" if "experts" in name else "f32")
               for name, value in arrays.items()]
    write_safetensors(folder / "golden.safetensors", tensors, lambda name: arrays[name])
    about = {key: golden[key] for key in ("rejected_candidates", "changed_by_bias")
             if key in golden}
    distinct = [len(set(p["greedy_token_ids"])) for p in prompts if p["greedy_token_ids"]]
    largest = max(abs(v).max() for k, v in arrays.items() if k.endswith(("norm", "logits")))
    print(f"{case.name}: {len(prompts)} prompts, {about}; distinct greedy tokens {distinct}; "
          f"max |logit| {largest:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoints", action="store_true", help="make the checkpoints too")
    parser.add_argument("--case", action="append", choices=[c.name for c in CASES],
                        help="may be repeated; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "tests/golden")
    args = parser.parse_args()
    torch.set_num_threads(1)  # The same sums in the same order on every machine.
    transformers.utils.logging.disable_progress_bar()
    versions = check_versions()
    for case in CASES:
        if args.case is None or case.name in args.case:
            if args.checkpoints:
                preset = PRESETS[case.name]
                write_checkpoint(case.checkpoint, config_of(preset), preset, preset.seed)
            make_case(case, args.out, versions)


if __name__ == "__main__":
    main()
