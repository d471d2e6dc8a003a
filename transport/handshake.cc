#include "transport/handshake.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

absl::Status Mismatch(absl::string_view what, absl::string_view ours, absl::string_view theirs) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " differs: ours is ", ours, ", the peer's is ", theirs));
}

absl::Status Unexpected(absl::string_view what, absl::string_view expected,
                        absl::string_view found) {
  return absl::FailedPreconditionError(absl::StrCat("not the peer that was dialled: ", what,
                                                    " should be ", expected, ", is ", found));
}

}  // namespace

std::string Describe(const Hello& who) {
  return absl::StrCat(Name(who.role), " worker ", absl::CEscape(who.name), " (",
                      ToString(who.incarnation), ")");
}

Hello HelloOf(const Report& identity, Incarnation incarnation, DType wire_dtype) {
  Hello hello;
  hello.wire_dtype = wire_dtype;
  hello.name = identity.name;
  hello.role = identity.role;
  hello.incarnation = incarnation;
  hello.model = identity.model.fingerprint;
  hello.compute_class = identity.compute_class;
  hello.hidden = static_cast<uint32_t>(identity.model.hidden);
  return hello;
}

absl::Status CheckCompatible(const Hello& mine, const Hello& theirs) {
  if (mine.wire_version != theirs.wire_version) {
    return Mismatch("wire version", absl::StrCat(mine.wire_version),
                    absl::StrCat(theirs.wire_version));
  }
  if (mine.wire_dtype != theirs.wire_dtype) {
    return Mismatch("wire dtype", Name(mine.wire_dtype), Name(theirs.wire_dtype));
  }
  if (mine.model != theirs.model) {
    return Mismatch("model fingerprint", ToString(mine.model), ToString(theirs.model));
  }
  if (mine.hidden != theirs.hidden) {
    return Mismatch("row width (hidden)", absl::StrCat(mine.hidden), absl::StrCat(theirs.hidden));
  }
  return absl::OkStatus();
}

absl::Status CheckExpected(const PeerExpectation& expected, const Hello& theirs) {
  if (expected.name != theirs.name) return Unexpected("name", expected.name, theirs.name);
  if (expected.role != theirs.role) {
    return Unexpected("role", Name(expected.role), Name(theirs.role));
  }
  if (expected.incarnation != theirs.incarnation) {
    return Unexpected("incarnation", ToString(expected.incarnation), ToString(theirs.incarnation));
  }
  if (expected.compute_class != theirs.compute_class) {
    return Unexpected("compute class", ToString(expected.compute_class),
                      ToString(theirs.compute_class));
  }
  return absl::OkStatus();
}

}  // namespace expertmesh
