#!/usr/bin/env python3
"""Plants one violation at a time in a small clean tree and expects tidy to name it."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from source import cpp_functions
from tidy import findings

README = """# A room

- *Lives here*: something.
- *Promises*: `{header}`.
- *May include*: nothing.
- *A change here also touches*: nothing.
- *Start reading at*: `{header}`.
"""

PAGE = """# Architecture

1. It starts in `low/a.cc`: `Begin()`, from `Generation.Go`; see [the rules](#the-rules).

## The rules

## Who may include whom

| room | may include | may use |
|---|---|---|
| `low` | | |
| `high` | `low` | JSON is `Json` |
| `high/service` | `high` `proto` | `Rpc` |
| `proto` | | |
| `tests` | everything | |
| `tests/support` | everything | |

Rooms without I/O: `low`.

| library | headers |
|---|---|
| `Json` | `json/` |
| `Rpc` | `rpcpp/` |
| `GoogleTest` | `gtest/` |

## The rest
"""

PROTO = """syntax = "proto3";

// What clients call.
service Generation {
  // Starts one.
  rpc Go(Ask) returns (stream Ask) {}
}

// A question.
message Ask {
  // How many, at least 1.
  optional int32 count = 1;
  repeated string names = 2;  // of whom
}
"""

CLEAN = {
    "README.md": "# It\n\nRead [this](docs/architecture.md#the-rules), start at `low/a.h`.\n",
    "docs/architecture.md": PAGE,
    "low/README.md": README.format(header="a.h"),
    "low/a.h": '#pragma once\n\n#include <vector>\n\n#include "absl/status/status.h"\n\n'
               'int Begin();\n',
    "low/a.cc": '#include "low/a.h"\n\nint Begin() { return 1; }\n',
    "low/a_test.cc": '#include "low/a.h"\n\n#include <gtest/gtest.h>\n\n#include <thread>\n',
    "high/README.md": README.format(header="b.h"),
    "high/b.h": '#pragma once\n\n#include <json/json.h>\n\n#include "low/a.h"\n',
    "high/service/README.md": README.format(header="s.h"),
    "high/service/s.h": '#pragma once\n\n#include <rpcpp/rpc.h>\n\n#include "high/b.h"\n'
                        '#include "proto/x.pb.h"\n',
    "proto/README.md": README.format(header="x.proto"),
    "proto/x.proto": PROTO,
    "high/b_test.cc": '#include "high/b.h"\n\n#include "high/service/s.h"\n'
                      '#include "tests/support/t.h"\n',
    "tests/support/README.md": README.format(header="t.h") + "\nEvery `service/`, `x_test.cc`.\n",
    "tests/support/t.h": "#pragma once\n",
    "tests/tidy/README.md": README.format(header="ratchet.txt"),
    "tests/tidy/ratchet.txt": "# nothing\n",
}

# In pieces, so that tidy does not find them here.
UP = "../" * 2
HOME = "/" + "home/me"
HOST = "https:" + "//mirror.corp"

LONG = "int Long() {\n" + "  Call();\n" * 70 + "}\n"
LONG_PYTHON = "def long():\n" + "    call()\n" * 70

# What is planted, in which file, and what tidy must say: (why, path, old, new, finding). An old of
# "" puts new at the end of the file; a new file has no old.
PLANTED = (
    ("a room that may not be included", "low/a.h", "<vector>", '"high/b.h"', "not include high"),
    ("a service from outside", "high/b.h", "low/a.h", "high/service/s.h",
     "may not include high/service"),
    ("protobuf inside", "high/b.h", "low/a.h", "proto/x.pb.h", "may not include proto"),
    ("a library of another room", "high/b.h", "json/json.h", "rpcpp/rpc.h", "may not use Rpc"),
    ("an unknown library", "high/b.h", "json/json.h", "boost/any.hpp", "of no library"),
    ("GoogleTest outside of tests", "low/a.h", "<vector>", "<gtest/gtest.h>", "not use GoogleTest"),
    ("absl's mutex", "low/a.h", "absl/status/status.h", "absl/synchronization/mutex.h",
     "common/mutex.h is"),
    ("a thread in a room without I/O", "low/a.h", "<vector>", "<thread>", "has no threads"),
    ("a clock in a room without I/O", "low/a.cc", "return 1",
     "return std::chrono::steady_clock::now()", "takes `now`"),
    ("an include by bare name", "low/a.cc", '"low/a.h"', '"a.h"', "from the repository root"),
    ("an include of no file", "high/b.h", "low/a.h", "low/none.h", "low/none.h does not exist"),
    ("the own header second", "low/a.cc", '#include "low/a.h"\n',
     '#include <vector>\n\n#include "low/a.h"\n', "first include must be"),
    ("a file in no room", "lost/a.h", None, "#pragma once\n", "no room of the table"),
    ("a conditional for a device", "low/a.cc", "", "#ifdef EXPERTMESH_CUDA\n#endif\n", "no #if"),
    ("a row for no folder", "docs/architecture.md", "| `proto` | | |",
     "| `proto` | | |\n| `gone` | | |", "`gone` does not exist"),
    ("an unknown room in a row", "docs/architecture.md", "| `low` | | |", "| `low` | `hihg` | |",
     "`hihg` is not a room"),
    ("no table", "docs/architecture.md", "## Who may include whom", "## Who", "no tables"),
    ("a long file", "low/a.cc", "", "// a line\n" * 500, "the file has 503 lines"),
    ("a long function", "low/a.cc", "", "\n" + LONG, "Long has 72 lines"),
    ("a long Python function", "tests/tidy/x.py", None, LONG_PYTHON, "long has 71 lines"),
    ("a long shell function", "tests/tidy/run", None,
     "#!/usr/bin/env bash\nlong() {\n" + "  call\n" * 70 + "}\n", "long has 72 lines"),
    ("an idle ratchet", "tests/tidy/ratchet.txt", "", "low/a.cc Begin 80\n", "take it out"),
    ("101 columns", "low/a.cc", "", "//" + "x" * 99 + "\n", "101 columns"),
    ("a tab", "low/a.cc", "{ return", "{\treturn", "a tab"),
    ("a tab in a script", "tests/tidy/run.sh", None, "if true; then\n\ttrue\nfi\n", "a tab"),
    ("white space at an end", "low/a.cc", "return 1; }\n", "return 1; } \n", "at the end of the"),
    ("no last newline", "low/a.cc", "return 1; }\n", "return 1; }", "does not end"),
    ("no pragma", "low/a.h", "#pragma once\n", "", "no #pragma once"),
    ("a field without a comment", "proto/x.proto", "  // of whom", "", "field names has no"),
    ("a scalar without presence", "proto/x.proto", "optional int32", "int32", "not `optional`"),
    ("an rpc without a comment", "proto/x.proto", "  // Starts one.\n", "", "rpc Go has no"),
    ("a message without a comment", "proto/x.proto", "// A question.\n", "", "message Ask has no"),
    ("a way out of the project", "low/a.cc", "", f"// see {UP}elsewhere\n", "leads out"),
    ("somebody's folder", "README.md", "", f"Look into {HOME}.\n", "path of one machine"),
    ("a test's help outside of tests", "high/b.h", "low/a.h", "tests/support/t.h",
     "may not include tests/support"),
    ("a private host", "README.md", "", f"From {HOST}/debian.\n", "not a public host"),
    ("no README", "low/README.md", None, None, "no README.md"),
    ("a README without a label", "low/README.md", "*Promises*", "*Promise*", "labelled *Promises*"),
    ("a dead link", "README.md", "docs/architecture.md#", "docs/none.md#", "dead link: docs/none"),
    ("a dead anchor", "README.md", "#the-rules", "#no-rules", "no heading #no-rules"),
    ("a path that is not there", "README.md", "`low/a.h`", "`low/z.h`", "low/z.h does not exist"),
    ("a bare path that is not there", "README.md", "`low/a.h`", "low/z.h", "low/z.h does not"),
    ("a file that the page lacks", "docs/architecture.md", "low/a.cc", "low/z.cc", "low/z.cc does"),
    ("a function that is not there", "docs/architecture.md", "Begin()", "End()", "End() is not in"),
    ("a method that is not there", "docs/architecture.md", "Generation.Go", "Generation.Went",
     "no .proto has Generation.Went"),
)


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tidy-selftest-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)

    def git(self, *words: str) -> None:
        name = ["-c", "user.name=tidy", "-c", "user.email=tidy@example.org"]
        subprocess.run(["git", "-C", str(self.root), *name, *words], check=True,
                       capture_output=True)

    def found(self) -> list[str]:
        return [str(finding) for finding in findings(self.root)[1]]

    def test_finds_nothing_in_a_clean_tree(self):
        self.write(CLEAN)
        self.assertEqual(self.found(), [])

    def test_finds_each_planted_violation(self):
        self.write(CLEAN)
        for why, path, old, new, expected in PLANTED:
            with self.subTest(why):
                before = CLEAN.get(path)
                if new is None:
                    (self.root / path).unlink()
                elif old is None:
                    self.write({path: new})
                else:
                    self.assertIn(old, before)
                    self.write({path: before + new if old == "" else before.replace(old, new)})
                found = self.found()
                self.write({path: before}) if before else (self.root / path).unlink()
                self.assertTrue(any(expected in each for each in found), found)

    def test_git_decides_which_files_count(self):
        self.write(CLEAN | {".gitignore": "made/\n", "made/a.h": "\t", "lost/a.h": "\t"})
        self.git("init", "-q")
        found = self.found()
        self.assertTrue(any(each.startswith("lost/a.h") for each in found), found)
        self.assertFalse(any(each.startswith("made/") for each in found), found)

    def test_ratchet_lets_be_what_was_long_and_lets_nothing_grow(self):
        self.write(CLEAN | {"low/a.cc": CLEAN["low/a.cc"] + "\n" + LONG})
        for allowed, expected in ((72, None), (71, "grew from 71 to 72"), (73, "write 72 for 73")):
            with self.subTest(allowed=allowed):
                self.write({"tests/tidy/ratchet.txt": f"low/a.cc Long {allowed}\n"})
                found = self.found()
                self.assertEqual(len(found), 1 if expected else 0, found)
                self.assertTrue(expected is None or expected in found[0], found)

    def test_ratchet_takes_no_new_entry_after_it_was_committed(self):
        self.write(CLEAN)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "low: begin")
        self.write({"low/a.cc": CLEAN["low/a.cc"] + "\n" + LONG,
                    "tests/tidy/ratchet.txt": "low/a.cc Long 72\n"})
        self.assertIn("is new or longer than at HEAD", "".join(self.found()))
        self.git("commit", "-q", "-a", "-m", "low: grow")
        self.assertIn("is new or longer than at HEAD~1", "".join(self.found()))


class FunctionsTest(unittest.TestCase):
    def test_reads_cpp(self):
        text = '''
namespace a {
class B final : public C {
 public:
  B(int x, std::function<void(int)> f = {}) : x_{x}, f_(f) {
    Call("}{", '{');  // }
  }
  ~B() override { }
  std::map<int, int> m_{{1, 2}};
  bool operator==(const B& other) const {
    return true;
  }
  template <typename T, typename U = std::vector<int>>
  T get(U u) const noexcept {
    if (u) {
      return [&] { return T{}; }();
    }
    return 1'000;
  }
};
#define MACRO(x) \\
  { x
int table[] = {f(1), f(2)};
enum class E : int { kA, kB };
std::pair<int, void (*)(int)> Make(int a,
                                   int b) {
  static const char* text = R"(} } })";
  return {a, b};
}
TEST(Subject, Promises) {
  EXPECT_EQ(1, 1);
}
}  // namespace a
'''
        found = [(name, length) for name, _, length in cpp_functions(text)]
        self.assertEqual(found, [("B", 3), ("~B", 1), ("operator==", 3), ("get", 7), ("Make", 5),
                                 ("Subject.Promises", 3)])


if __name__ == "__main__":
    unittest.main()
