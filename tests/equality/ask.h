// ask.h: requests to a cluster in this process, one by one or all at once.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "cli/embedded/embedded_cluster.h"
#include "tests/support/generation.h"

namespace expertmesh {

struct Answer {
  Bits bits;
  Usage usage;
};

// Null, and a failure, if it does not get whole.
inline std::unique_ptr<EmbeddedCluster> StartWhole(const EmbeddedOptions& options) {
  auto cluster = EmbeddedCluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  if (!cluster.ok()) return nullptr;
  const absl::Status whole = (*cluster)->WaitUntilWhole(std::chrono::seconds(30));
  EXPECT_TRUE(whole.ok()) << whole;
  return *std::move(cluster);
}

inline Answer Ask(EmbeddedCluster& cluster, const GenerateRequest& request) {
  Answer answer;
  const absl::Status status = cluster.Generate(request, [&](const Delta& delta) {
    AddTo(answer.bits, delta);
    if (delta.finish != FinishReason::kNone) answer.usage = delta.usage;
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(answer.bits.ids.size(), static_cast<size_t>(request.max_tokens));
  return answer;
}

// Each from a thread of its own.
inline std::vector<Bits> AskTogether(EmbeddedCluster& cluster,
                                     const std::vector<GenerateRequest>& requests) {
  std::vector<Bits> answers(requests.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] { answers[i] = Ask(cluster, requests[i]).bits; });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

}  // namespace expertmesh
