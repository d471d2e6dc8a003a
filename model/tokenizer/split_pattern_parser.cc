#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"
#include "model/tokenizer/split_pattern.h"
#include "model/tokenizer/unicode.h"

namespace expertmesh {

// Recursive descent over the grammar in split_pattern.h.
class SplitPatternParser {
 public:
  explicit SplitPatternParser(absl::string_view pattern) : text_(pattern) {}

  absl::StatusOr<SplitPattern> Parse() {
    do {
      RETURN_IF_ERROR(ParseAlternative());
    } while (Eat("|"));
    if (at_ < text_.size()) return Refuse("expected the pattern's end");
    for (SplitPattern::Alternative& alternative : result_.alternatives_) {
      for (SplitPattern::Item& item : alternative.items) {
        if (item.max == SplitPattern::kUnbounded) {
          item.memory = static_cast<int>(result_.memories_++);
        }
      }
    }
    NoteBeginnings();
    return std::move(result_);
  }

 private:
  using Tail = SplitPattern::Tail;

  absl::Status ParseAlternative() {
    SplitPattern::Alternative alternative;
    bool may_be_empty = true;
    while (at_ < text_.size() && text_[at_] != '|' && alternative.tail == Tail::kNone) {
      if (Eat("$")) {
        alternative.tail = Tail::kLineEnd;
      } else if (Eat("(?!")) {
        alternative.tail = Tail::kNotFollowedBy;
        ASSIGN_OR_RETURN(alternative.tail_set, ParseSet());
        if (!Eat(")")) return Refuse("expected \")\" after one set");
      } else {
        ASSIGN_OR_RETURN(const SplitPattern::Item item, ParseItem());
        alternative.items.push_back(item);
        may_be_empty = may_be_empty && item.min == 0;
        if (++items_ > kPatternItemsMax) {
          return Refuse(absl::StrCat("expected at most ", kPatternItemsMax, " items"));
        }
      }
    }
    if (may_be_empty) return Refuse("expected no alternative that matches the empty text");
    result_.alternatives_.push_back(std::move(alternative));
    return absl::OkStatus();
  }

  absl::StatusOr<SplitPattern::Item> ParseItem() {
    SplitPattern::Item item;
    ASSIGN_OR_RETURN(item.set, ParseSet());
    if (Eat("?")) {
      item.min = 0;
    } else if (Eat("*")) {
      item.min = 0;
      item.max = SplitPattern::kUnbounded;
    } else if (Eat("+")) {
      item.max = SplitPattern::kUnbounded;
    } else if (Eat("{")) {
      RETURN_IF_ERROR(ParseBounds(item));
    } else {
      return item;
    }
    const bool more = at_ < text_.size() && absl::StrContains("?*+{", text_.substr(at_, 1));
    if (more) return Refuse("expected no lazy, possessive or doubled quantifier");
    return item;
  }

