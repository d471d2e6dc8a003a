// Random patterns of our grammar on random texts: the matches are those that PCRE2 finds.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcre2.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/split_pattern.h"
#include "model/tokenizer/test_util.h"

namespace expertmesh {
namespace {

using Random = std::mt19937;

const char* Any(Random& random, const std::vector<const char*>& choices) {
  return choices[random() % choices.size()];
}

std::string RandomPattern(Random& random) {
  const auto set = [&] {
    return Any(random, {"a", "b", " ", "\\n", "\u00E9", "[ab]", "[^a]", "[^\\n]", "\\s", "\\S",
                        "\\p{L}", "\\P{L}", "[\\s\\p{N}]", "[^\\sb]", "\\p{N}"});
  };
  std::string pattern;
  const size_t alternatives = 1 + random() % 3;
  for (size_t i = 0; i < alternatives; ++i) {
    if (i > 0) pattern += "|";
    const size_t items = 1 + random() % 4;
    for (size_t j = 0; j < items; ++j) {
      absl::StrAppend(
          &pattern, set(),
          Any(random, {"", "", "", "?", "*", "+", "+", "{2}", "{2,}", "{1,3}", "{0,2}"}));
    }
    switch (random() % 4) {
      case 0:
        pattern += "$";
        break;
      case 1:
        absl::StrAppend(&pattern, "(?!", set(), ")");
        break;
    }
  }
  return pattern;
}

std::vector<TextSpan> OurMatches(const SplitPattern& pattern, const std::string& text) {
  StepBudget budget{int64_t{1} << 30};
  SplitPattern::Matches matches(pattern, text, budget);
  std::vector<TextSpan> found;
  while (const auto match = matches.Next()) found.push_back(*match);
  return found;
}

class Peer {
 public:
  explicit Peer(const std::string& pattern)
      : code_(nullptr, pcre2_code_free),
        match_(pcre2_match_data_create(1, nullptr), pcre2_match_data_free) {
    const std::string lines = "(*LF)" + pattern;
    int error = 0;
    size_t where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(lines.data()), lines.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &where, nullptr));
    EXPECT_NE(code_, nullptr) << pattern << " at " << where;
  }

  std::vector<TextSpan> Matches(const std::string& text) const {
    std::vector<TextSpan> found;
    size_t at = 0;
    while (pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, 0,
                       match_.get(), nullptr) > 0) {
      const size_t* span = pcre2_get_ovector_pointer(match_.get());
      found.push_back({span[0], span[1]});
      at = span[1];
    }
    return found;
  }

 private:
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_;
};

TEST(SplitPattern, FindsTheMatchesThatABacktrackingEngineFinds) {
  constexpr uint32_t kSeed = 20261202;
  Random random(kSeed);
  int patterns = 0;
  int matches = 0;
  while (patterns < 1500) {
    const std::string text_of_pattern = RandomPattern(random);
    const absl::StatusOr<SplitPattern> pattern = SplitPattern::Parse(text_of_pattern);
    if (!pattern.ok()) {  // one of its alternatives is optional from end to end
      ASSERT_NE(pattern.status().message().find("matches the empty text"), std::string::npos)
          << text_of_pattern << ": " << pattern.status();
      continue;
    }
    ++patterns;
    const Peer peer(text_of_pattern);
    for (size_t length : {3, 8, 20}) {
      const std::string text =
          RandomText(random, {"a", "a", "b", " ", " ", "\n", "\u00E9", "1", "\u3000"}, length);
      const std::vector<TextSpan> expected = peer.Matches(text);
      ASSERT_EQ(OurMatches(*pattern, text), expected) << text_of_pattern << " on \"" << text << '"';
      matches += static_cast<int>(expected.size());
    }
  }
  EXPECT_GT(matches, patterns);
}

}  // namespace
}  // namespace expertmesh
