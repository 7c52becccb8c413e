#include "worker/batch/shared_contexts.h"

#include <span>
#include <utility>

#include "base/host/memory_use.h"

namespace ferry::worker {
namespace {

// Part of the free host memory for encoded prompts.
constexpr std::size_t kPartForContexts = 16;

// At most, of one prompt.
std::size_t bytes_each(const Networks& networks) {
  const auto& text = networks.facts.text;
  return text ? static_cast<std::size_t>(text->text_len * text->dim) * sizeof(float) : 0;
}

}  // namespace

void SharedContexts::open() {
  for (const std::size_t item : ledger_.left()) {
    jobs_.push_back(&ledger_.job(item));
    for (const std::string& prompt : prompts_to_encode(*jobs_.back())) ++uses_[prompt];
  }
}

TextVisit SharedContexts::plan(std::size_t place, const Networks& networks) {
  const std::span<const Job* const> from = std::span(jobs_).subspan(place);
  const bool only_own = std::exchange(all_planned_, true);
  TextVisit visit = plan_visit(only_own ? from.first(1) : from, store_, bytes_each(networks), limit());
  all_planned_ = !visit.more_later;
  return visit;
}

TextRound SharedContexts::plan_from(std::size_t place, const Networks& networks, int groups) const {
  return plan_round(std::span(jobs_).subspan(place), bytes_each(networks),
                    limit() / static_cast<std::size_t>(groups));
}

void SharedContexts::drop_done(std::size_t place) {
  for (const std::string& prompt : prompts_to_encode(*jobs_[place])) {
    if (--uses_[prompt] == 0) store_.drop(prompt);
  }
}

std::size_t SharedContexts::limit() const {
  return batch_.context_bytes > 0 ? batch_.context_bytes : host_memory().available_bytes / kPartForContexts;
}

}  // namespace ferry::worker
