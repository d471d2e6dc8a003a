#include "tests/property/op_cases.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "tests/property/op_case_util.h"

namespace expertmesh {
namespace {

class EmbedCase final : public OpCase {
 public:
  EmbedCase(Dice& dice, DType dtype)
      : cols_(dice.Between(1, 70)), table_(dice, 50, cols_, dtype), dtype_(dtype) {
    for (int r = 0; r < kRows; ++r) ids_.push_back(static_cast<int32_t>(dice.Between(0, 49)));
  }
  std::string Name() const override {
    return absl::StrCat("Embed cols=", cols_, " ", expertmesh::Name(dtype_));
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    const std::vector<int32_t> ids = Chosen(ids_, rows);
    Floats y(rows.size() * cols_);
    kernels.Embed(stream, ids, table_, View(y, cols_));
    stream.Synchronize();
    return BitsOf(y);
  }

 private:
  int64_t cols_;
  OwnedWeights table_;
  DType dtype_;
  std::vector<int32_t> ids_;
};

class RmsNormCase final : public OpCase {
 public:
  explicit RmsNormCase(Dice& dice)
      : cols_(dice.Between(1, 150)),
        x_(dice.Values(kRows * cols_, 5)),
        weight_(dice.Values(cols_)) {}
  std::string Name() const override { return absl::StrCat("RmsNorm cols=", cols_); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats x = Chosen(x_, rows);
    kernels.RmsNorm(stream, View(x, cols_), weight_.data(), 1e-6f, View(x, cols_));
    stream.Synchronize();
    return BitsOf(x);
  }

 private:
  int64_t cols_;
  Floats x_, weight_;
};

class LinearCase final : public OpCase {
 public:
  LinearCase(Dice& dice, DType dtype, int64_t n, int64_t k)
      : n_(n), k_(k), w_(dice, n, k, dtype), dtype_(dtype), x_(dice.Values(kRows * k)) {}
  std::string Name() const override {
    return absl::StrCat("Linear N=", n_, " K=", k_, " ", expertmesh::Name(dtype_));
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats x = Chosen(x_, rows), y(rows.size() * n_);
    kernels.Linear(stream, View(x, k_), w_, View(y, n_));
    stream.Synchronize();
    return BitsOf(y);
  }

 private:
  int64_t n_, k_;
  OwnedWeights w_;
  DType dtype_;
  Floats x_;
};

class HeadLinearCase final : public OpCase {
 public:
  HeadLinearCase(Dice& dice, DType dtype)
      : heads_(dice.Between(2, 5)),
        n_(dice.Between(1, 40)),
        k_(dice.Between(1, 40)),
        w_(dice, heads_ * n_, k_, dtype),
        dtype_(dtype),
        x_(dice.Values(kRows * heads_ * (k_ + 3))) {}
  std::string Name() const override {
    return absl::StrCat("HeadLinear heads=", heads_, " N=", n_, " K=", k_, " ",
                        expertmesh::Name(dtype_));
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats x = Chosen(x_, rows), y(rows.size() * heads_ * n_);
    kernels.HeadLinear(stream, View(x, heads_ * (k_ + 3)), k_ + 3, w_, heads_, View(y, heads_ * n_),
                       n_);
    stream.Synchronize();
    return BitsOf(y);
  }

 private:
  int64_t heads_, n_, k_;
  OwnedWeights w_;
  DType dtype_;
  Floats x_;
};

class RopeCase final : public OpCase {
 public:
  explicit RopeCase(Dice& dice)
      : heads_(dice.Between(1, 5)),
        width_(2 * dice.Between(1, 20)),
        x_(dice.Values(kRows * heads_ * (width_ + 1))),
        table_(dice.Values(100 * width_)) {
    for (int r = 0; r < kRows; ++r) positions_.push_back(static_cast<int32_t>(dice.Between(0, 99)));
  }
  std::string Name() const override {
    return absl::StrCat("Rope heads=", heads_, " width=", width_);
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats x = Chosen(x_, rows);
    const std::vector<int32_t> positions = Chosen(positions_, rows);
    const Matrix view = View(x, heads_ * (width_ + 1));
    kernels.Rope(stream, view, heads_, width_ + 1, width_, positions, table_.data(), view,
                 width_ + 1);
    stream.Synchronize();
    return BitsOf(x);
  }

