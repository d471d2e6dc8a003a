// test_util.h: small tokenizer.json documents.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/utf8.h"
#include "model/vocabulary/byte_alphabet.h"

namespace expertmesh {

inline constexpr int kUtf8BytesMax = 0xF4;  // the highest byte that UTF-8 has

// A vocabulary of the bytes that UTF-8 has, each under its own value as id.
inline nlohmann::json ByteTokens() {
  nlohmann::json vocab;
  for (int byte = 0; byte <= kUtf8BytesMax; ++byte) {
    if (byte == 0xC0 || byte == 0xC1) continue;
    vocab[SpellingOfByte(static_cast<unsigned char>(byte))] = byte;
  }
  return vocab;
}

inline nlohmann::json ByteLevelStep() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
}

inline nlohmann::json SplitStep(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

inline nlohmann::json DigitsStep() { return {{"type", "Digits"}, {"individual_digits", true}}; }

// `steps`, then ByteLevel.
inline nlohmann::json StepSequence(std::vector<nlohmann::json> steps) {
  steps.push_back(ByteLevelStep());
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// A whole document: the byte tokens, and of each of `merges` ("a b") the token that it makes, with
// the ids from 256 on, one after the other. Text is not split.
inline nlohmann::json TokenizerJson(const std::vector<std::string>& merges = {}) {
  nlohmann::json vocab = ByteTokens();
  int32_t id = 256;
  for (const std::string& merge : merges) {
    std::string whole = merge;
    whole.erase(whole.find(' '), 1);
    if (!vocab.contains(whole)) vocab[whole] = id;
    ++id;
  }
  return {{"version", "1.0"},
          {"added_tokens", nlohmann::json::array()},
          {"pre_tokenizer", ByteLevelStep()},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

// As a file's document comes: its ids are unsigned, which those of a literal are not.
inline nlohmann::json Reparsed(const nlohmann::json& json) {
  return nlohmann::json::parse(json.dump());
}

// From a seed: characters of `alphabet`, in any order.
template <typename Random>
std::string RandomText(Random& random, const std::vector<std::string>& alphabet, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += alphabet[random() % alphabet.size()];
  return text;
}

}  // namespace expertmesh
