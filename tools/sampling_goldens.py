#!/usr/bin/env python3
"""Makes tests/golden/sampling/sampling.json with the logits processors of transformers.

    sampling_goldens.py [--out FILE]

Each case: logits (fp32, written so that reading them gives the same bits), what is asked for, and

    processed  what RepetitionPenaltyLogitsProcessor and SequenceBiasLogitsProcessor make of them,
    kept       the ids that Temperature-, TopK-, TopP- and MinPLogitsWarper leave, ascending, in the
               order in which `generate` applies them, which is ours too.

A case of `kept` is taken only if nothing in it is nearly tied (MIN_GAP): neighbouring logits at the
cut of top-k, and the sums and probabilities at the cuts of top-p and min-p. Then an implementation
that rounds differently must keep the same ids. Where logits are equal, transformers keeps all that
tie at a top-k cut, and we keep the lower ids: such cases are ours to test, in kernels/.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from transformers import (MinPLogitsWarper, RepetitionPenaltyLogitsProcessor,
                          SequenceBiasLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
                          TopPLogitsWarper)

ROOT = Path(__file__).resolve().parent.parent
SEED = 20240507
MIN_GAP = 1e-4  # Relative, at every cut.
WARPERS = {"temperature": TemperatureLogitsWarper, "top_k": TopKLogitsWarper,
           "top_p": TopPLogitsWarper, "min_p": MinPLogitsWarper}
FILTERS = [{"top_k": 1}, {"top_k": 7}, {"top_k": 1000}, {"top_p": 0.05}, {"top_p": 0.5},
           {"top_p": 0.9}, {"top_p": 0.999}, {"min_p": 0.02}, {"min_p": 0.3}, {"min_p": 1.0},
           {"temperature": 0.6, "top_k": 20, "top_p": 0.8}, {"temperature": 2.0, "top_p": 0.7},
           {"temperature": 1.5, "top_k": 40, "min_p": 0.05},
           {"temperature": 0.8, "top_p": 0.95, "min_p": 0.1},
           {"temperature": 1.3, "top_k": 30, "top_p": 0.9, "min_p": 0.02}]


def logits_of(generator: torch.Generator, vocabulary: int) -> torch.Tensor:
    return torch.randn(1, vocabulary, generator=generator, dtype=torch.float32) * 3


def processed_case(generator: torch.Generator, vocabulary: int, penalty: float,
                   biases: int) -> dict:
    logits = logits_of(generator, vocabulary)
    tokens = torch.randint(vocabulary, (1, vocabulary // 3), generator=generator)  # Some twice.
    ids = torch.randperm(vocabulary, generator=generator)[:biases].sort().values.tolist()
    values = (torch.randn(biases, generator=generator) * 5).tolist()
    scores = logits
    if biases:
        pairs = [[[i], v] for i, v in zip(ids, values)]
        scores = SequenceBiasLogitsProcessor(pairs)(tokens, scores)
    if penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(penalty)(tokens, scores)
    return {"logits": logits[0].tolist(), "tokens": tokens[0].tolist(),
            "repetition_penalty": penalty, "bias_ids": ids, "biases": values,
            "processed": scores[0].tolist()}


def nearly_tied(before: torch.Tensor, name: str, value: float) -> bool:
    """Whether the filter's cut runs between two values that are hardly different."""
    p = before.double().softmax(-1)[0].sort(descending=True).values
    if name == "top_k":
        return value < len(p) and p[value] > 0 and bool(p[value - 1] / p[value] - 1 < MIN_GAP)
    if name == "top_p":
        return bool(((p.cumsum(-1) - value).abs() < MIN_GAP * value).any())
    if name == "min_p":
        return value < 1 and bool(((p / p[0] - value).abs() < MIN_GAP * value).any())
    return False


def kept_case(generator: torch.Generator, vocabulary: int, filters: dict) -> dict:
    while True:
        logits = logits_of(generator, vocabulary)
        scores, tied = logits, False
        for name, value in filters.items():
            tied = tied or nearly_tied(scores, name, value)
            scores = WARPERS[name](value)(None, scores)
        if not tied:
            break
    kept = torch.isfinite(scores[0]).nonzero()[:, 0].tolist()
    return {"logits": logits[0].tolist(), **filters, "kept": kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "tests/golden/sampling/sampling.json")
    out = parser.parse_args().out
    generator = torch.Generator().manual_seed(SEED)
    processed = [processed_case(generator, 90, penalty, biases)
                 for penalty in (1.0, 1.05, 1.3, 0.7, 2.0) for biases in (0, 12)
                 if penalty != 1 or biases]
    kept = [kept_case(generator, vocabulary, filters)
            for vocabulary in (60, 150) for filters in FILTERS]
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    golden = {"versions": versions, "seed": SEED, "processed": processed, "kept": kept}
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = json.dumps(golden).replace('{"logits"', '\n{"logits"')
    out.write_text(lines + "\n")
    print(f"{out}: {len(processed)} processed, {len(kept)} kept, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
