#include "expert_worker/compute/expert_forward.h"

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "model/tensor_names.h"

namespace expertmesh {

absl::StatusOr<std::unique_ptr<ExpertForward>> ExpertForward::Create(const Checkpoint* checkpoint,
                                                                     ExpertForwardOptions options,
                                                                     const Kernels* kernels,
                                                                     Device* device,
                                                                     Notifier* done) {
  auto forward =
      std::unique_ptr<ExpertForward>(new ExpertForward(checkpoint, options, kernels, device, done));
  RETURN_IF_ERROR(forward->Allocate());
  return forward;
}

ExpertForward::ExpertForward(const Checkpoint* checkpoint, ExpertForwardOptions options,
                             const Kernels* kernels, Device* device, Notifier* done)
    : checkpoint_(checkpoint),
      options_(options),
      kernels_(kernels),
      device_(device),
      done_(done),
      shard_(GridOf(checkpoint->config())),
      stream_(device->NewStream()) {}

ExpertForward::~ExpertForward() {
  cancelled_ = true;
  if (loader_.joinable()) loader_.join();
}

absl::Status ExpertForward::Allocate() {
  const ModelConfig& config = checkpoint_->config();
  const size_t rows = options_.max_pass_rows;
  ASSIGN_OR_RETURN(input_, device_->Allocate(rows * config.hidden * sizeof(float)));
  ASSIGN_OR_RETURN(output_, device_->Allocate(rows * config.hidden * sizeof(float)));
  ASSIGN_OR_RETURN(scratch_,
                   device_->Allocate(rows * 2 * config.expert_intermediate * sizeof(float)));
  groups_.reserve(config.routed_experts);
  first_row_.reserve(config.routed_experts + 1);
  order_.reserve(rows);
  return absl::OkStatus();
}

// ---- load

void ExpertForward::Load(const ExpertSet& experts, uint64_t token) {
  if (loader_.joinable()) loader_.join();
  loaded_bytes_ = 0;
  wanted_bytes_ = 0;
  if (!experts.empty()) {  // a model may have none at all
    const ModelConfig& config = checkpoint_->config();
    wanted_bytes_ =
        experts.size() * 3 * config.hidden * config.expert_intermediate *
        SizeOf(
            checkpoint_->tensor(names::Expert(config.first_moe_layer, 0, names::Ffn::kGate)).dtype);
  }
  loader_ = std::thread([this, experts, token] {
    SetFloatingPointMode();
    load_result_ = LoadAndTest(experts);
    done_->OnPassed(token);
  });
}

absl::StatusOr<LoadedExperts> ExpertForward::LoadAndTest(const ExpertSet& experts) {
  ASSIGN_OR_RETURN(LoadedExperts loaded, LoadExperts(*checkpoint_, experts, options_.widen,
                                                     *device_, &loaded_bytes_, cancelled_));
  RETURN_IF_ERROR(SelfTest(loaded));
  return loaded;
}

// One row through every expert, on a stream of its own: touches all the memory, and finds weights
// that are not numbers before a request does.
absl::Status ExpertForward::SelfTest(const LoadedExperts& loaded) {
  const ModelConfig& config = checkpoint_->config();
  std::vector<float> x(config.hidden, 0.125f), y(config.hidden);
  std::vector<float> scratch(2 * config.expert_intermediate);
  std::unique_ptr<Stream> stream = device_->NewStream();
  const RowGroup group{0, 0, 1};
  for (const LoadedExpert& entry : loaded) {
    if (cancelled_) return absl::CancelledError("load stopped");
    const ExpertWeights* weights = &entry.weights;
    kernels_->ExpertFfn(*stream, F32Matrix(x.data(), 1, config.hidden),
                        absl::MakeConstSpan(&group, 1), absl::MakeConstSpan(&weights, 1),
                        F32Matrix(y.data(), 1, config.hidden),
                        F32Matrix(scratch.data(), 1, 2 * config.expert_intermediate));
    stream->Synchronize();
    for (float value : y) {
      if (!std::isfinite(value)) {
        return absl::DataLossError(absl::StrCat("expert ", entry.expert, " of layer ", entry.layer,
                                                " gives ", value, " for a plain row"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ExpertForward::FinishLoad() {
  loader_.join();
  RETURN_IF_ERROR(load_result_.status());
  shard_.Add(*std::move(load_result_));
  load_result_ = absl::UnknownError("no load");
  return absl::OkStatus();
}

void ExpertForward::Unload(const ExpertSet& experts) { shard_.Remove(experts); }

void ExpertForward::LoadProgress(uint64_t* loaded, uint64_t* wanted) const {
  *loaded = loaded_bytes_;
  *wanted = wanted_bytes_;
}

// ---- passes

void ExpertForward::Run(int32_t layer, absl::Span<const PassRow> rows, uint64_t token) {
  CHECK(rows.size() <= options_.max_pass_rows, "a pass is cut by the queue");
  const ModelConfig& config = checkpoint_->config();
  const size_t hidden = config.hidden;
  rows_ = rows;

  // Counting sort by expert; equal experts keep their order.
  first_row_.assign(config.routed_experts + 1, 0);
  for (const PassRow& row : rows) ++first_row_[row.expert + 1];
  groups_.clear();
  for (int32_t e = 0; e < config.routed_experts; ++e) {
    if (first_row_[e + 1] > 0) groups_.push_back({e, first_row_[e], first_row_[e + 1]});
    first_row_[e + 1] += first_row_[e];
  }
  order_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) order_[first_row_[rows[i].expert]++] = i;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(input_.as<float>() + i * hidden, rows[order_[i]].input, hidden * sizeof(float));
  }

  const int64_t count = rows.size();
  kernels_->ExpertFfn(*stream_, F32Matrix(input_.as<const float>(), count, hidden), groups_,
                      shard_.Layer(layer), F32Matrix(output_.as<float>(), count, hidden),
                      F32Matrix(scratch_.as<float>(), count, 2 * config.expert_intermediate));
  stream_->Notify(this, token);
}

void ExpertForward::OnPassed(uint64_t token) {
  const size_t hidden = checkpoint_->config().hidden;
  for (size_t i = 0; i < order_.size(); ++i) {
    std::memcpy(rows_[order_[i]].output, output_.as<float>() + i * hidden, hidden * sizeof(float));
  }
  done_->OnPassed(token);
}

}  // namespace expertmesh
