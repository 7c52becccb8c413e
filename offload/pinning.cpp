#include "offload/pinning.h"

#include <fmt/format.h>

#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace ferry::offload {

Pinning::Pinning(PinPlan plan) : plan_(std::move(plan)), locks_(plan_.locks), thread_([this] { run(); }) {}

Pinning::~Pinning() {
  stop_ = true;
  wait();
  release();
}

std::string Pinning::wait() {
  if (thread_.joinable()) thread_.join();
  return error_;
}

void Pinning::release() noexcept {
  for (void* piece : registered_) plan_.device->unpin(piece);
  registered_.clear();
}

void Pinning::run() noexcept {
  const Clock::time_point begin = Clock::now();
  try {
    for (const int part : pin_order(plan_.rank, static_cast<int>(plan_.parts.size()))) pin_part(part);
  } catch (const std::exception& failed) {
    error_ = failed.what();
  }
  seconds_ = seconds_since(begin);
}

void Pinning::pin_part(int part) {
  const Clock::time_point begin = Clock::now();
  const auto given_up = [&] { return stop_ || seconds_since(begin) > plan_.patience_s; };
  if (!locks_.take(part, given_up)) throw Error(fmt::format("another rank has not finished part {}", part));
  try {
    for (const Blob& blob : plan_.parts[static_cast<std::size_t>(part)]) {
      if (stop_) break;
      std::byte* data = plan_.arena + blob.offset;
      plan_.device->pin(data, round_up(blob.bytes, kBlobAlign));
      registered_.push_back(data);
    }
  } catch (...) {
    locks_.give(part);
    throw;
  }
  locks_.give(part);
}

}  // namespace ferry::offload
