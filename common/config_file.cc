#include "common/config_file.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

constexpr char kGroup[] = "Configuration";
constexpr char kConfig[] = "--config";
constexpr char kPrint[] = "--print-config";

// Whether a file may set it.
bool IsSetting(const CLI::App& app, const CLI::Option* option) {
  return option != app.get_help_ptr() && option->get_group() != kGroup &&
         !option->get_lnames().empty();
}

bool IsSwitch(const CLI::Option* option) { return option->get_items_expected_max() == 0; }

class ConfigFile {
 public:
  ConfigFile(CLI::App* app, std::string path) : app_(app), path_(std::move(path)) {}

  void Apply() {
    YAML::Node root;
    try {
      root = YAML::LoadFile(path_);
    } catch (const YAML::Exception& error) {
      throw CLI::FileError(absl::StrCat(path_, ": ", error.what()));
    }
    if (root.IsNull()) return;
    if (!root.IsMap()) Refuse(root, "expected a mapping from flags to values");
    for (const auto& entry : root) Set(entry.first, entry.second);
  }

 private:
  [[noreturn]] void Refuse(const YAML::Node& where, const std::string& why) const {
    throw CLI::FileError(absl::StrCat(path_, ":", where.Mark().line + 1, ": ", why));
  }

  void Set(const YAML::Node& key, const YAML::Node& value) {
    if (!key.IsScalar()) Refuse(key, "expected the name of a flag");
    const std::string& name = key.Scalar();
    CLI::Option* option = app_->get_option_no_throw("--" + name);
    if (option == nullptr || !IsSetting(*app_, option)) {
      Refuse(key, absl::StrCat("there is no setting \"", name, "\""));
    }
    if (!seen_.insert(option).second) Refuse(key, absl::StrCat(name, " is set twice"));
    if (!value.IsScalar()) Refuse(key, absl::StrCat(name, " has no value, or not a single one"));
    if (option->count() > 0) return;  // on the command line
    bool on = true;
    if (IsSwitch(option) && !YAML::convert<bool>::decode(value, on)) {
      Refuse(key, absl::StrCat(name, " is ", value.Scalar(), "; it is true or false"));
    }
    if (!on) return;
    option->add_result(IsSwitch(option) ? "true" : value.Scalar());
    try {
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      Refuse(key, error.what());
    }
  }

  CLI::App* const app_;
  const std::string path_;
  std::set<const CLI::Option*> seen_;
};

}  // namespace

void AddConfigFlags(CLI::App& app) {
  app.add_option_function<std::string>(
         kConfig, [&app](const std::string& path) { ConfigFile(&app, path).Apply(); },
         "YAML file of flags, by their names without dashes; the command line wins over it")
      ->check(CLI::ExistingFile)
      ->group(kGroup);
  app.add_flag(kPrint)
      ->description("print what is in force as such a file, and exit")
      ->group(kGroup);
}

bool WantsConfigText(const CLI::App& app) {
  const CLI::Option* print = app.get_option_no_throw(kPrint);
  return print != nullptr && print->count() > 0;
}

std::string ConfigText(const CLI::App& app) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const CLI::Option* option : app.get_options()) {
    if (!IsSetting(app, option)) continue;
    std::string value = option->get_default_str();
    if (IsSwitch(option)) value = "false";
    if (option->count() > 0) value = option->results().front();
    if (!value.empty()) out << YAML::Key << option->get_lnames().front() << YAML::Value << value;
  }
  out << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace expertmesh
