#include "rpc/convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

namespace expertmesh {
namespace {

using ::testing::HasSubstr;

constexpr ExpertGrid kGrid{1, 3, 10};

ExpertSet SomeExperts() {
  ExpertSet set(kGrid);
  set.Insert(1, 0);
  set.Insert(2, 9);
  set.Insert(3, 5);
  return set;
}

ModelIdentity SomeModel() { return {"tiny", {7, UINT64_MAX}, kGrid, 64, 4, 12345}; }

Report SomeReport() {
  Report report;
  report.number = 9;
  report.name = "e-1.x_y";
  report.role = WorkerRole::kExpert;
  report.incarnation = {3, 4};
  report.highest_term = 5;
  report.epoch = {6, 7};
  report.address = "127.0.0.1:4000";
  report.state = WorkerState::kLoading;
  report.memory_bytes = UINT64_MAX;
  report.threads = 8;
  report.compute_class = {"cpu-f32", 0x9f86d081884c7d65};
  report.model = SomeModel();
  report.holds = SomeExperts();
  report.loaded_bytes = 1;
  report.wanted_bytes = 2;
  report.vocabulary = 3;
  report.max_context = 4;
  report.cache_tokens = 9;
  report.cache_bytes_per_token = 10;
  report.load = {5, 6, 7, 8};
  return report;
}

Topology SomeTopology() {
  Topology topology;
  topology.epoch = {1, 2};
  topology.model = SomeModel();
  topology.members.push_back(
      {"a1", WorkerRole::kAttention, {1, 1}, "h:1", {"cpu-f32", 1}, WorkerState::kReady, {}});
  topology.members.push_back({"e1",
                              WorkerRole::kExpert,
                              {1, 2},
                              "h:2",
                              {"cpu-f32", 1},
                              WorkerState::kDraining,
                              SomeExperts()});
  return topology;
}

void ExpectSame(const Report& a, const Report& b) {
  // Through the bytes: every field is in there.
  EXPECT_EQ(ToProto(a).SerializeAsString(), ToProto(b).SerializeAsString());
  EXPECT_EQ(a.holds, b.holds);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.load, b.load);
}

TEST(ConvertFleet, AReportComesBackAsItWas) {
  auto back = FromProto(ToProto(SomeReport()));
  ASSERT_TRUE(back.ok()) << back.status();
  ExpectSame(*back, SomeReport());
  EXPECT_EQ(back->compute_class, SomeReport().compute_class);
  EXPECT_EQ(back->memory_bytes, UINT64_MAX);
  Report attention = SomeReport();
  attention.role = WorkerRole::kAttention;
  attention.holds = ExpertSet();
  back = FromProto(ToProto(attention));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->holds.grid(), ExpertGrid{}) << "no set differs from an empty one";
}

TEST(ConvertFleet, ACommandComesBackAsItWas) {
  Command command;
  command.term = 3;
  command.number = 4;
  command.incarnation = {3, 9};
  command.fenced = "a newer life has the name";
  command.lease = std::chrono::milliseconds(2000);
  command.assigned = ExpertSet(kGrid);  // empty, but it says so
  command.topology = std::make_shared<const Topology>(SomeTopology());
  auto back = FromProto(ToProto(command));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->term, 3u);
  EXPECT_EQ(back->number, 4u);
  EXPECT_EQ(back->incarnation, command.incarnation);
  EXPECT_EQ(back->fenced, command.fenced);
  EXPECT_EQ(back->lease, command.lease);
  EXPECT_EQ(back->assigned, command.assigned);
  EXPECT_EQ(*back->topology, SomeTopology());
  command.topology = nullptr;
  EXPECT_EQ(FromProto(ToProto(command))->topology, nullptr);
}

// A change of one field, and what the refusal must name.
struct BadReport {
  std::function<void(v1::Report&)> spoil;
  const char* named;
};

