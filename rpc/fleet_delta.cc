#include "rpc/fleet_delta.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/repeated_field.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "common/hash.h"

namespace expertmesh {
namespace {

template <typename T>
using Repeated = google::protobuf::RepeatedPtrField<T>;

std::string BytesOf(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// The state without those that have names.
v1::GetTopologyResponse RestOf(const v1::GetTopologyResponse& state) {
  v1::GetTopologyResponse rest = state;
  rest.clear_workers();
  if (rest.has_topology()) rest.mutable_topology()->clear_members();
  return rest;
}

template <typename T>
void Compare(const Repeated<T>& before, const Repeated<T>& after, Repeated<T>* changed,
             Repeated<std::string>* gone) {
  std::map<std::string, std::string> known;
  for (const T& item : before) known[item.name()] = BytesOf(item);
  for (const T& item : after) {
    const auto was = known.extract(item.name());
    if (was.empty() || was.mapped() != BytesOf(item)) *changed->Add() = item;
  }
  for (const auto& [name, bytes] : known) *gone->Add() = name;
}

template <typename T>
void Change(const Repeated<T>& changed, const Repeated<std::string>& gone, Repeated<T>* items) {
  std::set<std::string> outdated(gone.begin(), gone.end());
  for (const T& item : changed) outdated.insert(item.name());
  items->erase(std::remove_if(items->begin(), items->end(),
                              [&](const T& item) { return outdated.contains(item.name()); }),
               items->end());
  items->MergeFrom(changed);
  std::stable_sort(items->pointer_begin(), items->pointer_end(), [](const T* a, const T* b) {
    return a->role() != b->role() ? a->role() < b->role() : a->name() < b->name();
  });
}

void ApplyDelta(const v1::FleetDelta& delta, v1::GetTopologyResponse& state) {
  if (delta.has_rest()) {
    v1::GetTopologyResponse next = delta.rest();
    next.mutable_workers()->Swap(state.mutable_workers());
    if (next.has_topology()) {
      next.mutable_topology()->mutable_members()->Swap(state.mutable_topology()->mutable_members());
    }
    state = std::move(next);
  }
  Change(delta.workers(), delta.workers_gone(), state.mutable_workers());
  if (state.has_topology()) {
    Change(delta.members(), delta.members_gone(), state.mutable_topology()->mutable_members());
  }
}

}  // namespace

uint64_t HashOf(const v1::GetTopologyResponse& state) {
  const std::string bytes = BytesOf(state);
  return Hash64(bytes.data(), bytes.size());
}

v1::FleetDelta DifferenceOf(const v1::GetTopologyResponse& before,
                            const v1::GetTopologyResponse& after) {
  v1::FleetDelta delta;
  v1::GetTopologyResponse rest = RestOf(after);
  if (BytesOf(rest) != BytesOf(RestOf(before))) *delta.mutable_rest() = std::move(rest);
  Compare(before.workers(), after.workers(), delta.mutable_workers(), delta.mutable_workers_gone());
  Compare(before.topology().members(), after.topology().members(), delta.mutable_members(),
          delta.mutable_members_gone());
  return delta;
}

absl::Status ApplyEvent(const v1::FleetEvent& event, v1::GetTopologyResponse& state) {
  if (event.has_snapshot()) state = event.snapshot();
  if (event.has_delta()) ApplyDelta(event.delta(), state);
  if (event.has_hash() && event.hash() == HashOf(state)) return absl::OkStatus();
  return absl::DataLossError(
      "the fleet's state, put together from its changes, has another hash "
      "than the server's");
}

}  // namespace expertmesh
