#include "cli/inspect/inspection.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "common/status.h"
#include "coordinator/text/checkpoint_text.h"

namespace expertmesh {
namespace {

constexpr int64_t kWorkersMost = 256;

// Whether any of the folder's names, even a dangling link's, looks like weights: then they have to
// be in order.
bool HasWeights(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (absl::StrContains(entry.path().filename().string(), ".safetensors")) return true;
  }
  return false;
}

}  // namespace

uint64_t Inspection::attention_weight_bytes() const {
  return holdings.packed.total() - holdings.packed.of(TensorRole::kRoutedExperts);
}

uint64_t Inspection::cache_bytes_per_token() const {
  return static_cast<uint64_t>(LatentElementsPerToken(config)) * sizeof(float);
}

std::vector<ExpertShare> ExpertShares(const Inspection& inspection) {
  std::vector<ExpertShare> shares;
  const int64_t experts = inspection.census.routed_experts;
  const RoleBytes& packed = inspection.holdings.packed;
  for (int64_t workers = 1; workers <= std::min(experts, kWorkersMost); workers *= 2) {
    const int64_t most = (experts + workers - 1) / workers;
    const uint64_t bytes = static_cast<uint64_t>(most) * packed.expert;
    shares.push_back({workers, most, std::min(bytes, packed.of(TensorRole::kRoutedExperts))});
  }
  return shares;
}

absl::StatusOr<Inspection> Inspect(const std::string& folder) {
  Inspection inspection;
  inspection.folder = folder;
  ASSIGN_OR_RETURN(inspection.config, Checkpoint::ReadConfig(folder));
  ASSIGN_OR_RETURN(inspection.census, CountParameters(inspection.config));
  inspection.has_weights = HasWeights(folder);
  if (inspection.has_weights) {
    ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(folder));
    inspection.holdings = HoldingsOf(*checkpoint);
    inspection.files = checkpoint->files();
  } else {
    inspection.holdings = AssumedHoldings(inspection.config);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const TextModel> text, OpenTextModel(folder, ""));
  inspection.has_tokenizer = text->has_text();
  inspection.has_chat_template = text->has_chat();
  return inspection;
}

}  // namespace expertmesh
