// config_file.h: flags from a file, with the flags' own names.
//
// The file is YAML: one mapping from names to single values.
//
//   listen: 127.0.0.1:50051
//   initial-expert-workers: 4
//   allow-insecure-listen: true
//
// A value means and is checked as on the command line. Where both say something, the command line
// counts. A name that is no flag, or that comes twice, is an error, and so is a value that is
// missing or not a single one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace expertmesh {

// Adds --config FILE and --print-config. Call it before any other flag is added: so the file is
// read before their values are looked at. Errors of the file are CLI::FileError, with file, line
// and name.
void AddConfigFlags(CLI::App& app);

// Whether --print-config was given: the program then prints ConfigText and ends.
bool WantsConfigText(const CLI::App& app);

// What the flags are now, defaults and all, as a file for --config. Flags that have no value are
// left out. `app` has parsed a command line.
std::string ConfigText(const CLI::App& app);

}  // namespace expertmesh
