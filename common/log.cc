#include "common/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace expertmesh {

void StartLogging(absl::string_view role, absl::string_view level) {
  auto logger = spdlog::stderr_color_mt(std::string(role));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L [%n] %v");
  logger->set_level(level == "off"     ? spdlog::level::off
                    : level == "error" ? spdlog::level::err
                    : level == "warn"  ? spdlog::level::warn
                    : level == "debug" ? spdlog::level::debug
                                       : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void LogLine(int level, absl::string_view text) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  if (!spdlog::default_logger_raw()->should_log(kLevels[level])) return;
  spdlog::log(kLevels[level], "{}", std::string(text));
}

}  // namespace expertmesh
