#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "base/error.h"
#include "tests/fuzz/target.h"

namespace ferry::fuzz {

Target safetensors_target();
Target index_target();
Target pth_target();
Target pickle_target();
Target lora_target();
Target adapter_config_target();
Target quantized_target();
Target model_config_target();
Target tokenizer_target();
Target state_target();
Target cfg_target();
Target manifest_target();
Target grid_target();
Target rows_target();
Target machine_target();

std::span<const Target> targets() {
  static const std::vector<Target> all = {
      safetensors_target(), index_target(),          pth_target(),       pickle_target(),
      lora_target(),        adapter_config_target(), quantized_target(), model_config_target(),
      tokenizer_target(),   state_target(),          cfg_target(),       manifest_target(),
      grid_target(),        rows_target(),           machine_target(),
  };
  return all;
}

const Target& target_named(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Target& target : targets()) {
    if (target.name == name) return target;
    names.push_back(target.name);
  }
  throw std::invalid_argument(fmt::format("no target {}; accepted: {}", name, fmt::join(names, ", ")));
}

Outcome outcome_of(const Target& target, std::string_view input) {
  constexpr std::size_t kLongest = 4000;  // a line that a user reads
  const auto copy = std::make_unique<char[]>(input.size());
  std::copy(input.begin(), input.end(), copy.get());
  try {
    target.read({copy.get(), input.size()});
    return {.accepted = true};
  } catch (const UserError& error) {
    Outcome outcome{.accepted = false, .refusal = error.what()};
    if (outcome.refusal.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
      throw std::logic_error("a refusal that is not one line: " + outcome.refusal);
    if (outcome.refusal.empty() || outcome.refusal.size() > kLongest)
      throw std::logic_error(fmt::format("a refusal of {} bytes", outcome.refusal.size()));
    return outcome;
  } catch (const std::exception& error) {
    throw std::logic_error(fmt::format("no UserError: {}", error.what()));
  }
}

}  // namespace ferry::fuzz
