#!/usr/bin/env python3
"""Measures a finished model: bits per byte of held-out text, use of the experts, and some samples.

    evaluate.py --model DIR --corpus DIR [--json FILE] [--context 1024] [--books 3]

Bits per byte: the nats of all tokens of each held-out book / ln 2 / its bytes. Windows of --context
tokens, each of bos and text; each token is scored once, with at least OVERLAP tokens before it
where the book has them. transformers in fp32, with the weights as they are in the file.
"""

import argparse
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import DeepseekV2ForCausalLM

from balance import GateWatch, worst_share
from data import BOS, EOS, read_books, with_bos

OVERLAP = 256
ROWS = 8  # Windows at a time.
PROMPTS = ("Once upon a time there was a little girl who", "The dragon opened one eye and said:",
           "In the middle of the forest stood a house", '"Where are we going?" asked the prince.')


def windows(tokens: np.ndarray, context: int) -> Iterator[tuple[np.ndarray, int]]:
    """Text of at most context - 1 tokens, and how many at its end are to be scored."""
    done = 0
    while done < len(tokens):
        start = max(0, done - OVERLAP) if done else 0
        end = min(len(tokens), start + context - 1)
        yield tokens[start:end], end - done
        done = end


@torch.no_grad()
def book_nats(model: DeepseekV2ForCausalLM, tokens: np.ndarray, context: int) -> float:
    total = 0.0
    for length, group in itertools.groupby(windows(tokens, context), lambda part: len(part[0])):
        parts = list(group)
        for first in range(0, len(parts), ROWS):
            rows = parts[first:first + ROWS]
            inputs, targets = with_bos(torch.from_numpy(np.stack([text for text, _ in rows])))
            logits = model(inputs, use_cache=False).logits
            nats = F.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")
            for row, (_, scored) in zip(nats, rows, strict=True):
                total += float(row[length - scored:].sum(dtype=torch.float64))
    return total


def bits_per_byte(model: DeepseekV2ForCausalLM, folder: Path, corpus: Path, context: int,
                  books: int) -> dict:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = sorted(path.stem for path in (corpus / "heldout").glob("*.txt"))
    result, nats, size = {}, 0.0, 0
    for name, text in list(zip(names, read_books(corpus, "heldout"), strict=True))[:books]:
        tokens = np.array(tokenizer.encode(text, add_special_tokens=False).ids)
        book, length = book_nats(model, tokens, context), len(text.encode())
        result[name] = book / math.log(2) / length
        nats, size = nats + book, size + length
        print(f"{name}: {result[name]:.4f} bits per byte", flush=True)
    result["all"] = nats / math.log(2) / size
    print(f"all: {result['all']:.4f} bits per byte, context {context}", flush=True)
    return result


def sample(model: DeepseekV2ForCausalLM, folder: Path, prompt: str) -> str:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    # transformers 5 does not heed add_bos_token of tokenizers like this one.
    ids = torch.tensor([[BOS, *tokenizer.encode(prompt, add_special_tokens=False).ids]])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=120,
                         do_sample=True, temperature=0.7, top_p=0.95, pad_token_id=EOS)
    return tokenizer.decode(out[0].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--books", type=int, default=1000, help="only the first so many")
    args = parser.parse_args()
    model = DeepseekV2ForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    watch = GateWatch(model)
    bits = bits_per_byte(model, args.model, args.corpus, args.context, args.books)
    counts = watch.take()[1]
    shares = counts / counts.sum(1, keepdim=True)
    for layer, row in enumerate(shares.tolist()):
        print(f"layer {layer + model.config.first_k_dense_replace}: each expert's share, in %:",
              " ".join(f"{100 * share:.1f}" for share in row))
    print(f"largest share, in even ones: {worst_share(counts):.3f}; "
          f"smallest: {float(shares.min()) * shares.shape[1]:.3f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({
            "context": args.context, "overlap": OVERLAP, "bits_per_byte": bits,
            "expert_shares": [[round(share, 4) for share in row] for row in shares.tolist()],
            "largest_share": worst_share(counts)}, indent=1) + "\n")
    for prompt in PROMPTS:
        print(f"\n--- {sample(model, args.model, prompt)}")


if __name__ == "__main__":
    main()
