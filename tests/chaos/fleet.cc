#include "tests/chaos/fleet.h"

#include <signal.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace expertmesh::chaos {
namespace {

constexpr Duration kStartPatience = std::chrono::seconds(60);
constexpr Duration kReapPatience = std::chrono::seconds(10);
constexpr int kPort = 7000;  // of every host: each has an address of its own

}  // namespace

Fleet::Fleet(FleetOptions options, Net* net) : options_(std::move(options)), net_(net) {}

Fleet::~Fleet() {
  for (auto& [name, process] : processes_) process->Signal(SIGKILL);
  for (auto& [name, process] : processes_) process->Wait(kReapPatience);
}

absl::Status Fleet::Start() {
  RETURN_IF_ERROR(StartOne(kCoordinator));
  client_ = std::make_unique<Client>(address_);
  for (int i = 1; i <= options_.expert_workers; ++i) {
    RETURN_IF_ERROR(StartOne(absl::StrCat("e", i)));
  }
  for (int i = 1; i <= options_.attention_workers; ++i) {
    RETURN_IF_ERROR(StartOne(absl::StrCat("a", i)));
  }
  return client_->WaitUntilWhole(kStartPatience);
}

std::vector<std::string> Fleet::FlagsOf(const std::string& name, const std::string& host) const {
  std::vector<std::string> flags = {"--listen", absl::StrCat(host, ":", kPort)};
  if (net_->isolated()) flags.push_back("--allow-insecure-listen");
  if (name == kCoordinator) {
    flags.insert(flags.end(), {"--initial-expert-workers", absl::StrCat(options_.expert_workers)});
    return flags;
  }
  flags.insert(flags.end(), {"--name", name, "--model", options_.model, "--coordinator", address_,
                             "--threads", "1"});
  const auto& more = name[0] == 'a' ? options_.attention_flags : options_.expert_flags;
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

absl::Status Fleet::StartOne(const std::string& name) {
  if (known(name)) return absl::AlreadyExistsError(absl::StrCat(name, " runs"));
  ASSIGN_OR_RETURN(const std::string host, net_->AddHost(name));
  if (name == kCoordinator) address_ = absl::StrCat(host, ":", kPort);
  const char* const program = name == kCoordinator ? "expertmesh-coordinator"
                              : name[0] == 'a'     ? "expertmesh-attention-worker"
                                                   : "expertmesh-expert-worker";
  processes_[name] = Process::Start(program, FlagsOf(name, host), LogPath(name), "/dev/null",
                                    net_->EnterHost(name));
  return absl::OkStatus();
}

void Fleet::Kill(const std::string& name) {
  const auto entry = processes_.find(name);
  if (entry == processes_.end()) return;
  entry->second->Signal(SIGKILL);
  entry->second->Wait(kReapPatience);
  processes_.erase(entry);
  draining_.erase(name);
}

void Fleet::Signal(const std::string& name, int number) {
  if (known(name)) processes_.at(name)->Signal(number);
}

void Fleet::Drain(const std::string& name) {
  draining_.insert(name);
  Signal(name, SIGTERM);
}

bool Fleet::running(const std::string& name) {
  return known(name) && processes_.at(name)->running();
}

std::vector<std::string> Fleet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, process] : processes_) names.push_back(name);
  return names;
}

std::vector<std::string> Fleet::Reap() {
  std::vector<std::string> faults;
  for (const std::string& name : names()) {
    const std::optional<int> code = processes_.at(name)->Wait(Duration(0));
    if (!code) continue;
    if (draining_.erase(name) == 0 || *code != 0) {
      faults.push_back(absl::StrCat(name, " ended by itself, with exit code ", *code));
    }
    processes_.erase(name);
  }
  return faults;
}

std::string Fleet::LogPath(const std::string& name) const {
  return absl::StrCat(options_.logs, "/", name, ".log");
}

std::string Fleet::LogOf(const std::string& name) const {
  std::ifstream log(LogPath(name));
  return std::string(std::istreambuf_iterator<char>(log), {});
}

}  // namespace expertmesh::chaos
