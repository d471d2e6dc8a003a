// text_door.h: the front door's text half: users' requests in, text and tokens out.
//
// A request stays on one of a few threads of its own: its prompt is put into tokens there, it goes
// to `port` as one sequence for each choice, and what comes back is put into text there. Requests
// of other threads go on meanwhile. Nothing is done for one that is cancelled or late before it is
// its turn. One request has one end: the first choice that fails ends them all.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/text/text_model.h"
#include "generation/user_request.h"

namespace expertmesh {

struct TextDoorOptions {
  int threads = 2;
  int max_running = 4096;  // requests that run or wait; more are refused
};

// Ids that Detokenize takes: as many as the largest context has.
inline constexpr size_t kMaxDetokenizeIds = kMostContext;

// Threads  any. Must outlive the port's last event: stop the port first, then this. Listeners are
// called on the text threads.
class TextDoor final : public UserPort {
 public:
  // `port` and what `port_id` needs outlive this. `port_id` makes numbers unique at the port.
  TextDoor(TextDoorOptions options, std::shared_ptr<const TextModel> model, AttentionPort* port,
           std::function<RequestId()> port_id);
  ~TextDoor() override;  // Stop()s

  // Numbers for Start: unique here.
  RequestId NewRequestId();
  void Start(RequestId id, UserRequest request, GenerationListener* listener) override;
  void Cancel(RequestId id) override;
  void Detach(RequestId id) override;
  void Forget(const KeptAnswer& kept) override;
  // Cancels every running request of this name, which is not empty; how many there were.
  int Abort(const std::string& request_id);

  // `done` is called once, on a text thread. Errors  FAILED_PRECONDITION: no tokenizer;
  // INVALID_ARGUMENT; UNAVAILABLE: stopped.
  void Tokenize(std::string text, bool special,
                std::function<void(absl::StatusOr<std::vector<int32_t>>)> done);
  void Detokenize(std::vector<int32_t> ids, bool special,
                  std::function<void(absl::StatusOr<std::string>)> done);

  const TextModel& model() const;
  size_t running() const;
  // Ends what is left with UNAVAILABLE and joins the threads. Idempotent.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace expertmesh
