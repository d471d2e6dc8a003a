#include "tests/integration/process_cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

constexpr Duration kStartPatience = std::chrono::seconds(30);

}  // namespace

ProcessCluster::ProcessCluster(ProcessClusterOptions options) : options_(std::move(options)) {
  std::string folder = testing::TempDir() + "/cluster.XXXXXX";
  folder_ = ::mkdtemp(folder.data());
  address_ = "127.0.0.1:0";
  StartCoordinator();
  for (int i = 1; i <= options_.expert_workers; ++i) StartWorker(absl::StrCat("e", i));
  for (int i = 1; i <= options_.attention_workers; ++i) StartWorker(absl::StrCat("a", i));
  const absl::Status whole = client_->WaitUntilWhole(kStartPatience);
  EXPECT_TRUE(whole.ok()) << whole;
}

ProcessCluster::~ProcessCluster() {
  for (auto& [name, process] : processes_) {
    process->Signal(SIGTERM);
    process->Signal(SIGTERM);  // now, not when the others have taken over
  }
  for (auto& [name, process] : processes_) {
    EXPECT_TRUE(process->Wait(std::chrono::seconds(20)).has_value()) << name << " hangs";
  }
  if (testing::Test::HasFailure()) {
    for (auto& [name, process] : processes_) {
      const std::string log = LogOf(name);
      std::cerr << "---- log of " << name << "\n"
                << log.substr(log.size() > 3000 ? log.size() - 3000 : 0) << "\n";
    }
  }
  std::filesystem::remove_all(folder_);
}

void ProcessCluster::StartCoordinator() {
  std::vector<std::string> flags = {"--listen", address_, "--initial-expert-workers",
                                    absl::StrCat(options_.expert_workers)};
  flags.insert(flags.end(), options_.coordinator_flags.begin(), options_.coordinator_flags.end());
  auto& process = processes_["coordinator"];
  process = Process::Start("expertmesh-coordinator", flags, folder_ + "/coordinator.log");
  address_ = process->ListeningAddress(kStartPatience);
  EXPECT_FALSE(address_.empty()) << LogOf("coordinator");
  client_ = std::make_unique<Client>(address_);
}

void ProcessCluster::StartWorker(const std::string& name) {
  const bool attention = name[0] == 'a';
  std::vector<std::string> flags = {
      "--name", name,        "--model", options_.model, "--coordinator",
      address_, "--threads", "1",       "--drain-ms",   absl::StrCat(options_.drain_ms)};
  const auto& more = attention ? options_.attention_flags : options_.expert_flags;
  flags.insert(flags.end(), more.begin(), more.end());
  auto& process = processes_[name];
  process = Process::Start(attention ? "expertmesh-attention-worker" : "expertmesh-expert-worker",
                           flags, absl::StrCat(folder_, "/", name, ".log"));
  EXPECT_NE(process->ListeningAddress(kStartPatience), "") << LogOf(name);
}

void ProcessCluster::Kill(const std::string& name) {
  Process& process = *processes_.at(name);
  process.Signal(SIGKILL);
  process.Wait(std::chrono::seconds(10));
  processes_.erase(name);
}

std::string ProcessCluster::LogOf(const std::string& name) const {
  std::ifstream log(absl::StrCat(folder_, "/", name, ".log"));
  return std::string(std::istreambuf_iterator<char>(log), {});
}

}  // namespace expertmesh