 private:
  int64_t heads_, width_;
  Floats x_, table_;
  std::vector<int32_t> positions_;
};

// Rows of three sequences whose latents lie in shuffled blocks of one cache.
class CacheCase : public OpCase {
 protected:
  explicit CacheCase(Dice& dice)
      : heads_(dice.Between(1, 9)),
        latent_(dice.Between(1, 70)),
        width_(latent_ + 2 * dice.Between(1, 8)),
        block_rows_(dice.Between(1, 8)),
        split_(block_rows_ * dice.Between(1, 8)) {
    blocks_stride_ = (kRows + block_rows_ - 1) / block_rows_;
    blocks_ = dice.Shuffled(3 * blocks_stride_);
    positions_ = dice.Shuffled(kRows);  // all different, so no two rows share a place
    for (int r = 0; r < kRows; ++r) sequences_.push_back(static_cast<int32_t>(dice.Between(0, 2)));
  }
  std::string Shape() const {
    return absl::StrCat(" heads=", heads_, " latent=", latent_, " width=", width_,
                        " block_rows=", block_rows_, " split=", split_);
  }
  int64_t CacheSize() const { return 3 * blocks_stride_ * block_rows_ * width_; }

  int64_t heads_, latent_, width_, block_rows_, split_, blocks_stride_ = 0;
  std::vector<int32_t> blocks_, positions_, sequences_;
};

class StoreLatentCase final : public CacheCase {
 public:
  explicit StoreLatentCase(Dice& dice) : CacheCase(dice), latents_(dice.Values(kRows * width_)) {}
  std::string Name() const override { return "StoreLatent" + Shape(); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats cache(CacheSize()), latents = Chosen(latents_, rows), stored;
    const std::vector<int32_t> positions = Chosen(positions_, rows);
    const std::vector<int32_t> sequences = Chosen(sequences_, rows);
    kernels.StoreLatent(stream, View(latents, width_),
                        {positions, sequences, blocks_.data(), blocks_stride_},
                        {cache.data(), block_rows_, width_});
    stream.Synchronize();
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t block = blocks_[sequences[i] * blocks_stride_ + positions[i] / block_rows_];
      const float* row = &cache[(block * block_rows_ + positions[i] % block_rows_) * width_];
      stored.insert(stored.end(), row, row + width_);
    }
    return BitsOf(stored);
  }

 private:
  Floats latents_;
};

class AttentionCase final : public CacheCase {
 public:
  explicit AttentionCase(Dice& dice)
      : CacheCase(dice),
        cache_(dice.Values(CacheSize())),
        query_(dice.Values(kRows * heads_ * width_)) {}
  std::string Name() const override { return "Attention" + Shape(); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats query = Chosen(query_, rows), out(rows.size() * heads_ * latent_);
    const std::vector<int32_t> positions = Chosen(positions_, rows);
    const std::vector<int32_t> sequences = Chosen(sequences_, rows);
    AttentionArgs args;
    args.query = View(query, heads_ * width_);
    args.rows = {positions, sequences, blocks_.data(), blocks_stride_};
    args.cache = {cache_.data(), block_rows_, width_};
    args.heads = heads_;
    args.latent = latent_;
    args.split = split_;
    args.scale = 0.3f;
    args.out = View(out, heads_ * latent_);
    kernels.Attention(stream, args);
    stream.Synchronize();
    return BitsOf(out);
  }

