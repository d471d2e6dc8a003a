#include "kernels/cpu/cpu_kernels.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "common/math.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/sample.h"
#include "kernels/cpu/select.h"

namespace expertmesh {
namespace {

// Work below this many multiply-adds is not worth waking a thread for.
constexpr int64_t kPieceCost = 32768;

// A linear is cut into panels of outputs, and within one into chunks of rows, whose inputs then
// stay in the second-level cache while the panel's weights pass.
constexpr int64_t kPanelOuts = 32;
constexpr int64_t kChunkRows = 48;

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

int64_t GrainFor(int64_t cost) {
  return std::max<int64_t>(1, kPieceCost / std::max<int64_t>(cost, 1));
}

template <typename Work>
void Launch(Stream& stream, Work work) {
  DCHECK(stream.memory_kind() == MemoryKind::kHost, "cpu kernels run on a CpuStream");
  static_cast<CpuStream&>(stream).Launch(work);
}

// body(r) for every row, on any thread.
template <typename Body>
void LaunchRows(Stream& stream, int64_t rows, int64_t cost, Body body) {
  if (rows == 0) return;
  Launch(stream, [=](ThreadPool& pool) {
    pool.ParallelFor(rows, GrainFor(cost), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) body(r);
    });
  });
}

const float* Row(const ConstMatrix& m, int64_t r) { return m.f32() + r * m.stride; }
float* Row(const Matrix& m, int64_t r) { return m.f32() + r * m.stride; }

// Rows [row, row + rows) and columns [column, column + cols).
ConstMatrix Part(const ConstMatrix& m, int64_t row, int64_t rows, int64_t column, int64_t cols) {
  return {Row(m, row) + column, m.dtype, rows, cols, m.stride};
}
Matrix Part(const Matrix& m, int64_t row, int64_t rows, int64_t column, int64_t cols) {
  return m.Rows(row, rows).Columns(column, cols);
}

[[maybe_unused]] bool SameShape(const ConstMatrix& a, const ConstMatrix& b) {
  return a.rows == b.rows && a.cols == b.cols;
}

// Rows [first, first + n) of a packed matrix.
PackedLinear Slice(PackedLinear w, int64_t first, int64_t n) {
  w.data = static_cast<const std::byte*>(w.data) +
           first * w.k_stride * static_cast<int64_t>(SizeOf(w.dtype));
  w.n = n;
  return w;
}

// y[R, outs] = x[R, K] * transpose(w) for outputs [out, out + outs), on the calling thread.
void DotPanel(const MicroKernels& micro, const ConstMatrix& x, const PackedLinear& w, int64_t out,
              int64_t outs, const Matrix& y) {
  const PackedLinear panel = Slice(w, out, outs);
  DotTile tile;
  tile.x_stride = x.stride;
  tile.w = panel.data;
  tile.w_stride = w.k_stride;
  tile.outs = outs;
  tile.k = w.k;
  tile.y_stride = y.stride;
  for (int64_t row = 0; row < x.rows; row += kChunkRows) {
    tile.x = Row(x, row);
    tile.rows = std::min(kChunkRows, x.rows - row);
    tile.y = Row(y, row) + out;
    w.dtype == DType::kBf16 ? micro.dot_bf16(tile) : micro.dot_f32(tile);
  }
}

class CpuKernels final : public Kernels {
 public:
  explicit CpuKernels(const MicroKernels& micro) : micro_(&micro) {}

  void Embed(Stream& stream, absl::Span<const int32_t> ids, const PackedLinear& table,
             Matrix y) const override;
  void RmsNorm(Stream& stream, ConstMatrix x, const float* weight, float eps,
               Matrix y) const override;
  void Linear(Stream& stream, ConstMatrix x, const PackedLinear& w, Matrix y) const override;
  void HeadLinear(Stream& stream, ConstMatrix x, int64_t x_step, const PackedLinear& w,
                  int64_t heads, Matrix y, int64_t y_step) const override;
  void Rope(Stream& stream, ConstMatrix x, int64_t heads, int64_t x_step, int64_t width,
            absl::Span<const int32_t> positions, const float* table, Matrix y,
            int64_t y_step) const override;
  void StoreLatent(Stream& stream, ConstMatrix latent, const RowTable& rows,
                   LatentCache cache) const override;
  void CopyLatents(Stream& stream, absl::Span<const LatentCopy> copies,
                   LatentCache cache) const override;
  void Attention(Stream& stream, const AttentionArgs& args) const override;
  void Gate(Stream& stream, const GateArgs& args) const override;
  void SwiGlu(Stream& stream, ConstMatrix gate, ConstMatrix up, Matrix y) const override;
  void ExpertFfn(Stream& stream, ConstMatrix x, absl::Span<const RowGroup> groups,
                 absl::Span<const ExpertWeights* const> shard, Matrix y,
                 Matrix scratch) const override;
  void Combine(Stream& stream, ConstMatrix rows, const float* weights, int64_t top_k,
               ConstMatrix shared, Matrix x) const override;
  void Add(Stream& stream, ConstMatrix y, Matrix x) const override;
  void AddBias(Stream& stream, const float* bias, Matrix x) const override;
  void Sample(Stream& stream, const SampleArgs& args) const override;

