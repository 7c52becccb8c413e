#include "worker/janitor.h"

#include <exception>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace ferry::worker {

Janitor::~Janitor() {
  try {
    finish();
  } catch (const std::exception& failed) {
    spdlog::error("giving memory back: {}", failed.what());
  }
}

// Shared, so that its captures are destroyed on the thread that runs it.
void Janitor::take(std::function<void()> work) {
  const auto once = std::make_shared<std::function<void()>>(std::move(work));
  try {
    works_.push_back(std::async(std::launch::async, [once] { (*once)(); }));
  } catch (const std::system_error&) {
    (*once)();
  }
}

void Janitor::begin() {
  for (std::function<void()>& work : std::exchange(kept_, {})) take(std::move(work));
}

void Janitor::finish() {
  begin();
  std::exception_ptr first;
  for (std::future<void>& work : std::exchange(works_, {})) {
    try {
      work.get();
    } catch (...) {
      if (first == nullptr) first = std::current_exception();
    }
  }
  if (first != nullptr) std::rethrow_exception(first);
}

}  // namespace ferry::worker
