#include "rpc/delta_stream.h"

#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace expertmesh {
namespace {

template <typename T>
void MoveToBack(std::vector<T>& from, std::vector<T>& to) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// Whether `next` may go into the message of `into`: what is said once stays first or last.
bool MayMerge(const Delta& next, const Delta& into) {
  return next.choice == into.choice && !next.opening.has_value();
}

void Merge(Delta next, Delta& into) {
  MoveToBack(next.prompt_logprobs, into.prompt_logprobs);
  MoveToBack(next.tokens, into.tokens);
  MoveToBack(next.values, into.values);
  into.text += next.text;
  if (next.kept.has_value()) into.kept = std::move(next.kept);
  if (next.finish == FinishReason::kNone) return;
  into.finish = next.finish;
  into.stop_token_id = next.stop_token_id;
  into.stop_string = std::move(next.stop_string);
  into.label = std::move(next.label);
  into.usage = next.usage;
}

}  // namespace

size_t WireBytes(const Delta& delta) {
  constexpr size_t kMessageBytes = 32, kTokenBytes = 16, kTopBytes = 13;
  size_t bytes = kMessageBytes + delta.prompt_logprobs.size() * sizeof(float) + delta.text.size() +
                 delta.values.size() * sizeof(float) + delta.label.size();
  for (const OutputToken& token : delta.tokens) bytes += kTokenBytes + token.top.size() * kTopBytes;
  return bytes;
}

DeltaStream::Turn DeltaStream::OnDelta(Delta delta, bool* overflow) {
  MutexLock lock(mutex_);
  *overflow = false;
  if (ended_) return {};
  const size_t bytes = WireBytes(delta);
  // One that comes alone always fits.
  if (!waiting_.empty() && waiting_bytes_ + bytes > kMaxWaitingDeltaBytes) {
    *overflow = true;
    EndNow(absl::ResourceExhaustedError(
        absl::StrCat("the caller reads too slowly: ", waiting_bytes_,
                     " bytes wait for it, at most ", kMaxWaitingDeltaBytes, " may")));
    return Next();
  }
  waiting_bytes_ += bytes;
  waiting_.push_back(std::move(delta));
  return Next();
}

DeltaStream::Turn DeltaStream::OnEnd(absl::Status status) {
  MutexLock lock(mutex_);
  if (ended_) return {};
  ended_ = true;
  status_ = std::move(status);
  return Next();
}

DeltaStream::Turn DeltaStream::OnWritten(bool ok) {
  MutexLock lock(mutex_);
  writing_ = false;
  if (!ok) EndNow(absl::CancelledError("the caller is gone"));
  return Next();
}

DeltaStream::Turn DeltaStream::Abandon(absl::Status status) {
  MutexLock lock(mutex_);
  EndNow(std::move(status));
  return Next();
}

void DeltaStream::EndNow(absl::Status status) {
  waiting_.clear();
  waiting_bytes_ = 0;
  if (!ended_ || status_.ok()) status_ = std::move(status);
  ended_ = true;
}

DeltaStream::Turn DeltaStream::Next() {
  if (writing_ || finished_) return {};
  if (!waiting_.empty()) {
    writing_ = true;
    return {Action::kWrite, TakePiece(), {}};
  }
  if (!ended_) return {};
  finished_ = true;
  return {Action::kFinish, {}, status_};
}

Delta DeltaStream::TakePiece() {
  Delta piece = std::move(waiting_.front());
  waiting_.pop_front();
  size_t bytes = WireBytes(piece);
  waiting_bytes_ -= bytes;
  while (!waiting_.empty()) {
    const size_t more = WireBytes(waiting_.front());
    if (bytes + more > kMaxPieceBytes || !MayMerge(waiting_.front(), piece)) break;
    bytes += more;
    waiting_bytes_ -= more;
    Merge(std::move(waiting_.front()), piece);
    waiting_.pop_front();
  }
  return piece;
}

}  // namespace expertmesh
