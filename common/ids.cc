#include "common/ids.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace expertmesh {

std::string ToString(const Epoch& epoch) { return absl::StrCat(epoch.term, ".", epoch.counter); }

std::string ToString(const Incarnation& incarnation) {
  return absl::StrCat(incarnation.term, "#", incarnation.number);
}

std::string ToString(const CallId& call) {
  return absl::StrCat(ToString(call.sender), "/", call.sequence);
}

std::string ToString(const ModelFingerprint& fingerprint) {
  return absl::StrFormat("%016x%016x", fingerprint.high, fingerprint.low);
}

std::string ToString(const ComputeClass& compute_class) {
  return absl::StrFormat("%s/%016x", compute_class.name, compute_class.fingerprint);
}

}  // namespace expertmesh
