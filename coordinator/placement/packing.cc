#include "coordinator/placement/packing.h"

#include <algorithm>
#include <numeric>

#include "coordinator/placement/balance.h"
#include "coordinator/placement/improve.h"
#include "coordinator/placement/replicas.h"

namespace expertmesh {
namespace {

// A replica that is less than this part of a worker's mean load in the layer can be packed well.
constexpr double kHotShare = 0.25;
// Grouped packing is taken when it is as even as GoalOf, or less even than the other by this.
constexpr double kWorthOfGroups = 1.01;

constexpr int64_t kTries = 3;
constexpr int64_t kSmallLayer = 256;  // slots * experts
constexpr double kWorst = 1e300;

// How many copies a layer gets.
struct CopyRule {
  int64_t most = 0;
  double hot_share = 0;    // of the mean: what has less per copy gets no more copies
  int32_t favourite = -1;  // the expert that has two before any other has
};

struct Copy {
  Cell cell = 0;
  double share = 0;
};

class Packer {
 public:
  Packer(Board& board, const PlanOptions& options);
  void PackLayer(int32_t layer);

 private:
  using Placed = std::pair<int32_t, Cell>;  // seat, cell

  void DealMemory();
  void Begin(int32_t layer);
  void Clear();
  void Spread(std::vector<Copy> copies);
  void Pour(std::vector<Copy> copies);
  void DealRuns();
  void ChooseGrouped();
  bool Place(int32_t seat, const Copy& copy);
  int32_t Least(Cell cell) const;
  bool May(int32_t seat, Cell cell) const { return quota_[seat] > 0 && board_.CanAdd(seat, cell); }
  std::vector<Copy> Copies(const CopyRule& rule) const;
  void SpreadBest();
  std::vector<CopyRule> RulesToTry() const;
  bool BusiestHasOneCopy() const;
  std::vector<Placed> Placement() const;  // of this layer
  void Restore(const std::vector<Placed>& placement);
  void Even(double group_cost);

  Board& board_;
  const PlanOptions& options_;
  bool spare_ = false;                // there is memory for replicas
  std::vector<int32_t> layer_slots_;  // [layers][seats]
  std::vector<int64_t> dealt_;        // slots of the layers up to this one, per seat
  int32_t layer_ = 0;                 // the one being packed, and of it per seat:
  int64_t slots_ = 0;                 // at its beginning
  std::vector<int64_t> quota_;        // slots left
  std::vector<double> load_, total_;  // as it will be when all copies are placed
};

Packer::Packer(Board& board, const PlanOptions& options) : board_(board), options_(options) {
  DealMemory();
  total_.assign(board.seats(), 0);
  dealt_.assign(board.seats(), 0);
}

void Packer::DealMemory() {
  int64_t within_limits = 0;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (board_.seat(s).takes) within_limits += board_.seat(s).limit;
  }
  spare_ = within_limits > board_.cells();
  layer_slots_.assign(int64_t{board_.layers()} * board_.seats(), 0);
  int32_t layer = 0;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    const Seat& seat = board_.seat(s);
    if (!seat.takes) continue;
    const int64_t slots = within_limits >= board_.cells() ? seat.limit : seat.room;
    for (int64_t i = 0; i < slots; ++i) {
      ++layer_slots_[layer * board_.seats() + s];
      layer = (layer + 1) % board_.layers();
    }
  }
}

void Packer::Begin(int32_t layer) {
  layer_ = layer;
  quota_.assign(board_.seats(), 0);
  load_.assign(board_.seats(), 0);
  for (int32_t s = 0; s < board_.seats(); ++s) {
    quota_[s] = layer_slots_[layer * board_.seats() + s] -
                static_cast<int64_t>(board_.Items(layer, s).size());
    load_[s] = board_.LayerLoad(layer, s);
    total_[s] = board_.seat(s).total;
  }
  slots_ = std::accumulate(quota_.begin(), quota_.end(), int64_t{0});
}

