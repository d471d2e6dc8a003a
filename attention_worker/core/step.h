// step.h: one step's way through the layers, as a state machine that never waits.
//
//   begin -> embed -> layer 0 ... -> head -> done
//   a dense layer:  attention, dense
//   an MoE layer:   attention, gate | host: dispatch | shared meanwhile | combine
//
// Work is put on the stream as far as it goes; the machine stands still only where the host must
// see something: the gate's choice, the experts' rows, the head's outputs.
#pragma once

#include <cstdint>
#include <vector>

#include "attention_worker/core/experts/dispatcher.h"
#include "attention_worker/core/layer_compute.h"

namespace expertmesh {

class StepMachine {
 public:
  // Both outlive it. Tokens given to LayerCompute::Notify start at `first_token` and ascend.
  StepMachine(LayerCompute* compute, Dispatcher* dispatcher, uint64_t first_token);

  // Starts a step of plan(); `lane` is its dispatches'.
  void Begin(Lane lane);
  StepPlan& plan() { return plan_; }

  // Rows that nobody waits for any more: their experts are not asked. May be called at any time.
  void Skip(int32_t row) { skip_[row] = 1; }

  void OnComputed(uint64_t token);
  // Goes on as far as possible; true when the step has just ended: outputs may be read.
  bool Advance(Time now);
  bool idle() const { return phase_ == Phase::kIdle; }

 private:
  enum class Phase { kIdle, kGate, kExperts, kHead };

  void RunLayersFrom(int32_t layer);  // until the host is needed
  void DispatchRows(Time now);
  void AskToBeTold();

  LayerCompute* compute_;
  Dispatcher* dispatcher_;
  StepPlan plan_;
  std::vector<uint8_t> skip_;
  Lane lane_ = Lane::kDecode;
  Phase phase_ = Phase::kIdle;
  int32_t layer_ = 0;
  uint64_t token_;         // the newest asked for
  bool computed_ = false;  // it has come
};

}  // namespace expertmesh
