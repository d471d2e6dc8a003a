#include "cli/operator_command.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "absl/strings/str_cat.h"

namespace expertmesh {

void OperatorCommand::AddOperatorFlags(CLI::App& command, const std::string& message) {
  command.add_option("--server", server_, "address of a coordinator")->required();
  command.add_flag("--json", json_, absl::StrCat("print ", message, " (admin.proto) as JSON"));
}

absl::Status OperatorCommand::PrintJson(const google::protobuf::Message& message, bool compact) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = false;
  options.add_whitespace = !compact;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    return absl::InternalError("the answer cannot be printed as JSON");
  }
  if (text.empty() || text.back() != '\n') text += '\n';
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  return absl::OkStatus();
}

absl::Status OperatorCommand::Print(const google::protobuf::Message& message,
                                    const std::string& text) const {
  if (json_) return PrintJson(message);
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

std::string UnknownNote(const v1::SetWorkerOrdersResponse& response) {
  return response.has_state() ? "" : "; nobody of this name is known: its orders wait for it";
}

}  // namespace expertmesh
