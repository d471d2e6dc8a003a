"""The files of the project, as tidy sees them, and what a finding is."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = (".cc", ".h", ".cu", ".cuh")
SOURCES = CODE + (".proto", ".py", ".sh")
NOT_OURS = ("third_party/",)
NOT_LISTED = {".git", "build", ".cache", "__pycache__"}


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int  # 0: the file or folder as a whole
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


class Tree:
    """Tracked files and those that git would offer to track; without git, all but build outputs."""

    def __init__(self, root: Path):
        self.root = root
        self.all_files = sorted(p for p in self._list() if (root / p).is_file())
        self.files = [p for p in self.all_files if not p.startswith(NOT_OURS)]
        self._known = set(self.all_files)
        self._folders = {"/".join(p.split("/")[:n]) for p in self.all_files
                         for n in range(1, p.count("/") + 1)}
        self.top_folders = {f for f in self._folders if "/" not in f}
        self._texts: dict[str, str] = {}

    def _list(self) -> Iterator[str]:
        git = ["git", "-c", "safe.directory=*", "-C", str(self.root), "ls-files", "-z", "-co",
               "--exclude-standard"]
        try:
            listed = subprocess.run(git, capture_output=True, check=True).stdout.decode()
        except (OSError, subprocess.CalledProcessError):
            listed = ""
        if listed:
            yield from set(listed.split("\0")) - {""}
            return
        for path in self.root.rglob("*"):
            relative = path.relative_to(self.root)
            if NOT_LISTED.isdisjoint(relative.parts):
                yield relative.as_posix()

    def text(self, path: str) -> str:
        if path not in self._texts:
            data = (self.root / path).read_bytes()
            self._texts[path] = data.decode("utf-8", errors="replace")
        return self._texts[path]

    def lines(self, path: str) -> list[str]:
        return self.text(path).split("\n")

    def has_file(self, path: str) -> bool:
        return path in self._known

    def has(self, path: str) -> bool:
        """A file or a folder; a trailing slash asks for a folder."""
        bare = path.rstrip("/")
        return bare in self._folders or (bare == path and path in self._known) or bare in ("", ".")

    def ending(self, *ends: str) -> list[str]:
        return [p for p in self.files if p.endswith(ends)]

    def scripts(self) -> list[str]:
        """Shell scripts, whatever they are called."""
        return [p for p in self.files if p.endswith(".sh") or
                ("." not in p.rsplit("/", 1)[-1] and self._starts_as_shell(p))]

    def _starts_as_shell(self, path: str) -> bool:
        with open(self.root / path, "rb") as file:
            first = file.readline(80)
        return first.startswith(b"#!") and first.rstrip().endswith(b"sh")
