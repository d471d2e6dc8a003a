// bpe.h: byte-level byte pair encoding: one piece of text into token ids, by ranked merges.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/vocabulary/vocabulary.h"

namespace expertmesh {

inline constexpr size_t kMergesMax = 1 << 20;

// From a pair of ids to its merge. Open addressing: the hot table of encoding.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = -1;  // lower merges first; -1: the pair does not merge
    int32_t id = 0;     // of what it becomes
  };

  explicit MergeTable(size_t count);
  // A pair that is there already gets the new merge, as in Hugging Face's tokenizers.
  void Put(int32_t left, int32_t right, Merge merge);
  Merge Find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t pair = kFree;
    Merge merge;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};  // ids are not negative

  size_t SlotOf(uint64_t pair) const;

  std::vector<Slot> slots_;  // a power of two, at least twice the number of merges
};

// Immutable; any thread.
class Bpe {
 public:
  // Reads the file's model: type BPE, its merges ("a b" or ["a", "b"]), and that what would change
  // the encoding (dropout, unk_token, byte_fallback, ignore_merges, prefixes and suffixes) is off.
  // Every byte that UTF-8 has must be a token, so that any text can be encoded.
  // Errors  INVALID_ARGUMENT: field, found, expected.
  static absl::StatusOr<Bpe> Parse(const nlohmann::json& tokenizer, const Vocabulary& vocabulary);

  // What Encode needs on the way; may be used again, by one thread at a time.
  struct Scratch {
    struct Symbol {
      int32_t id = 0;
      int32_t previous = 0;  // -1: none
      int32_t next = 0;      // -1: none
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> queue;
  };

  // Appends the ids of `piece`, which is not empty and has at most kPieceBytesMax bytes, to `ids`:
  // of all neighbours the pair of lowest rank merges first, and of equals the leftmost.
  // Time     O(n log n) for n bytes.
  void Encode(absl::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;
  static constexpr size_t kPieceBytesMax = size_t{1} << 30;

 private:
  explicit Bpe(size_t merges) : merges_(merges) {}

  absl::Status ReadBytes(const nlohmann::json& vocab);
  absl::Status ReadMerges(const nlohmann::json& merges, const nlohmann::json& vocab);
  void NoteWholePieces(const nlohmann::json& vocab, const Vocabulary& vocabulary);
  void Merge(absl::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;

  std::vector<int32_t> id_of_byte_;  // -1 for the bytes that UTF-8 does not have
  MergeTable merges_;
  // Pieces that merge into one token, so that most pieces take one look-up. Views of `whole_text_`.
  std::unordered_map<std::string_view, int32_t> whole_;
  std::vector<std::string> whole_text_;
};

}  // namespace expertmesh
