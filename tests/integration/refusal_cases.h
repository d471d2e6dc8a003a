// refusal_cases.h: bad requests, as docs/api.md shows them and as they are sent.
#pragma once

#include <string>
#include <vector>

namespace expertmesh {

// Which front door a request goes to.
enum class Door {
  kTiny,         // models/tiny, one worker of each kind
  kTokensOnly,   // the same workers behind a front door without a checkpoint
  kNoTemplate,   // behind one whose checkpoint has a tokenizer and no chat template
  kStrict,       // behind one whose chat template objects to a system message
  kBusy,         // models/tiny, whose worker takes one request, and has one
  kEmpty,        // no worker has joined
  kNoAttention,  // an expert worker alone
  kHalfCovered,  // the expert worker's memory holds a part of the experts
};

struct RefusalCase {
  std::string method;  // of expertmesh.v1.Generation; GenerateStream ones are sent to Generate too
  std::string shown;   // the request in Markdown
  std::string bytes;   // what is sent
  Door door = Door::kTiny;
  std::string abort = {};  // after the first message, requests of this name are aborted
};

struct RefusalGroup {
  std::string title;
  std::vector<RefusalCase> cases;
};

// In the order of the page.
std::vector<RefusalGroup> RefusalCases();

// `text` (protobuf's text format) as bytes of the method's request.
std::string RequestBytes(const std::string& method, const std::string& text);

}  // namespace expertmesh
