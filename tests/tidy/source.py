"""Just enough reading of C++, Python and shell to find functions and their lengths."""

import ast
import re
from collections.abc import Iterator

# (name, number of the first line, lines)
Function = tuple[str, int, int]

_LITERAL = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'", re.S)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
_TYPE = re.compile(r"(?:inline\s+)?(?:namespace|class|struct|union|enum|extern)\b")
_INITIALISERS = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:)")
_SHELL = re.compile(r"^([ \t]*)(?:function\s+)?([\w-]+)\s*\(\)\s*\{(.*)$")


def _blank(match: re.Match[str]) -> str:
    """The same lines, emptied; quotes stay, so that a literal is still an operand."""
    text = match[0]
    if text[0] in "\"'R":
        return text[0] + "\n" * text.count("\n") + '"'
    return " " + "\n" * text.count("\n")


def without_comments_and_literals(text: str) -> str:
    return _LITERAL.sub(_blank, text)


def _skip_template(head: str) -> str:
    while match := re.match(r"template\s*<", head):
        depth, end = 1, match.end()
        while end < len(head) and depth > 0:
            depth += {"<": 1, ">": -1}.get(head[end], 0)
            end += 1
        head = head[end:].lstrip()
    return head


def _name(head: str) -> str:
    if test := re.search(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST)\s*\(([^)]*)\)", head):
        return ".".join(part.strip() for part in test[1].split(","))
    depth = 0
    for match in re.finditer(r"->|operator\W+?(?=\()|<|>|([~\w:]+)\s*\(", head):
        if match[0] in "<>":
            depth += 1 if match[0] == "<" else -1
        elif match[0].startswith("operator"):
            return match[0].strip()
        elif match[1] and depth == 0:
            return match[1]
    return "?"


def _kind(head: str, inside_function: bool) -> str:
    """What a `{` after `head` opens: a scope, a function, a block inside one, or a value."""
    if inside_function:
        return "block"
    if _TYPE.match(head):
        return "scope"
    if "(" not in head or head.endswith(("=", ",", "return")):
        return "value"
    if _INITIALISERS.search(head) and re.search(r"[\w>]$", head):
        return "value"
    return "function"


def cpp_functions(text: str) -> Iterator[Function]:
    code = _DIRECTIVE.sub(_blank, without_comments_and_literals(text))
    stack: list[tuple[str, str, int]] = []  # kind, name, first line
    head, head_line, line, parens = "", 0, 1, 0
    for character in code:
        if character == "\n":
            line += 1
        parens = max(0, parens + {"(": 1, ")": -1}.get(character, 0))
        if character == "{":
            kind = _kind(_skip_template(head.strip()), any(s[0] == "function" for s in stack))
            stack.append((kind, head, head_line))
            if kind != "value":
                head, parens = "", 0
        elif character == "}" and stack:
            kind, opened, first = stack.pop()
            if kind == "function":
                yield _name(_skip_template(opened.strip())), first, line - first + 1
            head = head + "{}" if kind == "value" else ""
        elif character == ";" and parens == 0:
            head = ""
        elif character == ":" and head.strip() in ("public", "private", "protected"):
            head = ""
        else:
            if not head.strip() and not character.isspace():
                head_line = line
            head += character


def python_functions(text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def shell_functions(text: str) -> Iterator[Function]:
    lines = text.split("\n")
    for index, line in enumerate(lines):
        match = _SHELL.match(line)
        if not match or match[3].rstrip().endswith("}"):
            continue
        for end in range(index + 1, len(lines)):
            if lines[end].rstrip() == match[1] + "}":
                yield match[2], index + 1, end - index + 1
                break
