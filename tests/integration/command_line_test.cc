// The command-line contract, asked of the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_join.h"
#include "tests/integration/process_cluster.h"
#include "tests/integration/program.h"

namespace expertmesh {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kModel[] = EXPERTMESH_SOURCE_DIR "/models/tiny";
constexpr Duration kPatience = std::chrono::seconds(60);

std::vector<std::string> Generate(std::vector<std::string> more) {
  std::vector<std::string> words = {"generate", "--token-ids",   "5,6,7", "--max-tokens",
                                    "6",        "--temperature", "0",     "--json"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(GenerateCommand, PrintsOneJsonObjectAsPromised) {
  const Outcome outcome =
      RunProgram(Generate({"--model", kModel, "--top-logprobs", "3", "--prompt-logprobs"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json answer = json::parse(outcome.out);
  EXPECT_EQ(answer["token_ids"].size(), 6u);
  EXPECT_EQ(answer["logprobs"].size(), 6u);
  ASSERT_EQ(answer["top_logprobs"].size(), 6u);
  ASSERT_EQ(answer["prompt_logprobs"].size(), 3u);
  EXPECT_TRUE(answer["prompt_logprobs"][0].is_null());
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(answer["usage"]["output_tokens"], 6);
  for (size_t i = 0; i < 6; ++i) {
    ASSERT_EQ(answer["top_logprobs"][i].size(), 3u);
    EXPECT_EQ(answer["top_logprobs"][i][0]["id"], answer["token_ids"][i]);  // greedy: the likeliest
    EXPECT_EQ(answer["top_logprobs"][i][0]["logprob"], answer["logprobs"][i]);
    // The printed number is an f32, exactly.
    const double printed = answer["logprobs"][i].get<double>();
    EXPECT_EQ(static_cast<double>(static_cast<float>(printed)), printed);
  }
}

TEST(GenerateCommand, GivesTheSameBytesEmbeddedWidenedAndServed) {
  const std::string embedded = RunProgram(Generate({"--model", kModel, "--prompt-logprobs"})).out;
  ASSERT_NE(embedded, "");
  EXPECT_EQ(RunProgram(Generate({"--model", kModel, "--prompt-logprobs", "--dtype", "f32"})).out,
            embedded);
  EXPECT_EQ(RunProgram(Generate({"--model", kModel, "--prompt-logprobs", "--expert-workers", "3",
                                 "--threads", "1"}))
                .out,
            embedded);
  auto serve = Process::Start(
      "expertmesh",
      {"serve", "--model", kModel, "--listen", "127.0.0.1:0", "--expert-workers", "2"},
      testing::TempDir() + "/serve.err");
  const std::string address = serve->ListeningAddress(kPatience);
  ASSERT_NE(address, "");
  EXPECT_EQ(RunProgram(Generate({"--server", address, "--prompt-logprobs", "--wait", "30"})).out,
            embedded);
  const Outcome topology = RunProgram({"topology", "--server", address});
  EXPECT_THAT(topology.out, HasSubstr("whole: every expert is covered"));
  serve->Signal(SIGTERM);
  EXPECT_EQ(serve->Wait(kPatience), 0);
}

TEST(GenerateCommand, TakesTheDemoModelWhereNoneIsNamed) {
  const char* const words[] = {
      "generate", "--prompt", "Once upon a time", "--max-tokens", "6", "--seed", "1", "--json"};
  const Outcome outcome = RunProgram({std::begin(words), std::end(words)});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(json::parse(outcome.out)["text"], "");
  std::vector<std::string> named(std::begin(words), std::end(words));
  named.insert(named.end(), {"--model", EXPERTMESH_SOURCE_DIR "/models/demo"});
  EXPECT_EQ(RunProgram(named).out, outcome.out);
  EXPECT_THAT(RunProgram({"serve", "--help"}).out, HasSubstr("models/demo"));
}

TEST(GenerateCommand, StopsAtAStopToken) {
  const json all = json::parse(RunProgram(Generate({"--model", kModel, "--ignore-eos"})).out);
  const std::string stop = std::to_string(all["token_ids"][2].get<int>());
  const json stopped = json::parse(
      RunProgram(Generate({"--model", kModel, "--ignore-eos", "--stop-token-ids", stop})).out);
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["token_ids"].back(), all["token_ids"][2]);
  EXPECT_LE(stopped["token_ids"].size(), 3u);
}

TEST(GenerateCommand, RefusesBadRequestsByName) {
  const auto refused = [](std::vector<std::string> more, int code, const char* text) {
    std::vector<std::string> words = {"generate", "--model", kModel};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = RunProgram(words);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  refused({"--token-ids", "1,x", "--max-tokens", "1"}, 1, "--token-ids has \"x\"");
  refused({"--token-ids", "1,2048", "--max-tokens", "1"}, 1, "token_ids[1] is 2048");
  refused({"--token-ids", "", "--max-tokens", "1"}, 1, "token_ids is empty");
  refused({"--token-ids", "1", "--max-tokens", "0"}, 1, "max_tokens is 0");
  refused({"--token-ids", "1", "--max-tokens", "1", "--temperature", "-1"}, 1, "temperature is -1");
  refused({"--prompt", "x", "--token-ids", "1"}, 2, "");
  refused({"--token-ids", "1", "--max-tokens", "1", "--top-logprobs", "5000"}, 1, "top_logprobs");
  refused({"--max-tokens", "1"}, 2, "");
  refused({"--token-ids", "1", "--max-tokens", "1", "--server", "x"}, 2, "");
}

TEST(GenerateCommand, TakesTextFromAFlagAFileOrStandardInput) {
  const std::string file = WriteTempFile("prompt.txt", "Two lines\nof text");
  const auto answer = [](std::vector<std::string> more, const std::string& input = "") {
    std::vector<std::string> words = {"generate", "--model", kModel, "--max-tokens", "5", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return RunProgram(words, "expertmesh", input).out;
  };
  const std::string by_flag = answer({"--prompt", "Two lines\nof text"});
  const json parsed = json::parse(by_flag);
  EXPECT_TRUE(parsed["text"].is_string());
  EXPECT_EQ(answer({"--prompt-file", file}), by_flag);
  EXPECT_EQ(answer({"--prompt-file", "-"}, "Two lines\nof text"), by_flag);
  const json two = json::parse(answer({"--prompt", "x", "-n", "2", "--temperature", "1"}));
  EXPECT_EQ(two["choices"].size(), 2u);
  EXPECT_EQ(two["usage"]["output_tokens"], 10);
}

TEST(TokenizeCommand, PrintsTheIdsThatAPromptWouldHave) {
  const Outcome outcome = RunProgram({"tokenize", "--model", kModel, "--text", "hi you", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json ids = json::parse(outcome.out)["token_ids"];
  ASSERT_GE(ids.size(), 2u);
  EXPECT_EQ(ids[0], 0) << "the beginning of a text";
  const std::string file = WriteTempFile("text.txt", "hi you");
  const Outcome plain = RunProgram(
      {"tokenize", "--model", kModel, "--text-file", file, "--no-special-tokens", "--json"});
  EXPECT_EQ(json::parse(plain.out)["token_ids"].size(), ids.size() - 1);
  EXPECT_EQ(RunProgram({"tokenize", "--model", kModel, "--text", "a\xFF"}).code, 1);
}

// By windows that overlap, against the prompt logprobs of each.
TEST(EvaluateCommand, CountsEachTokenOnceAsItsPromptLogprobSays) {
  const std::string text = "Once upon a time there was a king who had three sons and no money.";
  const std::string file = testing::TempDir() + "/evaluate.txt";
  std::ofstream(file) << text;
  const json whole = json::parse(
      RunProgram({"evaluate", "--model", kModel, "--text", file, "--json"}).out, nullptr, false);
  const auto ids =
      json::parse(
          RunProgram({"tokenize", "--model", kModel, "--text", text, "--json"}).out)["token_ids"]
          .get<std::vector<int32_t>>();  // with the first one
  const auto nats_of = [&](size_t begin, size_t first, size_t end) {
    std::vector<int32_t> prompt = {ids[0]};
    prompt.insert(prompt.end(), ids.begin() + 1 + begin, ids.begin() + 1 + end);
    const json answer = json::parse(
        RunProgram({"generate", "--model", kModel, "--token-ids", absl::StrJoin(prompt, ","),
                    "--max-tokens", "1", "--prompt-logprobs", "--json"})
            .out);
    double nats = 0;
    for (size_t i = 1 + first - begin; i < prompt.size(); ++i) {
      nats -= answer["prompt_logprobs"][i].get<double>();
    }
    return nats;
  };
  const size_t tokens = ids.size() - 1;
  ASSERT_GT(tokens, 20u);
  EXPECT_EQ(whole["bytes"], text.size());
  EXPECT_EQ(whole["tokens"], tokens);
  EXPECT_NEAR(whole["bits_per_byte"], nats_of(0, 0, tokens) / std::log(2) / text.size(), 1e-9);

  const json cut = json::parse(RunProgram({"evaluate", "--model", kModel, "--text", file,
                                           "--context", "12", "--overlap", "4", "--json"})
                                   .out,
                               nullptr, false);
  double nats = nats_of(0, 0, 11);
  for (size_t first = 11; first < tokens; first += 7) {
    nats += nats_of(first - 4, first, std::min(tokens, first + 7));
  }
  EXPECT_EQ(cut["tokens"], tokens);
  EXPECT_NEAR(cut["bits_per_byte"], nats / std::log(2) / text.size(), 1e-9);

  const Outcome people = RunProgram({"evaluate", "--model", kModel, "--text", file});
  EXPECT_THAT(people.out, HasSubstr(" bits per byte; perplexity "));
  const Outcome refused = RunProgram(
      {"evaluate", "--model", kModel, "--text", file, "--context", "9", "--overlap", "8"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--overlap is 8 and --context 9"));
  EXPECT_EQ(RunProgram({"evaluate", "--model", kModel}).code, 2);
}

TEST(RenderCommand, PrintsWhatTheTemplateMakes) {
  const std::string file = WriteTempFile("messages.json", R"([{"role": "user", "content": "Hi"}])");
  const Outcome outcome = RunProgram({"render", "--model", kModel, "--messages", file});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, testing::EndsWith("User: Hi\n\nAssistant:"));
  const Outcome bad =
      RunProgram({"render", "--model", kModel, "--messages", WriteTempFile("bad.json", "[{")});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.err, HasSubstr("bad.json"));
}

TEST(ChatCommand, RemembersWhatWasSaid) {
  const Outcome outcome =
      RunProgram({"chat", "--model", kModel, "--max-tokens", "4", "--temperature", "0", "--json"},
                 "expertmesh", "Hi\n\nAnd again\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  std::string first, second, third;
  ASSERT_TRUE(std::getline(lines, first) && std::getline(lines, second)) << outcome.out;
  EXPECT_FALSE(std::getline(lines, third)) << "an empty line says nothing";
  const int before = json::parse(first)["usage"]["prompt_tokens"];
  EXPECT_GE(json::parse(second)["usage"]["prompt_tokens"].get<int>(), before + 6)
      << "the first turn and its answer are in it";
}

TEST(GenerateCommand, SaysWhatIsWrongWithAFolderThatIsNoCheckpoint) {
  const Outcome outcome =
      RunProgram({"generate", "--model", "/nonexistent", "--token-ids", "1", "--max-tokens", "1"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("/nonexistent"));
}

TEST(Programs, RefuseToListenInPlainTextWhereOthersReachThem) {
  const Outcome outcome = RunProgram({"--listen", "0.0.0.0:0"}, "expertmesh-coordinator");
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("--allow-insecure-listen"));
}

TEST(Programs, ExplainThemselvesAndRefuseUnknownFlags) {
  for (const char* program : {"expertmesh", "expertmesh-coordinator", "expertmesh-expert-worker",
                              "expertmesh-attention-worker"}) {
    EXPECT_EQ(RunProgram({"--help"}, program).code, 0) << program;
    EXPECT_EQ(RunProgram({"--no-such-flag"}, program).code, 2) << program;
  }
}

// A flag of a --help text, the heading that it stands under, and what is said of it.
struct ListedFlag {
  std::string name, heading, text;
};

std::vector<ListedFlag> FlagsOf(const std::string& help) {
  std::vector<ListedFlag> flags;
  std::istringstream lines(help);
  std::string heading;
  for (std::string line; std::getline(lines, line);) {
    const size_t indent = line.find_first_not_of(' ');
    if (indent == std::string::npos) continue;
    if (indent == 0) {
      heading = line;
    } else if (line[indent] == '-') {
      const size_t end = line.find(' ', indent);
      size_t text = line.find("  ", end);  // a long name leaves it to the next line
      if (text == std::string::npos) text = line.find(" REQUIRED ");
      flags.push_back({line.substr(indent, end - indent), heading,
                       text == std::string::npos ? "" : line.substr(text)});
    } else if (!flags.empty()) {
      flags.back().text += line;
    }
  }
  return flags;
}

TEST(Programs, HelpIsGroupedAndSaysSomethingOfEachFlag) {
  const std::pair<const char*, std::vector<std::string>> kPrograms[] = {
      {"expertmesh-coordinator", {}},   {"expertmesh-attention-worker", {}},
      {"expertmesh-expert-worker", {}}, {"expertmesh", {"serve"}},
      {"expertmesh", {"generate"}},     {"expertmesh", {"chat"}},
      {"expertmesh", {"tokenize"}},     {"expertmesh", {"render"}},
      {"expertmesh", {"topology"}},     {"expertmesh", {"load"}},
      {"expertmesh", {"inspect"}},      {"expertmesh", {"plan"}},
      {"expertmesh", {"drain"}},        {"expertmesh", {"pin"}},
      {"expertmesh", {"cordon"}},       {"expertmesh", {"rebalance"}},
      {"expertmesh", {"thaw"}},         {"expertmesh", {"scale"}},
  };
  for (auto [program, words] : kPrograms) {
    words.push_back("--help");
    SCOPED_TRACE(std::string(program) + " " + words.front());
    const Outcome outcome = RunProgram(words, program);
    EXPECT_EQ(outcome.code, 0);
    const std::vector<ListedFlag> flags = FlagsOf(outcome.out);
    EXPECT_GE(flags.size(), 2u);
    int in_no_group = 0;
    for (const ListedFlag& flag : flags) {
      EXPECT_NE(flag.text.find_first_not_of(' '), std::string::npos) << flag.name;
      in_no_group += flag.heading == "Options:" ? 1 : 0;
    }
    EXPECT_EQ(in_no_group, flags.size() > 6 ? 1 : in_no_group) << "--help alone";
  }
}

TEST(Programs, TakeTheirFlagsFromAFileAndSayWhatIsInForce) {
  const std::string file = WriteTempFile(
      "serve.yaml", std::string("model: ") + kModel + "\nlisten: 127.0.0.1:0\nthreads: 1\n");
  const Outcome printed = RunProgram({"serve", "--config", file, "--threads=2", "--print-config"});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("\nthreads: 2\n"));
  EXPECT_THAT(printed.out, HasSubstr("listen: 127.0.0.1:0\n"));
  EXPECT_THAT(printed.out, HasSubstr("\nmax-sequences: 64\n"));
  const std::string again = WriteTempFile("again.yaml", printed.out);
  EXPECT_EQ(RunProgram({"serve", "--config", again, "--print-config"}).out, printed.out);
  for (const char* program :
       {"expertmesh-coordinator", "expertmesh-attention-worker", "expertmesh-expert-worker"}) {
    const Outcome bad = RunProgram({"--config", WriteTempFile("bad.yaml", "listne: x\n")}, program);
    EXPECT_EQ(bad.code, 2) << program;
    EXPECT_THAT(bad.err, HasSubstr("bad.yaml:1: there is no setting \"listne\"")) << program;
  }
  EXPECT_EQ(RunProgram({"serve", "--model", kModel, "--listen", "0.0.0.0:0"}).code, 2);
}

TEST(VersionCommand, NamesVersionWireAndClass) {
  const Outcome outcome = RunProgram({"version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("cpu-f32/"));
}

}  // namespace
}  // namespace expertmesh
