// `expertmesh load`: presses on a fleet, and says how it bears it.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/load/plot.h"
#include "cli/load/report_json.h"
#include "cli/load/report_table.h"
#include "cli/load_flags.h"
#include "client/client.h"
#include "common/log.h"
#include "common/status.h"

namespace expertmesh {
namespace {

constexpr int kWarmupConcurrency = 16;
// Warm-up conversations have numbers, and so tokens, that no counted one has.
constexpr uint32_t kFirstWarmupConversation = 1u << 31;
constexpr auto kProgressPeriod = Milliseconds(500);

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file.good()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--plot: ", path, " cannot be written"));
}

class LoadCommand final : public CliCommand {
 public:
  CLI::App* Declare(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "load", "Presses on a fleet with many requests; reports latency and throughput");
    AddLoadFlags(*command, &flags_);
    return command;
  }

  absl::Status Run() override;

 private:
  absl::Status AskForVocabulary(Client& client);
  // All points, until interrupted; fills runs_ and reports_.
  void RunAll(Client& client, InterruptHandler& interrupts, std::vector<RunOptions> points);
  RunResult RunOne(Client& client, InterruptHandler& interrupts, const RunOptions& options,
                   const std::string& what);
  void ShowProgress(const std::string& what, const RunProgress& progress);
  void EndProgress();
  std::string Json() const;
  absl::Status WritePlot() const;
  absl::Status Verdict() const;

  LoadFlags flags_;
  std::vector<RunResult> runs_;
  std::vector<LoadReport> reports_;
  std::atomic<bool> interrupted_{false};
  bool to_terminal_ = false;
  bool shown_ = false;  // a line of progress stands on the terminal
  Time next_progress_{};
};

absl::Status LoadCommand::Run() {
  InterruptHandler interrupts;  // before any thread
  StartLogging("load", "error");
  to_terminal_ = isatty(STDERR_FILENO) != 0;
  Client client(flags_.server);
  client.most_resumes = 0;  // what breaks off is to be counted
  RETURN_IF_ERROR(AskForVocabulary(client));
  if (!flags_.plot.empty()) RETURN_IF_ERROR(WriteFile(flags_.plot, ""));  // not after an hour
  ASSIGN_OR_RETURN(std::vector<RunOptions> points, RunsOf(flags_));
  RunAll(client, interrupts, std::move(points));
  EndProgress();
  if (flags_.json) {
    std::printf("%s\n", Json().c_str());
  } else if (!reports_.empty()) {
    std::fputs((flags_.sweep.empty() ? ReportTable(reports_[0]) : SweepTable(reports_)).c_str(),
               stdout);
  }
  std::fflush(stdout);
  if (!flags_.plot.empty() && !reports_.empty()) RETURN_IF_ERROR(WritePlot());
  return Verdict();
}

absl::Status LoadCommand::AskForVocabulary(Client& client) {
  int32_t& vocabulary = flags_.run.work.vocabulary;
  if (vocabulary > 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const v1::ListModelsResponse models, client.ListModels());
  if (models.models_size() > 0) vocabulary = models.models(0).vocabulary();
  if (vocabulary > 0) return absl::OkStatus();
  return absl::UnavailableError(
      "the server does not know its vocabulary before a worker has joined; --vocabulary tells it");
}

void LoadCommand::RunAll(Client& client, InterruptHandler& interrupts,
                         std::vector<RunOptions> points) {
  for (size_t i = 0; i < points.size() && !interrupted_; ++i) {
    const std::string what = absl::StrCat(
        points.size() > 1 ? absl::StrCat("point ", i + 1, " of ", points.size(), ", ") : "",
        ToString(points[i].level));
    if (flags_.warmup > 0) {
      RunOptions warmup = points[i];
      warmup.level = {false,
                      static_cast<double>(std::min<int64_t>(flags_.warmup, kWarmupConcurrency))};
      warmup.requests = flags_.warmup;
      warmup.time = Duration(0);
      warmup.first_conversation = kFirstWarmupConversation;
      RunOne(client, interrupts, warmup, what + ", warm-up");
      if (interrupted_) return;
    }
    runs_.push_back(RunOne(client, interrupts, points[i], what));
    reports_.push_back(MakeReport(runs_.back(), flags_.slo));
  }
}

RunResult LoadCommand::RunOne(Client& client, InterruptHandler& interrupts,
                              const RunOptions& options, const std::string& what) {
  LoadTarget target{[&](const UserRequest& request, const auto& on_delta) {
                      return client.Generate(request, on_delta);
                    },
                    [&] { client.CancelRunning(); }};
  Runner runner(std::move(target), options,
                [&](const RunProgress& progress) { ShowProgress(what, progress); });
  interrupts.Set([&] {
    interrupted_ = true;
    runner.Interrupt();
  });
  RunResult run = runner.Run();
  interrupts.Set([&] { interrupted_ = true; });
  return run;
}

void LoadCommand::ShowProgress(const std::string& what, const RunProgress& progress) {
  if ((!to_terminal_ && !flags_.progress) || Now() < next_progress_) return;
  next_progress_ = Now() + kProgressPeriod;
  std::fprintf(stderr, to_terminal_ ? "\r%s\033[K" : "%s\n",
               absl::StrCat(what, ": ", progress.ended, " ended, ", progress.begun - progress.ended,
                            " running, ", progress.failed, " failed, ", progress.not_sent,
                            " not sent, ", static_cast<int64_t>(ToMs(progress.elapsed) / 1e3), " s")
                   .c_str());
  shown_ = to_terminal_;
}

void LoadCommand::EndProgress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

std::string LoadCommand::Json() const {
  nlohmann::ordered_json json = {{"settings", SettingsToJson(flags_)},
                                 {"percentile_method", kPercentileMethod}};
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (size_t i = 0; i < reports_.size(); ++i) {
    points.push_back(ToJson(reports_[i]));
    if (flags_.records) points.back()["records"] = RecordsToJson(runs_[i]);
  }
  if (flags_.sweep.empty() && !points.empty()) {
    json.update(points[0]);
  } else {
    json["points"] = std::move(points);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

absl::Status LoadCommand::WritePlot() const {
  const std::string subtitle =
      absl::StrCat("prompts of ", flags_.prompt_tokens, " tokens, answers of ",
                   flags_.output_tokens, ", ", flags_.rate > 0 ? "open" : "closed", " loop");
  const Chart chart =
      reports_.size() == 1 ? DistributionChart(runs_[0], subtitle) : SweepChart(reports_, subtitle);
  return WriteFile(flags_.plot, ToSvg(chart));
}

absl::Status LoadCommand::Verdict() const {
  for (const LoadReport& report : reports_) {
    if (report.ok > 0) return absl::OkStatus();
  }
  if (interrupted_) return absl::CancelledError("interrupted before any request had succeeded");
  for (const RunResult& run : runs_) {
    for (const RequestRecord& record : run.records) {
      if (record.status.ok()) continue;
      return absl::Status(record.status.code(), absl::StrCat("no request succeeded; the first: ",
                                                             record.status.message()));
    }
  }
  return absl::UnavailableError("no request was sent");
}

}  // namespace

std::unique_ptr<CliCommand> MakeLoadCommand() { return std::make_unique<LoadCommand>(); }

}  // namespace expertmesh
