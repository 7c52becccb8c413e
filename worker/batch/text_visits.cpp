#include "worker/batch/text_visits.h"

#include <algorithm>

#include "worker/roles.h"

namespace ferry::worker {

std::vector<std::string> prompts_to_encode(const Job& job) {
  if (!entry_of(Role::TextEncoder).needed(given_to(job))) return {};
  std::vector<std::string> prompts = {job.prompt};
  if (job.guided()) prompts.push_back(job.negative_prompt);
  return prompts;
}

TextVisit plan_visit(const std::vector<Job>& jobs, const ContextStore& store, std::size_t bytes_each,
                     std::size_t limit_bytes) {
  const std::vector<std::string> own = prompts_to_encode(jobs.front());
  TextVisit visit;
  visit.known = std::ranges::all_of(own, [&](const std::string& prompt) { return store.has(prompt); });
  const bool encodes = !own.empty() && !visit.known;
  std::set<std::string> planned(own.begin(), own.end());
  std::size_t bytes = store.bytes() + own.size() * bytes_each;
  for (std::size_t i = 1; i < jobs.size(); ++i) {
    for (const std::string& prompt : prompts_to_encode(jobs[i])) {
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

}  // namespace ferry::worker