TEST(ConvertFleet, ABadReportIsRefusedByTheNameOfItsField) {
  const BadReport cases[] = {
      {[](v1::Report& r) { r.clear_name(); }, "name"},
      {[](v1::Report& r) { r.set_name(std::string(129, 'x')); }, "name"},
      {[](v1::Report& r) { r.set_name("x\ny"); }, "name"},
      {[](v1::Report& r) { r.set_name("x y"); }, "name"},
      {[](v1::Report& r) { r.clear_role(); }, "role"},
      {[](v1::Report& r) { r.set_role(static_cast<v1::WorkerRole>(3)); }, "role"},
      {[](v1::Report& r) { r.clear_state(); }, "state"},
      {[](v1::Report& r) { r.set_state(v1::WORKER_STATE_LOST); }, "state"},
      {[](v1::Report& r) { r.set_state(static_cast<v1::WorkerState>(-1)); }, "state"},
      {[](v1::Report& r) { r.clear_address(); }, "address"},
      {[](v1::Report& r) { r.set_address(std::string(513, 'x')); }, "address"},
      {[](v1::Report& r) { r.set_address("a\x1b[31m"); }, "address"},
      {[](v1::Report& r) { r.set_highest_term(UINT64_MAX); }, "highest_term"},
      {[](v1::Report& r) { r.set_vocabulary(-1); }, "vocabulary"},
      {[](v1::Report& r) { r.set_max_context(INT32_MIN); }, "max_context"},
      {[](v1::Report& r) { r.mutable_compute_class()->set_name(std::string(129, 'c')); },
       "compute_class"},
      {[](v1::Report& r) { r.mutable_model()->set_name(std::string(513, 'm')); }, "model.name"},
      {[](v1::Report& r) { r.mutable_model()->set_hidden(-1); }, "hidden"},
      {[](v1::Report& r) { r.mutable_model()->set_hidden(65537); }, "hidden"},
      {[](v1::Report& r) { r.mutable_model()->set_top_k(11); }, "top_k"},
      {[](v1::Report& r) { r.mutable_model()->mutable_grid()->set_layers(-1); }, "layers"},
      {[](v1::Report& r) { r.mutable_model()->mutable_grid()->set_layers(1025); }, "layers"},
      {[](v1::Report& r) { r.mutable_model()->mutable_grid()->set_experts(0); }, "experts"},
      {[](v1::Report& r) { r.mutable_model()->mutable_grid()->set_experts(16385); }, "experts"},
      {[](v1::Report& r) { r.mutable_model()->mutable_grid()->set_first_layer(-5); },
       "first_layer"},
      {[](v1::Report& r) { r.mutable_holds()->mutable_bits()->pop_back(); }, "bytes"},
      {[](v1::Report& r) { r.mutable_holds()->mutable_bits()->back() = '\xff'; }, "bits"},
      {[](v1::Report& r) { r.mutable_holds()->clear_grid(); }, "bytes"},
      {[](v1::Report& r) {
         *r.mutable_holds() = ToProto(ExpertSet(ExpertGrid{1, 3, 11}));
       },
       "holds"},
      {[](v1::Report& r) {
         *r.mutable_holds() = ToProto(ExpertSet(ExpertGrid{2, 3, 10}));
       },
       "holds"},
  };
  for (const BadReport& bad : cases) {
    v1::Report proto = ToProto(SomeReport());
    bad.spoil(proto);
    const absl::Status status = FromProto(proto).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.named));
  }
}

TEST(ConvertFleet, ABadTopologyOrCommandIsRefused) {
  const auto refused = [](v1::Topology topology) {
    v1::Command command;
    *command.mutable_topology() = std::move(topology);
    return FromProto(command).status().code() == absl::StatusCode::kInvalidArgument;
  };
  const v1::Topology good = ToProto(SomeTopology());
  EXPECT_FALSE(refused(good));
  v1::Topology bad = good;
  bad.mutable_members()->SwapElements(0, 1);
  EXPECT_TRUE(refused(bad)) << "out of order";
  bad = good;
  *bad.mutable_members(1) = bad.members(0);
  EXPECT_TRUE(refused(bad)) << "twice the same";
  bad = good;
  *bad.mutable_members(1)->mutable_holds() = ToProto(ExpertSet(ExpertGrid{1, 3, 11}));
  EXPECT_TRUE(refused(bad)) << "a set of another grid";
  bad = good;
  bad.mutable_members(1)->set_state(static_cast<v1::WorkerState>(7));
  EXPECT_TRUE(refused(bad)) << "a state that nobody knows";

  v1::Command command;
  command.set_lease_ms(-1);
  EXPECT_FALSE(FromProto(command).ok());
  command.set_lease_ms(86'400'001);
  EXPECT_FALSE(FromProto(command).ok());
  command.set_lease_ms(86'400'000);
  EXPECT_TRUE(FromProto(command).ok());
  command.set_fenced(std::string(4097, 'x'));
  EXPECT_FALSE(FromProto(command).ok());
  command.clear_fenced();
  *command.mutable_topology() = good;
  *command.mutable_assigned() = ToProto(ExpertSet(ExpertGrid{1, 1, 1}));
  EXPECT_FALSE(FromProto(command).ok()) << "assigned and topology of two models";
}

