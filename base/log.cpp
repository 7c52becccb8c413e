#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <array>
#include <string_view>

#include "base/error.h"

namespace ferry {

void start_log(const std::string& level, int rank, int size) {
  constexpr std::array<std::string_view, 6> kLevels = {"trace", "debug", "info", "warning", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    throw UserError(
        fmt::format("log level \"{}\": trace, debug, info, warning, error and off are known", level));
  }
  auto logger =
      std::make_shared<spdlog::logger>("ferry", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern(size > 1 ? fmt::format("%H:%M:%S [{}/{}] %^%l%$: %v", rank, size)
                               : "%H:%M:%S %^%l%$: %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace ferry
