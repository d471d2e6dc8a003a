#include "model/tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/test_util.h"

namespace expertmesh {
namespace {

using Ids = std::vector<int32_t>;
using Json = nlohmann::json;
using ::testing::ElementsAre;

absl::StatusOr<Bpe> Parse(const Json& json) {
  const Json document = Reparsed(json);
  const absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Parse(document);
  EXPECT_TRUE(vocabulary.ok()) << vocabulary.status();
  return Bpe::Parse(document, *vocabulary);
}

Bpe Parsed(const Json& json) {
  absl::StatusOr<Bpe> bpe = Parse(json);
  EXPECT_TRUE(bpe.ok()) << bpe.status();
  return *std::move(bpe);
}

Ids Encoded(const Bpe& bpe, absl::string_view piece) {
  Bpe::Scratch scratch;
  Ids ids;
  bpe.Encode(piece, scratch, ids);
  return ids;
}

TEST(MergeTable, FindsWhatWasPutAndNothingElse) {
  constexpr int kCount = 1000;
  MergeTable table(kCount);
  for (int i = 0; i < kCount; ++i) table.Put(i, 7 * i, {i, i + 1});
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(table.Find(i, 7 * i).rank, i);
    EXPECT_EQ(table.Find(i, 7 * i).id, i + 1);
    EXPECT_EQ(table.Find(i, 7 * i + 1).rank, -1);
  }
  EXPECT_EQ(table.Find(-1, -1).rank, -1);
  EXPECT_EQ(MergeTable(0).Find(0, 0).rank, -1);
}

TEST(MergeTable, GivesAPairThatIsThereItsNewMerge) {
  MergeTable table(2);
  table.Put(1, 2, {0, 5});
  table.Put(1, 2, {3, 6});
  EXPECT_EQ(table.Find(1, 2).rank, 3);
  EXPECT_EQ(table.Find(1, 2).id, 6);
  EXPECT_EQ(table.Find(2, 1).rank, -1);
}

TEST(Bpe, EncodesAnyBytesOfUtf8WithoutMerges) {
  const Bpe bpe = Parsed(TokenizerJson());
  EXPECT_THAT(Encoded(bpe, "a \n"), ElementsAre('a', ' ', '\n'));
  EXPECT_THAT(Encoded(bpe, "\u4F60"), ElementsAre(0xE4, 0xBD, 0xA0));
}

TEST(Bpe, MergesTheLowestRankFirst) {
  EXPECT_THAT(Encoded(Parsed(TokenizerJson({"b c", "a b"})), "abc"), ElementsAre('a', 256));
  EXPECT_THAT(Encoded(Parsed(TokenizerJson({"a b", "b c"})), "abc"), ElementsAre(256, 'c'));
}

TEST(Bpe, MergesTheLeftmostOfEqualPairs) {
  const Bpe bpe = Parsed(TokenizerJson({"a a"}));
  EXPECT_THAT(Encoded(bpe, "aaa"), ElementsAre(256, 'a'));
  EXPECT_THAT(Encoded(bpe, "aaaaa"), ElementsAre(256, 256, 'a'));
  EXPECT_THAT(Encoded(bpe, "baaab"), ElementsAre('b', 256, 'a', 'b'));
}

TEST(Bpe, MergesWhatMergesHaveMade) {
  const Bpe bpe = Parsed(TokenizerJson({"a b", "ab c", "abc abc"}));
  EXPECT_THAT(Encoded(bpe, "abcabc"), ElementsAre(258));
  EXPECT_THAT(Encoded(bpe, "abcab"), ElementsAre(257, 256));
}

TEST(Bpe, GivesATokenOfManyMergesItsWholePieceOnlyIfTheyMakeIt) {
  // "abc" is a token, but its bytes merge into a and bc, and these into nothing.
  Json json = TokenizerJson({"b c", "ab c"});
  json["model"]["vocab"]["ab"] = 300;
  EXPECT_THAT(Encoded(Parsed(json), "abc"), ElementsAre('a', 256));
}

TEST(Bpe, GivesThePairThatIsListedTwiceItsLaterRank) {
  // "a b" at 0 and again at 2: "b c" at 1 comes first.
  const Bpe bpe = Parsed(TokenizerJson({"a b", "b c", "a b"}));
  EXPECT_THAT(Encoded(bpe, "abc"), ElementsAre('a', 257));
}

TEST(Bpe, ReadsMergesAsTextOrAsPairs) {
  Json json = TokenizerJson({"a b"});
  json["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_THAT(Encoded(Parsed(json), "ab"), ElementsAre(256));
}

TEST(Bpe, AppendsToWhatIsThereAndUsesItsScratchAgain) {
  const Bpe bpe = Parsed(TokenizerJson({"a b"}));
  Bpe::Scratch scratch;
  Ids ids = {1};
  bpe.Encode(std::string(100, 'a') + "b", scratch, ids);
  bpe.Encode("ab", scratch, ids);
  bpe.Encode("c", scratch, ids);
  ASSERT_EQ(ids.size(), 1 + 100 + 1 + 1u);
  EXPECT_THAT(Ids(ids.end() - 3, ids.end()), ElementsAre(256, 256, 'c'));
}

// By the words of the promise, in quadratic time.
Ids EncodeSlowly(const std::map<std::pair<int32_t, int32_t>, MergeTable::Merge>& merges,
                 const std::string& piece) {
  Ids ids;
  for (char c : piece) ids.push_back(static_cast<unsigned char>(c));
  for (;;) {
    size_t best = ids.size();
    int32_t rank = -1;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto merge = merges.find({ids[i], ids[i + 1]});
      if (merge == merges.end() || (rank >= 0 && merge->second.rank >= rank)) continue;
      best = i;
      rank = merge->second.rank;
    }
    if (rank < 0) return ids;
    ids[best] = merges.at({ids[best], ids[best + 1]}).id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, DoesAsASlowMergeOnRandomMergesAndPieces) {
  std::mt19937 random(20261201);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<std::string> merges;
    while (merges.size() < 12) {
      const std::string left = tokens[random() % tokens.size()];
      const std::string right = tokens[random() % tokens.size()];
      merges.push_back(absl::StrCat(left, " ", right));
      tokens.push_back(left + right);
    }
    const Json json = TokenizerJson(merges);
    const Json& vocab = json["model"]["vocab"];
    std::map<std::pair<int32_t, int32_t>, MergeTable::Merge> table;
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string left = merges[rank].substr(0, merges[rank].find(' '));
      const std::string right = merges[rank].substr(left.size() + 1);
      table[{vocab[left], vocab[right]}] = {static_cast<int32_t>(rank), vocab[left + right]};
    }
    const Bpe bpe = Parsed(json);
    for (size_t length : {1, 2, 5, 20, 63, 64, 65, 200}) {  // whole pieces are looked up up to 64
      const std::string piece = RandomText(random, {"a", "b", "c"}, length);
      ASSERT_EQ(Encoded(bpe, piece), EncodeSlowly(table, piece))
          << json["model"]["merges"] << piece;
    }
    for (const std::string& token : tokens) {
      ASSERT_EQ(Encoded(bpe, token), EncodeSlowly(table, token)) << token;
    }
  }
}