 private:
  const MicroKernels* const micro_;
};

void CpuKernels::Embed(Stream& stream, absl::Span<const int32_t> ids, const PackedLinear& table,
                       Matrix y) const {
  DCHECK(static_cast<int64_t>(ids.size()) == y.rows && table.k == y.cols, "one row per id");
  LaunchRows(stream, y.rows, table.k, [=](int64_t r) {
    DCHECK(ids[r] >= 0 && ids[r] < table.n, "the id is in the table");
    const PackedLinear row = Slice(table, ids[r], 1);
    if (table.dtype == DType::kF32) {
      std::memcpy(Row(y, r), row.data, table.k * sizeof(float));
      return;
    }
    const uint16_t* from = static_cast<const uint16_t*>(row.data);
    float* to = Row(y, r);
    for (int64_t i = 0; i < table.k; ++i) to[i] = Bf16ToF32(from[i]);
  });
}

void CpuKernels::RmsNorm(Stream& stream, ConstMatrix x, const float* weight, float eps,
                         Matrix y) const {
  DCHECK(SameShape(x, y), "a row out per row in");
  LaunchRows(stream, x.rows, 2 * x.cols, [=, micro = micro_](int64_t r) {
    micro->rms_norm(Row(x, r), weight, eps, x.cols, Row(y, r));
  });
}

void CpuKernels::Linear(Stream& stream, ConstMatrix x, const PackedLinear& w, Matrix y) const {
  HeadLinear(stream, x, 0, w, 1, y, 0);
}

// Index (chunk of rows, head, panel), the last running fastest: a thread stays with its rows.
void CpuKernels::HeadLinear(Stream& stream, ConstMatrix x, int64_t x_step, const PackedLinear& w,
                            int64_t heads, Matrix y, int64_t y_step) const {
  const int64_t n = w.n / heads;
  DCHECK(w.n == n * heads && x.rows == y.rows, "heads of one size, a row out per row in");
  DCHECK(x.cols >= (heads - 1) * x_step + w.k && y.cols >= (heads - 1) * y_step + n,
         "every head has its columns");
  if (x.rows == 0) return;
  Launch(stream, [=, micro = micro_](ThreadPool& pool) {
    const int64_t panels = Pieces(n, kPanelOuts);
    const int64_t count = Pieces(x.rows, kChunkRows) * heads * panels;
    const int64_t cost = std::min(x.rows, kChunkRows) * std::min(n, kPanelOuts) * w.k;
    pool.ParallelFor(count, GrainFor(cost), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i / (heads * panels) * kChunkRows;
        const int64_t head = i / panels % heads;
        const int64_t out = i % panels * kPanelOuts;
        const int64_t rows = std::min(kChunkRows, x.rows - row);
        DotPanel(*micro, Part(x, row, rows, head * x_step, w.k), Slice(w, head * n, n), out,
                 std::min(kPanelOuts, n - out), Part(y, row, rows, head * y_step, n));
      }
    });
  });
}

void CpuKernels::Rope(Stream& stream, ConstMatrix x, int64_t heads, int64_t x_step, int64_t width,
                      absl::Span<const int32_t> positions, const float* table, Matrix y,
                      int64_t y_step) const {
  DCHECK(static_cast<int64_t>(positions.size()) == x.rows && x.rows == y.rows,
         "a position and a row out per row");
  DCHECK(width % 2 == 0 && x.cols >= (heads - 1) * x_step + width &&
             y.cols >= (heads - 1) * y_step + width,
         "pairs, inside the row");
  LaunchRows(stream, x.rows, 4 * heads * width, [=, micro = micro_](int64_t r) {
    micro->rope(Row(x, r), heads, x_step, width, table + positions[r] * width, Row(y, r), y_step);
  });
}

void CpuKernels::StoreLatent(Stream& stream, ConstMatrix latent, const RowTable& rows,
                             LatentCache cache) const {
  DCHECK(static_cast<int64_t>(rows.positions.size()) == latent.rows &&
             static_cast<int64_t>(rows.sequences.size()) == latent.rows &&
             latent.cols == cache.width,
         "a place per row");
  LaunchRows(stream, latent.rows, cache.width, [=](int64_t r) {
    const int64_t position = rows.positions[r];
    const int64_t block =
        rows.blocks[rows.sequences[r] * rows.blocks_stride + position / cache.block_rows];
    const int64_t place = block * cache.block_rows + position % cache.block_rows;
    std::memcpy(cache.data + place * cache.width, Row(latent, r), cache.width * sizeof(float));
  });
}