 private:
  Floats cache_, query_;
};

class GateCase final : public OpCase {
 public:
  explicit GateCase(Dice& dice)
      : groups_(dice.Between(1, 6)),
        kept_(dice.Between(1, groups_)),
        experts_(groups_ * dice.Between(3, 9)),
        top_k_(dice.Between(1, kept_ * 3)),
        with_bias_(dice.Between(0, 1) == 1),
        bias_(dice.Values(experts_, 1)),
        logits_(dice.Values(kRows * experts_, 4)) {}
  std::string Name() const override {
    return absl::StrCat("Gate experts=", experts_, " groups=", kept_, "/", groups_,
                        " top_k=", top_k_, " bias=", with_bias_);
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats logits = Chosen(logits_, rows), weights(rows.size() * top_k_);
    std::vector<int32_t> experts(rows.size() * top_k_);
    GateArgs args;
    args.logits = View(logits, experts_);
    args.groups = groups_;
    args.groups_kept = kept_;
    args.top_k = top_k_;
    args.scaling = 1.3f;
    if (with_bias_) args.bias = bias_.data();
    args.renormalise = with_bias_;
    args.experts = experts.data();
    args.weights = weights.data();
    kernels.Gate(stream, args);
    stream.Synchronize();
    return Zipped(BitsOf(experts), BitsOf(weights), rows.size());
  }

 private:
  int64_t groups_, kept_, experts_, top_k_;
  bool with_bias_;
  Floats bias_, logits_;
};

class SwiGluCase final : public OpCase {
 public:
  explicit SwiGluCase(Dice& dice)
      : cols_(dice.Between(1, 100)),
        gate_(dice.Values(kRows * cols_, 20)),
        up_(dice.Values(kRows * cols_)) {}
  std::string Name() const override { return absl::StrCat("SwiGlu cols=", cols_); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats gate = Chosen(gate_, rows), up = Chosen(up_, rows);
    kernels.SwiGlu(stream, View(gate, cols_), View(up, cols_), View(gate, cols_));
    stream.Synchronize();
    return BitsOf(gate);
  }

 private:
  int64_t cols_;
  Floats gate_, up_;
};

// Each row belongs to one expert; a call groups its rows by expert, as a worker does.
class ExpertFfnCase final : public OpCase {
 public:
  ExpertFfnCase(Dice& dice, DType dtype)
      : hidden_(dice.Between(1, 40)),
        intermediate_(dice.Between(1, 40)),
        dtype_(dtype),
        x_(dice.Values(kRows * hidden_)) {
    for (int e = 0; e < kExperts; ++e) {
      for (int i = 0; i < 2; ++i) memory_.emplace_back(dice, intermediate_, hidden_, dtype);
      memory_.emplace_back(dice, hidden_, intermediate_, dtype);
    }
    for (int e = 0; e < kExperts; ++e) {
      experts_.push_back({memory_[3 * e], memory_[3 * e + 1], memory_[3 * e + 2]});
    }
    for (const ExpertWeights& e : experts_) shard_.push_back(&e);
    for (int r = 0; r < kRows; ++r) expert_of_.push_back(static_cast<int32_t>(dice.Between(0, 4)));
  }
  std::string Name() const override {
    return absl::StrCat("ExpertFfn hidden=", hidden_, " intermediate=", intermediate_, " ",
                        expertmesh::Name(dtype_));
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    std::vector<int> order(rows.size());  // place in the call -> place in `rows`
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return expert_of_[rows[a]] < expert_of_[rows[b]]; });
    std::vector<RowGroup> groups;
    std::vector<int> sorted;
    for (int e = 0; e < kExperts; ++e) groups.push_back({e, 0, 0});
    for (int i : order) {
      sorted.push_back(rows[i]);
      ++groups[expert_of_[rows[i]]].rows;
    }
    for (int e = 1; e < kExperts; ++e)
      groups[e].first_row = groups[e - 1].first_row + groups[e - 1].rows;
    Floats x = Chosen(x_, sorted), y(rows.size() * hidden_),
           scratch(rows.size() * 2 * intermediate_);
    kernels.ExpertFfn(stream, View(x, hidden_), groups, shard_, View(y, hidden_),
                      View(scratch, 2 * intermediate_));
    stream.Synchronize();
    Floats in_order(y.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(&y[i * hidden_], hidden_, &in_order[order[i] * hidden_]);
    }
    return BitsOf(in_order);
  }

 private:
  static constexpr int kExperts = 5;
  int64_t hidden_, intermediate_;
  DType dtype_;
  Floats x_;
  std::vector<OwnedWeights> memory_;
  std::vector<ExpertWeights> experts_;
  std::vector<const ExpertWeights*> shard_;
  std::vector<int32_t> expert_of_;
};

