"""Lengths of files and functions, with a ratchet for what is too long already."""

import subprocess
from collections.abc import Iterator

from rules import Rules
from source import cpp_functions, python_functions, shell_functions
from tree import CODE, Finding, Tree

FILE_LINES = 500
FUNCTION_LINES = 70
RATCHET = "tests/tidy/ratchet.txt"

Key = tuple[str, str]  # path, function ("" is the file itself)


def _functions(tree: Tree, path: str):
    if path.endswith(CODE):
        return cpp_functions(tree.text(path))
    if path.endswith(".py"):
        return python_functions(tree.text(path))
    return shell_functions(tree.text(path))


def too_long(tree: Tree) -> dict[Key, tuple[int, int]]:
    """What is beyond its limit: its first line and its length."""
    found: dict[Key, tuple[int, int]] = {}
    for path in tree.ending(*CODE, ".py") + tree.scripts():
        lines = tree.text(path).count("\n")
        if lines > FILE_LINES:
            found[path, ""] = (0, lines)
        for name, first, length in _functions(tree, path):
            if length > FUNCTION_LINES and length > found.get((path, name), (0, 0))[1]:
                found[path, name] = (first, length)
    return found


def parse_ratchet(text: str) -> dict[Key, int]:
    entries: dict[Key, int] = {}
    for line in text.split("\n"):
        words = line.split("#")[0].split()
        if words:
            entries[words[0], " ".join(words[1:-1])] = int(words[-1])
    return entries


def _committed_ratchet(tree: Tree, commit: str) -> dict[Key, int] | None:
    git = ["git", "-c", "safe.directory=*", "-C", str(tree.root), "show", f"{commit}:{RATCHET}"]
    try:
        shown = subprocess.run(git, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return None
    return parse_ratchet(shown)


def check_sizes(tree: Tree, rules: Rules) -> Iterator[Finding]:
    ratchet = parse_ratchet(tree.text(RATCHET)) if tree.has_file(RATCHET) else {}
    found = too_long(tree)
    for key, (line, length) in found.items():
        limit = FUNCTION_LINES if key[1] else FILE_LINES
        what = key[1] or "the file"
        allowed = ratchet.get(key)
        if allowed is None:
            yield Finding(key[0], line, f"{what} has {length} lines, the limit is {limit}")
        elif length > allowed:
            yield Finding(key[0], line, f"{what} grew from {allowed} to {length} lines: the "
                                        f"limit is {limit}, what is over it may only shrink")
        elif length < allowed:
            yield Finding(RATCHET, 0, f"{key[0]} {what} shrank: write {length} for {allowed}")
    for path, name in ratchet.keys() - found.keys():
        yield Finding(RATCHET, 0, f"{path} {name or 'the file'} is within the limit: take it out")
    for commit in ("HEAD", "HEAD~1"):
        before = _committed_ratchet(tree, commit)
        if before is None:
            continue
        for key, length in ratchet.items():
            if length > before.get(key, 0):
                yield Finding(RATCHET, 0, f"{' '.join(key)} is new or longer than at {commit}: "
                                          "entries may only shrink")