void CpuKernels::CopyLatents(Stream& stream, absl::Span<const LatentCopy> copies,
                             LatentCache cache) const {
  const int64_t block = cache.block_rows * cache.width;
  LaunchRows(stream, static_cast<int64_t>(copies.size()), block, [=](int64_t i) {
    std::memcpy(cache.data + copies[i].to * block, cache.data + copies[i].from * block,
                copies[i].rows * cache.width * sizeof(float));
  });
}

// A task is a row and a few of its heads: fewer where rows alone do not keep the threads busy.
void CpuKernels::Attention(Stream& stream, const AttentionArgs& args) const {
  CHECK(args.split <= AttentionTask::kSplitMax && args.split % args.cache.block_rows == 0,
        "a split is whole blocks, and its scores fit the stack");
  DCHECK(args.query.cols == args.heads * args.cache.width &&
             args.out.cols == args.heads * args.latent && args.latent <= args.cache.width,
         "a query and a result per head");
  if (args.query.rows == 0) return;
  Launch(stream, [args, micro = micro_](ThreadPool& pool) {
    const int64_t rows = args.query.rows;
    const int64_t heads_at_once =
        std::clamp<int64_t>(Pieces(rows * args.heads, pool.threads()), 1, AttentionTask::kHeadsMax);
    const int64_t pieces = Pieces(args.heads, heads_at_once);
    pool.ParallelFor(rows * pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i / pieces;
        const int64_t head = i % pieces * heads_at_once;
        AttentionTask task;
        task.query = Row(args.query, r) + head * args.cache.width;
        task.heads = std::min(heads_at_once, args.heads - head);
        task.width = args.cache.width;
        task.latent = args.latent;
        task.cache = args.cache.data;
        task.blocks = args.rows.blocks + args.rows.sequences[r] * args.rows.blocks_stride;
        task.block_rows = args.cache.block_rows;
        task.positions = int64_t{args.rows.positions[r]} + 1;
        task.split = args.split;
        task.scale = args.scale;
        task.out = Row(args.out, r) + head * args.latent;
        micro->attention(task);
      }
    });
  });
}

void CpuKernels::Gate(Stream& stream, const GateArgs& args) const {
  CHECK(args.logits.cols <= GateArgs::kExpertsMax, "the gate's scratch is on the stack");
  DCHECK(args.logits.cols % args.groups == 0 && args.groups_kept <= args.groups &&
             args.top_k <= args.groups_kept * (args.logits.cols / args.groups),
         "the groups kept hold enough experts");
  DCHECK(args.bias == nullptr || args.logits.cols >= 2 * args.groups, "two experts a group");
  LaunchRows(stream, args.logits.rows, 16 * args.logits.cols, [args, micro = micro_](int64_t r) {
    float scores[GateArgs::kExpertsMax];
    int32_t* experts = args.experts + r * args.top_k;
    float* weights = args.weights + r * args.top_k;
    if (args.bias == nullptr) {
      micro->softmax(Row(args.logits, r), args.logits.cols, scores);
      SelectExperts(scores, args.logits.cols, args.groups, args.groups_kept, args.top_k, experts);
      for (int64_t i = 0; i < args.top_k; ++i) weights[i] = scores[experts[i]] * args.scaling;
      return;
    }
    float choice[GateArgs::kExpertsMax];
    for (int64_t e = 0; e < args.logits.cols; ++e) {
      scores[e] = Sigmoid(Row(args.logits, r)[e]);
      choice[e] = scores[e] + args.bias[e];
    }
    SelectExpertsByPairs(choice, args.logits.cols, args.groups, args.groups_kept, args.top_k,
                         experts);
    float sum = 0;
    for (int64_t i = 0; i < args.top_k; ++i) sum += weights[i] = scores[experts[i]];
    for (int64_t i = 0; i < args.top_k; ++i) {
      if (args.renormalise) weights[i] /= sum + 1e-20f;
      weights[i] *= args.scaling;
    }
  });
}

void CpuKernels::SwiGlu(Stream& stream, ConstMatrix gate, ConstMatrix up, Matrix y) const {
  DCHECK(SameShape(gate, up) && SameShape(gate, y), "one shape");
  LaunchRows(stream, gate.rows, 16 * gate.cols, [=, micro = micro_](int64_t r) {
    micro->swiglu(Row(gate, r), Row(up, r), gate.cols, Row(y, r));
  });
}