  absl::Status ParseBounds(SplitPattern::Item& item) {
    ASSIGN_OR_RETURN(item.min, ParseNumber());
    item.max = item.min;
    if (Eat(",")) {
      if (at_ < text_.size() && text_[at_] == '}') {
        item.max = SplitPattern::kUnbounded;
      } else {
        ASSIGN_OR_RETURN(item.max, ParseNumber());
      }
    }
    if (!Eat("}")) return Refuse("expected \"}\"");
    if (item.max == 0 || (item.max != SplitPattern::kUnbounded && item.max < item.min)) {
      return Refuse("expected bounds that are ascending and not zero");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int> ParseNumber() {
    int number = 0;
    const size_t begin = at_;
    while (at_ < text_.size() && absl::ascii_isdigit(static_cast<unsigned char>(text_[at_])) &&
           number <= kRepeatMax) {
      number = number * 10 + (text_[at_++] - '0');
    }
    if (at_ > begin && number <= kRepeatMax) return number;
    return Refuse(absl::StrCat("expected a number up to ", kRepeatMax));
  }

  // A set outside of brackets, as its index.
  absl::StatusOr<int> ParseSet() {
    if (at_ == text_.size()) return Refuse("expected a set");
    if (Eat("[")) {
      ASSIGN_OR_RETURN(CharRanges ranges, ParseBrackets());
      return Add(std::move(ranges));
    }
    if (text_[at_] != '\\' && absl::StrContains("()|?*+{}]^$.", text_.substr(at_, 1))) {
      return Refuse("expected a character, a set or an escape");
    }
    ASSIGN_OR_RETURN(CharRanges ranges, ParseMember());
    return Add(std::move(ranges));
  }

  // From behind "[" to behind "]".
  absl::StatusOr<CharRanges> ParseBrackets() {
    const bool negated = Eat("^");
    CharRanges all;
    while (!Eat("]")) {
      if (at_ == text_.size()) return Refuse("expected \"]\"");
      // "[:" begins a class, "&&" an intersection, and "-" at an odd place may mean either.
      if (text_[at_] == '[' || text_[at_] == '-' || absl::StartsWith(text_.substr(at_), "&&")) {
        return Refuse("expected \\[, \\- or \\& in a set");
      }
      ASSIGN_OR_RETURN(CharRanges member, ParseMember());
      if (Eat("-")) RETURN_IF_ERROR(ParseRangeEnd(member));
      all.insert(all.end(), member.begin(), member.end());
    }
    if (all.empty()) return Refuse("expected a set that is not empty");
    all = Normalized(std::move(all));
    return negated ? Complement(all) : all;
  }

  absl::Status ParseRangeEnd(CharRanges& member) {
    const bool one = member.size() == 1 && member[0].first == member[0].last;
    if (!one || at_ == text_.size() || text_[at_] == ']' || text_[at_] == '[') {
      return Refuse("expected one character on both sides of -");
    }
    ASSIGN_OR_RETURN(const CharRanges last, ParseMember());
    if (last.size() != 1 || last[0].first != last[0].last || last[0].first < member[0].first) {
      return Refuse("expected a range that ascends to one character");
    }
    member[0].last = last[0].last;
    return absl::OkStatus();
  }

  // One character, or an escape that stands for some.
  absl::StatusOr<CharRanges> ParseMember() {
    if (!Eat("\\")) {
      const Utf8Char character = Utf8At(text_, at_);
      at_ += static_cast<size_t>(character.bytes);
      return CharRanges{{character.code, character.code}};
    }
    if (at_ == text_.size()) return Refuse("expected a character after \\");
    const char escape = text_[at_++];
    switch (escape) {
      case 'r':
        return CharRanges{{'\r', '\r'}};
      case 'n':
        return CharRanges{{'\n', '\n'}};
      case 't':
        return CharRanges{{'\t', '\t'}};
      case 'f':
        return CharRanges{{'\f', '\f'}};
      case 'v':
        return CharRanges{{'\v', '\v'}};
      case 's':
        return WhiteSpaceRanges();
      case 'S':
        return Complement(WhiteSpaceRanges());
      case 'p':
      case 'P':
        return ParseCategory(escape == 'P');
      default:
        break;
    }
    if (!absl::ascii_ispunct(static_cast<unsigned char>(escape))) {
      --at_;
      return Refuse("expected \\ before r n t f v s S p P or punctuation");
    }
    return CharRanges{{static_cast<char32_t>(escape), static_cast<char32_t>(escape)}};
  }

  absl::StatusOr<CharRanges> ParseCategory(bool negated) {
    if (at_ + 3 > text_.size() || text_[at_] != '{' || text_[at_ + 2] != '}') {
      return Refuse("expected {X}, with X a major category");
    }
    const char major = text_[at_ + 1];
    absl::StatusOr<CharRanges> ranges = CategoryRanges(major);
    if (absl::IsInvalidArgument(ranges.status())) return Refuse(ranges.status().message());
    if (!ranges.ok()) return ranges;
    at_ += 3;
    return negated ? Complement(*ranges) : ranges;
  }

  absl::StatusOr<int> Add(CharRanges ranges) {
    result_.sets_.emplace_back(std::move(ranges));
    return static_cast<int>(result_.sets_.size()) - 1;
  }

  void NoteBeginnings() {
    result_.may_begin_.assign(0x80, 0);
    for (size_t i = 0; i < result_.alternatives_.size(); ++i) {
      for (const SplitPattern::Item& item : result_.alternatives_[i].items) {
        for (char32_t c = 0; c < 0x80; ++c) {
          if (result_.SetHas(item.set, c)) result_.may_begin_[c] |= uint64_t{1} << i;
        }
        if (item.min > 0) break;
      }
    }
  }

  bool Eat(absl::string_view word) {
    if (!absl::StartsWith(text_.substr(at_), word)) return false;
    at_ += word.size();
    return true;
  }

  absl::Status Refuse(absl::string_view expected) const {
    return absl::InvalidArgumentError(absl::StrCat("at byte ", at_, ": ", expected));
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int items_ = 0;
  SplitPattern result_;
};

absl::StatusOr<SplitPattern> SplitPattern::Parse(absl::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", pattern.size(), " bytes, expected at most ", kPatternBytesMax));
  }
  const size_t valid = ValidUtf8Bytes(pattern);
  if (valid < pattern.size()) {
    return absl::InvalidArgumentError(absl::StrCat("not UTF-8 at byte ", valid));
  }
  return SplitPatternParser(pattern).Parse();
}

}  // namespace expertmesh
