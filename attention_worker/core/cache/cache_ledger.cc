#include "attention_worker/core/cache/cache_ledger.h"

#include "absl/strings/str_cat.h"

namespace expertmesh {

CacheLedger::CacheLedger(int32_t blocks, int32_t block_rows)
    : block_rows_(block_rows), pool_(blocks), prefixes_(&pool_, block_rows) {}

int32_t CacheLedger::BlocksFor(int32_t positions) const {
  return (positions + block_rows_ - 1) / block_rows_;
}

void CacheLedger::Reuse(const std::string& salt, absl::Span<const int32_t> tokens, bool tail,
                        CacheHolding& holding) {
  const PrefixMatch match = prefixes_.Find(salt, tokens);
  for (int32_t block : match.blocks) pool_.Share(block);
  holding.blocks = match.blocks;
  holding.cached = static_cast<int32_t>(match.blocks.size()) * block_rows_;
  if (!tail || match.tail < 0) return;
  pool_.Share(match.tail);  // so that making room does not give it up
  if (!Grow(holding, holding.cached + match.tail_rows)) return pool_.Give(match.tail);
  holding.copy = BlockCopy{match.tail, holding.blocks.back(), match.tail_rows};
  holding.cached += match.tail_rows;
}

void CacheLedger::TakeCopy(CacheHolding& holding, std::vector<BlockCopy>& copies) {
  if (!holding.copy.has_value()) return;
  sources_.push_back(holding.copy->from);
  copies.push_back(*holding.copy);
  holding.copy.reset();
}

void CacheLedger::CopiesMade() { pool_.Give(sources_); }

CacheLedger::Found CacheLedger::Look(const std::string& salt, absl::Span<const int32_t> tokens) {
  const PrefixMatch match = prefixes_.Find(salt, tokens, /*use=*/false);
  Found found;
  found.positions = static_cast<int32_t>(match.blocks.size()) * block_rows_ + match.tail_rows;
  for (int32_t block : match.blocks) found.used_blocks += pool_.idle(block) ? 0 : 1;
  return found;
}

bool CacheLedger::Grow(CacheHolding& holding, int32_t positions) {
  const int32_t more = BlocksFor(positions) - static_cast<int32_t>(holding.blocks.size());
  if (more <= 0) return true;
  if (pool_.free_blocks() < more && !prefixes_.Evict(more)) return false;
  return pool_.Take(more, holding.blocks);
}

void CacheLedger::Keep(const std::string& salt, absl::Span<const int32_t> tokens,
                       CacheHolding& holding) {
  if (holding.copy.has_value()) return;
  prefixes_.Insert(salt, tokens.subspan(0, holding.cached), holding.blocks);
}

void CacheLedger::Release(CacheHolding& holding) {
  pool_.Give(holding.blocks);
  holding.cached = 0;
  if (holding.copy.has_value()) pool_.Give(holding.copy->from);
  holding.copy.reset();
}

absl::Status CacheLedger::Check(absl::Span<const CacheHolding* const> holdings) const {
  std::vector<int32_t> references(pool_.blocks(), 0);
  for (const CacheHolding* holding : holdings) {
    for (int32_t block : holding->blocks) ++references[block];
    if (holding->copy.has_value()) ++references[holding->copy->from];
  }
  for (int32_t block : sources_) ++references[block];
  prefixes_.CountReferences(references);
  for (int32_t block = 0; block < pool_.blocks(); ++block) {
    if (references[block] == pool_.references(block)) continue;
    return absl::InternalError(absl::StrCat("block ", block, " has ", pool_.references(block),
                                            " references; found are ", references[block]));
  }
  return absl::OkStatus();
}

}  // namespace expertmesh
