// load.h: streams that run without a pause, each answer held against that of an undisturbed fleet,
// bit by bit.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "client/client.h"
#include "common/mutex.h"
#include "generation/user_request.h"
#include "tests/support/generation.h"

namespace expertmesh::chaos {

struct Question {
  UserRequest request;
  Bits answer;  // the undisturbed fleet's
};

// Questions of mixed lengths over ids below `vocabulary`, greedy and drawn; some ask for prompt and
// top logprobs. The same seed, the same questions.
std::vector<Question> DrawQuestions(int count, uint32_t seed, int32_t vocabulary);
// `count` questions with short prompts and `tokens` tokens each, every other one drawn.
std::vector<Question> EqualQuestions(int count, int tokens, int32_t vocabulary);

// Asks each question, `streams` at a time, of a fleet that nobody disturbs, and keeps the answers.
absl::Status AnswerQuietly(const std::string& address, int streams,
                           std::vector<Question>& questions);

struct LoadOptions {
  std::string address;
  int streams = 8;
  int most_resumes = 5;
  bool repeat = true;  // until Finish; else each stream asks one question
  // A question that is refused before its answer has begun is asked again after the server's hint;
  // false: it has failed.
  bool ask_again = true;
  Duration patience = std::chrono::seconds(90);  // for one answer
};

struct Broken {
  double at_s = 0;  // since the load's start
  int stream = 0;
  size_t question = 0;
  std::string what;
};

// Between two pieces of one answer.
struct Gap {
  float ms = 0;
  double at_s = 0;  // its end, since the load's start
};

struct LoadResult {
  int64_t answers = 0;  // complete and equal
  int64_t tokens = 0;   // of all streams
  int64_t refused = 0;  // before anything was begun, and asked again
  std::vector<Broken> failed, mismatched;
  std::vector<float> gaps_ms;  // ascending
  Gap longest;
};

// Threads: Finish and the destructor on the one that made it; tokens() on any.
class Load {
 public:
  // Begins at once. The questions outlive it.
  Load(LoadOptions options, const std::vector<Question>* questions);
  ~Load();
  // Every stream comes to the end of its answer; none begins another.
  LoadResult Finish();
  int64_t tokens() const { return tokens_; }

 private:
  void RunStream(int stream);
  void AskOne(Client& client, int stream, size_t question);
  absl::Status AskUntilBegun(Client& client, const UserRequest& request, Bits& bits,
                             std::vector<Gap>& gaps);
  double Seconds() const;

  const LoadOptions options_;
  const std::vector<Question>& questions_;
  const Time start_;
  std::atomic<bool> over_ = false;
  std::atomic<int64_t> tokens_ = 0;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  LoadResult result_ ABSL_GUARDED_BY(mutex_);
};

// Of ascending values; 0 where there are none.
float Percentile(const std::vector<float>& ascending, double percent);

}  // namespace expertmesh::chaos
