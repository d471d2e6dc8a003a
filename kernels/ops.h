// ops.h: each arithmetic step of the model, as a promise that every backend keeps.
//
// R is the number of rows in a call: tokens of any mix of sequences, 0 is legal. Matrices are
// row-major; sizes and strides count elements. K and N are the weight's and never change.
//
// ROW INDEPENDENCE. out[r] is a function of in[r] and the weights alone. Its bits do not change
// with R, the other rows, the thread count or the split of work. R may pick a kernel only inside a
// family that builds the same expression tree per output element (tests/property/).
//
// LANES. A sum over K in class cpu-f32 has 16 accumulators: lane i takes k = i, i + 16, ... in
// ascending k by fused multiply-add, starting from +0; past K it takes zeros. The lanes are then
// added as a tree: i with i + 8, then + 4, + 2, + 1. "Lane order" below means this. Exp, Log and
// Silu are those of common/math.h. Bits are promised of numbers and infinities; a NaN is only a
// NaN.
//
// Errors   none. Shapes are the caller's duty (DCHECKed); what a device cannot do is refused by
//          OpenClass. Ops never allocate, block or read results: scratch is the caller's.
// Threads  calls on one Stream run in call order; different Streams may have different threads.
// Memory   views must live on the stream's device until the stream has passed the call.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "device/device.h"
#include "device/tensor.h"
#include "kernels/pack.h"

namespace expertmesh {

// One step's rows, as every layer needs them; all arrays have one entry per row of the step.
struct RowTable {
  absl::Span<const int32_t> positions;  // [R] absolute position of the row's token in its sequence
  absl::Span<const int32_t> sequences;  // [R] which row of `blocks` is this row's sequence
  const int32_t* blocks = nullptr;      // [S, blocks_stride] latent-cache blocks in position order
  int64_t blocks_stride = 0;
};

// One layer's paged latent cache: [blocks, block_rows, width] f32, width = latent + rope.
struct LatentCache {
  float* data = nullptr;
  int64_t block_rows = 0;  // positions per block; divides 512
  int64_t width = 0;
};

// Positions [0, rows) of block `from` go to block `to`.
struct LatentCopy {
  int32_t from = 0;
  int32_t to = 0;
  int32_t rows = 0;
};

struct AttentionArgs {
  ConstMatrix query;  // [R, heads * width]: per head the absorbed query, then the rotated rope part
  RowTable rows;
  LatentCache cache;
  int64_t heads = 0;
  int64_t latent = 0;  // first `latent` of `width` are also the values
  int64_t split = 0;   // positions per split, a multiple of block_rows: AttentionSplit(heads)
  float scale = 0;
  Matrix out;  // [R, heads * latent]
};

// Positions per split of the cache walk: a constant of the model's shape, so of nothing else.
constexpr int64_t AttentionSplit(int64_t heads) { return heads <= 32 ? 512 : 2048; }

struct GateArgs {
  static constexpr int64_t kExpertsMax = 1024;

  ConstMatrix logits;  // [R, experts], at most kExpertsMax
  int64_t groups = 1;  // of equal size, consecutive experts; 1 is plain top-k
  int64_t groups_kept = 1;
  int64_t top_k = 0;
  // [experts] f32: DeepSeek-V3's routing, where it is added to what chooses; null: V2's.
  const float* bias = nullptr;
  bool renormalise = false;    // with bias only
  float scaling = 1;           // every weight is multiplied by it, last
  int32_t* experts = nullptr;  // [R, top_k] out, by score descending, ties to the lower id
  float* weights = nullptr;    // [R, top_k] out, in the same order
};

// Rows [first_row, first_row + rows) belong to expert `expert` of the shard's layer.
struct RowGroup {
  int32_t expert = 0;
  int32_t first_row = 0;
  int32_t rows = 0;
};

// One expert: y = down(silu(gate(x)) * up(x)).
struct ExpertWeights {
  PackedLinear gate;  // [intermediate, hidden]
  PackedLinear up;    // [intermediate, hidden]
  PackedLinear down;  // [hidden, intermediate]
};

struct TopLogit {
  int32_t id = 0;
  float logprob = 0;
};

// What is wanted of one row of logits, and how its id is chosen (Kernels::Sample). As it stands:
// the greatest logit. Ids are inside the vocabulary, and each is in a list once, in any order.
struct SampleRow {
  int32_t target = -1;  // the id whose logprob is wanted too; -1: none
  int32_t top = 0;      // entries of SampleArgs::top to fill, at most top_stride

