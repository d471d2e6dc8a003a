#include "common/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace expertmesh {
namespace {

std::string Bytes(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i * 131 + i / 7));
  return bytes;
}

// From xxHash's own sanity check: what is written on a wire today must be read tomorrow.
TEST(Hash64, IsXxh3) {
  EXPECT_EQ(Hash64("", 0), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash64("abc", 3), 0x78af5f94892f3950u);
}

TEST(Hash64, DependsOnEveryByteOnTheLengthAndOnTheSeed) {
  const std::string bytes = Bytes(300);
  const uint64_t hash = Hash64(bytes.data(), bytes.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string other = bytes;
    other[i] ^= 1;
    ASSERT_NE(Hash64(other.data(), other.size()), hash) << "byte " << i;
  }
  EXPECT_NE(Hash64(bytes.data(), bytes.size() - 1), hash);
  EXPECT_NE(Hash64(bytes.data(), bytes.size(), 1), hash);
}

TEST(Hasher128, DoesNotDependOnTheCutIntoPieces) {
  const std::string bytes = Bytes(5000);
  Hasher128 whole;
  whole.Add(bytes);
  for (size_t piece : {1, 7, 64, 255, 4096}) {
    Hasher128 cut;
    for (size_t at = 0; at < bytes.size(); at += piece) cut.Add(bytes.substr(at, piece));
    cut.Add("");
    EXPECT_EQ(cut.Finish(), whole.Finish()) << "pieces of " << piece;
  }
}

TEST(Hasher128, CanBeAskedInBetween) {
  Hasher128 hasher;
  const ModelFingerprint empty = hasher.Finish();
  hasher.Add("a");
  const ModelFingerprint one = hasher.Finish();
  EXPECT_EQ(hasher.Finish(), one);
  EXPECT_NE(one, empty);
  hasher.Add("b");
  Hasher128 both;
  both.Add("ab");
  EXPECT_EQ(hasher.Finish(), both.Finish());
}

}  // namespace
}  // namespace expertmesh
