// test_util.h: what a served client of test_node.h must have got.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "attention_worker/core/test_node.h"

namespace expertmesh {

// It got what the stub model says, all of it.
inline void ExpectServed(const TestClient& client, const Reference& reference) {
  EXPECT_EQ(client.ids, reference.ids);
  EXPECT_EQ(client.logprobs, reference.logprobs);
  EXPECT_EQ(client.ends, std::vector<absl::Status>{absl::OkStatus()});
  EXPECT_EQ(client.deltas_after_end, 0);
  EXPECT_NE(client.last.finish, FinishReason::kNone);
}

}  // namespace expertmesh
