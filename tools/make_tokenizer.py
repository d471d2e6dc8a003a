#!/usr/bin/env python3
"""Trains small byte-level BPE tokenizers in the published format, and writes their goldens.

    make_tokenizer.py golden [OUT_DIR]    tests/golden/tokenizer: v2/, v3/ and strings.jsonl
    make_tokenizer.py model MODEL_DIR     a tokenizer for a made checkpoint, such as models/tiny
    make_tokenizer.py unicode             model/tokenizer/unicode_additions.cc, to stdout

The structure (pre-tokenizer, added tokens' flags, post-processor, decoder, tokenizer_config) is
that of the files published with DeepSeek-V2 and V3; vocabulary and merges are trained here, on
tools/tokenizer_texts.py. Needs the packages of tools/oracle_requirements.txt.
"""

import argparse
import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tokenizer_texts import Strings, training_texts

ROOT = Path(__file__).resolve().parent.parent
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
NEVER_IN_UTF8 = {0xC0, 0xC1, *range(0xF5, 0x100)}
GOLDEN_STRINGS = 2600

# The cased letters of V2's second split: an old Unicode's, enumerated there as here.
V2_LETTERS = """
41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A
38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF
1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D
1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4
1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F
2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F
A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3
104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943
"""
V2_PUNCTUATION = "21-2F 3A-7E FF01-FF0F FF1A-FF5E 2018-201F 3000-3002"
V2_CJK = "4E00-9FA5 800-4E00 AC00-D7FF"
V3_CJK = "4E00-9FA5 3040-309F 30A0-30FF"
V3_WORDS = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
            r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
            r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
V3_WORDS = V3_WORDS.replace(r"\r", "\r").replace(r"\n", "\n")


def ranges(text: str) -> list[tuple[int, int]]:
    pairs = [item.split("-") for item in text.split()]
    return [(int(pair[0], 16), int(pair[-1], 16)) for pair in pairs]


def characters(text: str) -> str:
    """The inside of a regex set, spelled as published: the characters themselves."""
    return "".join(chr(a) if a == b else f"{chr(a)}-{chr(b)}" for a, b in ranges(text))


def split(regex: str) -> dict:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
              "use_regex": False}
V2_SPLITS = [split("[\r\n]"), split(rf"\s?[{characters(V2_LETTERS)}]+"),
             split(rf"\s?[{characters(V2_PUNCTUATION)}]+"), split(r"\s+$"),
             split(f"[{characters(V2_CJK)}]+"), {"type": "Digits", "individual_digits": True}]
V3_SPLITS = [split(r"\p{N}{1,3}"), split(f"[{characters(V3_CJK)}]+"), split(V3_WORDS)]


def token(content: str, *, special: bool, normalized: bool) -> dict:
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


# Added tokens that stand behind the vocabulary (V2), or at its head and behind it (V3).
V2_ADDED = [token(BOS, special=True, normalized=True), token(EOS, special=True, normalized=True),
            *(token(f"<｜fim▁{what}｜>", special=False, normalized=True)
              for what in ("hole", "begin", "end")),
            token("<｜User｜>", special=False, normalized=True),
            token("<｜Assistant｜>", special=False, normalized=True),
            token("<|EOT|>", special=True, normalized=True)]
V3_HEAD = [token(BOS, special=True, normalized=False), token(EOS, special=True, normalized=False),
           token("<｜▁pad▁｜>", special=True, normalized=False)]
V3_ADDED = [*(token(f"<｜place▁holder▁no▁{i}｜>", special=False, normalized=True) for i in range(4)),
            *(token(f"<｜{what}｜>", special=False, normalized=True)
              for what in ("fim▁hole", "fim▁begin", "fim▁end", "User", "Assistant")),
            token("<|EOT|>", special=False, normalized=True),
            *(token(f"<｜tool▁{what}｜>", special=False, normalized=True)
              for what in ("calls▁begin", "calls▁end", "call▁begin", "call▁end", "sep"))]


