// `expertmesh topology`: who is in the fleet, who holds what, what is missing.
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "client/client.h"
#include "common/status.h"

namespace expertmesh {
namespace {

using Row = std::vector<std::string>;

std::string ShortName(const std::string& enum_name, absl::string_view prefix) {
  return enum_name.substr(prefix.size());
}

// What a worker has to do with the work: experts that it holds, or sequences that it runs.
std::string WorkOf(const v1::WorkerListing& worker) {
  if (worker.state() == v1::WORKER_STATE_LOST) return "-";
  if (worker.role() != v1::WORKER_ROLE_EXPERT) {
    return absl::StrCat(worker.running_sequences(), " running, ", worker.waiting_sequences(),
                        " waiting; cache: ", worker.cache_used_tokens(), " of ",
                        worker.cache_tokens(), " tokens of ", worker.cache_bytes_per_token(),
                        " bytes, ", worker.preemptions(), " preemptions");
  }
  if (worker.assigned_experts() == 0) return "no experts";
  return absl::StrCat(worker.holds_experts(), " of ", worker.assigned_experts(),
                      " experts: ", worker.holds_text(), worker.has_note() ? "; " : "",
                      worker.note());
}

Row RowOf(const v1::WorkerListing& worker) {
  const bool expert = worker.role() == v1::WORKER_ROLE_EXPERT;
  return {worker.name(),
          expert ? "expert" : "attention",
          ShortName(v1::WorkerState_Name(worker.state()), "WORKER_STATE_"),
          absl::StrCat(worker.incarnation().term(), "#", worker.incarnation().number()),
          worker.address(),
          absl::StrCat(worker.epoch().term(), ".", worker.epoch().counter()),
          worker.compute_class().name(),
          absl::StrCat(worker.threads()),
          WorkOf(worker)};
}

void PrintTable(const std::vector<Row>& rows) {
  std::vector<size_t> width(rows.front().size(), 0);
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(width[i] - row[i].size() + 2, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

void Print(const v1::GetTopologyResponse& fleet) {
  const v1::Topology& topology = fleet.topology();
  std::printf("epoch %s, model %s\n",
              absl::StrCat(topology.epoch().term(), ".", topology.epoch().counter()).c_str(),
              topology.model().name().c_str());
  std::vector<Row> rows = {
      {"WORKER", "ROLE", "STATE", "LIFE", "ADDRESS", "EPOCH", "CLASS", "THREADS", "WORK"}};
  for (const v1::WorkerListing& worker : fleet.workers()) rows.push_back(RowOf(worker));
  PrintTable(rows);
  std::printf("%s\n", fleet.missing().empty()
                          ? "whole: every expert is covered"
                          : absl::StrCat("not whole: ", fleet.missing()).c_str());
}

class TopologyCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("topology", "Who is in the fleet, and who holds what");
    command->add_option("--server", server_, "address of a coordinator")->required();
    command->add_flag("--json", json_, "print GetTopologyResponse (admin.proto) as JSON");
    command->add_option("--wait", wait_, "seconds to wait for the fleet to be whole first")
        ->check(CLI::Range(0.0, 1e7));
    return command;
  }

  absl::Status Run() override {
    Client client(server_);
    absl::Status whole;
    if (wait_ > 0) {
      whole = client.WaitUntilWhole(std::chrono::milliseconds(static_cast<int64_t>(wait_ * 1e3)));
    }
    ASSIGN_OR_RETURN(v1::GetTopologyResponse fleet, client.GetTopology());
    if (json_) {
      std::string text;
      google::protobuf::util::JsonPrintOptions options;
      options.preserve_proto_field_names = true;
      options.always_print_primitive_fields = false;
      if (!google::protobuf::util::MessageToJsonString(fleet, &text, options).ok()) {
        return absl::InternalError("the fleet cannot be printed as JSON");
      }
      std::printf("%s\n", text.c_str());
    } else {
      Print(fleet);
    }
    return whole;
  }

 private:
  std::string server_;
  bool json_ = false;
  double wait_ = 0;
};

}  // namespace

std::unique_ptr<CliCommand> MakeTopologyCommand() { return std::make_unique<TopologyCommand>(); }

}  // namespace expertmesh
