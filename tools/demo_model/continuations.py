#!/usr/bin/env python3
"""Writes tests/golden/demo/continuations.json: how the demo model goes on with held-out text.

    continuations.py --model DIR --corpus DIR --out FILE

transformers in fp32. 20 prompts of bos and PROMPT_TOKENS tokens, each from the beginning of a
sentence of a held-out book, and the 64 tokens that are most likely after them, one after the other
(eos is not heeded). near_ties: at which of the 64 the second best logit was less than MIN_GAP
behind, so that another fp32 implementation, which rounds differently, may go on differently from
there. nats: of the prompt's tokens, each after those before it.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer
from transformers import DeepseekV2ForCausalLM

from data import BOS, read_books

PROMPTS = 20
PROMPT_TOKENS = 40
GREEDY_TOKENS = 64
MIN_GAP = 1e-3
SEED = 7


def choose_prompts(tokenizer: Tokenizer, corpus: Path) -> list[list[int]]:
    """The same number of each book, or one more."""
    rng = np.random.default_rng(SEED)
    books = read_books(corpus, "heldout")
    prompts = []
    for i in range(PROMPTS):
        text = books[i % len(books)]
        starts = [match.end() for match in re.finditer(r"[.!?]\n\n(?=[A-Z])", text)]
        start = int(rng.choice(starts[:-50]))
        ids = tokenizer.encode(text[start:start + 1000], add_special_tokens=False).ids
        prompts.append([BOS, *ids[:PROMPT_TOKENS]])
    return prompts


@torch.no_grad()
def go_on(model: DeepseekV2ForCausalLM, prompt: list[int]) -> dict:
    ids, near_ties = list(prompt), []
    for step in range(GREEDY_TOKENS):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].float()
        if step == 0:
            nats = float(F.cross_entropy(logits[:-1], torch.tensor(prompt[1:]), reduction="sum"))
        best = logits[-1].topk(2)
        if float(best.values[0] - best.values[1]) < MIN_GAP:
            near_ties.append(step)
        ids.append(int(best.indices[0]))
    return {"token_ids": prompt, "nats": nats, "greedy_token_ids": ids[len(prompt):],
            "near_ties": near_ties}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = DeepseekV2ForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    prompts = [go_on(model, prompt) for prompt in choose_prompts(tokenizer, args.corpus)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    head = {"checkpoint": "models/demo", "seed": SEED, "min_gap": MIN_GAP,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    lines = ",\n  ".join(json.dumps(prompt) for prompt in prompts)
    args.out.write_text(json.dumps(head, indent=1)[:-2] + f',\n "prompts": [\n  {lines}\n ]\n}}\n')
    print(f"{sum(len(p['near_ties']) for p in prompts)} near ties in "
          f"{PROMPTS} x {GREEDY_TOKENS} tokens")


if __name__ == "__main__":
    main()