struct Broken {
  const char* what;
  std::function<void(Json& model)> damage;
  const char* message;
};

const Broken kBroken[] = {
    {"another type", [](Json& model) { model["type"] = "Unigram"; },
     "field model.type: found \"Unigram\", expected \"BPE\""},
    {"dropout", [](Json& model) { model["dropout"] = 0.1; },
     "field model.dropout: found 0.1, expected null"},
    {"unk_token", [](Json& model) { model["unk_token"] = "<unk>"; },
     "field model.unk_token: found \"<unk>\", expected null"},
    {"a prefix", [](Json& model) { model["continuing_subword_prefix"] = "##"; },
     "field model.continuing_subword_prefix: found \"##\", expected null or \"\""},
    {"a suffix", [](Json& model) { model["end_of_word_suffix"] = "</w>"; },
     "field model.end_of_word_suffix: found \"</w>\", expected null or \"\""},
    {"fuse_unk", [](Json& model) { model["fuse_unk"] = true; },
     "field model.fuse_unk: found true, expected false"},
    {"byte_fallback", [](Json& model) { model["byte_fallback"] = true; },
     "field model.byte_fallback: found true, expected false"},
    {"ignore_merges", [](Json& model) { model["ignore_merges"] = true; },
     "field model.ignore_merges: found true, expected false"},
    {"no merges", [](Json& model) { model.erase("merges"); },
     "field model.merges: found nothing, expected an array of at most 1048576"},
    {"merges as an object", [](Json& model) { model["merges"] = Json::object(); },
     "field model.merges: found an object of 0, expected an array of at most 1048576"},
    {"too many merges", [](Json& model) { model["merges"] = std::vector<int>(kMergesMax + 1); },
     "field model.merges: found an array of 1048577, expected an array of at most 1048576"},
    {"one token",
     [](Json& model) {
       model["merges"] = {"a b", "ab"};
     },
     "field model.merges[1]: found \"ab\", expected two tokens with one space between, or an array "
     "of two"},
    {"three tokens",
     [](Json& model) {
       model["merges"] = {"a b", "a b c"};
     },
     "field model.merges[1]: found \"a b c\", expected two tokens with one space between, or an "
     "array of two"},
    {"an array of three",
     [](Json& model) {
       model["merges"] = Json::array({Json::array({"a", "b", "c"})});
     },
     "field model.merges[0]: found an array of 3, expected two tokens with one space between, or "
     "an array of two"},
    {"an array of numbers",
     [](Json& model) {
       model["merges"] = Json::array({Json::array({1, 2})});
     },
     "field model.merges[0]: found an array of 2, expected two tokens with one space between, or "
     "an array of two"},
    {"a number", [](Json& model) { model["merges"] = std::vector<int>{7}; },
     "field model.merges[0]: found 7, expected two tokens with one space between, or an array of "
     "two"},
    {"an unknown left",
     [](Json& model) {
       model["merges"] = {"a b", "xy b"};
     },
     "field model.merges[1]: found \"xy b\", expected both tokens and what they become in "
     "model.vocab"},
    {"an unknown right",
     [](Json& model) {
       model["merges"] = {"a b", "a xy"};
     },
     "field model.merges[1]: found \"a xy\", expected both tokens and what they become in "
     "model.vocab"},
    {"an unknown whole",
     [](Json& model) {
       model["merges"] = {"a b", "b a"};
     },
     "field model.merges[1]: found \"b a\", expected both tokens and what they become in "
     "model.vocab"},
    {"an empty token",
     [](Json& model) {
       model["merges"] = {"a b", " b"};
     },
     "field model.merges[1]: found \" b\", expected both tokens and what they become in "
     "model.vocab"},
    {"a byte without a token", [](Json& model) { model["vocab"].erase("\u0120"); },
     "field model.vocab: found no token \"\u0120\", expected one for byte 32"},
    {"the highest byte", [](Json& model) { model["vocab"].erase("\u00F4"); },
     "field model.vocab: found no token \"\u00F4\", expected one for byte 244"},
};