void Packer::Clear() {
  for (int32_t s = 0; s < board_.seats(); ++s) {
    const absl::Span<const Cell> items = board_.Items(layer_, s);
    for (Cell cell : std::vector<Cell>(items.begin(), items.end())) {
      if (!board_.Pinned(s, cell)) board_.Remove(s, cell);
    }
  }
  Begin(layer_);
}

// What is to be placed in this layer, without what is there.
std::vector<Copy> Packer::Copies(const CopyRule& rule) const {
  const Cell first = layer_ * board_.experts();
  std::vector<double> loads(board_.experts());
  for (int32_t e = 0; e < board_.experts(); ++e) loads[e] = board_.load(first + e);
  const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) / board_.serving();
  ReplicaLimits limits;
  if (spare_ && (board_.knows_loads() || options_.spare_replicas)) {
    limits.slots = rule.most;
    limits.favourite = rule.favourite;
    limits.workers = board_.serving();
    limits.hot_share = options_.spare_replicas ? 0 : rule.hot_share * mean;
  }
  const std::vector<int32_t> counts = CountReplicas(loads, limits);
  std::vector<Copy> copies;
  for (int32_t e = 0; e < board_.experts(); ++e) {
    for (int32_t i = board_.Replicas(first + e); i < counts[e]; ++i) {
      copies.push_back({first + e, loads[e] / counts[e]});
    }
  }
  return copies;
}

bool Packer::Place(int32_t seat, const Copy& copy) {
  if (seat < 0 || !May(seat, copy.cell)) return false;
  board_.Add(seat, copy.cell);
  --quota_[seat];
  load_[seat] += copy.share;
  total_[seat] += copy.share;
  return true;
}

int32_t Packer::Least(Cell cell) const {
  int32_t least = -1;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (least >= 0 && std::pair(load_[s], total_[s]) >= std::pair(load_[least], total_[least])) {
      continue;
    }
    if (May(s, cell)) least = s;
  }
  return least;
}

void Packer::Spread(std::vector<Copy> copies) {
  std::stable_sort(copies.begin(), copies.end(),
                   [](const Copy& a, const Copy& b) { return a.share > b.share; });
  for (const Copy& copy : copies) Place(Least(copy.cell), copy);
}

// Group by group, worker by worker, each up to its part of the whole.
void Packer::Pour(std::vector<Copy> copies) {
  std::stable_sort(copies.begin(), copies.end(), [&](const Copy& a, const Copy& b) {
    const int32_t group_a = board_.GroupOf(a.cell), group_b = board_.GroupOf(b.cell);
    return group_a != group_b ? group_a < group_b : a.share > b.share;
  });
  std::vector<int32_t> line;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    if (quota_[s] > 0 && board_.seat(s).takes) line.push_back(s);
  }
  std::stable_sort(line.begin(), line.end(),
                   [&](int32_t a, int32_t b) { return total_[a] < total_[b]; });
  double all = 0, poured = 0;
  for (const Copy& copy : copies) all += copy.share;
  const double part = all / std::max<size_t>(line.size(), 1);
  std::vector<Copy> rest;
  size_t at = 0;
  for (const Copy& copy : copies) {
    while (at + 1 < line.size() &&
           (poured + copy.share / 2 > part * (at + 1) || quota_[line[at]] == 0)) {
      ++at;
    }
    if (line.empty() || !Place(line[at], copy)) rest.push_back(copy);
    poured += copy.share;
  }
  Spread(std::move(rest));
}

// Who gets how many stays; which ones is the same to a layer of equals.
void Packer::DealRuns() {
  std::vector<int64_t> counts(board_.seats(), 0);
  for (int32_t s = 0; s < board_.seats(); ++s) {
    for (Cell cell : board_.Items(layer_, s)) counts[s] += !board_.Pinned(s, cell);
  }
  Clear();
  std::vector<Copy> copies = Copies({slots_, kHotShare, -1});
  auto next = copies.begin();
  for (int32_t s = 0; s < board_.seats(); ++s) {
    for (; counts[s] > 0 && next != copies.end(); --counts[s]) Place(s, *next++);
  }
}

