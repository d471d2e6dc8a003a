#include <algorithm>
#include <numeric>

#include "common/math.h"
#include "kernels/test_util.h"

namespace expertmesh {
namespace {

struct Shape {
  int64_t heads, latent, rope, block_rows, split;
  std::vector<int32_t> lengths;  // of each sequence
};

// Sequences whose latents lie in shuffled blocks, and queries at some positions.
class AttentionTest : public OpTest {
 protected:
  void Fill(const Shape& shape) {
    shape_ = shape;
    width_ = shape.latent + shape.rope;
    const int32_t longest = *std::max_element(shape.lengths.begin(), shape.lengths.end());
    stride_ = (longest + shape.block_rows - 1) / shape.block_rows;
    blocks_.resize(stride_ * shape.lengths.size());
    std::iota(blocks_.begin(), blocks_.end(), 0);
    std::shuffle(blocks_.begin(), blocks_.end(), random_);
    cache_.assign(blocks_.size() * shape.block_rows * width_, NAN);  // what is not stored is poison
    for (size_t s = 0; s < shape.lengths.size(); ++s) {
      latents_.push_back(Random(shape.lengths[s] * width_));
      std::vector<int32_t> positions(shape.lengths[s]), sequences(shape.lengths[s], s);
      std::iota(positions.begin(), positions.end(), 0);
      kernels_->StoreLatent(*stream_, View(latents_.back(), width_), Table(positions, sequences),
                            Cache());
      stream_->Synchronize();
    }
  }

  RowTable Table(const std::vector<int32_t>& positions, const std::vector<int32_t>& sequences) {
    return {positions, sequences, blocks_.data(), stride_};
  }
  LatentCache Cache() { return {cache_.data(), shape_.block_rows, width_}; }

  Floats Run(Floats& query, const std::vector<int32_t>& positions,
             const std::vector<int32_t>& sequences) {
    const int64_t rows = static_cast<int64_t>(positions.size());
    Floats out(rows * shape_.heads * shape_.latent, NAN);
    AttentionArgs args;
    args.query = View(query, shape_.heads * width_);
    args.rows = Table(positions, sequences);
    args.cache = Cache();
    args.heads = shape_.heads;
    args.latent = shape_.latent;
    args.split = shape_.split;
    args.scale = kScale;
    args.out = View(out, shape_.heads * shape_.latent);
    kernels_->Attention(*stream_, args);
    stream_->Synchronize();
    return out;
  }

  // ops.h, Attention, for one head: the tree itself.
  Floats Tree(const float* query, int32_t position, int32_t sequence) {
    const float* latents = latents_[sequence].data();
    float m = 0, l = 0;
    Floats z;
    for (int64_t begin = 0; begin <= position; begin += shape_.split) {
      const int64_t end = std::min<int64_t>(begin + shape_.split, position + 1);
      Floats p, zs(shape_.latent, 0.0f);
      for (int64_t j = begin; j < end; ++j) {
        p.push_back(kScale * LaneDot(query, latents + j * width_, width_));
      }
      const float ms = *std::max_element(p.begin(), p.end());
      for (float& v : p) v = Exp(v - ms);
      const float ls = LaneSum(p);
      for (int64_t j = begin; j < end; ++j) {
        for (int64_t c = 0; c < shape_.latent; ++c) {
          zs[c] = std::fma(p[j - begin], latents[j * width_ + c], zs[c]);
        }
      }
      if (begin == 0) {
        m = ms, l = ls, z = zs;
        continue;
      }
      const float merged = std::max(m, ms), a = Exp(m - merged), b = Exp(ms - merged);
      l = std::fma(l, a, ls * b);
      for (int64_t c = 0; c < shape_.latent; ++c) z[c] = std::fma(z[c], a, zs[c] * b);
      m = merged;
    }
    for (float& v : z) v = v / l;
    return z;
  }

