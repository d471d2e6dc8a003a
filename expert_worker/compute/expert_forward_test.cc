#include "expert_worker/compute/expert_forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "common/mailbox.h"
#include "device/cpu/cpu_device.h"
#include "kernels/classes.h"
#include "model/tensor_names.h"
#include "tests/support/checkpoint_folder.h"

namespace expertmesh {
namespace {

using testing::HasSubstr;

constexpr int64_t kHidden = 48;  // of the small model; layers 1 and 2 have 8 experts

using Row = std::vector<float>;

// Where the compute half says that it is done.
class Done final : public Notifier {
 public:
  void OnPassed(uint64_t token) override { tokens_.Post(token); }
  // Waits for the next token.
  uint64_t Next() {
    std::vector<uint64_t> tokens;
    tokens_.Drain(Now() + std::chrono::seconds(30), tokens);
    return tokens.size() == 1 ? tokens[0] : UINT64_MAX;
  }

 private:
  Mailbox<uint64_t> tokens_;
};

// An ExpertForward over a checkpoint folder.
struct Rig {
  explicit Rig(const CheckpointFolder& folder, int threads = 1, size_t max_pass_rows = 64)
      : device({.threads = threads}),
        checkpoint(Checkpoint::Open(folder.path()).value()),
        kernels(OpenClass(kCpuF32, device).value()),
        forward(ExpertForward::Create(checkpoint.get(), {.max_pass_rows = max_pass_rows},
                                      kernels.get(), &device, &done)
                    .value()),
        grid(GridOf(checkpoint->config())) {}

  absl::Status Load(const ExpertSet& experts, uint64_t token = 1) {
    forward->Load(experts, token);
    EXPECT_EQ(done.Next(), token);
    return forward->FinishLoad();
  }
  // One pass; the rows lie at odd addresses.
  std::vector<Row> Run(int32_t layer, const std::vector<int32_t>& experts,
                       const std::vector<Row>& in) {
    constexpr size_t kBytes = kHidden * sizeof(float);
    std::vector<std::byte> input(in.size() * kBytes + 1), output(in.size() * kBytes + 1);
    std::vector<PassRow> rows;
    for (size_t i = 0; i < in.size(); ++i) {
      std::memcpy(input.data() + 1 + i * kBytes, in[i].data(), kBytes);
      rows.push_back({input.data() + 1 + i * kBytes, experts[i], output.data() + 1 + i * kBytes});
    }
    forward->Run(layer, rows, 7);
    EXPECT_EQ(done.Next(), 7u);
    std::vector<Row> out(in.size(), Row(kHidden));
    for (size_t i = 0; i < in.size(); ++i) {
      std::memcpy(out[i].data(), output.data() + 1 + i * kBytes, kBytes);
    }
    return out;
  }

