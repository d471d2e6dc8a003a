#include "tests/golden/model_runner.h"

#include <vector>

#include "common/status.h"
#include "kernels/classes.h"

namespace expertmesh {

void ModelRunner::Done::OnPassed(uint64_t token) {
  MutexLock lock(mutex_);
  last_ = token;
  changed_.notify_all();
}

void ModelRunner::Done::Wait(uint64_t token) {
  MutexLock lock(mutex_);
  while (last_ != token) changed_.wait(lock.native());
}

absl::StatusOr<std::unique_ptr<ModelRunner>> ModelRunner::Open(const std::string& checkpoint) {
  auto runner = std::unique_ptr<ModelRunner>(new ModelRunner);
  ASSIGN_OR_RETURN(runner->checkpoint_, Checkpoint::Open(checkpoint));
  runner->device_ = std::make_unique<CpuDevice>(CpuDeviceOptions{.threads = 1});
  ASSIGN_OR_RETURN(runner->kernels_, OpenClass(kCpuF32, *runner->device_));
  const Checkpoint* model = runner->checkpoint_.get();
  ForwardOptions options;
  options.max_context = 512;
  options.cache_tokens = 512;
  ASSIGN_OR_RETURN(runner->attention_, Forward::Create(model, options, runner->kernels_.get(),
                                                       runner->device_.get(), &runner->done_));
  ExpertForwardOptions expert_options;
  expert_options.max_pass_rows = options.max_step_rows * model->config().top_k;
  ASSIGN_OR_RETURN(runner->experts_,
                   ExpertForward::Create(model, expert_options, runner->kernels_.get(),
                                         runner->device_.get(), &runner->done_));
  runner->attention_->Load(runner->next_token_);
  runner->done_.Wait(runner->next_token_++);
  RETURN_IF_ERROR(runner->attention_->FinishLoad());
  runner->experts_->Load(ExpertSet::Full(GridOf(model->config())), runner->next_token_);
  runner->done_.Wait(runner->next_token_++);
  RETURN_IF_ERROR(runner->experts_->FinishLoad());
  return runner;
}

void ModelRunner::Run(const StepPlan& plan, const LayerProbe& on_layer, const GateProbe& on_gate) {
  attention_->Begin(plan);
  attention_->Embed();
  if (on_layer) on_layer(-1, attention_->ResidualForTest());
  for (int32_t layer = 0; layer < attention_->shape().layers; ++layer) {
    attention_->Attention(layer);
    if (config().is_moe(layer)) {
      attention_->Gate(layer);
      attention_->Notify(next_token_);
      done_.Wait(next_token_++);
      if (on_gate) on_gate(layer, attention_->chosen_experts());
      RunExperts(layer, plan);
      attention_->Shared(layer);
      attention_->Combine(layer);
    } else {
      attention_->Dense(layer);
    }
    if (on_layer) on_layer(layer, attention_->ResidualForTest());
  }
  attention_->Head();
  attention_->Notify(next_token_);
  done_.Wait(next_token_++);
}

void ModelRunner::RunExperts(int32_t layer, const StepPlan& plan) {
  const size_t row_bytes = config().hidden * sizeof(float);
  const int64_t top_k = config().top_k;
  std::vector<PassRow> rows;
  for (int64_t slot = 0; slot < plan.rows() * top_k; ++slot) {
    rows.push_back({attention_->hidden_rows() + slot / top_k * row_bytes,
                    attention_->chosen_experts()[slot],
                    attention_->expert_rows() + slot * row_bytes});
  }
  experts_->Run(layer, rows, next_token_);
  done_.Wait(next_token_++);
}

}  // namespace expertmesh