  float temperature = 0;  // 0: the greatest is taken, nothing is drawn
  int32_t top_k = 0;      // 0: off
  float top_p = 1;        // in (0, 1]; 1: off
  float min_p = 0;        // in [0, 1]; 0: off
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;

  bool restricted = false;  // to the ids of `allowed`
  absl::Span<const int32_t> allowed;
  absl::Span<const int32_t> bias_ids;
  absl::Span<const float> biases;         // [bias_ids]
  absl::Span<const int32_t> seen_ids;     // of prompt and output, to be penalised
  absl::Span<const int32_t> seen_counts;  // [seen_ids] how often in the output
  absl::Span<const int32_t> masked;       // never chosen

  uint64_t seed = 0;   // these three say which random number it is: UniformDraw of
  int32_t choice = 0;  // common/philox.h, draw 0
  int32_t output_index = 0;
};

struct SampleArgs {
  ConstMatrix logits;                // [R, vocabulary], raw
  absl::Span<const SampleRow> rows;  // [R]
  int64_t top_stride = 0;
  int32_t* ids = nullptr;            // [R] out: the chosen id
  float* logprobs = nullptr;         // [R] out: of that id
  float* target_logprobs = nullptr;  // [R] out: of rows[r].target; 0 where none was asked
  TopLogit* top = nullptr;           // [R, top_stride] out: by logit descending, then id ascending
  float* scaled = nullptr;           // [R, vocabulary] scratch
  uint64_t* order = nullptr;         // [R, vocabulary] scratch
};

// The operations of one compute class on one kind of device. Immutable; any thread may call.
class Kernels {
 public:
  virtual ~Kernels() = default;

  // y[r] = table[ids[r]], widened to f32. ids are inside the table: the caller's duty.
  virtual void Embed(Stream& stream, absl::Span<const int32_t> ids, const PackedLinear& table,
                     Matrix y) const = 0;

  // y[r] = x[r] * rsqrt(mean(x[r]^2) + eps) * weight. The sum of squares is in lane order, the
  // mean a division by cols, rsqrt is 1 / sqrt(.), both rounded once; then two products in the
  // order written. weight: [cols] f32. y may be x.
  virtual void RmsNorm(Stream& stream, ConstMatrix x, const float* weight, float eps,
                       Matrix y) const = 0;

  // y[R, N] = x[R, K] * transpose(w[N, K]), each element in lane order. y must not overlap x.
  virtual void Linear(Stream& stream, ConstMatrix x, const PackedLinear& w, Matrix y) const = 0;

  // For each head h: y[r, h * y_step ...][N] = x[r, h * x_step ...][K] * transpose(w[h][N, K]);
  // w holds heads * N rows. In lane order. y must not overlap x.
  virtual void HeadLinear(Stream& stream, ConstMatrix x, int64_t x_step, const PackedLinear& w,
                          int64_t heads, Matrix y, int64_t y_step) const = 0;

  // Rotates adjacent pairs: for head h the `width` elements from x[r, h * x_step] on become
  // (a*cos - b*sin, a*sin + b*cos), each as fma(a, cos, -(b * sin)) and fma(a, sin, b * cos), at
  // y[r, h * y_step]. y may be x, with the same step; it must not overlap x otherwise.
  // table: [max_position, width] with (cos, sin) interleaved per pair. (RoPE; DeepSeek-V2 2.1.3.)
  virtual void Rope(Stream& stream, ConstMatrix x, int64_t heads, int64_t x_step, int64_t width,
                    absl::Span<const int32_t> positions, const float* table, Matrix y,
                    int64_t y_step) const = 0;

  // Copies row r of `latent` [R, width] to the cache place of (sequence, position) of row r.
  virtual void StoreLatent(Stream& stream, ConstMatrix latent, const RowTable& rows,
                           LatentCache cache) const = 0;

  // Copies between blocks. No block is both read and written.
  virtual void CopyLatents(Stream& stream, absl::Span<const LatentCopy> copies,
                           LatentCache cache) const = 0;

