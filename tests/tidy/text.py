"""Rules about lines: columns, tabs, #pragma once, comments of .proto files, foreign places."""

import posixpath
import re
from collections.abc import Iterator

from rules import Rules
from tree import SOURCES, Finding, Tree

COLUMNS = 100
CMAKE = (".cmake", "CMakeLists.txt")  # no limit on columns: its strings cannot be broken
LINE_RULES = SOURCES + CMAKE
TEXT = LINE_RULES + (".md", ".txt", ".json", ".yml", ".yaml")
SCALARS = ("double|float|u?int(?:32|64)|sint(?:32|64)|s?fixed(?:32|64)|bool|string|bytes")
FIELD = re.compile(r"(?:(optional|repeated)\s+)?([\w.]+|map<[^>]+>)\s+(\w+)\s*=\s*\d+\s*[;\[]")
RPC = re.compile(r"rpc\s+(\w+)")
BLOCK = re.compile(r"(message|enum|service|oneof)\s+(\w+)\s*\{")
# Folders that any Linux machine has; an absolute path into another one is of somebody's machine.
EVERYWHERE = ("bin|boot|dev|etc|lib|lib64|opt|proc|run|sbin|srv|sys|tmp|usr|var")
ABSOLUTE = re.compile(rf"(?<![\w./:~$*)}}\]<>\\-])/(?!(?:{EVERYWHERE})(?:/|\b))[a-z]+/[\w.-]+")
UPWARDS = re.compile(r"(?<![\w./])((?:\.\./)+)[\w.]")
URL_HOST = re.compile(r"https?://([^/\s:\"'`)>\]]+)")
PRIVATE_HOST = re.compile(r"[^.]*|.*\.(?:internal|local|lan|corp|intranet)|(?:10|192\.168|172)\..*")
LOOPBACK = ("localhost", "127.0.0.1", "[")


def check_lines(tree: Tree, rules: Rules) -> Iterator[Finding]:
    for path in sorted(set(tree.ending(*LINE_RULES) + tree.scripts())):
        lines = tree.lines(path)
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS and "://" not in line and not path.endswith(CMAKE):
                yield Finding(path, number, f"{len(line)} columns, the limit is {COLUMNS}")
            if "\t" in line:
                yield Finding(path, number, "a tab")
            if line != line.rstrip():
                yield Finding(path, number, "white space at the end of the line")
        if lines[-1] != "" or lines == [""]:
            yield Finding(path, len(lines), "the last line does not end, or the file is empty")


def check_pragma_once(tree: Tree, rules: Rules) -> Iterator[Finding]:
    for path in tree.ending(".h", ".cuh"):
        if "#pragma once" not in tree.lines(path):
            yield Finding(path, 0, "no #pragma once")


def _is_comment(line: str) -> bool:
    return line.strip().startswith("//")


def check_protos(tree: Tree, rules: Rules) -> Iterator[Finding]:
    """The comments are the API's reference: each message, field, service and rpc has one."""
    for path in tree.ending(".proto"):
        stack: list[str] = []
        lines = tree.lines(path)
        for number, raw in enumerate(lines, 1):
            line = raw.split("//")[0].strip()
            commented = _is_comment(lines[number - 2]) if number > 1 else False
            block, rpc, field = BLOCK.match(line), RPC.match(line), FIELD.match(line)
            if block and block[1] != "oneof" and not commented:
                yield Finding(path, number, f"{block[1]} {block[2]} has no comment above it")
            elif rpc and not commented:
                yield Finding(path, number, f"rpc {rpc[1]} has no comment above it")
            elif field and stack and stack[-1] in ("message", "oneof"):
                if not commented and "//" not in raw:
                    yield Finding(path, number, f"field {field[3]} has no comment")
                if stack[-1] == "message" and not field[1] and re.fullmatch(SCALARS, field[2]):
                    yield Finding(path, number, f"scalar {field[3]} is not `optional`")
            if "{" in line and "}" not in line:
                stack.append(block[1] if block else "other")
            elif "}" in line and "{" not in line and stack:
                stack.pop()


def check_places(tree: Tree, rules: Rules) -> Iterator[Finding]:
    """The project stands alone: no path out of it, none of one machine, no private host."""
    for path in sorted(set(tree.ending(*TEXT) + tree.scripts())):
        folder = posixpath.dirname(path)
        for number, line in enumerate(tree.lines(path), 1):
            for match in UPWARDS.finditer(line):
                if match[1].count("../") > len(folder.split("/")) - (folder == ""):
                    yield Finding(path, number, f"{match[0]}... leads out of the project")
            for match in ABSOLUTE.finditer(re.sub(r"https?://\S+", "", line)):
                if match[0].split("/")[1] not in tree.top_folders:  # else appended to our root
                    yield Finding(path, number, f"{match[0]} is a path of one machine")
            for host in URL_HOST.findall(line):
                if PRIVATE_HOST.fullmatch(host) and not host.startswith(LOOPBACK):
                    yield Finding(path, number, f"{host} is not a public host")
