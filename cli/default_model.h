// default_model.h: the checkpoint that commands use where none is named: models/demo.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace expertmesh {

// The folder models/demo, looked for in the source tree that the program at `program` was built in,
// beside it where it was installed (share/expertmesh), and below `working_folder`, in this order.
// Empty: it is in none of them.
std::string FindDefaultModel(const std::string& program, const std::string& working_folder);

// The same for this process.
std::string DefaultModel();

// --model FOLDER, optional where the default is there.
CLI::Option* AddModelFlag(CLI::App& app, std::string* model, const std::string& help);

}  // namespace expertmesh
