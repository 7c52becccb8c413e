#include "worker/batch/text_visits.h"

#include <algorithm>
#include <set>

#include "worker/job/prompts.h"
#include "worker/roles.h"

namespace ferry::worker {

std::vector<std::string> prompts_to_encode(const Job& job) {
  if (!entry_of(Role::TextEncoder).needed(given_to(job))) return {};
  return prompts_of(job);
}

TextVisit plan_visit(std::span<const Job* const> jobs, const ContextStore& store, std::size_t bytes_each,
                     std::size_t limit_bytes) {
  const std::vector<std::string> own = prompts_to_encode(*jobs.front());
  TextVisit visit;
  visit.known = std::ranges::all_of(own, [&](const std::string& prompt) { return store.has(prompt); });
  const bool encodes = !own.empty() && !visit.known;
  std::set<std::string> planned(own.begin(), own.end());
  std::size_t bytes = store.bytes() + own.size() * bytes_each;
  for (std::size_t i = 1; i < jobs.size(); ++i) {
    for (const std::string& prompt : prompts_to_encode(*jobs[i])) {
      if (store.has(prompt) || planned.contains(prompt)) continue;
      if (!encodes || bytes + bytes_each > limit_bytes) {
        visit.more_later = true;
        return visit;
      }
      bytes += bytes_each;
      planned.insert(prompt);
      visit.ahead.push_back(prompt);
    }
  }
  return visit;
}

TextRound plan_round(std::span<const Job* const> jobs, std::size_t bytes_each, std::size_t limit_bytes) {
  TextRound round;
  std::set<std::string> planned;
  bool closed = false;
  for (const Job* job : jobs) {
    std::vector<std::string> fresh;
    for (const std::string& prompt : prompts_to_encode(*job)) {
      const bool twice = std::ranges::find(fresh, prompt) != fresh.end();
      if (!twice && !planned.contains(prompt)) fresh.push_back(prompt);
    }
    const std::size_t bytes = (planned.size() + fresh.size()) * bytes_each;
    closed = closed || (round.videos > 0 && !fresh.empty() && bytes > limit_bytes) ||
             job->loras != jobs.front()->loras;
    if (closed) {
      round.more_later = round.more_later || !prompts_to_encode(*job).empty();
      continue;
    }
    ++round.videos;
    planned.insert(fresh.begin(), fresh.end());
    round.prompts.insert(round.prompts.end(), fresh.begin(), fresh.end());
  }
  return round;
}

}  // namespace ferry::worker
