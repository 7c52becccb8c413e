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

void Janitor::take(std::function<void()> work) {
  try {
    works_.push_back(std::async(std::launch::async, work));
  } catch (const std::system_error&) {
    work();
  }
}

void Janitor::finish() {
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