class CombineCase final : public OpCase {
 public:
  CombineCase(Dice& dice, bool with_shared)
      : cols_(dice.Between(1, 80)),
        top_k_(dice.Between(1, 7)),
        with_shared_(with_shared),
        rows_(dice.Values(kRows * top_k_ * cols_)),
        weights_(dice.Values(kRows * top_k_)),
        shared_(dice.Values(kRows * cols_)),
        x_(dice.Values(kRows * cols_)) {}
  std::string Name() const override {
    return absl::StrCat("Combine cols=", cols_, " top_k=", top_k_, " shared=", with_shared_);
  }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats routed = Chosen(rows_, rows), weights = Chosen(weights_, rows);
    Floats shared = Chosen(shared_, rows), x = Chosen(x_, rows);
    kernels.Combine(stream, View(routed, cols_), weights.data(), top_k_,
                    with_shared_ ? ConstMatrix(View(shared, cols_)) : ConstMatrix(),
                    View(x, cols_));
    stream.Synchronize();
    return BitsOf(x);
  }

 private:
  int64_t cols_, top_k_;
  bool with_shared_;
  Floats rows_, weights_, shared_, x_;
};

class AddCase final : public OpCase {
 public:
  explicit AddCase(Dice& dice)
      : cols_(dice.Between(1, 80)),
        y_(dice.Values(kRows * cols_)),
        x_(dice.Values(kRows * cols_)) {}
  std::string Name() const override { return absl::StrCat("Add cols=", cols_); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats y = Chosen(y_, rows), x = Chosen(x_, rows);
    kernels.Add(stream, View(y, cols_), View(x, cols_));
    stream.Synchronize();
    return BitsOf(x);
  }

 private:
  int64_t cols_;
  Floats y_, x_;
};

// Rows of every kind of request, most of them drawn.
class SampleCase final : public OpCase {
 public:
  explicit SampleCase(Dice& dice)
      : vocabulary_(dice.Between(1025, 2100)),
        logits_(dice.Values(kRows * vocabulary_, 7)),
        ids_(dice.Shuffled(vocabulary_)),
        biases_(dice.Values(kListed, 5)) {
    for (int i = 0; i < kListed; ++i) counts_.push_back(static_cast<int32_t>(dice.Between(0, 3)));
    for (int r = 0; r < kRows; ++r) rows_.push_back(DrawRow(dice));
  }
  std::string Name() const override { return absl::StrCat("Sample vocabulary=", vocabulary_); }
  Bits Run(const Kernels& kernels, Stream& stream, absl::Span<const int> rows) override {
    Floats logits = Chosen(logits_, rows), logprobs(rows.size()), target_logprobs(rows.size());
    const std::vector<SampleRow> wanted = Chosen(rows_, rows);
    std::vector<int32_t> ids(rows.size());
    std::vector<TopLogit> top(rows.size() * kTop);
    Floats scaled(logits.size());
    std::vector<uint64_t> order(logits.size());
    SampleArgs args;
    args.logits = View(logits, vocabulary_);
    args.rows = wanted;
    args.top_stride = kTop;
    args.ids = ids.data();
    args.logprobs = logprobs.data();
    args.target_logprobs = target_logprobs.data();
    args.top = top.data();
    args.scaled = scaled.data();
    args.order = order.data();
    kernels.Sample(stream, args);
    stream.Synchronize();
    const Bits own = Zipped(BitsOf(ids), BitsOf(logprobs), rows.size());
    return Zipped(Zipped(own, BitsOf(target_logprobs), rows.size()), BitsOf(top), rows.size());
  }