  // Absorbed MLA (DeepSeek-V2 appendix C): per row and head, over positions 0 .. position(row):
  // score_j = scale * (query . cache_j), the dot over `width` in lane order, then one product. The
  // positions are cut into splits of `split` from 0. In a split: the maximum m; p_j = Exp(score_j -
  // m); l = the sum of p_j in lane order over j - split_begin; z = sum of p_j * cache_j[0, latent)
  // by fma in ascending j from +0. The first split is taken as it is; the others merge into it in
  // position order: m' = max, a = Exp(m - m'), b = Exp(m_split - m'), l = fma(l, a, l_split * b),
  // z = fma(z, a, z_split * b). out = z / l.
  virtual void Attention(Stream& stream, const AttentionArgs& args) const = 0;

  // Without a bias: softmax over all experts (maximum, Exp, sum in lane order, division), then the
  // best groups by their highest score, then the top-k among those; weight = score * scaling. Ties
  // go to the lower group and the lower expert. (DeepSeek-V2 2.2.2, as transformers computes it;
  // not renormalised.) With a bias: score = 1 / (1 + Exp(-logit)), and what chooses is score +
  // bias: the best groups by the sum of their two highest (groups are of two experts or more), then
  // the top-k among those, ties as above. weight = score, divided, if `renormalise`, by (the sum of
  // the chosen in order + 1e-20); then * scaling. (DeepSeek-V3 2.1.2; the bias is finite.)
  virtual void Gate(Stream& stream, const GateArgs& args) const = 0;

  // y = Silu(gate) * up, elementwise. y may be gate or up.
  virtual void SwiGlu(Stream& stream, ConstMatrix gate, ConstMatrix up, Matrix y) const = 0;

  // The routed experts (DeepSeek-V2 2.2): row r of y = expert(x[r]) with the expert whose group
  // holds r. One UNWEIGHTED row out per row in: weights and the sum over top-k belong to the
  // attention worker, which alone knows the order. Same bits as Linear, SwiGlu, Linear.
  // groups   cover [0, R) once; experts index `shard`.
  // scratch  [R, 2 * intermediate] f32.
  virtual void ExpertFfn(Stream& stream, ConstMatrix x, absl::Span<const RowGroup> groups,
                         absl::Span<const ExpertWeights* const> shard, Matrix y,
                         Matrix scratch) const = 0;

  // x[r] += (sum over i in top-k order of weights[r, i] * rows[r * top_k + i]) + shared[r]: the sum
  // starts as weights[0] * rows[0], goes on by fma, then shared is added, then x. `shared` may be
  // empty (data null): then it is not added.
  virtual void Combine(Stream& stream, ConstMatrix rows, const float* weights, int64_t top_k,
                       ConstMatrix shared, Matrix x) const = 0;

  // x += y.
  virtual void Add(Stream& stream, ConstMatrix y, Matrix x) const = 0;

  // x[r] += bias. bias: [cols] f32.
  virtual void AddBias(Stream& stream, const float* bias, Matrix x) const = 0;

  // Chooses an id per row, and gives logprobs of the raw logits x: logprob(i) = (x_i - m) - Log(s),
  // m the maximum of the row, s the sum of Exp(x - m): per chunk of 1,024 ids in lane order, then
  // the chunks added in order. The id comes by these steps, each a single rounding per operation:
  //   y = x + bias; where `restricted`, -inf for all but the allowed ids. Of each seen id y becomes
  //   y * repetition if y < 0, else y / repetition; then, if it was in the output, y - (presence +
  //   frequency * count). -inf for masked ids. M = the maximum of y. At temperature 0, or if M is
  //   not finite, the id is the first of the value M.
  //   z = (y - M) / temperature; the weight w = Exp(z), so the greatest weight is 1. CANDIDATES are
  //   the ids with w > 0, by z descending, then id ascending. W, the weight of them all, is summed
  //   as s is. Every other sum below goes in candidate order, in double, from +0.
  //   top-k: the first k, if there are more; W becomes their sum. top-p: the fewest first whose sum
  //   is at least top_p * W, one at least; W becomes their sum. min-p: those with w >= min_p; W
  //   becomes their sum. (W is the renormalisation: a probability is w / W.)
  //   The id is the first candidate at which the sum exceeds u * W, u = UniformDraw(seed, {choice,
  //   output_index, 0}), or else the last that is kept.
  virtual void Sample(Stream& stream, const SampleArgs& args) const = 0;
};

}  // namespace expertmesh