TEST(ConvertFleet, OurOwnUglyTextsStayReadable) {
  Report report = SomeReport();
  report.model.name = "dir\xff\n";
  auto back = FromProto(ToProto(report));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->model.name, "dir??");
}

// Bytes that were changed at random either do not parse, are refused, or give values that survive
// another round: nothing crashes.
TEST(ConvertFleet, ChangedBytesNeverCrash) {
  constexpr uint32_t kSeed = 20240607;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  google::protobuf::LogSilencer quiet;  // it prints each text that is not UTF-8
  Command command;
  command.assigned = SomeExperts();
  command.topology = std::make_shared<const Topology>(SomeTopology());
  const std::string report_bytes = ToProto(SomeReport()).SerializeAsString();
  const std::string command_bytes = ToProto(command).SerializeAsString();
  for (int round = 0; round < 20'000; ++round) {
    const bool is_report = random() % 2 == 0;
    std::string bytes = is_report ? report_bytes : command_bytes;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 8 == 0) bytes.resize(random() % bytes.size());
    v1::Report report_proto;
    v1::Command command_proto;
    if (is_report && report_proto.ParseFromString(bytes)) {
      if (auto value = FromProto(report_proto); value.ok()) {
        EXPECT_TRUE(FromProto(ToProto(*value)).ok());
      }
    } else if (!is_report && command_proto.ParseFromString(bytes)) {
      if (auto value = FromProto(command_proto); value.ok()) {
        EXPECT_TRUE(FromProto(ToProto(*value)).ok());
      }
    }
  }
}

GenerateRequest SomeRequest() {
  GenerateRequest request;
  request.request_id = "r1";
  request.prompt = {0, 5, INT32_MAX};
  request.resumed = {4, 4};
  request.choice = 3;
  request.max_tokens = 7;
  request.default_max_tokens = 9;
  request.min_tokens = 2;
  request.stop = {"a", "bc"};
  request.special_tokens = true;
  request.sampling = {.temperature = 0.7f,
                      .top_k = 5,
                      .top_p = 0.9f,
                      .min_p = 0.01f,
                      .presence_penalty = -1,
                      .frequency_penalty = 0.5f,
                      .repetition_penalty = 1.1f,
                      .logit_bias = {{1, -2}, {7, 3}},
                      .allowed_token_ids = std::vector<int32_t>{1, 7},
                      .seed = UINT64_MAX};
  request.stop_token_ids = {1, 2};
  request.ignore_eos = true;
  request.logprobs = true;
  request.top_logprobs = 3;
  request.prompt_logprobs = true;
  request.priority = -4;
  request.caller = "them";
  request.cache_salt = "salt";
  request.pooling = Pooling::kMean;
  request.normalise = true;
  request.kept = KeptAnswer{{8, 9}, "", {}};
  return request;
}

void ExpectSame(const GenerateRequest& a, const GenerateRequest& b) {
  EXPECT_EQ(a.request_id, b.request_id);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.caller, b.caller);
  EXPECT_EQ(a.cache_salt, b.cache_salt);
  EXPECT_EQ(a.pooling, b.pooling);
  EXPECT_EQ(a.normalise, b.normalise);
  EXPECT_EQ(a.prompt, b.prompt);
  EXPECT_EQ(a.kept, b.kept);
  EXPECT_EQ(a.resumed, b.resumed);
  EXPECT_EQ(a.choice, b.choice);
  EXPECT_EQ(a.max_tokens, b.max_tokens);
  EXPECT_EQ(a.default_max_tokens, b.default_max_tokens);
  EXPECT_EQ(a.min_tokens, b.min_tokens);
  EXPECT_EQ(a.stop, b.stop);
  EXPECT_EQ(a.special_tokens, b.special_tokens);
  EXPECT_EQ(a.sampling, b.sampling);
  EXPECT_EQ(a.stop_token_ids, b.stop_token_ids);
  EXPECT_EQ(a.ignore_eos, b.ignore_eos);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.top_logprobs, b.top_logprobs);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs);
}

