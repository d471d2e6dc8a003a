// generator.h: where the commands generate: on a running fleet, or with all roles in this process.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "generation/user_request.h"

namespace expertmesh {

// Threads: one, but for Interrupt.
class Generator {
 public:
  virtual ~Generator() = default;
  // Blocks until the answer is complete.
  virtual absl::Status Generate(const UserRequest& request,
                                const std::function<void(const Delta&)>& on_delta) = 0;
  // From any thread: ends a Generate that runs with CANCELLED.
  virtual void Interrupt() = 0;
};

struct GeneratorFlags {
  std::string model, server, dtype = "stored", isa = "auto";
  int threads = 0, expert_workers = 1;
  int max_context = 4096;
  double wait = 0;
};

// --server or --model, at most one, and what goes with each.
void AddGeneratorFlags(CLI::App& app, GeneratorFlags* flags);

// Connects, or loads.
absl::StatusOr<std::unique_ptr<Generator>> OpenGenerator(const GeneratorFlags& flags);

}  // namespace expertmesh
