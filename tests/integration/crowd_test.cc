// Many clients at once, as they are: some go away, some are late, some stop reading. Whoever stays
// gets what he would have got alone, and nothing is left behind.
//
// EXPERTMESH_CROWD_SECONDS repeats the crowd for so long and prints each process's memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <latch>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "rpc/channel.h"
#include "rpc/convert_user.h"
#include "rpc/deadline.h"
#include "rpc/status.h"
#include "tests/integration/process_cluster.h"

namespace expertmesh {
namespace {

constexpr int kStreams = 200;
constexpr uint32_t kSeed = 20261129;
constexpr int32_t kVocabulary = 2048;  // of models/tiny
constexpr Duration kPatience = std::chrono::seconds(60);

enum class Manner { kStays, kCancels, kIsLate, kStalls };

struct Visitor {
  Manner manner = Manner::kStays;
  UserRequest request;
  int leaves_after = 0;  // messages
  Bits alone;            // what the request gives by itself
};

std::vector<Visitor> DrawVisitors() {
  std::mt19937 random(kSeed);
  std::vector<Visitor> visitors(kStreams);
  std::vector<int32_t> common(100);
  for (int32_t& id : common) id = static_cast<int32_t>(random() % kVocabulary);
  for (int i = 0; i < kStreams; ++i) {
    Visitor& visitor = visitors[i];
    visitor.manner = i % 3 == 0    ? Manner::kCancels
                     : i % 10 == 1 ? Manner::kIsLate
                     : i % 10 == 2 ? Manner::kStalls
                                   : Manner::kStays;
    visitor.leaves_after = static_cast<int>(random() % 20);
    std::vector<int32_t> prompt;
    if (random() % 2 == 0) prompt.assign(common.begin(), common.begin() + random() % 100);
    const size_t length = prompt.size() + 1 + random() % 80;
    while (prompt.size() < length) prompt.push_back(static_cast<int32_t>(random() % kVocabulary));
    UserRequest& request = visitor.request;
    request.prompt = std::move(prompt);
    request.max_tokens = 10 + static_cast<int32_t>(random() % 60);
    request.ignore_eos = request.logprobs = true;
    request.priority = i % 4 == 0 ? 10 : 0;
    if (random() % 2 == 0) {
      request.sampling.temperature = 0.9f;
      request.sampling.seed = i;
    }
  }
  return visitors;
}

class CrowdTest : public testing::Test {
 protected:
  // A small cache: they push each other out of it.
  ProcessCluster cluster_{{.model = EXPERTMESH_SOURCE_DIR "/models/tiny",
                           .attention_workers = 2,
                           .expert_workers = 2,
                           .attention_flags = {"--cache-tokens", "1024", "--max-sequences", "24"},
                           .expert_flags = {},
                           .coordinator_flags = {}}};
  std::unique_ptr<v1::Generation::Stub> stub_ =
      v1::Generation::NewStub(DialInsecure(cluster_.address()));

  Bits Alone(const UserRequest& request) {
    Bits bits;
    const absl::Status status =
        cluster_.client().Generate(request, [&](const Delta& delta) { AddTo(bits, delta); });
    EXPECT_TRUE(status.ok()) << status;
    return bits;
  }

  // One visit, on a thread of its own. Whoever stalls reads on when `everyone` else has gone.
  void Visit(const Visitor& visitor, std::latch& others) {
    grpc::ClientContext context;
    if (visitor.manner == Manner::kIsLate) {
      context.set_deadline(ToGrpcDeadline(Now() + std::chrono::milliseconds(100)));
    }
    auto reader = stub_->GenerateStream(&context, ToProto(visitor.request));
    Bits bits;
    v1::GenerateResponse response;
    for (int messages = 1; reader->Read(&response); ++messages) {
      absl::StatusOr<Delta> delta = FromProto(response);
      EXPECT_TRUE(delta.ok()) << delta.status();
      if (delta.ok()) AddTo(bits, *delta);
      if (visitor.manner == Manner::kCancels && messages > visitor.leaves_after) {
        context.TryCancel();
      }
      if (visitor.manner == Manner::kStalls && messages == 1) others.wait();
    }
    const absl::Status status = FromGrpcStatus(reader->Finish());
    if (visitor.manner != Manner::kStalls) others.count_down();
    const bool whole = bits.ids.size() == static_cast<size_t>(*visitor.request.max_tokens);
    if (visitor.manner == Manner::kStays || visitor.manner == Manner::kStalls) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(bits, visitor.alone);
      return;
    }
    EXPECT_TRUE(whole || absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
                absl::IsResourceExhausted(status))
        << status;
    EXPECT_TRUE(std::equal(bits.ids.begin(), bits.ids.end(), visitor.alone.ids.begin()))
        << "what came until then is right";
  }

  void Crowd(const std::vector<Visitor>& visitors) {
    const auto stalls = std::count_if(visitors.begin(), visitors.end(), [](const Visitor& visitor) {
      return visitor.manner == Manner::kStalls;
    });
    std::latch others(kStreams - stalls);
    std::vector<std::thread> threads;
    for (const Visitor& visitor : visitors) {
      threads.emplace_back([&, this] { Visit(visitor, others); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // Soon nobody runs, and no block of the cache is anybody's.
  uint64_t ExpectIdle() {
    uint64_t left = 1, preemptions = 0;
    for (const Time until = Now() + kPatience; left != 0 && Now() < until;) {
      left = preemptions = 0;
      const auto fleet = cluster_.client().GetTopology();
      for (const auto& worker : fleet->workers()) {
        left +=
            worker.running_sequences() + worker.waiting_sequences() + worker.cache_used_tokens();
        preemptions += worker.preemptions();
      }
    }
    EXPECT_EQ(left, 0u);
    return preemptions;
  }

  std::string Memory() {
    std::string text;
    for (const char* name : {"coordinator", "a1", "a2", "e1", "e2"}) {
      absl::StrAppend(&text, " ", name, " ", cluster_.process(name).ResidentBytes() >> 20, " MiB");
    }
    return text;
  }
};

TEST_F(CrowdTest, WhoeverStaysGetsWhatHeWouldHaveGotAlone) {
  std::vector<Visitor> visitors = DrawVisitors();
  for (Visitor& visitor : visitors) visitor.alone = Alone(visitor.request);
  const char* seconds = std::getenv("EXPERTMESH_CROWD_SECONDS");
  const Time until = Now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  int crowds = 0;
  do {
    Crowd(visitors);
    if (++crowds % 10 == 1) std::printf("after %d crowds:%s\n", crowds, Memory().c_str());
    std::fflush(stdout);
  } while (Now() < until && !HasFailure());
  const uint64_t preemptions = ExpectIdle();
  std::printf("after %d crowds:%s; %lu preemptions\n", crowds, Memory().c_str(),
              static_cast<unsigned long>(preemptions));
}

}  // namespace
}  // namespace expertmesh
