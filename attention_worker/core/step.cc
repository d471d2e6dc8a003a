#include "attention_worker/core/step.h"

#include "common/check.h"

namespace expertmesh {

StepMachine::StepMachine(LayerCompute* compute, Dispatcher* dispatcher, uint64_t first_token)
    : compute_(compute), dispatcher_(dispatcher), token_(first_token) {}

void StepMachine::Begin(Lane lane) {
  CHECK(idle(), "one step at a time");
  lane_ = lane;
  skip_.assign(plan_.rows(), 0);
  compute_->Begin(plan_);
  compute_->Embed();
  RunLayersFrom(0);
}

void StepMachine::RunLayersFrom(int32_t layer) {
  const ModelShape& shape = compute_->shape();
  for (; layer < shape.layers; ++layer) {
    compute_->Attention(layer);
    if (shape.grid.layers > 0 && layer >= shape.grid.first_layer) {
      compute_->Gate(layer);
      layer_ = layer;
      phase_ = Phase::kGate;
      return AskToBeTold();
    }
    compute_->Dense(layer);
  }
  compute_->Head();
  phase_ = Phase::kHead;
  AskToBeTold();
}

void StepMachine::AskToBeTold() {
  computed_ = false;
  compute_->Notify(++token_);
}

void StepMachine::OnComputed(uint64_t token) { computed_ |= token == token_; }

bool StepMachine::Advance(Time now) {
  if (phase_ == Phase::kGate && computed_) DispatchRows(now);
  if (phase_ == Phase::kExperts && !dispatcher_->busy()) {
    compute_->Combine(layer_);
    RunLayersFrom(layer_ + 1);
  }
  if (phase_ == Phase::kHead && computed_) {
    phase_ = Phase::kIdle;
    return true;
  }
  return false;
}

void StepMachine::DispatchRows(Time now) {
  LayerRows rows;
  rows.layer = layer_;
  rows.lane = lane_;
  rows.rows = plan_.rows();
  rows.experts = compute_->chosen_experts();
  rows.hidden = compute_->hidden_rows();
  rows.slots = compute_->expert_rows();
  rows.skip = skip_;
  phase_ = Phase::kExperts;
  dispatcher_->Dispatch(rows, now);
  compute_->Shared(layer_);
}

}  // namespace expertmesh
