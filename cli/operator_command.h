// operator_command.h: what the operators' commands have in common: where they ask, and JSON.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "cli/command.h"
#include "client/client.h"

namespace expertmesh {

class OperatorCommand : public CliCommand {
 protected:
  // --server and --json, which prints `message` (of admin.proto).
  void AddOperatorFlags(CLI::App& command, const std::string& message);

  // An answer on stdout: the message as one JSON object, or `text`.
  absl::Status Print(const google::protobuf::Message& message, const std::string& text) const;
  // On one line if `compact`.
  static absl::Status PrintJson(const google::protobuf::Message& message, bool compact = false);

  std::string server_;
  bool json_ = false;
};

// "; nobody of this name is known: its orders wait for it", or nothing.
std::string UnknownNote(const v1::SetWorkerOrdersResponse& response);

}  // namespace expertmesh
