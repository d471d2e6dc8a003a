#include "model/tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "model/json_fields.h"
#include "model/vocabulary/byte_alphabet.h"

namespace expertmesh {
namespace {

using Json = nlohmann::json;

// Longer ones are rare, and not worth a look-up that hashes the whole piece.
constexpr size_t kWholePieceBytesMax = 64;

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t SlotsFor(size_t count) {
  size_t slots = 16;
  while (slots < 2 * count) slots *= 2;
  return slots;
}

bool OccursInUtf8(int byte) { return byte < 0xC0 || (0xC2 <= byte && byte <= 0xF4); }

absl::Status CheckModel(const Json& model) {
  JsonFields fields(model, "model.");
  if (fields.TextOr("type", "BPE") != "BPE") fields.Refuse("type", "\"BPE\"");
  for (const char* absent : {"dropout", "unk_token"}) {
    if (fields.Find(absent) != nullptr) fields.Refuse(absent, "null");
  }
  for (const char* empty : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!fields.TextOr(empty, "").empty()) fields.Refuse(empty, "null or \"\"");
  }
  for (const char* off : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
    if (fields.BoolOr(off, false)) fields.Refuse(off, "false");
  }
  return fields.status();
}

// The two tokens of one entry of `merges`; nullopt if it is not one.
std::optional<std::pair<std::string, std::string>> ReadPair(const Json& entry) {
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return std::pair(entry[0].get<std::string>(), entry[1].get<std::string>());
  }
  if (!entry.is_string()) return std::nullopt;
  const std::string& text = entry.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    return std::nullopt;
  }
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

}  // namespace

MergeTable::MergeTable(size_t count) : slots_(SlotsFor(count)) {}

size_t MergeTable::SlotOf(uint64_t pair) const {
  uint64_t hash = pair * 0x9E3779B97F4A7C15;
  size_t slot = (hash ^ hash >> 32) & (slots_.size() - 1);
  while (slots_[slot].pair != pair && slots_[slot].pair != kFree) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

void MergeTable::Put(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = PairKey(left, right);
  slots_[SlotOf(pair)] = {pair, merge};
}

MergeTable::Merge MergeTable::Find(int32_t left, int32_t right) const {
  return slots_[SlotOf(PairKey(left, right))].merge;  // a free slot has rank -1
}

absl::StatusOr<Bpe> Bpe::Parse(const Json& tokenizer, const Vocabulary& vocabulary) {
  const Json& model = tokenizer.at("model");  // the vocabulary has been read from it
  const Json& vocab = model.at("vocab");
  RETURN_IF_ERROR(CheckModel(model));
  JsonFields fields(model, "model.");
  const Json* merges = fields.Find("merges");
  if (merges == nullptr || !merges->is_array() || merges->size() > kMergesMax) {
    fields.Refuse("merges", absl::StrCat("an array of at most ", kMergesMax));
    return fields.status();
  }
  Bpe bpe(merges->size());
  RETURN_IF_ERROR(bpe.ReadBytes(vocab));
  RETURN_IF_ERROR(bpe.ReadMerges(*merges, vocab));
  bpe.NoteWholePieces(vocab, vocabulary);
  return bpe;
}

absl::Status Bpe::ReadBytes(const Json& vocab) {
  id_of_byte_.assign(256, -1);
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = SpellingOfByte(static_cast<unsigned char>(byte));
    auto found = vocab.find(spelling);
    if (found != vocab.end()) {
      id_of_byte_[static_cast<size_t>(byte)] = found->get<int32_t>();
    } else if (OccursInUtf8(byte)) {
      return absl::InvalidArgumentError(absl::StrCat("field model.vocab: found no token \"",
                                                     spelling, "\", expected one for byte ", byte));
    }
  }
  return absl::OkStatus();
}

