#include "simulation/stub/layer_stub.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/check.h"

namespace expertmesh::simulation {
namespace {

StubRow Poison() {
  StubRow row;
  row.fill(std::numeric_limits<float>::quiet_NaN());
  return row;
}

ModelShape ShapeOf(const StubModel& model, int32_t block_rows, int32_t blocks) {
  ModelShape shape;
  shape.layers = model.layers;
  shape.grid = model.grid;
  shape.hidden = kStubHidden;
  shape.top_k = model.top_k;
  shape.positions_per_row = 30;  // so that depth matters to prompts that simulated users send
  shape.block_rows = block_rows;
  shape.blocks = blocks;
  return shape;
}

StubDraw DrawOf(const SamplingState* state) {
  StubDraw draw;
  if (state == nullptr) return draw;
  draw.temperature = state->params().temperature;
  draw.seed = state->seed();
  draw.choice = state->choice();
  draw.output_index = state->output_index();
  draw.masked.assign(state->masked().begin(), state->masked().end());
  for (size_t i = 0; i < state->seen_ids().size(); ++i) {
    draw.seen[state->seen_ids()[i]] = state->seen_counts()[i];
  }
  return draw;
}

}  // namespace

LayerStub::LayerStub(const StubModel& model, int32_t block_rows, int32_t blocks, ComputePace pace,
                     Process* process, std::function<void(uint64_t)> computed)
    : model_(model),
      shape_(ShapeOf(model, block_rows, blocks)),
      pace_(pace),
      process_(process),
      computed_(std::move(computed)),
      cache_(static_cast<size_t>(model.layers) * blocks * block_rows) {
  for (uint64_t& cell : cache_) cell = process->world().process_chance.Next();
}

void LayerStub::Load(uint64_t token) {
  World& world = process_->world();
  const Duration takes = world.process_chance.Between(pace_.load_least, pace_.load_most);
  world.events.After(takes, [process = process_, computed = computed_, token] {
    process->Post([computed, token] { computed(token); });
  });
}

// ---- what is put on the stream

void LayerStub::Begin(const StepPlan& plan) {
  plan_ = &plan;
  stream_.push_back([this] { RunBegin(); });
}
void LayerStub::Embed() {}  // with RunBegin
void LayerStub::Attention(int32_t layer) {
  stream_.push_back([this, layer] { RunAttention(layer); });
}
void LayerStub::Dense(int32_t layer) {
  stream_.push_back([this, layer] { RunDense(layer); });
}
void LayerStub::Gate(int32_t layer) {
  stream_.push_back([this, layer] { RunGate(layer); });
}
void LayerStub::Shared(int32_t layer) {
  stream_.push_back([this, layer] { RunShared(layer); });
}
void LayerStub::Combine(int32_t layer) {
  stream_.push_back([this, layer] { RunCombine(layer); });
}
void LayerStub::Head() {
  stream_.push_back([this] { RunHead(); });
}

void LayerStub::Notify(uint64_t token) {
  World& world = process_->world();
  const Duration takes = world.process_chance.Skewed(pace_.work_least, pace_.work_most);
  world.events.After(takes, [this, process = process_, token] {
    process->Post([this, token] {
      for (const Task& work : std::exchange(stream_, {})) work();
      computed_(token);
    });
  });
}

// ---- the work itself

uint64_t& LayerStub::Cell(int32_t layer, int32_t slot, int32_t position) {
  const int32_t index = slot * plan_->blocks_stride + position / shape_.block_rows;
  const int32_t block = plan_->blocks.at(index);
  CHECK(block >= 0 && block < shape_.blocks, "a block of the cache");
  const int32_t row = block * shape_.block_rows + position % shape_.block_rows;
  return cache_[static_cast<size_t>(layer) * shape_.blocks * shape_.block_rows + row];
}

void LayerStub::RunBegin() {
  for (const BlockCopy& copy : plan_->copies) {
    for (int32_t layer = 0; layer < shape_.layers; ++layer) {
      const auto block = [&](int32_t number) {
        return cache_.begin() +
               (static_cast<size_t>(layer) * shape_.blocks + number) * shape_.block_rows;
      };
      std::copy_n(block(copy.from), copy.rows, block(copy.to));
    }
  }
  x_.clear();
  for (int32_t token : plan_->tokens) x_.push_back(model_.Embed(token));
  h_.assign(x_.size(), Poison());
  shared_.assign(x_.size(), Poison());
  expert_rows_.assign(x_.size() * shape_.top_k, Poison());
  experts_.assign(x_.size() * shape_.top_k, -1);
  weights_.assign(x_.size() * shape_.top_k, 0);
  outputs_.clear();
}

void LayerStub::RunAttention(int32_t layer) {
  for (size_t r = 0; r < x_.size(); ++r) {
    Cell(layer, plan_->slots[r], plan_->positions[r]) = model_.Latent(layer, x_[r]);
  }
  for (size_t r = 0; r < x_.size(); ++r) {
    uint64_t folded = 0;
    for (int32_t position = 0; position <= plan_->positions[r]; ++position) {
      folded = model_.Fold(folded, Cell(layer, plan_->slots[r], position));
    }
    x_[r] = model_.Attend(layer, x_[r], folded);
    h_[r] = model_.Norm(layer, x_[r]);
  }
}

void LayerStub::RunDense(int32_t layer) {
  for (size_t r = 0; r < x_.size(); ++r) x_[r] = model_.Dense(layer, x_[r], h_[r]);
}

void LayerStub::RunGate(int32_t layer) {
  for (size_t r = 0; r < x_.size(); ++r) {
    const size_t first = r * shape_.top_k;
    model_.Choose(layer, h_[r], experts_.data() + first, weights_.data() + first);
  }
  expert_rows_.assign(expert_rows_.size(), Poison());
}

void LayerStub::RunShared(int32_t layer) {
  for (size_t r = 0; r < x_.size(); ++r) shared_[r] = model_.Shared(layer, h_[r]);
}

void LayerStub::RunCombine(int32_t layer) {
  for (size_t r = 0; r < x_.size(); ++r) {
    const size_t first = r * shape_.top_k;
    x_[r] = model_.Combine(x_[r], expert_rows_.data() + first, weights_.data() + first, shared_[r]);
  }
  h_.assign(h_.size(), Poison());
  shared_.assign(shared_.size(), Poison());
  expert_rows_.assign(expert_rows_.size(), Poison());
}

void LayerStub::RunHead() {
  for (const StepPlan::Output& wanted : plan_->outputs) {
    Output out;
    out.logprobs = model_.Logprobs(x_[wanted.row]);
    out.id = model_.Choose(out.logprobs, DrawOf(wanted.sampling));
    out.top = StubModel::Top(out.logprobs, wanted.top);
    outputs_.push_back(std::move(out));
  }
}

const std::byte* LayerStub::hidden_rows() const {
  return reinterpret_cast<const std::byte*>(h_.data());
}
std::byte* LayerStub::expert_rows() { return reinterpret_cast<std::byte*>(expert_rows_.data()); }

StepOutput LayerStub::output(size_t i) {
  const Output& out = outputs_.at(i);
  const StepPlan::Output& wanted = plan_->outputs[i];
  StepOutput output;
  output.id = out.id;
  output.logprob = out.logprobs[output.id];
  if (wanted.target >= 0) output.target_logprob = out.logprobs[wanted.target];
  output.top = out.top;
  return output;
}

}  // namespace expertmesh::simulation