  Done done;
  CpuDevice device;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Kernels> kernels;
  std::unique_ptr<ExpertForward> forward;
  ExpertGrid grid;
};

std::vector<Row> RandomRows(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-2, 2);
  std::vector<Row> rows(count, Row(kHidden));
  for (Row& row : rows) {
    for (float& v : row) v = values(random);
  }
  return rows;
}

std::vector<int32_t> RandomExperts(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> experts(count);
  for (int32_t& e : experts) e = static_cast<int32_t>(random() % 8);
  return experts;
}

bool SameBits(const Row& a, const Row& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(ExpertForward, LoadsNothingOfAModelWithoutRoutedExperts) {
  ModelConfig config = SmallModelConfig();
  config.first_moe_layer = config.layers;
  const CheckpointFolder folder({}, config);
  Rig rig(folder);
  EXPECT_TRUE(rig.Load(ExpertSet::Full(rig.grid)).ok());
}

TEST(ExpertForward, GivesUnsortedRowsTheBitsThatEachHasAlone) {
  const CheckpointFolder folder;
  Rig alone(folder);
  ASSERT_TRUE(alone.Load(ExpertSet::Full(alone.grid)).ok());
  for (int threads : {1, 3}) {
    Rig together(folder, threads);
    ASSERT_TRUE(together.Load(ExpertSet::Full(together.grid)).ok());
    for (size_t count : {1, 2, 5, 17, 33, 64}) {
      for (int32_t layer : {1, 2}) {
        const std::vector<Row> in = RandomRows(count, static_cast<uint32_t>(count));
        const std::vector<int32_t> experts = RandomExperts(count, static_cast<uint32_t>(layer));
        const std::vector<Row> out = together.Run(layer, experts, in);
        for (size_t i = 0; i < count; ++i) {
          const std::vector<Row> one = alone.Run(layer, {experts[i]}, {in[i]});
          ASSERT_TRUE(SameBits(out[i], one[0])) << "row " << i << " of " << count;
        }
      }
    }
  }
}

// y = down(silu(gate x) * up x), in doubles, from the checkpoint's own numbers.
TEST(ExpertForward, RunsEachRowThroughItsOwnExpert) {
  const CheckpointFolder folder({.dtype = DType::kF32});
  Rig rig(folder);
  ASSERT_TRUE(rig.Load(ExpertSet::Full(rig.grid)).ok());
  const std::vector<Row> in = RandomRows(8, 3);
  for (int32_t layer : {1, 2}) {
    const std::vector<Row> out = rig.Run(layer, {7, 6, 5, 4, 3, 2, 1, 0}, in);
    for (int32_t i = 0; i < 8; ++i) {
      const auto read = [&](names::Ffn which) {
        return rig.checkpoint->ReadF32(names::Expert(layer, 7 - i, which)).value();
      };
      const Row gate = read(names::Ffn::kGate), up = read(names::Ffn::kUp),
                down = read(names::Ffn::kDown);
      const size_t inner = gate.size() / kHidden;
      std::vector<double> h(inner, 0);
      for (size_t j = 0; j < inner; ++j) {
        double g = 0, u = 0;
        for (size_t k = 0; k < kHidden; ++k) {
          g += double{gate[j * kHidden + k]} * in[i][k];
          u += double{up[j * kHidden + k]} * in[i][k];
        }
        h[j] = g / (1 + std::exp(-g)) * u;
      }
      for (size_t n = 0; n < kHidden; ++n) {
        double y = 0;
        for (size_t j = 0; j < inner; ++j) y += double{down[n * inner + j]} * h[j];
        ASSERT_NEAR(out[i][n], y, 1e-5) << "layer " << layer << ", row " << i;
      }
    }
  }
}

TEST(ExpertForward, AddsLaterLoadsToWhatItHolds) {
  const CheckpointFolder folder;
  Rig whole(folder), parts(folder);
  ASSERT_TRUE(whole.Load(ExpertSet::Full(whole.grid)).ok());
  ExpertSet first(parts.grid), second = ExpertSet::Full(parts.grid);
  for (int32_t e : {1, 2}) first.Insert(1, e);
  second.RemoveAll(first);
  ASSERT_TRUE(parts.Load(first, 1).ok());
  const std::vector<Row> in = RandomRows(8, 4);
  EXPECT_TRUE(SameBits(parts.Run(1, {2}, {in[0]})[0], whole.Run(1, {2}, {in[0]})[0]));
  ASSERT_TRUE(parts.Load(second, 2).ok());
  const std::vector<int32_t> experts = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int32_t layer : {1, 2}) {
    const auto a = parts.Run(layer, experts, in), b = whole.Run(layer, experts, in);
    for (size_t i = 0; i < in.size(); ++i) EXPECT_TRUE(SameBits(a[i], b[i])) << i;
  }
}

TEST(ExpertForward, SaysHowFarEachLoadIs) {
  const CheckpointFolder folder;
  Rig rig(folder);
  ExpertSet first(rig.grid), second = ExpertSet::Full(rig.grid);
  first.Insert(1, 4);
  second.RemoveAll(first);
  for (const ExpertSet& experts : {first, second}) {
    ASSERT_TRUE(rig.Load(experts).ok());
    uint64_t loaded = 0, wanted = 0;
    rig.forward->LoadProgress(&loaded, &wanted);
    EXPECT_EQ(wanted, static_cast<uint64_t>(experts.size()) * 3 * 20 * 48 * 2);
    EXPECT_EQ(loaded, wanted) << "when it is done";
  }
}

TEST(ExpertForward, FindsWeightsThatAreNotNumbersByName) {
  for (names::Ffn which : {names::Ffn::kGate, names::Ffn::kUp, names::Ffn::kDown}) {
    const CheckpointFolder folder;
    {
      const auto checkpoint = Checkpoint::Open(folder.path()).value();
      const TensorInfo& info = checkpoint->tensor(names::Expert(2, 5, which));
      folder.Overwrite("model.safetensors", info.offset + info.bytes - 2, "\xc0\x7f");  // bf16 NaN
    }
    Rig rig(folder);
    const absl::Status status = rig.Load(ExpertSet::Full(rig.grid));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("expert 5 of layer 2"));
    ExpertSet others = ExpertSet::Full(rig.grid), bad(rig.grid);
    bad.Insert(2, 5);
    others.RemoveAll(bad);
    EXPECT_TRUE(rig.Load(others).ok()) << "a failed load leaves nothing behind";
  }
}

TEST(ExpertForward, AFileThatIsCutShortAfterOpenIsDataLossByName) {
  const CheckpointFolder folder;
  Rig rig(folder);
  const std::string name = names::Expert(1, 6, names::Ffn::kDown);
  std::filesystem::resize_file(folder.File("model.safetensors"),
                               rig.checkpoint->tensor(name).offset);
  const absl::Status status = rig.Load(ExpertSet::Full(rig.grid));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.safetensors"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(name));
}

TEST(ExpertForward, StopsALoadThatRunsWhenItGoes) {
  const CheckpointFolder folder;
  Rig rig(folder);
  rig.forward->Load(ExpertSet::Full(rig.grid), 1);
  rig.forward.reset();
  EXPECT_EQ(rig.done.Next(), 1u) << "it has ended, one way or the other";
}

}  // namespace
}  // namespace expertmesh
