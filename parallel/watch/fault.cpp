#include "parallel/watch/fault.h"

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ferry::parallel {

namespace {

constexpr std::array<std::pair<std::string_view, Fault::Kind>, 5> kKinds = {
    {{"stop", Fault::Kind::Stop},
     {"kill", Fault::Kind::Kill},
     {"hang", Fault::Kind::Hang},
     {"throw", Fault::Kind::Throw},
     {"refuse", Fault::Kind::Refuse}}};

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
  return parts;
}

std::optional<int> number_of(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::optional<Stage> stage_of(const std::string& text) {
  for (int i = static_cast<int>(Stage::Load); i < static_cast<int>(Stage::End); ++i) {
    if (text == name_of(static_cast<Stage>(i))) return static_cast<Stage>(i);
  }
  return std::nullopt;
}

std::optional<Fault::Kind> kind_of(const std::string& text) {
  for (const auto& [name, kind] : kKinds) {
    if (text == name) return kind;
  }
  return std::nullopt;
}

}  // namespace

void Fault::meet(const Where& now) const {
  if (now.stage != where.stage || (where.step > 0 && now.step != where.step)) return;
  switch (kind) {
    case Kind::Stop:
      std::raise(SIGSTOP);
      return;
    case Kind::Kill:
      std::raise(SIGKILL);
      return;
    case Kind::Hang:
      while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
    case Kind::Throw:
      throw Error("planted by FERRY_TEST_FAULT");
    case Kind::Refuse:
      throw UserError("refused by FERRY_TEST_FAULT");
  }
}

std::optional<Fault> planted_fault(const std::string& text, int rank) {
  if (text.empty()) return std::nullopt;
  const std::vector<std::string> parts = parts_of(text);
  const bool has_step = parts.size() == 4;
  if (parts.size() == 3 || has_step) {
    const auto kind = kind_of(parts[0]);
    const auto which = number_of(parts[1]);
    const auto stage = stage_of(parts[2]);
    const auto step = has_step ? number_of(parts[3]) : std::optional(0);
    if (kind && which && stage && step) {
      if (*which != rank) return std::nullopt;
      return Fault{*kind, rank, {.stage = *stage, .step = *step, .block = -1}};
    }
  }
  throw UserError("FERRY_TEST_FAULT=" + text +
                  ": KIND:RANK:STAGE[:STEP] with stop, kill, hang, throw or refuse");
}

}  // namespace ferry::parallel
