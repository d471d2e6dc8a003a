"""Includes against the table of rooms, and what follows from it in the sources."""

import re
from collections.abc import Iterator

from rules import Room, Rules
from source import without_comments_and_literals
from tree import CODE, Finding, Tree

INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')
FOR_TESTS = re.compile(r".*(?:_test\.cc|\btest_util\.(?:h|cc))")
FOR_TESTS_ALSO = {"GoogleTest", "POSIX"}
STANDARD = re.compile(r"[a-z_0-9]+")  # <vector>, <cstdint>
CONCURRENCY = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore",
               "latch", "barrier", "stop_token", "random", "fstream"}
CLOCK = re.compile(r"\b(?:steady|system|high_resolution)_clock::now\b|(?<![\w.:>])Now\(\)")
CONDITIONAL = re.compile(r"\s*#\s*(?:if|ifdef|ifndef|elif)\b(.*)")
BACKEND = re.compile(r"CUDA|GRPC|UCX|MPI\b|NCCL|AVX|AMX")
SUPPORT = "tests/support"  # open to tests beside their sources
BACKEND_ROOMS = ("device/", "kernels/", "transport/")


def check_includes(tree: Tree, rules: Rules) -> Iterator[Finding]:
    for path in tree.ending(*CODE):
        room = rules.room_of(path)
        if room is None:
            yield Finding(path, 0, "no room of the table holds this file")
            continue
        includes = [(number, match[1], match[2])
                    for number, line in enumerate(tree.lines(path), 1)
                    if (match := INCLUDE.match(line))]
        yield from _own_header_first(tree, path, [header for _, _, header in includes])
        for number, quote, header in includes:
            for text in _judge(tree, rules, room, path, quote, header):
                yield Finding(path, number, text)
        if room.name in rules.without_io and not FOR_TESTS.fullmatch(path):
            code = without_comments_and_literals(tree.text(path))
            for number, line in enumerate(code.split("\n"), 1):
                if CLOCK.search(line):
                    yield Finding(path, number, f"room {room.name} takes `now` as an argument")


def _judge(tree: Tree, rules: Rules, room: Room, path: str, quote: str,
           header: str) -> Iterator[str]:
    """What is wrong with one include, if anything."""
    is_test = FOR_TESTS.fullmatch(path) is not None
    if header.endswith(".pb.h"):
        yield from _judge_room(room, rules.rooms.get("proto"), "proto", is_test)
    elif quote == '"' and header.split("/")[0] in tree.top_folders:
        if not tree.has_file(header):
            yield f"{header} does not exist"
        else:
            yield from _judge_room(room, rules.room_of(header), header, is_test)
    elif header.startswith("absl/synchronization/"):
        yield "absl/synchronization is not used: common/mutex.h is"
    elif header.startswith("absl/"):
        pass
    elif STANDARD.fullmatch(header):
        if room.name in rules.without_io and header in CONCURRENCY and not is_test:
            yield f"<{header}>: room {room.name} has no threads, clocks, files or random sources"
    elif library := rules.package_of(header):
        allowed = room.libraries | (FOR_TESTS_ALSO if is_test else set())
        if library not in allowed and not room.everything:
            yield f"<{header}>: room {room.name} may not use {library}"
    elif quote == '"':
        yield f'"{header}": includes are written from the repository root'
    else:
        yield f"<{header}> is of no library that the table knows"


def _judge_room(room: Room, target: Room | None, header: str, is_test: bool) -> Iterator[str]:
    if target is None:
        yield f"{header} is in no room of the table"
        return
    for_test = is_test and (target.name.startswith(room.name + "/") or target.name == SUPPORT)
    if not (room.everything or target.name == room.name or target.name in room.may or for_test):
        yield f"{header}: room {room.name} may not include {target.name}"


def _own_header_first(tree: Tree, path: str, headers: list[str]) -> Iterator[Finding]:
    """x.cc includes x.h before all else: so x.h is shown to stand alone."""
    own = path.removesuffix(".cc") + ".h"
    if path.endswith(".cc") and tree.has_file(own) and headers[:1] != [own]:
        yield Finding(path, 0, f'the first include must be "{own}"')


def check_conditionals(tree: Tree, rules: Rules) -> Iterator[Finding]:
    for path in tree.ending(*CODE):
        if path.startswith(BACKEND_ROOMS):
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = CONDITIONAL.match(line)
            if match and BACKEND.search(match[1]):
                yield Finding(path, number, "no #if for a device or a transport here")