  std::vector<double> Double(const float* query, int32_t position, int32_t sequence) {
    const float* latents = latents_[sequence].data();
    std::vector<double> z(shape_.latent);
    double total = 0;
    for (int64_t j = 0; j <= position; ++j) {
      double score = 0;
      for (int64_t i = 0; i < width_; ++i) {
        score += static_cast<double>(query[i]) * latents[j * width_ + i];
      }
      const double p = std::exp(kScale * score);
      total += p;
      for (int64_t c = 0; c < shape_.latent; ++c) z[c] += p * latents[j * width_ + c];
    }
    for (double& v : z) v /= total;
    return z;
  }

  static constexpr float kScale = 0.37f;
  Shape shape_;
  int64_t width_ = 0, stride_ = 0;
  std::vector<int32_t> blocks_;
  std::vector<Floats> latents_;  // of each sequence, [length, width]
  Floats cache_;
};

TEST_P(AttentionTest, FollowsTheTreeAndIsCloseToDouble) {
  const Shape shapes[] = {{3, 40, 8, 8, 16, {70, 1, 33}},
                          {1, 16, 2, 16, 32, {64}},
                          {17, 100, 6, 4, 64, {130, 64}},
                          {2, 7, 2, 2, 4, {9, 5}}};
  for (const Shape& shape : shapes) {
    latents_.clear();
    Fill(shape);
    std::vector<int32_t> positions, sequences;
    for (size_t s = 0; s < shape.lengths.size(); ++s) {
      for (int32_t at : {0, shape.lengths[s] / 2, shape.lengths[s] - 1}) {
        positions.push_back(at);
        sequences.push_back(static_cast<int32_t>(s));
      }
    }
    Floats query = Random(positions.size() * shape.heads * width_);
    const Floats got = Run(query, positions, sequences);
    for (size_t i = 0; i < positions.size() * shape.heads; ++i) {
      const size_t r = i / shape.heads;
      const float* q = &query[i * width_];
      const absl::Span<const float> out(&got[i * shape.latent], shape.latent);
      ExpectSameBits(out, Tree(q, positions[r], sequences[r]));
      const std::vector<double> want = Double(q, positions[r], sequences[r]);
      for (int64_t c = 0; c < shape.latent; ++c) EXPECT_NEAR(out[c], want[c], 2e-6);
    }
  }
}

TEST_P(AttentionTest, CrossesASplitOf512AsAModelOf16Heads) {
  Fill({16, 512, 64, 64, AttentionSplit(16), {1000}});
  Floats query = Random(2 * 16 * width_, 0.2f);
  const std::vector<int32_t> positions = {511, 999}, sequences = {0, 0};
  const Floats got = Run(query, positions, sequences);
  for (int64_t i : {0, 13, 16, 31}) {
    ExpectSameBits({&got[i * 512], 512}, Tree(&query[i * width_], positions[i / 16], 0));
  }
}

// The longest split that the scratch on the stack is made for.
TEST_P(AttentionTest, TakesASplitOf2048) {
  Fill({3, 16, 2, 512, AttentionSplit(33), {2100}});
  Floats query = Random(3 * width_);
  const Floats got = Run(query, {2099}, {0});
  for (int64_t h = 0; h < 3; ++h) {
    ExpectSameBits({&got[h * 16], 16}, Tree(&query[h * width_], 2099, 0));
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest, testing::ValuesIn(IsaNames()), IsaName);

TEST_P(AttentionTest, CopiesWhatIsAskedForOfABlock) {
  shape_ = {.heads = 1, .latent = 3, .rope = 2, .block_rows = 4, .split = 4, .lengths = {}};
  width_ = 5;
  cache_ = Random(6 * 4 * width_);
  const Floats before = cache_;
  const std::vector<LatentCopy> copies = {{0, 3, 4}, {5, 1, 2}, {0, 2, 1}};
  kernels_->CopyLatents(*stream_, copies, Cache());
  stream_->Synchronize();
  Floats expected = before;
  for (const LatentCopy& copy : copies) {
    std::copy_n(before.begin() + copy.from * 4 * width_, copy.rows * width_,
                expected.begin() + copy.to * 4 * width_);
  }
  EXPECT_EQ(cache_, expected);
}

}  // namespace
}  // namespace expertmesh
