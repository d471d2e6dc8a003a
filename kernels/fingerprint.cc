// Fingerprint (classes.h): every op once, on inputs that are the same everywhere.
//
// Sizes are odd on purpose, so that tails, several register blocks and a merge of splits are in it.
// The inputs come from integers by exact steps: no library function takes part. They are drawn one
// after the other, so no call below draws two of them in its arguments (whose order is not fixed).
#include <cstring>
#include <vector>

#include "common/check.h"
#include "common/hash.h"
#include "kernels/classes.h"

namespace expertmesh {
namespace {

constexpr int64_t kRows = 9, kHidden = 45, kIntermediate = 37, kExperts = 6, kTopK = 3;
constexpr int64_t kHeads = 3, kLatent = 40, kRope = 8, kWidth = kLatent + kRope;
constexpr int64_t kBlockRows = 8, kSplit = 16, kPositions = 40, kVocabulary = 1100;
constexpr int64_t kSampleRows = 64;

// Memory of the device with the sequence of inputs that fills it, and the hash of what comes out.
class Bench {
 public:
  Bench(const Kernels& kernels, Device& device)
      : kernels_(kernels), device_(device), stream_(device.NewStream()) {}

  uint64_t Run();

 private:
  template <typename T>
  T* Take(int64_t count) {
    absl::StatusOr<Buffer> buffer = device_.Allocate(count * sizeof(T));
    CHECK(buffer.ok(), "the fingerprint needs two megabytes");
    buffers_.push_back(*std::move(buffer));
    return buffers_.back().as<T>();
  }

  // Multiples of 2^-12 in [-1, 1), from a linear congruence.
  float Next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<int32_t>(state_ >> 19) - 4096) / 4096.0f;
  }
  Matrix Values(int64_t rows, int64_t cols) {
    const Matrix m = F32Matrix(Take<float>(rows * cols), rows, cols);
    for (int64_t i = 0; i < rows * cols; ++i) m.f32()[i] = Next();
    return m;
  }
  PackedLinear Weights(int64_t n, int64_t k, DType dtype) {
    std::vector<float> wide(n * k);
    for (float& w : wide) w = Next();
    std::vector<uint16_t> narrow(n * k);
    for (int64_t i = 0; i < n * k; ++i) narrow[i] = F32ToBf16(wide[i]);
    std::byte* target = Take<std::byte>(PackedBytes(n, k, dtype));
    const void* source = dtype == DType::kF32 ? static_cast<void*>(wide.data()) : narrow.data();
    PackRows(source, dtype, 0, n, k, dtype, target);
    return ViewPacked(target, dtype, n, k);
  }
  template <typename T>
  void Add(const T* data, int64_t count) {
    stream_->Synchronize();
    hash_ = Hash64(data, count * sizeof(T), hash_);
  }
  void Add(const Matrix& m) { Add(m.f32(), m.rows * m.cols); }

  void RunRowOps();
  void RunLinears();
  void RunAttention();
  void RunExperts();
  void RunSample();

  const Kernels& kernels_;
  Device& device_;
  std::unique_ptr<Stream> stream_;
  std::vector<Buffer> buffers_;
  uint32_t state_ = 20240507;
  uint64_t hash_ = 0;
};

void Bench::RunRowOps() {
  int32_t* ids = Take<int32_t>(kRows);
  for (int64_t r = 0; r < kRows; ++r) ids[r] = static_cast<int32_t>((r * 5) % kHidden);
  const Matrix x = Values(kRows, kHidden);
  kernels_.Embed(*stream_, {ids, kRows}, Weights(kHidden, kHidden, DType::kBf16), x);
  kernels_.Add(*stream_, Values(kRows, kHidden), x);
  kernels_.AddBias(*stream_, Values(1, kHidden).f32(), x);
  kernels_.RmsNorm(*stream_, x, Values(1, kHidden).f32(), 1e-6f, x);
  kernels_.SwiGlu(*stream_, Values(kRows, kHidden), x, x);
  kernels_.Rope(*stream_, x, 2, 20, kRope, {ids, kRows}, Values(kHidden, kRope).f32(), x, 20);
  Add(x);
}

void Bench::RunLinears() {
  for (DType dtype : {DType::kF32, DType::kBf16}) {
    const Matrix x = Values(kRows, kHidden);
    const Matrix y = Values(kRows, kIntermediate);
    kernels_.Linear(*stream_, x, Weights(kIntermediate, kHidden, dtype), y);
    Add(y);
    const Matrix z = Values(kRows, kHeads * 5);
    kernels_.HeadLinear(*stream_, x, 15, Weights(kHeads * 5, 13, dtype), kHeads, z, 5);
    Add(z);
  }
}

