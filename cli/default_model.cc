#include "cli/default_model.h"

#include <filesystem>
#include <system_error>

namespace expertmesh {
namespace {

namespace fs = std::filesystem;

constexpr char kPlace[] = "models/demo";

}  // namespace

std::string FindDefaultModel(const std::string& program, const std::string& working_folder) {
  const fs::path folder = fs::path(program).parent_path();
  for (const fs::path& root :
       {folder.parent_path().parent_path().parent_path(),  // of build/<preset>/bin
        folder / "../share/expertmesh", fs::path(working_folder)}) {
    const fs::path place = (root / kPlace).lexically_normal();
    std::error_code ignored;
    if (fs::is_regular_file(place / "config.json", ignored)) return place.string();
  }
  return "";
}

std::string DefaultModel() {
  std::error_code ignored;
  return FindDefaultModel(fs::read_symlink("/proc/self/exe", ignored).string(),
                          fs::current_path(ignored).string());
}

CLI::Option* AddModelFlag(CLI::App& app, std::string* model, const std::string& help) {
  *model = DefaultModel();
  CLI::Option* option = app.add_option("--model", *model, help)->check(CLI::ExistingDirectory);
  if (model->empty()) return option->required();
  return option->capture_default_str();
}

}  // namespace expertmesh
