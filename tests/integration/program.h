// program.h: a program that runs to its end: what it printed, and how it ended.
#pragma once

#include <string>
#include <vector>

namespace expertmesh {

struct Outcome {
  int code = -1;  // 128 + the signal that ended it; -1: it still ran after a minute
  std::string out, err;
};

// A file of the test's temporary folder; returns its path.
std::string WriteTempFile(const std::string& name, const std::string& text);

// Runs `program` of this build's bin/ with `input` on its standard input.
Outcome RunProgram(const std::vector<std::string>& arguments,
                   const std::string& program = "expertmesh", const std::string& input = "");

}  // namespace expertmesh