TEST(ConvertGeneration, ARequestComesBackAsItWas) {
  ExpectSame(*FromProto(ToProto(SomeRequest())), SomeRequest());
}

TEST(ConvertGeneration, ABadRequestIsRefusedByTheNameOfItsField) {
  const std::pair<std::function<void(v1::AttentionGenerateRequest&)>, const char*> cases[] = {
      {[](auto& r) { r.clear_prompt(); }, "token_ids"},
      {[](auto& r) { r.set_max_tokens(-1); }, "max_tokens"},
      {[](auto& r) { r.set_min_tokens(8); }, "min_tokens"},
      {[](auto& r) { r.set_choice(-1); }, "choice"},
      {[](auto& r) { r.add_stop(""); }, "stop[2]"},
      {[](auto& r) { r.set_top_logprobs(1025); }, "top_logprobs"},
      {[](auto& r) { r.set_request_id(std::string(129, 'x')); }, "request_id"},
      {[](auto& r) {
         for (int i = 0; i < 1025; ++i) r.mutable_sampling()->add_logit_bias();
       },
       "logit_bias"},
  };
  for (const auto& [spoil, named] : cases) {
    v1::AttentionGenerateRequest proto = ToProto(SomeRequest());
    spoil(proto);
    const absl::Status status = FromProto(proto).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(named));
  }
}

Delta SomeDelta() {
  Delta delta;
  delta.prompt_logprobs = {-1.5f, -0.0f, std::numeric_limits<float>::denorm_min()};
  delta.tokens.push_back({.id = 3, .logprob = -0.1f, .top = {{3, -0.1f}, {9, -INFINITY}}});
  delta.tokens.push_back({.id = 4, .logprob = -3.4e38f});
  delta.finish = FinishReason::kStop;
  delta.stop_token_id = 4;
  delta.usage = {11, 2};
  delta.values = {1.5f, -0.25f};
  delta.label = "good";
  return delta;
}

void ExpectSameBits(const Delta& a, const Delta& b) {
  ASSERT_EQ(a.prompt_logprobs.size(), b.prompt_logprobs.size());
  for (size_t i = 0; i < a.prompt_logprobs.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint32_t>(a.prompt_logprobs[i]),
              std::bit_cast<uint32_t>(b.prompt_logprobs[i]));
  }
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.finish, b.finish);
  EXPECT_EQ(a.stop_token_id, b.stop_token_id);
  EXPECT_EQ(a.usage, b.usage);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.label, b.label);
}

TEST(ConvertGeneration, ADeltaComesBackBitForBit) {
  ExpectSameBits(*FromProto(ToProto(SomeDelta())), SomeDelta());
  ExpectSameBits(*FromProto(ToProto(Delta())), Delta());
}

TEST(ConvertGeneration, ABadDeltaIsRefused) {
  const std::function<void(v1::AttentionGenerateResponse&)> spoils[] = {
      [](auto& r) { r.set_finish_reason(v1::FINISH_REASON_UNSPECIFIED); },
      [](auto& r) { r.set_finish_reason(static_cast<v1::FinishReason>(99)); },
      [](auto& r) { r.clear_usage(); },
      [](auto& r) { r.mutable_usage()->set_output_tokens(-1); },
      [](auto& r) { r.set_stop_token_id(-1); },
      [](auto& r) { r.mutable_tokens(0)->clear_id(); },
      [](auto& r) { r.mutable_tokens(0)->set_id(-7); },
      [](auto& r) { r.mutable_tokens(0)->mutable_top(0)->clear_logprob(); },
      [](auto& r) { r.mutable_tokens(0)->mutable_top(0)->set_id(-1); },
      [](auto& r) {
        for (int i = 0; i < 1025; ++i) *r.mutable_tokens(1)->add_top() = r.tokens(0).top(0);
      },
  };
  for (const auto& spoil : spoils) {
    v1::AttentionGenerateResponse proto = ToProto(SomeDelta());
    spoil(proto);
    EXPECT_EQ(FromProto(proto).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace expertmesh