 private:
  static constexpr int64_t kTop = 5;
  static constexpr int kListed = 300;

  absl::Span<const int32_t> SomeIds(Dice& dice) {
    const int64_t first = dice.Between(0, kListed / 2);
    return absl::MakeConstSpan(ids_).subspan(first, dice.Between(1, kListed / 2));
  }
  SampleRow DrawRow(Dice& dice) {
    SampleRow row;
    row.target = static_cast<int32_t>(dice.Between(-1, vocabulary_ - 1));
    row.top = static_cast<int32_t>(dice.Between(0, kTop));
    row.temperature = static_cast<float>(dice.Between(0, 5)) * 0.75f;
    if (dice.Between(0, 1) == 0) row.top_k = static_cast<int32_t>(dice.Between(1, vocabulary_));
    if (dice.Between(0, 1) == 0) row.top_p = static_cast<float>(dice.Between(1, 9)) / 9;
    if (dice.Between(0, 1) == 0) row.min_p = static_cast<float>(dice.Between(0, 9)) / 90;
    if (dice.Between(0, 1) == 0) {
      row.bias_ids = SomeIds(dice);
      row.biases = absl::MakeConstSpan(biases_).first(row.bias_ids.size());
    }
    if (dice.Between(0, 1) == 0) {
      row.seen_ids = SomeIds(dice);
      row.seen_counts = absl::MakeConstSpan(counts_).first(row.seen_ids.size());
      row.repetition_penalty = 1.25f;
      row.presence_penalty = 0.5f;
      row.frequency_penalty = -0.3f;
    }
    row.restricted = dice.Between(0, 3) == 0;
    if (row.restricted) row.allowed = SomeIds(dice);
    if (dice.Between(0, 3) == 0) row.masked = absl::MakeConstSpan(ids_).last(20);
    row.seed = static_cast<uint64_t>(dice.Between(0, INT64_MAX));
    row.choice = static_cast<int32_t>(dice.Between(0, 3));
    row.output_index = static_cast<int32_t>(dice.Between(0, 5000));
    return row;
  }

  int64_t vocabulary_;
  Floats logits_;
  std::vector<int32_t> ids_;  // all of them, shuffled
  Floats biases_;
  std::vector<int32_t> counts_;
  std::vector<SampleRow> rows_;
};

}  // namespace

std::vector<std::unique_ptr<OpCase>> AllOpCases(uint64_t seed) {
  Dice dice(seed);
  std::vector<std::unique_ptr<OpCase>> cases;
  for (DType dtype : {DType::kBf16, DType::kF32}) {
    cases.push_back(std::make_unique<EmbedCase>(dice, dtype));
    cases.push_back(
        std::make_unique<LinearCase>(dice, dtype, dice.Between(65, 100), dice.Between(1, 15)));
    cases.push_back(
        std::make_unique<LinearCase>(dice, dtype, dice.Between(1, 70), dice.Between(17, 130)));
    cases.push_back(std::make_unique<HeadLinearCase>(dice, dtype));
    cases.push_back(std::make_unique<ExpertFfnCase>(dice, dtype));
  }
  cases.push_back(std::make_unique<RmsNormCase>(dice));
  cases.push_back(std::make_unique<RopeCase>(dice));
  cases.push_back(std::make_unique<StoreLatentCase>(dice));
  cases.push_back(std::make_unique<AttentionCase>(dice));
  cases.push_back(std::make_unique<AttentionCase>(dice));
  cases.push_back(std::make_unique<GateCase>(dice));
  cases.push_back(std::make_unique<SwiGluCase>(dice));
  cases.push_back(std::make_unique<CombineCase>(dice, true));
  cases.push_back(std::make_unique<CombineCase>(dice, false));
  cases.push_back(std::make_unique<AddCase>(dice));
  cases.push_back(std::make_unique<SampleCase>(dice));
  return cases;
}

}  // namespace expertmesh
