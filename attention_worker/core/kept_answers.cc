#include "attention_worker/core/kept_answers.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace expertmesh {
namespace {

// What two requests for one answer have in common.
GenerateRequest Essence(GenerateRequest request) {
  request.resumed.clear();
  request.prompt_logprobs = false;
  request.priority = 0;
  request.caller.clear();
  request.kept.reset();
  request.deadline = kNever;
  return request;
}

}  // namespace

// ---- whoever listens

void KeptAnswers::Start(RequestId id, GenerateRequest request, GenerationListener* listener,
                        Time now) {
  const bool keeps = request.kept.has_value() && request.pooling == Pooling::kNone;
  if (!keeps || options_.grace == Duration{}) {
    return host_->MakeSequence(id, std::move(request), listener, now);
  }
  const auto found = answers_.find(request.kept->key);
  if (found == answers_.end()) return Begin(id, std::move(request), listener, now);
  Answer& answer = found->second;
  if (Essence(answer.request) != Essence(request)) {
    return host_->MakeSequence(id, std::move(request), listener, now);
  }
  if (answer.listener != nullptr) TakeOver(answer);
  if (GoesOnFrom(answer, request)) return Attach(answer, id, request, listener, now);
  Drop(found);
  Begin(id, std::move(request), listener, now);
}

void KeptAnswers::Begin(RequestId id, GenerateRequest request, GenerationListener* listener,
                        Time now) {
  Answer& answer = answers_[request.kept->key];
  answer.key = request.kept->key;
  answer.request = request;
  answer.request.resumed.clear();
  answer.ids = request.resumed;
  answer.listener = listener;
  answer.heard_as = answer.made_as = id;
  answer.made = true;
  heard_[id] = made_[id] = answer.key;
  host_->MakeSequence(id, std::move(request), this, now);
}

// Whether what is kept has all that comes after the output that the request names.
bool KeptAnswers::GoesOnFrom(const Answer& answer, const GenerateRequest& request) const {
  const std::vector<int32_t>& have = request.resumed;
  const size_t first = answer.ids.size() - answer.tokens.size();  // that is kept
  if (have.size() < first || have.size() > answer.ids.size()) return false;
  if (request.prompt_logprobs && !answer.request.prompt_logprobs) return false;
  return std::equal(have.begin(), have.end(), answer.ids.begin());
}

// Whoever listened does so no longer.
void KeptAnswers::TakeOver(Answer& answer) {
  heard_.erase(answer.heard_as);
  ++detached_;
  std::exchange(answer.listener, nullptr)
      ->OnEnd(answer.heard_as,
              absl::FailedPreconditionError("another call has taken this answer over"));
}

void KeptAnswers::Attach(Answer& answer, RequestId id, const GenerateRequest& request,
                         GenerationListener* listener, Time now) {
  --detached_;
  LogInfo("request ", request.request_id, " is asked for again with ", request.resumed.size(),
          " tokens; ", answer.ids.size(), " are made");
  answer.listener = listener;
  answer.heard_as = id;
  answer.until = kNever;
  heard_[id] = answer.key;
  Delta rest = Rest(answer, request);
  const bool finished = rest.finish != FinishReason::kNone;
  if (finished || !rest.tokens.empty() || !rest.prompt_logprobs.empty()) {
    listener->OnDelta(id, std::move(rest));
  }
  if (finished) {
    Drop(answers_.find(answer.key));
    return listener->OnEnd(id, absl::OkStatus());
  }
  if (answer.made) return host_->RedateSequence(answer.made_as, request.deadline);
  GenerateRequest again = answer.request;
  again.resumed = answer.ids;
  again.prompt_logprobs = again.prompt_logprobs && answer.ids.empty();
  again.deadline = request.deadline;
  answer.made = true;
  answer.made_as = id;
  made_[id] = answer.key;
  host_->MakeSequence(id, std::move(again), this, now);
}

// What is made beyond the output that the request names, in one piece.
Delta KeptAnswers::Rest(const Answer& answer, const GenerateRequest& request) const {
  Delta rest = answer.last;
  if (request.prompt_logprobs) rest.prompt_logprobs = answer.prompt_logprobs;
  const size_t count = answer.ids.size() - request.resumed.size();
  rest.tokens.assign(answer.tokens.end() - static_cast<ptrdiff_t>(count), answer.tokens.end());
  return rest;
}

void KeptAnswers::Cancel(RequestId id) {
  const Answer* answer = Heard(id);
  if (answer == nullptr) return CancelUnkept(id);
  host_->CancelSequence(answer->made_as);  // its end goes to whoever listens
}

