#include "attention_worker/compute/forward/forward.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "generation/request.h"
#include "model/cost.h"
#include "model/rope.h"

namespace expertmesh {
namespace {

constexpr float kLatentNormEps = 1e-6f;  // of the two norms inside attention, whatever the config

bool AllFinite(const Buffer& values, int64_t count) {
  return std::all_of(values.as<float>(), values.as<float>() + count,
                     [](float value) { return std::isfinite(value); });
}

// The spans point into the sequence's state, which stays as it is until the step is over.
SampleRow SampleRowOf(const StepPlan::Output& output) {
  SampleRow row{.target = output.target, .top = output.top};
  if (output.sampling == nullptr) return row;
  const SamplingState& state = *output.sampling;
  const SamplingParams& params = state.params();
  row.temperature = params.temperature;
  row.top_k = params.top_k;
  row.top_p = params.top_p;
  row.min_p = params.min_p;
  row.repetition_penalty = params.repetition_penalty;
  row.presence_penalty = params.presence_penalty;
  row.frequency_penalty = params.frequency_penalty;
  row.restricted = params.allowed_token_ids.has_value();
  if (row.restricted) row.allowed = *params.allowed_token_ids;
  row.bias_ids = state.bias_ids();
  row.biases = state.biases();
  row.seen_ids = state.seen_ids();
  row.seen_counts = state.seen_counts();
  row.masked = state.masked();
  row.seed = state.seed();
  row.choice = state.choice();
  row.output_index = state.output_index();
  return row;
}

}  // namespace

// ---- start

absl::StatusOr<std::unique_ptr<Forward>> Forward::Create(const Checkpoint* checkpoint,
                                                         ForwardOptions options,
                                                         const Kernels* kernels, Device* device,
                                                         Notifier* done) {
  const int64_t experts = checkpoint->config().routed_experts;
  if (checkpoint->config().moe_layers() > 0 && experts > GateArgs::kExpertsMax) {
    return absl::InvalidArgumentError(absl::StrCat("config.json: field n_routed_experts: found ",
                                                   experts, ", expected at most ",
                                                   GateArgs::kExpertsMax, ", as gates take"));
  }
  auto forward = std::unique_ptr<Forward>(new Forward(checkpoint, options, kernels, device, done));
  RETURN_IF_ERROR(forward->Allocate());
  return forward;
}

Forward::Forward(const Checkpoint* checkpoint, ForwardOptions options, const Kernels* kernels,
                 Device* device, Notifier* done)
    : checkpoint_(checkpoint),
      config_(checkpoint->config()),
      options_(options),
      kernels_(kernels),
      device_(device),
      done_(done),
      rope_table_(RopeTable(config_, options.max_context)),
      softmax_scale_(SoftmaxScale(config_)),
      stream_(device->NewStream()) {
  shape_.layers = static_cast<int32_t>(config_.layers);
  if (config_.moe_layers() > 0) {
    shape_.grid = {static_cast<int32_t>(config_.first_moe_layer),
                   static_cast<int32_t>(config_.moe_layers()),
                   static_cast<int32_t>(config_.routed_experts)};
  }
  shape_.hidden = static_cast<int32_t>(config_.hidden);
  shape_.top_k = static_cast<int32_t>(config_.top_k);
  shape_.block_rows = kLatentBlockRows;
  const RowCost cost = CostOfRow(config_);
  shape_.positions_per_row = std::max<int64_t>(1, cost.weights / cost.per_position);
  shape_.blocks =
      static_cast<int32_t>((options.cache_tokens + kLatentBlockRows - 1) / kLatentBlockRows);
}

Forward::~Forward() {
  cancelled_ = true;
  if (loader_.joinable()) loader_.join();
}

absl::Status Forward::Allocate() {
  shape_.token_bytes = static_cast<int64_t>(shape_.layers) * config_.latent_width() * sizeof(float);
  const size_t cache_floats = static_cast<size_t>(shape_.layers) * shape_.blocks *
                              kLatentBlockRows * config_.latent_width();
  absl::StatusOr<Buffer> cache = device_->Allocate(cache_floats * sizeof(float));
  if (!cache.ok()) return Annotate(cache.status(), "latent cache (--cache-tokens)");
  cache_ = *std::move(cache);
  return Annotate(AllocateActivations(), "activations (--max-step-rows)");
}

absl::Status Forward::AllocateActivations() {
  const ModelConfig& c = config_;
  const int64_t rows = options_.max_step_rows;
  const int64_t intermediate =
      std::max({c.dense_intermediate, int64_t{1}, c.shared_experts * c.expert_intermediate});
  const struct {
    Buffer* buffer;
    int64_t elements;
  } wanted[] = {
      {&residual_, rows * c.hidden},
      {&normed_, rows * c.hidden},
      {&query_low_, rows * c.q_lora_rank},
      {&query_, rows * c.heads * c.query_dim()},
      {&latent_, rows * c.latent_width()},
      {&absorbed_, rows * c.heads * c.latent_width()},
      {&mixed_, rows * c.heads * c.kv_lora_rank},
      {&values_, rows * c.heads * c.v_dim},
      {&branch_, rows * c.hidden},
      {&ffn_gate_, rows * intermediate},
      {&ffn_up_, rows * intermediate},
      {&router_logits_, rows * c.routed_experts},
      {&chosen_, rows * c.top_k},
      {&gate_weights_, rows * c.top_k},
      {&expert_rows_, rows * c.top_k * c.hidden},
      {&head_in_, rows * c.hidden},
      {&logits_, kHeadRows * c.vocabulary},
      {&scaled_logits_, kHeadRows * c.vocabulary},
      {&candidates_, kHeadRows * c.vocabulary * 2},
      {&out_ids_, rows},
      {&out_logprobs_, rows},
      {&out_targets_, rows},
      {&out_top_, rows * kMaxTopLogprobs * 2},
      {&class_logits_, rows * static_cast<int64_t>(c.labels.size())},
  };
  for (const auto& want : wanted) {
    ASSIGN_OR_RETURN(*want.buffer, device_->Allocate(want.elements * sizeof(float)));
  }
  sample_rows_.reserve(rows);
  return absl::OkStatus();
}

// ---- load

void Forward::Load(uint64_t token) {
  wanted_bytes_ = AttentionMatrixBytes(*checkpoint_);
  loader_ = std::thread([this, token] {
    SetFloatingPointMode();
    load_result_ = LoadAndTest();
    done_->OnPassed(token);
  });
}

absl::Status Forward::LoadAndTest() {
  ASSIGN_OR_RETURN(weights_, LoadAttentionWeights(*checkpoint_, options_.widen, *device_,
                                                  &loaded_bytes_, cancelled_));
  return SelfTest();
}

// One token through every layer but the routed experts: finds weights that are not numbers before a
// request does.
absl::Status Forward::SelfTest() {
  StepPlan plan;
  plan.tokens = {0};
  plan.positions = {0};
  plan.slots = {0};
  plan.blocks = {0};
  plan.blocks_stride = 1;
  using Wanted = StepPlan::Output::Wanted;
  const bool classifies = config_.architecture == Architecture::kSequenceClassification;
  const Wanted other = classifies ? Wanted::kClasses : Wanted::kHidden;
  plan.outputs = {{.row = 0, .wanted = config_.has_lm_head() ? Wanted::kToken : other}};
  Begin(plan);
  Embed();
  for (int32_t layer = 0; layer < shape_.layers; ++layer) {
    Attention(layer);
    if (config_.is_moe(layer)) {
      Gate(layer);
      Shared(layer);
    } else {
      Dense(layer);
    }
    stream_->Synchronize();
    const bool finite =
        AllFinite(residual_, config_.hidden) && AllFinite(branch_, config_.hidden) &&
        (!config_.is_moe(layer) || AllFinite(router_logits_, config_.routed_experts));
    if (finite) continue;
    return absl::DataLossError(
        absl::StrCat("self-test: layer ", layer, " gives a value that is not finite"));
  }
  Head();
  stream_->Synchronize();
  const StepOutput output = this->output(0);
  const bool finite = std::isfinite(output.logprob) &&
                      std::all_of(output.values.begin(), output.values.end(),
                                  [](float value) { return std::isfinite(value); });
  plan_ = nullptr;
  if (finite) return absl::OkStatus();
  return absl::DataLossError("self-test: the head gives a value that is not finite");
}

absl::Status Forward::FinishLoad() {
  loader_.join();
  return load_result_;
}

void Forward::LoadProgress(uint64_t* loaded, uint64_t* wanted) const {
  *loaded = loaded_bytes_;
  *wanted = wanted_bytes_;
}

// ---- a step

void Forward::Begin(const StepPlan& plan) {
  CHECK(plan.rows() <= options_.max_step_rows, "the scheduler keeps to the row budget");
  plan_ = &plan;
  sample_rows_.clear();
  top_stride_ = 0;
  for (const StepPlan::Output& output : plan.outputs) {
    sample_rows_.push_back(SampleRowOf(output));
    top_stride_ = std::max(top_stride_, output.top);
  }
  copies_.clear();
  for (const BlockCopy& copy : plan.copies) copies_.push_back({copy.from, copy.to, copy.rows});
  for (int32_t layer = 0; layer < shape_.layers && !copies_.empty(); ++layer) {
    kernels_->CopyLatents(*stream_, copies_, CacheOf(layer));
  }
}

Matrix Forward::View(const Buffer& buffer, int64_t cols) const {
  return F32Matrix(buffer.as<float>(), plan_->rows(), cols);
}

RowTable Forward::Rows() const {
  return {plan_->positions, plan_->slots, plan_->blocks.data(), plan_->blocks_stride};
}

LatentCache Forward::CacheOf(int32_t layer) const {
  const size_t layer_floats =
      static_cast<size_t>(shape_.blocks) * kLatentBlockRows * config_.latent_width();
  return {cache_.as<float>() + layer * layer_floats, kLatentBlockRows, config_.latent_width()};
}

void Forward::Embed() {
  kernels_->Embed(*stream_, plan_->tokens, weights_.embedding, View(residual_, config_.hidden));
}

// Absorbed multi-head latent attention (DeepSeek-V2, section 2.1 and appendix C):
//   q = query(norm(x)), per head [nope | rope];  c, k_rope = kv_a(norm(x));  c = norm(c)
//   cache <- [c | rotated k_rope];  q' = [key_up' q_nope | rotated q_rope]
//   z = softmax(scale * q' . cache) . c;  x += output(value_up z);  h = norm(x)
void Forward::Attention(int32_t layer) {
  const ModelConfig& c = config_;
  const LayerWeights& w = weights_.layers[layer];
  const int64_t dc = c.kv_lora_rank, dn = c.qk_nope_dim, dr = c.qk_rope_dim;
  const float eps = static_cast<float>(c.rms_eps);
  Matrix x = View(residual_, c.hidden), h = View(normed_, c.hidden);
  Matrix query = View(query_, c.heads * c.query_dim());
  Matrix latent = View(latent_, c.latent_width());
  Matrix absorbed = View(absorbed_, c.heads * c.latent_width());
  Matrix mixed = View(mixed_, c.heads * dc);
  Matrix values = View(values_, c.heads * c.v_dim);
  Matrix branch = View(branch_, c.hidden);

  kernels_->RmsNorm(*stream_, x, w.input_norm, eps, h);
  if (c.q_lora_rank == 0) {
    kernels_->Linear(*stream_, h, w.query, query);
  } else {
    Matrix low = View(query_low_, c.q_lora_rank);
    kernels_->Linear(*stream_, h, w.query_a, low);
    if (c.attention_bias) kernels_->AddBias(*stream_, w.query_a_bias, low);
    kernels_->RmsNorm(*stream_, low, w.query_a_norm, kLatentNormEps, low);
    kernels_->Linear(*stream_, low, w.query_b, query);
  }

  kernels_->Linear(*stream_, h, w.kv_a, latent);
  if (c.attention_bias) kernels_->AddBias(*stream_, w.kv_a_bias, latent);
  kernels_->RmsNorm(*stream_, latent.Columns(0, dc), w.kv_a_norm, kLatentNormEps,
                    latent.Columns(0, dc));
  kernels_->Rope(*stream_, latent.Columns(dc, dr), /*heads=*/1, dr, dr, plan_->positions,
                 rope_table_.data(), latent.Columns(dc, dr), dr);
  kernels_->StoreLatent(*stream_, latent, Rows(), CacheOf(layer));

  kernels_->HeadLinear(*stream_, query, c.query_dim(), w.key_up, c.heads, absorbed,
                       c.latent_width());
  kernels_->Rope(*stream_, query.Columns(dn, query.cols - dn), c.heads, c.query_dim(), dr,
                 plan_->positions, rope_table_.data(), absorbed.Columns(dc, absorbed.cols - dc),
                 c.latent_width());

  AttentionArgs args;
  args.query = absorbed;
  args.rows = Rows();
  args.cache = CacheOf(layer);
  args.heads = c.heads;
  args.latent = dc;
  args.split = AttentionSplit(c.heads);
  args.scale = softmax_scale_;
  args.out = mixed;
  kernels_->Attention(*stream_, args);
  kernels_->HeadLinear(*stream_, mixed, dc, w.value_up, c.heads, values, c.v_dim);
  kernels_->Linear(*stream_, values, w.output, branch);
  if (c.attention_bias) kernels_->AddBias(*stream_, w.output_bias, branch);
  kernels_->Add(*stream_, branch, x);
  kernels_->RmsNorm(*stream_, x, w.post_attention_norm, eps, h);
}

void Forward::Ffn(const FfnWeights& weights, ConstMatrix x, Matrix y) {
  Matrix gate = View(ffn_gate_, weights.gate.n), up = View(ffn_up_, weights.up.n);
  kernels_->Linear(*stream_, x, weights.gate, gate);
  kernels_->Linear(*stream_, x, weights.up, up);
  kernels_->SwiGlu(*stream_, gate, up, gate);
  kernels_->Linear(*stream_, gate, weights.down, y);
}

void Forward::Dense(int32_t layer) {
  Matrix branch = View(branch_, config_.hidden);
  Ffn(weights_.layers[layer].dense, View(normed_, config_.hidden), branch);
  kernels_->Add(*stream_, branch, View(residual_, config_.hidden));
}

void Forward::Gate(int32_t layer) {
  const ModelConfig& c = config_;
  Matrix logits = View(router_logits_, c.routed_experts);
  kernels_->Linear(*stream_, View(normed_, c.hidden), weights_.layers[layer].router, logits);
  GateArgs args;
  args.logits = logits;
  args.groups = c.groups;
  args.groups_kept = c.groups_kept;
  args.bias = weights_.layers[layer].router_bias;
  args.renormalise = c.renormalise_gate;
  args.top_k = c.top_k;
  args.scaling = static_cast<float>(c.routed_scaling);
  args.experts = chosen_.as<int32_t>();
  args.weights = gate_weights_.as<float>();
  kernels_->Gate(*stream_, args);
}

void Forward::Shared(int32_t layer) {
  if (config_.shared_experts == 0) return;
  Ffn(weights_.layers[layer].shared, View(normed_, config_.hidden), View(branch_, config_.hidden));
}

void Forward::Combine(int32_t layer) {
  const ModelConfig& c = config_;
  const int64_t rows = plan_->rows();
  const ConstMatrix experts = F32Matrix(expert_rows_.as<const float>(), rows * c.top_k, c.hidden);
  const ConstMatrix shared = c.shared_experts == 0 ? ConstMatrix() : View(branch_, c.hidden);
  kernels_->Combine(*stream_, experts, gate_weights_.as<float>(), c.top_k, shared,
                    View(residual_, c.hidden));
}

// The outputs by what is wanted of them, run by run.
void Forward::Head() {
  using Wanted = StepPlan::Output::Wanted;
  NormOutputs();
  const auto& outputs = plan_->outputs;
  const int64_t count = static_cast<int64_t>(outputs.size());
  for (int64_t first = 0; first < count;) {
    int64_t end = first + 1;
    while (end < count && outputs[end].wanted == outputs[first].wanted) ++end;
    if (outputs[first].wanted == Wanted::kToken) {
      HeadTokens(first, end - first);
    } else if (outputs[first].wanted == Wanted::kClasses) {
      const int64_t labels = weights_.score.n;
      const Matrix in = F32Matrix(head_in_.as<float>(), count, config_.hidden);
      const Matrix out = F32Matrix(class_logits_.as<float>(), count, labels);
      kernels_->Linear(*stream_, in.Rows(first, end - first), weights_.score,
                       out.Rows(first, end - first));
    }
    first = end;
  }
}

// The rows wanted come in runs of neighbours; each run is normed into its place among the outputs.
void Forward::NormOutputs() {
  const auto& outputs = plan_->outputs;
  const int64_t count = static_cast<int64_t>(outputs.size());
  const Matrix in = F32Matrix(head_in_.as<float>(), count, config_.hidden);
  const float eps = static_cast<float>(config_.rms_eps);
  for (int64_t first = 0; first < count;) {
    int64_t end = first + 1;
    while (end < count && outputs[end].row == outputs[first].row + (end - first)) ++end;
    kernels_->RmsNorm(*stream_,
                      View(residual_, config_.hidden).Rows(outputs[first].row, end - first),
                      weights_.final_norm, eps, in.Rows(first, end - first));
    first = end;
  }
}

void Forward::HeadTokens(int64_t first, int64_t count) {
  const ModelConfig& c = config_;
  const Matrix in = F32Matrix(head_in_.as<float>(), first + count, c.hidden);
  for (const int64_t end = first + count; first < end; first += kHeadRows) {
    const int64_t n = std::min<int64_t>(kHeadRows, end - first);
    const Matrix logits = F32Matrix(logits_.as<float>(), n, c.vocabulary);
    kernels_->Linear(*stream_, in.Rows(first, n), weights_.head, logits);
    SampleArgs args;
    args.logits = logits;
    args.rows = absl::MakeConstSpan(sample_rows_).subspan(first, n);
    args.top_stride = top_stride_;
    args.ids = out_ids_.as<int32_t>() + first;
    args.logprobs = out_logprobs_.as<float>() + first;
    args.target_logprobs = out_targets_.as<float>() + first;
    args.top = out_top_.as<TopLogit>() + first * top_stride_;
    args.scaled = scaled_logits_.as<float>();
    args.order = candidates_.as<uint64_t>();
    kernels_->Sample(*stream_, args);
  }
}

// ---- what the host reads and fills

absl::Span<const int32_t> Forward::chosen_experts() const {
  return {chosen_.as<const int32_t>(), static_cast<size_t>(plan_->rows() * config_.top_k)};
}

const std::byte* Forward::hidden_rows() const { return normed_.data(); }

std::byte* Forward::expert_rows() { return expert_rows_.data(); }

StepOutput Forward::output(size_t i) {
  using Wanted = StepPlan::Output::Wanted;
  const Wanted wanted = plan_->outputs[i].wanted;
  if (wanted != Wanted::kToken) {
    const bool hidden = wanted == Wanted::kHidden;
    const size_t width = static_cast<size_t>(hidden ? config_.hidden : weights_.score.n);
    const Buffer& rows = hidden ? head_in_ : class_logits_;
    return {.values = {rows.as<const float>() + i * width, width}};
  }
  const TopLogit* top = out_top_.as<const TopLogit>() + i * top_stride_;
  top_.clear();
  for (int32_t k = 0; k < plan_->outputs[i].top; ++k) top_.push_back({top[k].id, top[k].logprob});
  return {out_ids_.as<int32_t>()[i],
          out_logprobs_.as<float>()[i],
          out_targets_.as<float>()[i],
          top_,
          {}};
}

ConstMatrix Forward::ResidualForTest() {
  stream_->Synchronize();
  return View(residual_, config_.hidden);
}

ConstMatrix Forward::LogitsForTest() {
  stream_->Synchronize();
  const int64_t count = static_cast<int64_t>(plan_->outputs.size());
  const int64_t last = count % kHeadRows == 0 ? kHeadRows : count % kHeadRows;
  return F32Matrix(logits_.as<const float>(), std::min(count, last), config_.vocabulary);
}

}  // namespace expertmesh