absl::Status Bpe::ReadMerges(const Json& merges, const Json& vocab) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto refuse = [&](absl::string_view expected) {
      return absl::InvalidArgumentError(absl::StrCat("field model.merges[", rank, "]: found ",
                                                     Excerpt(merges[rank]), ", expected ",
                                                     expected));
    };
    const auto pair = ReadPair(merges[rank]);
    if (!pair) return refuse("two tokens with one space between, or an array of two");
    const auto left = vocab.find(pair->first);
    const auto right = vocab.find(pair->second);
    const auto whole = vocab.find(pair->first + pair->second);
    if (left == vocab.end() || right == vocab.end() || whole == vocab.end()) {
      return refuse("both tokens and what they become in model.vocab");
    }
    merges_.Put(left->get<int32_t>(), right->get<int32_t>(),
                {static_cast<int32_t>(rank), whole->get<int32_t>()});
  }
  return absl::OkStatus();
}

// A token need not be what its own bytes merge into: each is tried.
void Bpe::NoteWholePieces(const Json& vocab, const Vocabulary& vocabulary) {
  Scratch scratch;
  std::vector<int32_t> ids;
  std::vector<int32_t> whole;
  for (auto item = vocab.begin(); item != vocab.end(); ++item) {
    const auto id = item->get<int32_t>();
    const absl::string_view bytes = vocabulary.bytes(id);
    if (bytes.empty() || bytes.size() > kWholePieceBytesMax) continue;
    if (std::any_of(bytes.begin(), bytes.end(),
                    [&](char byte) { return id_of_byte_[static_cast<unsigned char>(byte)] < 0; })) {
      continue;
    }
    ids.clear();
    Merge(bytes, scratch, ids);
    if (ids.size() == 1 && ids[0] == id) whole.push_back(id);
  }
  whole_text_.reserve(whole.size());  // the views stay valid
  for (int32_t id : whole) {
    whole_text_.emplace_back(vocabulary.bytes(id));
    whole_.emplace(whole_text_.back(), id);
  }
}

void Bpe::Encode(absl::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const {
  if (piece.size() <= kWholePieceBytesMax) {
    const auto known = whole_.find(std::string_view(piece.data(), piece.size()));
    if (known != whole_.end()) {
      ids.push_back(known->second);
      return;
    }
  }
  Merge(piece, scratch, ids);
}

// Symbols form a list in the order of the text; one that has been merged into its left neighbour
// has no id any more. The queue holds (rank, place of the left symbol), lowest first; an entry is
// stale, and dropped, once the pair at its place has another rank.
void Bpe::Merge(absl::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const {
  constexpr int32_t kGone = -1;
  std::vector<Scratch::Symbol>& symbols = scratch.symbols;
  std::vector<uint64_t>& queue = scratch.queue;
  const auto count = static_cast<int32_t>(piece.size());
  symbols.resize(piece.size());
  queue.clear();
  for (int32_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    symbols[static_cast<size_t>(i)] = {id_of_byte_[byte], i - 1, i + 1 < count ? i + 1 : -1};
  }
  const auto at = [&](int32_t place) -> Scratch::Symbol& {
    return symbols[static_cast<size_t>(place)];
  };
  const auto merge_at = [&](int32_t place) {
    return at(place).next < 0 ? MergeTable::Merge()
                              : merges_.Find(at(place).id, at(at(place).next).id);
  };
  const auto entry_of = [](int32_t rank, int32_t place) {
    return static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(place);
  };
  for (int32_t place = 0; place < count; ++place) {
    if (const auto merge = merge_at(place); merge.rank >= 0) {
      queue.push_back(entry_of(merge.rank, place));
    }
  }
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  const auto push = [&](int32_t place) {
    if (const auto merge = merge_at(place); merge.rank >= 0) {
      queue.push_back(entry_of(merge.rank, place));
      std::push_heap(queue.begin(), queue.end(), std::greater<>());
    }
  };
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const auto rank = static_cast<int32_t>(queue.back() >> 32);
    const auto place = static_cast<int32_t>(queue.back() & 0xFFFFFFFF);
    queue.pop_back();
    if (at(place).id == kGone) continue;
    const auto merge = merge_at(place);
    if (merge.rank != rank) continue;
    const int32_t right = at(place).next;
    at(place).id = merge.id;
    at(place).next = at(right).next;
    if (at(right).next >= 0) at(at(right).next).previous = place;
    at(right).id = kGone;
    if (at(place).previous >= 0) push(at(place).previous);
    push(place);
  }
  for (int32_t place = 0; place >= 0; place = at(place).next) ids.push_back(at(place).id);
}

}  // namespace expertmesh
