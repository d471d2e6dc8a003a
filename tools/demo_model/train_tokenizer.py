#!/usr/bin/env python3
"""Trains the demo model's tokenizer on a corpus, in the form published with DeepSeek-V2.

    train_tokenizer.py --corpus DIR --out MODEL_DIR

Writes tokenizer.json, tokenizer_config.json and chat_template.jinja. The same texts give the same
files. Only the books to train on are read.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
import make_tokenizer as made
from data import read_books
from shape import CONTEXT, VOCAB_SIZE

# DeepSeek-V2's.
CHAT_TEMPLATE = """\
{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}\
User: {{ message['content'] }}

{% elif message['role'] == 'assistant' %}\
Assistant: {{ message['content'] }}{{ eos_token }}{% else %}{{ message['content'] }}

{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    # bos and eos are 0 and 1; the other added tokens of DeepSeek-V2's family come last.
    head, tail = made.V2_ADDED[:2], made.V2_ADDED[2:]
    texts = read_books(args.corpus, "books")
    parts = made.make(made.V2_SPLITS, head, tail, VOCAB_SIZE - len(tail), texts)
    tokenizer = made.write(args.out, parts, made.config(CONTEXT))
    (args.out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    for folder in ("books", "heldout"):
        texts = read_books(args.corpus, folder)
        tokens = sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
        size = sum(len(text.encode()) for text in texts)
        print(f"{folder}: {size} bytes, {tokens} tokens, {size / tokens:.3f} bytes a token")


if __name__ == "__main__":
    main()
