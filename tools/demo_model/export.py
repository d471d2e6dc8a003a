#!/usr/bin/env python3
"""Writes a training checkpoint as a published-format model.

    export.py --checkpoint RUN/last.pt --tokenizer DIR --out models/demo

bf16 safetensors, one tensor an expert's matrix, config.json, generation_config.json and the
tokenizer's files. The card and its picture stay as they are there.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from replicas import new_model
from shape import CONFIG, shipped_config

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# pylint: disable=wrong-import-position
from checkpoint_presets import Preset
from make_checkpoint import list_tensors

MOST_BYTES = 24_000_000
WEIGHTS = "model.safetensors"
GENERATION = {"bos_token_id": CONFIG["bos_token_id"], "eos_token_id": CONFIG["eos_token_id"],
              "do_sample": True, "temperature": 0.7, "top_p": 0.95}


def published_tensors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By their names in the file. transformers takes the experts apart while it saves."""
    model = new_model(0, yarn=True)
    model.load_state_dict(state)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors = safetensors.torch.load_file(Path(folder) / WEIGHTS)
    return {name: values.bfloat16().contiguous() for name, values in tensors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    saved = torch.load(args.checkpoint, weights_only=True)
    tensors = published_tensors(saved["model"])
    wanted = {t.name: t.shape for t in list_tensors(CONFIG, Preset())}
    if {name: tuple(values.shape) for name, values in tensors.items()} != wanted:
        raise SystemExit(f"not the tensors of a DeepSeek-V2: {sorted(tensors.keys() ^ wanted)}")
    args.out.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, args.out / WEIGHTS, metadata={"format": "pt"})
    (args.out / WEIGHTS).chmod(0o644)
    size = (args.out / WEIGHTS).stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{size} bytes, more than {MOST_BYTES}")
    written = {"config.json": shipped_config(), "generation_config.json": GENERATION}
    for name, content in written.items():
        (args.out / name).write_text(json.dumps(content, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if args.tokenizer.resolve() != args.out.resolve():
            shutil.copyfile(args.tokenizer / name, args.out / name)
    print(f"step {saved['progress']['step']}: {sum(t.numel() for t in tensors.values())} weights, "
          f"{size} bytes")


if __name__ == "__main__":
    main()