// More copies are not always more even, nor are they best for the hottest alone: the heaviest first
// is a good rule, not the best. So a few numbers of copies are tried, and in small layers a second
// copy for each expert in turn.
void Packer::SpreadBest() {
  std::vector<Placed> best;
  double best_level = kWorst;
  for (const CopyRule& rule : RulesToTry()) {
    Clear();
    Spread(Copies(rule));
    Even(0);
    const double level = board_.LayerLevel(layer_);
    const bool greedy = rule.most == slots_ && rule.hot_share == 0 && rule.favourite < 0;
    if (level <= GoalOf(board_) || (greedy && BusiestHasOneCopy())) return;
    if (level >= best_level) continue;
    best_level = level;
    best = Placement();
  }
  Restore(best);
}

std::vector<CopyRule> Packer::RulesToTry() const {
  const int64_t least = std::min<int64_t>(board_.experts(), slots_);
  const bool small = slots_ * board_.experts() <= kSmallLayer;
  const int64_t stride = small ? 1 : std::max<int64_t>((slots_ - least) / kTries, 1);
  const int32_t favourites = small ? board_.experts() : 0;
  std::vector<CopyRule> rules = {{slots_, kHotShare, -1}};
  for (int64_t most = slots_; most >= least; most -= stride) {
    for (int32_t favourite = -1; favourite < favourites; ++favourite) {
      rules.push_back({most, 0, favourite});
    }
  }
  return rules;
}

std::vector<Packer::Placed> Packer::Placement() const {
  std::vector<Placed> placement;
  for (int32_t s = 0; s < board_.seats(); ++s) {
    for (Cell cell : board_.Items(layer_, s)) {
      if (!board_.Pinned(s, cell)) placement.emplace_back(s, cell);
    }
  }
  return placement;
}

void Packer::Restore(const std::vector<Placed>& placement) {
  Clear();
  for (const auto& [seat, cell] : placement) board_.Add(seat, cell);
}

// One copy of the hottest expert and nothing else: only more copies could help.
bool Packer::BusiestHasOneCopy() const {
  const Cell first = layer_ * board_.experts();
  double share = 0;
  for (Cell cell = first; cell < first + board_.experts(); ++cell) {
    if (board_.Replicas(cell) > 0) share = std::max(share, board_.Share(cell));
  }
  return board_.LayerLevel(layer_) * board_.LayerMean(layer_) <= share * (1 + 1e-9);
}

void Packer::Even(double group_cost) {
  ImproveOptions options;
  options.score = {GoalOf(board_), 0, group_cost};
  Improver(board_, options).EvenLayer(layer_);
}

void Packer::ChooseGrouped() {
  const double apart = board_.LayerLevel(layer_);
  const std::vector<Placed> placement = Placement();
  Clear();
  Pour(Copies({slots_, kHotShare, -1}));
  Even(0.001);
  const double grouped = board_.LayerLevel(layer_);
  if (grouped <= std::max(GoalOf(board_), kWorthOfGroups * apart)) return;
  Restore(placement);
}

void Packer::PackLayer(int32_t layer) {
  for (int32_t s = 0; s < board_.seats(); ++s) {
    // What is left over here may be used later, but nothing of what later layers need.
    dealt_[s] += layer_slots_[layer * board_.seats() + s];
    board_.SetLimit(s, dealt_[s]);
  }
  Begin(layer);
  if (!board_.knows_loads() && !options_.spare_replicas) {
    Spread(Copies({slots_, kHotShare, -1}));
    return DealRuns();
  }
  SpreadBest();
  if (board_.groups() > 1) ChooseGrouped();
}

}  // namespace

void PackAll(Board& board, const PlanOptions& options) {
  std::vector<int64_t> limits;
  for (int32_t s = 0; s < board.seats(); ++s) limits.push_back(board.seat(s).limit);
  Packer packer(board, options);
  for (int32_t layer = 0; layer < board.layers(); ++layer) packer.PackLayer(layer);
  for (int32_t s = 0; s < board.seats(); ++s) {
    board.SetLimit(s, std::max(limits[s], board.seat(s).held));
  }
}

}  // namespace expertmesh
