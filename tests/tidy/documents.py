"""READMEs, links and paths in Markdown, and that docs/architecture.md names what exists."""

import fnmatch
import itertools
import posixpath
import re
from collections.abc import Iterator

from rules import PAGE, Rules
from tree import CODE, SOURCES, Finding, Tree

LABELS = ("Lives here", "Promises", "May include", "A change here also touches", "Start reading at")
# Records of their day: what they name may be gone. Their links must still lead somewhere.
HISTORY = ("CHANGELOG.md", "docs/decisions/")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
TICKED = re.compile(r"`([^`\s]+)`")
FILE_ENDS = SOURCES + (".md", ".cmake", ".txt")
# x.h, x_test.cc, NNNN-name.md: any file, not one.
PLACEHOLDER = re.compile(r"(?:.*/)?x(?:_test)?\.\w+|.*NNNN.*")
CALL = re.compile(r"`(~?[A-Za-z_][\w:]*)\(\)`")
METHOD = re.compile(r"`([A-Z]\w+)\.([A-Z]\w+)`")


def check_readmes(tree: Tree, rules: Rules) -> Iterator[Finding]:
    """Each folder with sources has a README of five labels; one in proto/ speaks for all of it."""
    folders = {posixpath.dirname(p) for p in tree.ending(*SOURCES)} - {""}
    folders = {"proto" if f.startswith("proto/") else f for f in folders}
    for folder in sorted(folders):
        readme = folder + "/README.md"
        if not tree.has_file(readme):
            yield Finding(folder, 0, "no README.md")
            continue
        for label in LABELS:
            if f"*{label}*" not in tree.text(readme):
                yield Finding(readme, 0, f"no line labelled *{label}*")


def _anchors(text: str) -> set[str]:
    """Headings as GitHub spells them in links."""
    titles = re.findall(r"^#{1,6}\s+(.*?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links(tree: Tree, rules: Rules) -> Iterator[Finding]:
    for path in tree.ending(".md"):
        for number, line in _prose(tree, path):
            for match in LINK.finditer(line):
                target, _, anchor = (match[1] or match[2]).partition("#")
                if "://" in target or target.startswith("mailto:"):
                    continue
                where = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
                where = where if target else path
                if not tree.has(where):
                    yield Finding(path, number, f"dead link: {target}")
                elif anchor and where.endswith(".md") and anchor not in _anchors(tree.text(where)):
                    yield Finding(path, number, f"dead link: {where} has no heading #{anchor}")


def _prose(tree: Tree, path: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(tree.lines(path), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _braces(name: str) -> list[str]:
    """a/{b,c}.h as a/b.h and a/c.h."""
    parts = re.split(r"\{([^{}]*)\}", name)
    choices = [p.split(",") if i % 2 else [p] for i, p in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def _exists(tree: Tree, folder: str, name: str) -> bool:
    """From the root or the page's folder; a bare file below it; a bare folder anywhere."""
    places = [name, posixpath.normpath(posixpath.join(folder, name))]
    if name.endswith("/"):
        places[1] += "/"
    if "*" in name:
        return any(fnmatch.fnmatch(f, p.rstrip("/") + ("/*" if p.endswith("/") else ""))
                   for p in places for f in tree.all_files)
    if any(tree.has(place) or tree.has_file(place + ".h") for place in places):
        return True  # a name without an ending means the pair x.h, x.cc
    if name.endswith("/") and name.count("/") == 1:
        return any(f"/{name}" in f for f in tree.all_files)
    inside = folder + "/" if folder not in ("", "docs") else ""  # those speak of the whole tree
    return "/" not in name and any(f.startswith(inside) and f.endswith("/" + name)
                                   for f in tree.all_files)


def _named_paths(tree: Tree, line: str) -> Iterator[str]:
    """What looks like a path of this project, between backticks or in the open."""
    tops = "|".join(re.escape(top) for top in sorted(tree.top_folders))
    for name in TICKED.findall(line):
        bare = name.removeprefix("./").split("#")[0]
        if re.search(r"[^\w./{},*-]", bare) or bare.startswith(("/", "build/", ".")):
            continue
        if PLACEHOLDER.fullmatch(bare):
            continue
        if bare.endswith(FILE_ENDS) or bare.endswith("/") or re.match(rf"(?:{tops})/", bare):
            yield bare
    for name in re.findall(rf"(?<![\w./`-])(?:{tops})/[\w./*-]*", TICKED.sub(" ", line)):
        yield name.rstrip(".-")


def check_paths(tree: Tree, rules: Rules) -> Iterator[Finding]:
    headers = set().union(*rules.headers.values())  # of libraries: not paths of ours
    for path in tree.ending(".md"):
        if path.startswith(HISTORY):
            continue
        folder = posixpath.dirname(path)
        for number, raw in enumerate(tree.lines(path), 1):
            line = re.sub(r"\w+://\S+", "", LINK.sub(" ", raw))
            for name in set(_named_paths(tree, line)) - headers:
                if not all(_exists(tree, folder, each) for each in _braces(name)):
                    yield Finding(path, number, f"{name} does not exist")


def check_architecture(tree: Tree, rules: Rules) -> Iterator[Finding]:
    """Each `Function()` is in a file that its item names (or in any), each `Service.Method` is."""
    if not tree.has_file(PAGE):
        yield Finding(PAGE, 0, "does not exist")
        return
    protos = "\n".join(tree.text(p) for p in tree.ending(".proto"))
    for number, item in _items(tree.lines(PAGE)):
        named = [each for name in TICKED.findall(item) for each in _braces(name)
                 if tree.has_file(each) and each.endswith(CODE)]
        places = named or tree.ending(*CODE)
        for call in CALL.findall(item):
            last = re.escape(call.split("::")[-1])
            if not any(re.search(rf"(?<!\w){last}\s*\(", tree.text(p)) for p in places):
                where = ", ".join(named) if named else "any source"
                yield Finding(PAGE, number, f"{call}() is not in {where}")
        for service, method in METHOD.findall(item):
            pattern = rf"service {service}\s*\{{[^}}]*?\brpc {method}\b"
            if not re.search(pattern, protos.replace("{}", "")):
                yield Finding(PAGE, number, f"no .proto has {service}.{method}")


def _items(lines: list[str]) -> Iterator[tuple[int, str]]:
    """List items and paragraphs, each with its continuation lines, in one piece."""
    first, item = 0, ""
    for number, line in enumerate(lines + [""], 1):
        if not line.strip() or re.match(r"\s*(?:[-*]|\d+\.)\s|\|", line):
            if item:
                yield first, item
            first, item = number, line
        else:
            first, item = (first if item else number), f"{item} {line}"
