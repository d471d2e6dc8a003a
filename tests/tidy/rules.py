"""The table of rooms, read from docs/architecture.md: who may include whom."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tree import Finding, Tree

PAGE = "docs/architecture.md"
SECTION = "## Who may include whom"


@dataclass
class Room:
    name: str
    line: int
    may: set[str]
    libraries: set[str]
    everything: bool = False


@dataclass
class Rules:
    rooms: dict[str, Room] = field(default_factory=dict)
    headers: dict[str, list[str]] = field(default_factory=dict)  # of each library
    package_lines: dict[str, int] = field(default_factory=dict)
    without_io: set[str] = field(default_factory=set)

    def room_of(self, path: str) -> Room | None:
        """The row with the longest name that is the path or a folder above it."""
        parts = path.split("/")
        for count in range(len(parts), 0, -1):
            if room := self.rooms.get("/".join(parts[:count])):
                return room
        return None

    def package_of(self, header: str) -> str | None:
        for library, prefixes in self.headers.items():
            for prefix in prefixes:
                if header == prefix or (prefix.endswith("/") and header.startswith(prefix)):
                    return library
        return None


def _section(tree: Tree) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(tree.lines(PAGE), 1):
        if line.startswith("## "):
            inside = line.strip() == SECTION
        elif inside:
            yield number, line


def read_rules(tree: Tree) -> Rules:
    rules = Rules()
    if not tree.has_file(PAGE):
        return rules
    kind = ""
    for number, line in _section(tree):
        if line.startswith("Rooms without I/O:"):
            rules.without_io = set(re.findall(r"`([^`]+)`", line))
        if not line.startswith("|"):
            kind = ""
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        words = [re.findall(r"`([^`]+)`", cell) for cell in cells]
        if not words[0]:
            kind = cells[0] if not kind else kind  # a table's head names its kind
        elif kind == "room":
            rules.rooms[words[0][0]] = Room(words[0][0], number, set(words[1]), set(words[2]),
                                            cells[1] == "everything")
        elif kind == "library":
            rules.headers[words[0][0]] = words[1]
            rules.package_lines[words[0][0]] = number
    return rules


def check_rules(tree: Tree, rules: Rules) -> Iterator[Finding]:
    """The table itself: it is there, and each name in it means something."""
    if not rules.rooms or not rules.headers:
        yield Finding(PAGE, 0, f"no tables of rooms and libraries under '{SECTION}'")
        return
    for room in rules.rooms.values():
        if not tree.has(room.name):
            yield Finding(PAGE, room.line, f"room `{room.name}` does not exist")
        for name in sorted(room.may - rules.rooms.keys()):
            yield Finding(PAGE, room.line, f"`{name}` is not a room of the table")
        for name in sorted(room.libraries - rules.headers.keys()):
            yield Finding(PAGE, room.line, f"`{name}` is not a library of the second table")
    for name in sorted(rules.without_io - rules.rooms.keys()):
        yield Finding(PAGE, 0, f"`{name}` has no I/O, but is not a room of the table")
    used = set().union(*(room.libraries for room in rules.rooms.values()))
    for name in sorted(rules.headers.keys() - used - {"GoogleTest"}):
        yield Finding(PAGE, rules.package_lines[name], f"no room may use library `{name}`")
