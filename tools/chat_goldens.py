#!/usr/bin/env python3
"""Makes the goldens in tests/golden/chat/ with Hugging Face transformers' own rendering.

    chat_goldens.py [--check]

conversations.json  the conversations, from chat_golden_conversations.py
<template>.json     of templates/<template>.jinja: what each conversation gives, "plain" and with
                    generation "prompt"
snippets.json       small templates from chat_golden_snippets.py, and what they give

What a template gives is its "text", or what it "raised" by raise_exception, or Python's "error".

With --check it writes nothing, and exits with 1 where a file differs.
"""

import argparse
import json
import sys
from pathlib import Path

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

from chat_golden_conversations import CONVERSATIONS, SPECIAL_TOKENS
from chat_golden_snippets import SNIPPETS, VARIABLES

FOLDER = Path(__file__).resolve().parent.parent / "tests/golden/chat"


def outcome(template: str, messages: list, **variables) -> dict[str, str]:
    """One of the three outcomes."""
    try:
        rendered, _ = render_jinja_template(conversations=[messages], chat_template=template,
                                            **variables)
        return {"text": rendered[0]}
    except jinja2.exceptions.TemplateError as error:
        if type(error) is jinja2.exceptions.TemplateError:  # the one that raise_exception raises
            return {"raised": error.message}
        return {"error": f"{type(error).__name__}: {error}"}
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def conversation_goldens(template: str) -> list[dict]:
    goldens = []
    for conversation in CONVERSATIONS:
        variables = SPECIAL_TOKENS | conversation.get("variables", {})
        tools = conversation.get("tools")
        goldens.append({"name": conversation["name"]} | {
            key: outcome(template, conversation["messages"], tools=tools,
                         add_generation_prompt=prompt, **variables)
            for key, prompt in (("plain", False), ("prompt", True))})
    return goldens


def snippet_goldens() -> list[dict]:
    return [{"about": about, "template": template} | outcome(template, [], **VARIABLES)
            for about, templates in SNIPPETS.items() for template in templates]


def files() -> dict[Path, str]:
    versions = {"transformers": transformers.__version__, "jinja2": jinja2.__version__}
    made = {"conversations.json": {"special_tokens": SPECIAL_TOKENS,
                                   "conversations": CONVERSATIONS},
            "snippets.json": {"versions": versions, "variables": VARIABLES,
                              "snippets": snippet_goldens()}}
    for path in sorted(FOLDER.glob("templates/*.jinja")):
        made[f"{path.stem}.json"] = {
            "versions": versions, "goldens": conversation_goldens(path.read_bytes().decode())}
    return {FOLDER / name: json.dumps(value, indent=1, ensure_ascii=True) + "\n"
            for name, value in made.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    args = parser.parse_args()
    print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}; "
          f"{len(CONVERSATIONS)} conversations, "
          f"{sum(map(len, SNIPPETS.values()))} snippets")
    differing = 0
    for path, text in files().items():
        if path.exists() and path.read_text() == text:
            continue
        differing += 1
        print(("differs: " if args.check else "written: ") + path.name)
        if not args.check:
            path.write_text(text)
    if args.check and differing:
        sys.exit(1)


if __name__ == "__main__":
    main()