TEST(Bpe, RefusesByFieldFoundAndExpected) {
  for (const Broken& broken : kBroken) {
    Json json = TokenizerJson({"a b"});
    broken.damage(json["model"]);
    EXPECT_EQ(Parse(json).status(), absl::InvalidArgumentError(broken.message)) << broken.what;
  }
}

TEST(Bpe, TakesTheFieldsThatItRefusesWhereTheyAreOff) {
  Json json = TokenizerJson({"a b"});
  Json& model = json["model"];
  model.erase("type");
  for (const char* field : {"dropout", "unk_token", "continuing_subword_prefix", "fuse_unk"}) {
    model[field] = nullptr;
  }
  model["end_of_word_suffix"] = "";
  for (const char* field : {"byte_fallback", "ignore_merges"}) model[field] = false;
  EXPECT_THAT(Encoded(Parsed(json), "ab"), ElementsAre(256));
}

TEST(Bpe, NeedsNoTokenForTheBytesThatUtf8HasNot) {
  for (int byte : {0xC0, 0xC1, 0xF5, 0xFF}) {
    EXPECT_FALSE(TokenizerJson()["model"]["vocab"].contains(
        SpellingOfByte(static_cast<unsigned char>(byte))));
  }
  Json json = TokenizerJson();
  json["model"]["vocab"][SpellingOfByte(0xFF)] = 400;  // and takes one
  EXPECT_THAT(Encoded(Parsed(json), "\u00E9"), ElementsAre(0xC3, 0xA9));
}

}  // namespace
}  // namespace expertmesh
