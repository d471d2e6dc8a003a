// attention.h: absorbed MLA of one row over its paged latent cache (ops.h, Attention). V is a Lanes
// type, see LINKAGE in micro_kernels.h.
//
// Per split of the cache: scores of all heads (each cache row is read once for several heads),
// their softmax in place, then the sum over the cached rows, strip by strip of the latent columns.
// The running sum is kept in `out`, so scratch does not grow with the model: it is the scores, on
// the stack.
#pragma once

#include <cstdint>

#include "kernels/cpu/dot.h"
#include "kernels/cpu/row_ops.h"

namespace expertmesh {
namespace {  // on purpose in a header: see LINKAGE in micro_kernels.h

// One split of one task.
struct AttentionSplitState {
  // Rows of the scores begin 64 bytes apart modulo 4 KiB, so that they do not share cache sets.
  static constexpr int64_t kStride = AttentionTask::kSplitMax + 16;

  int64_t first_block = 0;  // index into the row's block list
  int64_t count = 0;        // positions
  bool first = false;       // nothing to merge with yet
  // Of each head: the maximum of the scores and the sum of p, this split included, and what the
  // sums before it and its own are multiplied by when they merge.
  float most[AttentionTask::kHeadsMax] = {};
  float total[AttentionTask::kHeadsMax] = {};
  float old_factor[AttentionTask::kHeadsMax] = {};
  float new_factor[AttentionTask::kHeadsMax] = {};
  alignas(64) float scores[AttentionTask::kHeadsMax * kStride];  // then p
};

// scores = scale * (query . cache row), for every head and position of the split.
template <typename V>
void ScoreSplit(const AttentionTask& t, AttentionSplitState& s) {
  DotTile tile;
  tile.x = t.query;
  tile.x_stride = tile.w_stride = tile.k = t.width;
  tile.rows = t.heads;
  tile.y_stride = s.kStride;
  for (int64_t j = 0; j < s.count; j += t.block_rows) {
    const int64_t left = s.count - j;
    const int64_t block = t.blocks[s.first_block + j / t.block_rows];
    tile.w = t.cache + block * t.block_rows * t.width;
    tile.outs = left < t.block_rows ? left : t.block_rows;
    tile.y = s.scores + j;
    Dot<V, F32Weights<V>>(tile);
  }
  const V scale = V::All(t.scale);
  for (int64_t h = 0; h < t.heads; ++h) {
    float* row = s.scores + h * s.kStride;
    for (int64_t j = 0; j < s.count; j += 16) {
      StoreNext<V>(row + j, s.count - j, V::Mul(LoadNext<V>(row + j, s.count - j), scale));
    }
  }
}

template <typename V>
float ExpOne(float x) {
  float lanes[16];
  V::Store(lanes, ExpTree(V::All(x)));
  return lanes[0];
}

// Scores become p = exp(score - m), and the sums of p merge.
template <typename V>
void SoftmaxSplit(const AttentionTask& t, AttentionSplitState& s) {
  for (int64_t h = 0; h < t.heads; ++h) {
    float* row = s.scores + h * s.kStride;
    const float m = Maximum<V>(row, s.count);
    const float l = ExpAndSum<V>(row, s.count, m, row);
    if (s.first) {
      s.most[h] = m;
      s.total[h] = l;
      continue;
    }
    const float merged = s.most[h] > m ? s.most[h] : m;
    s.old_factor[h] = ExpOne<V>(s.most[h] - merged);
    s.new_factor[h] = ExpOne<V>(m - merged);
    s.total[h] = __builtin_fmaf(s.total[h], s.old_factor[h], l * s.new_factor[h]);
    s.most[h] = merged;
  }
}

// kHeads heads from `head` on, kVectors * 16 latent columns from `column` on: the sum of p_j *
// cache_j in ascending j, then merged into `out`. With kVectors 1, `left` columns are there.
template <typename V, int kHeads, int kVectors>
void ValueBlock(const AttentionTask& t, const AttentionSplitState& s, int64_t head, int64_t column,
                int64_t left) {
  const float* p = s.scores + head * s.kStride;
  V sum[kHeads][kVectors];
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) sum[h][i] = V::All(0.0f);
  }
  for (int64_t begin = 0; begin < s.count; begin += t.block_rows) {
    const int64_t block = t.blocks[s.first_block + begin / t.block_rows];
    const float* c = t.cache + block * t.block_rows * t.width + column;
    const int64_t end = begin + t.block_rows < s.count ? begin + t.block_rows : s.count;
    for (int64_t j = begin; j < end; ++j, c += t.width) {
      V value[kVectors];
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) {
        value[i] = kVectors > 1 ? V::Load(c + 16 * i) : LoadNext<V>(c, left);
      }
#pragma GCC unroll 8
      for (int h = 0; h < kHeads; ++h) {
        const V weight = V::All(p[h * s.kStride + j]);
#pragma GCC unroll 8
        for (int i = 0; i < kVectors; ++i) sum[h][i] = V::Fma(weight, value[i], sum[h][i]);
      }
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < kHeads; ++h) {
    float* out = t.out + (head + h) * t.latent + column;
    const V old_factor = V::All(s.old_factor[head + h]);
    const V new_factor = V::All(s.new_factor[head + h]);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      const int64_t lanes = kVectors > 1 ? 16 : left;
      V z = sum[h][i];
      if (!s.first) {
        z = V::Fma(LoadNext<V>(out + 16 * i, lanes), old_factor, V::Mul(z, new_factor));
      }
      StoreNext<V>(out + 16 * i, lanes, z);
    }
  }
}

// The strips of columns for exactly `heads` heads, 1 <= heads <= kHeads.
template <typename V, int kHeads>
void ValueStrips(const AttentionTask& t, const AttentionSplitState& s, int64_t heads,
                 int64_t head) {
  if constexpr (kHeads > 1) {
    if (heads < kHeads) return ValueStrips<V, kHeads - 1>(t, s, heads, head);
  }
  constexpr int64_t kStrip = 16 * V::kValueVectors;
  int64_t column = 0;
  for (; column + kStrip <= t.latent; column += kStrip) {
    ValueBlock<V, kHeads, V::kValueVectors>(t, s, head, column, kStrip);
  }
  for (; column < t.latent; column += 16) {
    ValueBlock<V, kHeads, 1>(t, s, head, column, t.latent - column);
  }
}

template <typename V>
void Attention(const AttentionTask& t) {
  AttentionSplitState s;
  for (int64_t begin = 0; begin < t.positions; begin += t.split) {
    const int64_t left = t.positions - begin;
    s.first_block = begin / t.block_rows;
    s.count = left < t.split ? left : t.split;
    s.first = begin == 0;
    ScoreSplit<V>(t, s);
    SoftmaxSplit<V>(t, s);
    for (int64_t head = 0; head < t.heads; head += V::kValueHeads) {
      const int64_t heads = t.heads - head;
      ValueStrips<V, V::kValueHeads>(t, s, heads < V::kValueHeads ? heads : V::kValueHeads, head);
    }
  }
  for (int64_t h = 0; h < t.heads; ++h) {
    float* out = t.out + h * t.latent;
    for (int64_t i = 0; i < t.latent; i += 16) {
      const V z = LoadNext<V>(out + i, t.latent - i);
      StoreNext<V>(out + i, t.latent - i, V::Div(z, V::All(s.total[h])));
    }
  }
}

}  // namespace
}  // namespace expertmesh