// One sequence of kPositions rows, then kRows queries at its end.
void Bench::RunAttention() {
  int32_t* numbers = Take<int32_t>(3 * kPositions);  // positions, sequences, blocks
  for (int32_t i = 0; i < kPositions; ++i) numbers[i] = i;
  for (int32_t b = 0; b < kPositions / kBlockRows; ++b) {
    numbers[2 * kPositions + b] = kPositions / kBlockRows - 1 - b;
  }
  const LatentCache cache{Take<float>(kPositions * kWidth), kBlockRows, kWidth};
  RowTable rows{{numbers, kPositions},
                {numbers + kPositions, kPositions},
                numbers + 2 * kPositions,
                kPositions / kBlockRows};
  kernels_.StoreLatent(*stream_, Values(kPositions, kWidth), rows, cache);
  rows.positions = {numbers + kPositions - kRows, kRows};
  rows.sequences = {numbers + kPositions, kRows};
  AttentionArgs args;
  args.query = Values(kRows, kHeads * kWidth);
  args.rows = rows;
  args.cache = cache;
  args.heads = kHeads;
  args.latent = kLatent;
  args.split = kSplit;
  args.scale = 0.5f;
  args.out = Values(kRows, kHeads * kLatent);
  kernels_.Attention(*stream_, args);
  Add(args.out);
}

void Bench::RunExperts() {
  GateArgs gate;
  gate.logits = Values(kRows, kExperts);
  gate.groups = 3;
  gate.groups_kept = 2;
  gate.top_k = kTopK;
  gate.scaling = 1.7f;
  gate.experts = Take<int32_t>(kRows * kTopK);
  gate.weights = Take<float>(kRows * kTopK);
  kernels_.Gate(*stream_, gate);
  Add(gate.experts, kRows * kTopK);
  Add(gate.weights, kRows * kTopK);
  gate.bias = Values(1, kExperts).f32();
  gate.renormalise = true;
  kernels_.Gate(*stream_, gate);
  Add(gate.experts, kRows * kTopK);
  Add(gate.weights, kRows * kTopK);

  const ExpertWeights expert{Weights(kIntermediate, kHidden, DType::kBf16),
                             Weights(kIntermediate, kHidden, DType::kBf16),
                             Weights(kHidden, kIntermediate, DType::kBf16)};
  const ExpertWeights* const shard[] = {&expert};
  const RowGroup groups[] = {{0, 0, 7}, {0, 7, kRows * kTopK - 7}};
  const Matrix in = Values(kRows * kTopK, kHidden);
  const Matrix rows = Values(kRows * kTopK, kHidden);
  const Matrix scratch = Values(kRows * kTopK, 2 * kIntermediate);
  kernels_.ExpertFfn(*stream_, in, groups, shard, rows, scratch);
  const Matrix x = Values(kRows, kHidden);
  kernels_.Combine(*stream_, rows, gate.weights, kTopK, Values(kRows, kHidden), x);
  Add(x);
}

// Greedy rows, and rows that are drawn under every filter and penalty; where only a few ids are
// allowed, a wrong bit of theirs is likeliest to show.
void Bench::RunSample() {
  const int32_t ids[] = {3, 1090, 17, 400, 7, 640};
  const int32_t counts[] = {0, 2, 1, 5, 0, 3};
  const float biases[] = {0.5f, -0.75f, 0.25f, 1.5f, -0.125f, 0.25f};
  std::vector<SampleRow> rows(kSampleRows, {.target = 17, .top = 4});
  for (int32_t r = 1; r < kSampleRows; ++r) {
    SampleRow& row = rows[r];
    row.temperature = static_cast<float>(r % 8) / 4;
    row.top_k = r % 2 == 0 ? 7 * r : 0;
    row.top_p = r % 3 == 0 ? 0.75f : 1.0f;
    row.min_p = r % 5 == 0 ? 0.125f : 0.0f;
    row.seed = uint64_t{20240507} << r % 32;
    row.choice = r;
    row.output_index = 2 * r;
    row.restricted = r % 4 != 0;
    row.allowed = row.bias_ids = row.seen_ids = ids;
    row.biases = biases;
    row.seen_counts = counts;
    row.repetition_penalty = 1.25f;
    row.presence_penalty = 0.5f;
    row.frequency_penalty = -0.3f;
    row.masked = absl::MakeConstSpan(ids).first(r % 3);
  }
  SampleArgs args;
  args.logits = Values(kSampleRows, kVocabulary);
  args.rows = rows;
  args.top_stride = 4;
  args.ids = Take<int32_t>(kSampleRows);
  args.logprobs = Take<float>(kSampleRows);
  args.target_logprobs = Take<float>(kSampleRows);
  args.top = Take<TopLogit>(kSampleRows * 4);
  args.scaled = Take<float>(kSampleRows * kVocabulary);
  args.order = Take<uint64_t>(kSampleRows * kVocabulary);
  kernels_.Sample(*stream_, args);
  Add(args.ids, kSampleRows);
  Add(args.logprobs, kSampleRows);
  Add(args.target_logprobs, kSampleRows);
  Add(args.top, kSampleRows * 4);
}

uint64_t Bench::Run() {
  RunRowOps();
  RunLinears();
  RunAttention();
  RunExperts();
  RunSample();
  return hash_;
}

}  // namespace

ComputeClass Fingerprint(absl::string_view name, const Kernels& kernels, Device& device) {
  return {std::string(name), Bench(kernels, device).Run()};
}

}  // namespace expertmesh
