#include "attention_worker/service/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  std::optional<int> exit;
  AttentionWorkerFlags flags;
  std::string out, err;
};

Outcome Read(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "expertmesh-attention-worker");
  Outcome outcome;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  outcome.exit = ReadAttentionWorkerFlags(static_cast<int>(arguments.size()), arguments.data(),
                                          &outcome.flags);
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

std::vector<const char*> Plus(std::vector<const char*> more) {
  std::vector<const char*> all = {"--name",         "a1", "--model", "/", "--coordinator",
                                  "localhost:50051"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(AttentionWorkerFlags, FillTheWorkersOptions) {
  const Outcome outcome = Read(Plus({"--threads",
                                     "3",
                                     "--dtype",
                                     "f32",
                                     "--isa",
                                     "scalar",
                                     "--max-context",
                                     "77",
                                     "--cache-tokens",
                                     "5000000000",
                                     "--max-step-rows",
                                     "9",
                                     "--prefill-chunk",
                                     "1",
                                     "--max-sequences",
                                     "2",
                                     "--liveness-timeout-ms",
                                     "200",
                                     "--log-level",
                                     "debug"}));
  ASSERT_EQ(outcome.exit, std::nullopt) << outcome.err;
  const AttentionWorkerOptions& worker = outcome.flags.worker;
  EXPECT_EQ(worker.name, "a1");
  EXPECT_EQ(worker.model_folder, "/");
  EXPECT_TRUE(worker.widen);
  EXPECT_EQ(worker.isa, "scalar");
  EXPECT_EQ(worker.threads, 3);
  EXPECT_EQ(worker.max_context, 77);
  EXPECT_EQ(worker.cache_tokens, 5'000'000'000);
  EXPECT_EQ(worker.max_step_rows, 9);
  EXPECT_EQ(worker.prefill_chunk, 1);
  EXPECT_EQ(worker.max_sequences, 2);
  EXPECT_EQ(worker.liveness.lost_after, Milliseconds(200));
  EXPECT_EQ(worker.liveness.ping_after, Milliseconds(50));
  EXPECT_EQ(outcome.flags.listen.listen, "127.0.0.1:0");
  EXPECT_EQ(outcome.flags.listen.log_level, "debug");
}

TEST(AttentionWorkerFlags, DefaultsHoldWhatIsNotSaid) {
  const Outcome outcome = Read(Plus({}));
  ASSERT_EQ(outcome.exit, std::nullopt) << outcome.err;
  EXPECT_FALSE(outcome.flags.worker.widen);
  EXPECT_GE(outcome.flags.worker.threads, 1);
  EXPECT_EQ(outcome.flags.worker.liveness.lost_after, LivenessOptions().lost_after);
  EXPECT_EQ(outcome.flags.worker.liveness.ping_after, LivenessOptions().ping_after);
}

TEST(AttentionWorkerFlags, ABadOneIsNamedWithExitCode2) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"--threads", "0"},        {"--threads", "many"},
      {"--prefill-chunk", "0"},  {"--isa", "mmx"},
      {"--dtype", "int8"},       {"--cache-tokens", "-1"},
      {"--max-context", "1e99"}, {"--liveness-timeout-ms", "1"},
      {"--log-level", "loud"},   {"--listen", "0.0.0.0:1"},
      {"--listen", "here"},      {"--advertise", "h:0"},
      {"--bogus", "1"},
  };
  for (const auto& [flag, value] : cases) {
    const Outcome outcome = Read(Plus({flag, value}));
    EXPECT_EQ(outcome.exit, kExitBadFlags) << flag << " " << value;
    EXPECT_THAT(outcome.err, HasSubstr(flag));
  }
  EXPECT_THAT(Read({"--model", "/", "--name", "a"}).err, HasSubstr("--coordinator"));
  EXPECT_THAT(Read({"--model", "/nowhere", "--name", "a", "--coordinator", "h:1"}).err,
              HasSubstr("--model"));
}

TEST(AttentionWorkerFlags, HelpIsGroupedAndOnStdout) {
  const Outcome outcome = Read({"--help"});
  EXPECT_EQ(outcome.exit, 0);
  for (const char* part : {"Network", "Fleet", "Model", "Compute", "Capacity", "Logging",
                           "--prefill-chunk", "--allow-insecure-listen"}) {
    EXPECT_THAT(outcome.out, HasSubstr(part));
  }
  EXPECT_EQ(outcome.err, "");
}

}  // namespace
}  // namespace expertmesh