// An answer's sequence may have the id of who listened to it first.
void KeptAnswers::CancelUnkept(RequestId id) {
  if (!made_.contains(id)) host_->CancelSequence(id);
}

void KeptAnswers::Detach(RequestId id, Time now) {
  Answer* answer = Heard(id);
  if (answer == nullptr) return CancelUnkept(id);
  if (detached_ >= options_.most_detached) DropOldest();
  ++detached_;
  heard_.erase(id);
  answer->ahead = 0;
  answer->until = now + options_.grace;
  std::exchange(answer->listener, nullptr)->OnEnd(id, absl::CancelledError("nobody listens"));
}

void KeptAnswers::Forget(const AnswerKey& key) {
  const auto found = answers_.find(key);
  if (found == answers_.end()) return;
  if (found->second.listener != nullptr) return Cancel(found->second.heard_as);
  Drop(found);
}

KeptAnswers::Answer* KeptAnswers::Heard(RequestId id) {
  const auto found = heard_.find(id);
  return found == heard_.end() ? nullptr : &answers_.at(found->second);
}

// ---- the sequences

void KeptAnswers::OnDelta(RequestId id, Delta delta) {
  const auto found = made_.find(id);
  if (found == made_.end()) return;
  Answer& answer = answers_.at(found->second);
  for (const OutputToken& token : delta.tokens) answer.ids.push_back(token.id);
  answer.tokens.insert(answer.tokens.end(), delta.tokens.begin(), delta.tokens.end());
  if (!delta.prompt_logprobs.empty()) answer.prompt_logprobs = delta.prompt_logprobs;
  if (answer.listener == nullptr) {
    answer.ahead += delta.tokens.size();
  } else if (answer.tokens.size() > 2 * kKeptTokens) {
    answer.tokens.erase(answer.tokens.begin(), answer.tokens.end() - kKeptTokens);
  }
  answer.last.finish = delta.finish;
  answer.last.stop_token_id = delta.stop_token_id;
  answer.last.stop_string = delta.stop_string;
  answer.last.usage = delta.usage;
  if (answer.listener != nullptr) answer.listener->OnDelta(answer.heard_as, std::move(delta));
}

void KeptAnswers::OnEnd(RequestId id, absl::Status status) {
  const auto found = made_.find(id);
  if (found == made_.end()) return;
  const auto answer = answers_.find(found->second);
  made_.erase(found);
  answer->second.made = false;
  GenerationListener* listener = answer->second.listener;
  if (listener == nullptr && status.ok()) return;  // it waits for whoever asks for it
  const RequestId heard_as = answer->second.heard_as;
  Drop(answer);
  if (listener != nullptr) listener->OnEnd(heard_as, std::move(status));
}

// ---- those that nobody listens to

// Forgets it, and ends its sequence. Whoever listened has been told, or is by the caller.
KeptAnswers::Answers::iterator KeptAnswers::Drop(Answers::iterator answer) {
  Answer& its = answer->second;
  if (its.listener != nullptr) {
    heard_.erase(its.heard_as);
  } else {
    --detached_;
  }
  const bool made = its.made;
  const RequestId made_as = its.made_as;
  made_.erase(made_as);  // its end goes nowhere
  const auto next = answers_.erase(answer);
  if (made) host_->CancelSequence(made_as);
  return next;
}

void KeptAnswers::DropOldest() {
  auto oldest = answers_.end();
  for (auto it = answers_.begin(); it != answers_.end(); ++it) {
    if (it->second.listener != nullptr) continue;
    if (oldest == answers_.end() || it->second.until < oldest->second.until) oldest = it;
  }
  if (oldest != answers_.end()) Drop(oldest);
}

void KeptAnswers::ForgetUnmade() {
  for (auto it = answers_.begin(); it != answers_.end();) {
    it = it->second.made ? std::next(it) : Drop(it);
  }
}

void KeptAnswers::Tick(Time now) {
  if (detached_ == 0) return;
  for (auto it = answers_.begin(); it != answers_.end();) {
    Answer& answer = it->second;
    if (now >= answer.until) {
      it = Drop(it);
      continue;
    }
    if (answer.made && answer.listener == nullptr && answer.ahead >= options_.most_ahead) {
      answer.made = false;
      made_.erase(answer.made_as);
      host_->CancelSequence(answer.made_as);
    }
    ++it;
  }
}

Time KeptAnswers::NextWakeup() const {
  Time wake = kNever;
  if (detached_ == 0) return wake;
  for (const auto& [key, answer] : answers_) wake = std::min(wake, answer.until);
  return wake;
}

}  // namespace expertmesh