// Two passes over (group, panel of outputs): gate, up and SwiGlu, which is elementwise and so can
// follow at once on the panel; then down. Groups differ in size, so threads take small pieces.
void CpuKernels::ExpertFfn(Stream& stream, ConstMatrix x, absl::Span<const RowGroup> groups,
                           absl::Span<const ExpertWeights* const> shard, Matrix y,
                           Matrix scratch) const {
  if (x.rows == 0 || groups.empty()) return;
  const int64_t intermediate = scratch.cols / 2;
  DCHECK(x.rows == y.rows && x.rows <= scratch.rows && x.cols == y.cols, "a row out per row in");
  Launch(stream, [=, micro = micro_](ThreadPool& pool) {
    const Matrix gate = scratch.Columns(0, intermediate);
    const Matrix up = scratch.Columns(intermediate, intermediate);
    const auto pass = [&](int64_t outs, const auto& panel) {
      const int64_t panels = Pieces(outs, kPanelOuts);
      pool.ParallelFor(panels * groups.size(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const RowGroup& group = groups[i / panels];
          const int64_t out = i % panels * kPanelOuts;
          if (group.rows != 0) {
            panel(group, *shard[group.expert], out, std::min(kPanelOuts, outs - out));
          }
        }
      });
    };
    pass(intermediate, [&](const RowGroup& g, const ExpertWeights& w, int64_t out, int64_t outs) {
      DCHECK(w.gate.n == intermediate && w.up.n == intermediate && w.down.k == intermediate,
             "scratch has the experts' intermediate size");
      const ConstMatrix rows = Part(x, g.first_row, g.rows, 0, x.cols);
      DotPanel(*micro, rows, w.gate, out, outs, gate.Rows(g.first_row, g.rows));
      DotPanel(*micro, rows, w.up, out, outs, up.Rows(g.first_row, g.rows));
      for (int64_t r = g.first_row; r < int64_t{g.first_row} + g.rows; ++r) {
        micro->swiglu(Row(gate, r) + out, Row(up, r) + out, outs, Row(gate, r) + out);
      }
    });
    pass(y.cols, [&](const RowGroup& g, const ExpertWeights& w, int64_t out, int64_t outs) {
      DotPanel(*micro, gate.Rows(g.first_row, g.rows), w.down, out, outs,
               y.Rows(g.first_row, g.rows));
    });
  });
}

void CpuKernels::Combine(Stream& stream, ConstMatrix rows, const float* weights, int64_t top_k,
                         ConstMatrix shared, Matrix x) const {
  DCHECK(rows.rows == x.rows * top_k && rows.cols == x.cols, "top_k rows per row");
  LaunchRows(stream, x.rows, (top_k + 2) * x.cols, [=, micro = micro_](int64_t r) {
    micro->combine(Row(rows, r * top_k), rows.stride, weights + r * top_k, top_k,
                   shared.data == nullptr ? nullptr : Row(shared, r), x.cols, Row(x, r));
  });
}

void CpuKernels::Add(Stream& stream, ConstMatrix y, Matrix x) const {
  DCHECK(SameShape(y, x), "one shape");
  LaunchRows(stream, x.rows, x.cols,
             [=, micro = micro_](int64_t r) { micro->add(Row(y, r), x.cols, Row(x, r)); });
}

void CpuKernels::AddBias(Stream& stream, const float* bias, Matrix x) const {
  LaunchRows(stream, x.rows, x.cols,
             [=, micro = micro_](int64_t r) { micro->add(bias, x.cols, Row(x, r)); });
}

void CpuKernels::Sample(Stream& stream, const SampleArgs& args) const {
  DCHECK(static_cast<int64_t>(args.rows.size()) == args.logits.rows, "a SampleRow per row");
  LaunchRows(stream, args.logits.rows, 16 * args.logits.cols, [args, micro = micro_](int64_t r) {
    const float* x = Row(args.logits, r);
    const int64_t n = args.logits.cols;
    const SampleRow& row = args.rows[r];
    const float most = micro->maximum(x, n);
    const float log_sum = Log(SumExpByChunk(*micro, x, n, most));
    const int32_t id = ChooseId(*micro, x, n, most, row, args.scaled + r * n, args.order + r * n);
    args.ids[r] = id;
    args.logprobs[r] = (x[id] - most) - log_sum;
    args.target_logprobs[r] = row.target < 0 ? 0.0f : (x[row.target] - most) - log_sum;
    TopLogit* top = args.top + r * args.top_stride;
    SelectTop(x, n, row.top, top);
    for (int64_t i = 0; i < row.top; ++i) top[i].logprob = (top[i].logprob - most) - log_sum;
  });
}

}  // namespace

std::unique_ptr<Kernels> NewCpuKernels(const MicroKernels& micro) {
  return std::make_unique<CpuKernels>(micro);
}

}  // namespace expertmesh
