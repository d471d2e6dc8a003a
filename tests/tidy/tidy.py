#!/usr/bin/env python3
"""Checks what of the project's style can be counted; README.md here lists the rules.

    tidy.py [ROOT]

Prints one line per finding and exits with 1 if there is any. Needs nothing but Python.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from documents import check_architecture, check_links, check_paths, check_readmes
from includes import check_conditionals, check_includes
from rules import Rules, check_rules, read_rules
from sizes import check_sizes
from text import check_lines, check_places, check_pragma_once, check_protos
from tree import Finding, Tree

Check = Callable[[Tree, Rules], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_rules, check_includes, check_conditionals, check_sizes, check_lines, check_pragma_once,
    check_protos, check_places, check_readmes, check_links, check_paths, check_architecture)


def findings(root: Path) -> tuple[int, list[Finding]]:
    """The number of files read, and what was found in them."""
    tree = Tree(root)
    rules = read_rules(tree)
    return len(tree.files), sorted({f for check in CHECKS for f in check(tree, rules)})


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    files, found = findings(root)
    if files == 0:
        print(f"tidy: no files in {root}")
        return 1
    for finding in found:
        print(finding)
    print(f"tidy: {files} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
