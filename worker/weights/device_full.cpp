#include "worker/weights/device_full.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "base/error.h"
#include "offload/setting.h"

namespace ferry::worker {
namespace {

// For what is not accounted for, as where `auto` chooses (offload/make_stage.cpp).
constexpr double kUsable = 0.95;
// For the rank that is short to speak, where all ranks of a group got its error.
constexpr std::chrono::seconds kOthersFirst(1);

std::string text_of(std::size_t bytes) {
  const auto number = static_cast<double>(bytes);
  return bytes < 1'000'000'000 ? fmt::format("{:.3f} MB", number / 1e6)
                               : fmt::format("{:.3f} GB", number / 1e9);
}

std::size_t less(std::size_t bytes, std::size_t by) { return bytes - std::min(bytes, by); }

// "ried to allocate 2.00 GiB" of LibTorch, "cannot allocate 123 bytes" of ours; 0 if the text has neither.
std::size_t bytes_asked(const std::string& text) {
  constexpr std::array<std::string_view, 3> kAsked = {"ried to allocate ", "cannot allocate ",
                                                      "cannot share "};
  constexpr std::array<std::string_view, 4> kUnits = {" bytes", " KiB", " MiB", " GiB"};
  for (const std::string_view words : kAsked) {
    const std::size_t found = text.find(words);
    if (found == std::string::npos) continue;
    const char* begin = text.c_str() + found + words.size();
    char* end = nullptr;
    double bytes = std::strtod(begin, &end);
    for (const std::string_view unit : kUnits) {
      if (end != begin && bytes >= 0 && std::string_view(end).starts_with(unit))
        return static_cast<std::size_t>(bytes);
      bytes *= 1024;
    }
  }
  return 0;
}

bool says_it_is_full(const std::string& text) {
  constexpr std::array<std::string_view, 4> kWords = {
      "out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"};
  return std::ranges::any_of(kWords,
                             [&](std::string_view words) { return text.find(words) != std::string::npos; });
}

Wanted wanted_by(std::string_view who, const std::string& text) {
  const std::size_t bytes = bytes_asked(text);
  const std::string first_line = text.substr(0, text.find('\n'));
  return {bytes, bytes == 0 ? first_line : fmt::format("{} asked for {}", who, text_of(bytes))};
}

// Of every category that is not empty.
std::string weights_text(const DeviceHeld& held) {
  std::size_t total = 0;
  std::string parts;
  for (std::size_t i = 0; i < held.weights.size(); ++i) {
    if (held.weights[i] == 0) continue;
    total += held.weights[i];
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name_of(static_cast<offload::Category>(i)),
                         text_of(held.weights[i]));
  }
  if (total == 0) return "no weights";
  return fmt::format("weights {} ({}{})", text_of(total), parts, held.in_place ? ", in the host copy" : "");
}

std::string held_text(const DeviceHeld& held, std::size_t activation_bytes) {
  const std::size_t used = less(held.use.total_bytes, held.use.free_bytes);
  const std::size_t others = less(used, held.weights_now + held.torch_now + held.buffers);
  return fmt::format(
      "the stage held at most {}, LibTorch's tensors {} ({} with its cache; about {} were expected); buffers "
      "of exchanges {}; libraries and other processes {} ({} when the run began)",
      weights_text(held), text_of(held.torch.allocated_bytes), text_of(held.torch.held_bytes),
      text_of(activation_bytes), text_of(held.buffers), text_of(others), text_of(held.others_at_start));
}

std::string way_out(const offload::StagePlan& plan, std::size_t activation_bytes, const DeviceHeld& held,
                    const Wanted& wanted) {
  const std::size_t room = held.use.free_bytes + held.weights_now + held.torch_now;
  const auto usable = static_cast<std::size_t>(kUsable * static_cast<double>(room));
  const std::size_t activations = std::max(activation_bytes, held.torch.allocated_bytes + wanted.bytes);
  const bool undecided = plan.kind == offload::StrategyKind::Auto;
  const std::size_t now = held.in_place ? 0 : plan.need.bytes;
  for (const offload::Setting& setting : offload::settings_of(plan)) {
    const std::size_t bytes = setting.use.need.bytes;
    if ((!undecided && bytes >= now) || bytes + activations > usable) continue;
    if (plan.limit_bytes && bytes > *plan.limit_bytes) continue;
    return fmt::format("{} would take {} of weights and fit", setting.words, text_of(bytes));
  }
  return "no offload type fits; a smaller size, fewer frames or more ranks take less for activations";
}

}  // namespace

std::optional<Wanted> wanted_memory(const std::exception& error) {
  if (dynamic_cast<const OutOfMemory*>(&error) != nullptr) return wanted_by("Ferry", error.what());
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) {
    const bool full = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr;
    const std::string text = torch->what_without_backtrace();
    if (full || says_it_is_full(text)) return wanted_by("LibTorch", text);
  }
  if (dynamic_cast<const CudaError*>(&error) != nullptr && says_it_is_full(error.what()))
    return Wanted{0, error.what()};
  return std::nullopt;
}

std::string device_full_text(const offload::StagePlan& plan, std::size_t activation_bytes,
                             const DeviceHeld& held, const Wanted& wanted) {
  return fmt::format("{}: the device's memory is full: {}, {} of {} are free ({}); {}; {}", plan.stage(),
                     wanted.words, text_of(held.use.free_bytes), text_of(held.use.total_bytes), held.device,
                     held_text(held, activation_bytes), way_out(plan, activation_bytes, held, wanted));
}

ExplainsDeviceFull::ExplainsDeviceFull(Rank& rank, const StageSource& source, const LoadedStage& stage,
                                       const TorchMemory* torch)
    : rank_(rank),
      source_(source),
      stage_(stage),
      torch_(torch),
      before_(std::exchange(rank.explain, [this](const std::exception& error) { return text(error); })) {}

std::string ExplainsDeviceFull::text(const std::exception& error) const {
  const std::optional<Wanted> wanted = wanted_memory(error);
  if (!wanted) return {};
  const DeviceHeld found = held();
  const bool of_another = std::string_view(error.what()).starts_with("rank ");
  if (of_another && wanted->bytes < found.use.free_bytes) {
    std::this_thread::sleep_for(kOthersFirst);
    return {};
  }
  const offload::StagePlan& plan = stage_.weights == nullptr ? source_.network->plan : stage_.weights->plan();
  return device_full_text(plan, source_.activation_bytes, found, *wanted);
}

DeviceHeld ExplainsDeviceFull::held() const {
  const std::size_t counted = rank_.account.now();
  const std::size_t allocated = rank_.device->allocated_bytes();
  DeviceHeld held{.device = rank_.device->name(),
                  .use = rank_.device->memory(),
                  .weights = rank_.account.at_peak(),
                  .weights_now = std::min(counted, allocated),
                  .in_place = !rank_.on_gpu() && allocated < counted,
                  .torch = torch_peak(*rank_.device),
                  .torch_now = torch_held(*rank_.device),
                  .buffers = less(allocated, counted),
                  .others_at_start = rank_.others_at_start};
  if (!rank_.on_gpu() && torch_ != nullptr) {
    held.torch = {.held_bytes = torch_->peak_bytes(), .allocated_bytes = torch_->peak_bytes()};
    held.torch_now = torch_->now_bytes();
  }
  return held;
}

}  // namespace ferry::worker
