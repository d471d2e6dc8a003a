"""The corpus as tokens, and the windows that training and evaluation see of it.

A corpus is a folder with books/ (to train on) and heldout/ (never trained on), of .txt files.
A window of L tokens is predicted from bos and its first L - 1 tokens.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from shape import CONFIG

BOS, EOS = CONFIG["bos_token_id"], CONFIG["eos_token_id"]


def read_books(corpus: Path, folder: str) -> list[str]:
    """The texts of corpus/folder, by name."""
    paths = sorted((corpus / folder).glob("*.txt"))
    if not paths:
        raise SystemExit(f"{corpus / folder}: no .txt file there")
    return [path.read_text() for path in paths]


def read_tokens(corpus: Path, folder: str, tokenizer: Tokenizer) -> list[np.ndarray]:
    """The tokens of each book, with neither bos nor eos."""
    return [np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
            for text in read_books(corpus, folder)]


def stream(books: list[np.ndarray]) -> np.ndarray:
    """All books as one, each ended by eos, and bos before the next."""
    return np.concatenate([part for book in books for part in (book, [EOS, BOS])][:-1]
                          + [np.array([EOS])])


def with_bos(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of windows [n, L]."""
    return torch.cat([torch.full_like(targets[:, :1], BOS), targets[:, :-1]], 1), targets


@dataclass
class Place:
    """How far training has come in the corpus."""
    epoch: int = 0
    window: int = 0  # In the epoch's order.


class Windows:
    """Endless windows of `length` tokens. Each epoch cuts the stream at other places and has its
    own order; both depend on the seed and the epoch alone."""

    def __init__(self, tokens: np.ndarray, length: int, seed: int, place: Place):
        self.tokens, self.length, self.seed, self.place = tokens, length, seed, place
        self.starts = self._starts()

    def _starts(self) -> np.ndarray:
        rng = np.random.default_rng([self.seed, self.place.epoch, self.length])
        first = int(rng.integers(self.length))
        starts = np.arange(first, len(self.tokens) - self.length + 1, self.length)
        return rng.permutation(starts)

    def take(self, count: int) -> torch.Tensor:
        """The next windows [count, length]."""
        rows = []
        while len(rows) < count:
            if self.place.window >= len(self.starts):
                self.place.epoch, self.place.window = self.place.epoch + 1, 0
                self.starts = self._starts()
            start = self.starts[self.place.window]
            rows.append(self.tokens[start:start + self.length])
            self.place.window += 1
        return torch.from_numpy(np.stack(rows))
