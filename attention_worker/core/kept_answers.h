// kept_answers.h: answers whose listener may go away and come back: they are made on for a while,
// kept, and handed to whoever asks with their key.
//
// A request without a key passes through. One with a key has an ANSWER here, from its start to its
// end. While it is listened to, its deltas pass through, and the last kKeptTokens tokens stay
// here, since some of them may be lost on their way.
//
// DETACHED: nobody listens. The sequence goes on until it is `most_ahead` tokens ahead of what was
// listened to; then it leaves the batch, and what it has made stays. After `grace` all is
// forgotten. One that ends well meanwhile is kept with its end until then; one that fails is
// forgotten: whoever asks for it starts it anew, and sees for himself.
//
// ASKED FOR AGAIN: a Start with the key of an answer, the same request but for what may differ
// (deadline, priority, caller), and an output so far that the answer goes on from, gets the rest:
// at once what is made, then the sequence's deltas; one that had left the batch is started again
// with all that it had made, which changes no bit. Who listened until then, over a connection that
// broke unnoticed, ends with FAILED_PRECONDITION, whatever the request gets. When the answer does
// not go on from that output it is forgotten, and the request starts anew. The same key with
// another request is that of a request that is not kept.
#pragma once

#include <map>
#include <vector>

#include "generation/request_port.h"

namespace expertmesh {

// The sequences behind: what starts and ends them.
class SequenceHost {
 public:
  virtual ~SequenceHost() = default;
  virtual void MakeSequence(RequestId id, GenerateRequest request, GenerationListener* listener,
                            Time now) = 0;
  virtual void CancelSequence(RequestId id) = 0;
  // The deadline of one that runs or waits is another one.
  virtual void RedateSequence(RequestId id, Time deadline) = 0;
};

struct KeptAnswersOptions {
  Duration grace = std::chrono::seconds(30);  // 0: nothing is kept
  size_t most_ahead = 64;                     // tokens, beyond which nobody's answer is not made
  size_t most_detached = 1024;  // answers; beyond, the one that was detached first is forgotten
};

// Tokens that stay of an answer that is listened to.
inline constexpr size_t kKeptTokens = 64;

// Threads: one. Listeners are called from inside the methods, and as the host calls this.
class KeptAnswers final : private GenerationListener {
 public:
  // `host` outlives this. Its callbacks may come from inside its own methods.
  KeptAnswers(KeptAnswersOptions options, SequenceHost* host) : options_(options), host_(host) {}

  // As of RequestPort.
  void Start(RequestId id, GenerateRequest request, GenerationListener* listener, Time now);
  void Cancel(RequestId id);
  void Detach(RequestId id, Time now);
  void Forget(const AnswerKey& key);

  // Those that no sequence makes now are forgotten: what is made from now on is of another class.
  void ForgetUnmade();
  // To be called when deltas and time may have passed.
  void Tick(Time now);
  // When the first of those that nobody listens to is forgotten.
  Time NextWakeup() const;

  // For invariants and tests.
  size_t detached() const { return detached_; }

 private:
  struct Answer {
    AnswerKey key;
    GenerateRequest request;                 // without an output so far
    RequestId made_as = 0;                   // the sequence's id at the host
    bool made = false;                       // there is a sequence
    RequestId heard_as = 0;                  // whoever listens knows it by this
    GenerationListener* listener = nullptr;  // null: detached
    std::vector<int32_t> ids;                // the output so far, with what was resumed
    std::vector<float> prompt_logprobs;
    std::vector<OutputToken> tokens;  // of the output, the last ones
    Delta last;                       // of the newest delta, how it ended and what was used
    size_t ahead = 0;                 // tokens made since it was detached
    Time until = kNever;              // detached: forgotten then
  };
  using Answers = std::map<AnswerKey, Answer>;

  void OnDelta(RequestId id, Delta delta) override;
  void OnEnd(RequestId id, absl::Status status) override;

  void Begin(RequestId id, GenerateRequest request, GenerationListener* listener, Time now);
  bool GoesOnFrom(const Answer& answer, const GenerateRequest& request) const;
  void Attach(Answer& answer, RequestId id, const GenerateRequest& request,
              GenerationListener* listener, Time now);
  Delta Rest(const Answer& answer, const GenerateRequest& request) const;
  void TakeOver(Answer& answer);
  void CancelUnkept(RequestId id);
  Answers::iterator Drop(Answers::iterator answer);
  void DropOldest();
  Answer* Heard(RequestId id);

  KeptAnswersOptions options_;
  SequenceHost* host_;
  Answers answers_;
  std::map<RequestId, AnswerKey> made_;   // sequences' ids
  std::map<RequestId, AnswerKey> heard_;  // listeners' ids
  size_t detached_ = 0;
};

}  // namespace expertmesh