def train(splits: list[dict], head: list[dict], size: int,
          texts: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """Vocabulary of `size` tokens, those of `head` first, and merges."""
    bpe = Tokenizer(models.BPE())
    steps = []
    for step in splits:
        steps.append(pre_tokenizers.Digits(individual_digits=True) if step["type"] == "Digits"
                     else pre_tokenizers.Split(Regex(step["pattern"]["Regex"]), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(steps)
    byte_symbols = byte_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=[t["content"] for t in head],
        initial_alphabet=[c for b, c in byte_symbols.items() if b not in NEVER_IN_UTF8])
    bpe.train_from_iterator(texts, trainer)
    model = json.loads(bpe.to_str())["model"]
    return model["vocab"], [" ".join(pair) for pair in model["merges"]]


def byte_alphabet() -> dict[int, str]:
    """The character that stands for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def make(splits: list[dict], head: list[dict], tail: list[dict], size: int,
         texts: Iterable[str]) -> dict:
    """tokenizer.json: `head`, what is learnt from `texts`, to `size` tokens; then `tail`."""
    vocab, merges = train(splits, head, size, texts)
    added = [{"id": vocab[t["content"]]} | t for t in head]
    added += [{"id": len(vocab) + i} | t for i, t in enumerate(tail)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, BYTE_LEVEL]},
        "post_processor": BYTE_LEVEL | {"add_prefix_space": True, "trim_offsets": False,
                                        "use_regex": True},
        "decoder": BYTE_LEVEL | {"add_prefix_space": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges},
    }


def config(max_length: int) -> dict:
    def added(content: str) -> dict:
        return {"__type": "AddedToken"} | token(content, special=True, normalized=True)
    return {"add_bos_token": True, "add_eos_token": False, "bos_token": added(BOS),
            "clean_up_tokenization_spaces": False, "eos_token": added(EOS), "legacy": True,
            "model_max_length": max_length, "pad_token": added(EOS), "sp_model_kwargs": {},
            "unk_token": None, "tokenizer_class": "LlamaTokenizerFast"}


def write(folder: Path, tokenizer: dict, tokenizer_config: dict) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    # Compact, but one field of the model a line.
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    for key in ('"added_tokens":', '"pre_tokenizer":', '"post_processor":', '"model":',
                '"merges":'):
        text = text.replace("," + key, ",\n" + key)
    (folder / "tokenizer.json").write_text(text + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(tokenizer_config, indent=2, ensure_ascii=False) + "\n")
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def write_goldens(out: Path) -> None:
    texts = training_texts()
    v2 = write(out / "v2", make(V2_SPLITS, [], V2_ADDED, 2000, texts), config(16384))
    v3 = write(out / "v3", make(V3_SPLITS, V3_HEAD, V3_ADDED, 2000, texts), config(131072))
    added = [t["content"] for t in V2_ADDED + V3_HEAD + V3_ADDED]
    boundaries = [code for text in (V2_LETTERS, V2_PUNCTUATION, V2_CJK, V3_CJK)
                  for pair in ranges(text) for code in pair]
    with (out / "strings.jsonl").open("w") as file:
        for text in Strings(1, added, boundaries).all(GOLDEN_STRINGS):
            golden = {"text": text}
            for name, tokenizer in (("v2", v2), ("v3", v3)):
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                golden[name] = ids
                decoded = tokenizer.decode(ids, skip_special_tokens=False)
                if decoded != text:
                    raise SystemExit(f"{name}: {text!r} comes back as {decoded!r}")
            file.write(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"tokenizers {tokenizers.__version__}: {GOLDEN_STRINGS} strings")


def write_for_model(folder: Path) -> None:
    """In V2's style, with bos and eos where the checkpoint's config.json has them."""
    c = json.loads((folder / "config.json").read_text())
    if (c["bos_token_id"], c["eos_token_id"]) != (0, 1):
        raise SystemExit(f"{folder}/config.json: expected bos_token_id 0 and eos_token_id 1")
    tail = V2_ADDED[2:]
    write(folder, make(V2_SPLITS, V2_ADDED[:2], tail, c["vocab_size"] - len(tail) - 8,
                       training_texts()), config(c["max_position_embeddings"]))


def additions() -> list[list]:
    """Characters that have a general category in Hugging Face's regex engine, but not yet in
    Unicode 14, as ranges: [first, last, major category]."""
    if unicodedata.unidata_version != "14.0.0":
        raise SystemExit("needs a Python with Unicode 14, such as 3.11")
    codes = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    category = {}
    for major in "LMNPSZ":
        splitter = pre_tokenizers.Split(Regex(rf"\p{{{major}}}+"), "removed")
        rest = {ord(c) for piece, _ in splitter.pre_tokenize_str("".join(map(chr, codes)))
                for c in piece}
        category |= {c: major for c in codes if c not in rest}
    # Digits asks the engine's host language, whose Unicode may be another: apart, as "D".
    digits = {ord(piece) for piece, _ in pre_tokenizers.Digits(True).pre_tokenize_str(
        "".join(chr(c) + "a" for c in codes)) if len(piece) == 1 and piece != "a"}
    category |= {c: "D" for c in digits if category.get(c) != "N"}
    rows: list[list] = []
    for code, major in sorted(category.items()):
        old = unicodedata.category(chr(code))
        if old[0] == major or (major != "D" and old[0] != "C"):
            continue
        if rows and rows[-1][1:] == [code - 1, major]:
            rows[-1][1] = code
        else:
            rows.append([code, code, major])
    return rows


def print_unicode() -> None:
    print("// Made by `tools/make_tokenizer.py unicode`; formatted by tools/format.sh.\n"
          '#include "model/tokenizer/unicode.h"\n\n'
          "namespace expertmesh {\n\nconst std::vector<UnicodeAddition>& UnicodeAdditions() {\n"
          "static const auto& additions = *new std::vector<UnicodeAddition>{")
    print(" ".join(f"{{0x{a:04X}, 0x{b:04X}, '{major}'}}," for a, b, major in additions()))
    print("};\nreturn additions;\n}\n\n}  // namespace expertmesh")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("golden", "model", "unicode"))
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "tests/golden/tokenizer")
    args = parser.parse_args()
    if args.what == "golden":
        write_goldens(args.folder)
    elif args.what == "model":
        write_for_model(args.folder)
    else:
        print_unicode()


if __name__ == "__main__":
    main()
