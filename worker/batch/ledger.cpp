#include "worker/batch/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text/shown.h"

namespace ferry::worker {
namespace {

double work_of(const Job& job) {
  double work = job.latents.empty() ? job.steps * (job.guided() ? 2.0 : 1.0) : 1.0;
  for (const std::int64_t extent : job.latent_shape) work *= static_cast<double>(extent);
  return work;
}

std::string in_log(const std::string& path) { return shown(path, std::string::npos); }

}  // namespace

void Ledger::hold() {
  if (!lists_) return;
  failed_.check();
  held_ = Reservation::take(failed_.path());
  if (held_) return;
  throw UserError(
      fmt::format("{}: another run of this manifest is at work; wait for its end", in_log(failed_.path())));
}

void Ledger::open(std::vector<ItemFacts> facts) {
  facts_ = std::move(facts);
  std::vector<std::size_t> to_make;
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    const BatchItem& item = batch_.items[i];
    if (facts_[i].left()) to_make.push_back(i);
    if (!facts_[i].error.empty()) {
      spdlog::error("{}: {}", title_of(item), facts_[i].error);
      failed_.add(item, facts_[i].error, 2);
    }
    if (!facts_[i].there) continue;
    ++there_;
    if (facts_[i].differences.empty()) continue;
    ++other_;
    spdlog::warn("{}: {} is there and stays, but {}", title_of(item), in_log(stem_of(item.job)),
                 facts_[i].differences);
  }
  left_ = by_loras(to_make);
  if (lists_) failed_.write();
  spdlog::info("{} videos: {} to make, {} there already, {} that cannot be made", facts_.size(), left_.size(),
               there_, failed_.size());
}

// Those with the LoRAs of the first, then of the first that has others, and so on: each change of the LoRAs
// reads weights again.
std::vector<std::size_t> Ledger::by_loras(const std::vector<std::size_t>& items) const {
  std::vector<std::vector<std::size_t>> groups;
  for (const std::size_t i : items) {
    const auto group = std::ranges::find_if(
        groups, [&](const auto& each) { return job(each.front()).loras == job(i).loras; });
    (group == groups.end() ? groups.emplace_back() : *group).push_back(i);
  }
  std::vector<std::size_t> ordered;
  for (const auto& group : groups) ordered.insert(ordered.end(), group.begin(), group.end());
  return ordered;
}

void Ledger::note_made(std::size_t item, double seconds) {
  ++made_;
  if (seconds == 0) return;
  seconds_done_ += seconds;
  work_done_ += work_of(job(item));
}

void Ledger::note_failure(std::size_t item, const std::string& error, int exit_code) {
  spdlog::error("{}: {}", title_of(batch_.items[item]), error);
  note_failure_elsewhere(item, error, exit_code);
}

void Ledger::note_failure_elsewhere(std::size_t item, const std::string& error, int exit_code) {
  failed_.add(batch_.items[item], error, exit_code);
  if (lists_) failed_.write();
}

double Ledger::seconds_left(std::size_t place, int groups) const {
  if (work_done_ == 0) return 0;
  double work = 0;
  for (std::size_t i = place; i < left_.size(); ++i) work += work_of(job(left_[i]));
  return seconds_done_ / work_done_ * work / groups;
}

std::string Ledger::close() const {
  const std::string others = other_ == 0 ? "" : fmt::format(" ({} with other options)", other_);
  if (lists_) {
    spdlog::info("{} videos: {} made, {} there before{}, {} failed", facts_.size(), made_, there_, others,
                 failed_.size());
  } else {
    spdlog::info("{} videos: {} could be made, {} are there{}, {} could not be made", facts_.size(),
                 facts_.size() - there_ - failed_.size(), there_, others, failed_.size());
  }
  if (failed_.size() == 0) return "";
  return fmt::format("{} of {} videos could not be made{}", failed_.size(), facts_.size(),
                     lists_ ? fmt::format(": {} says why", in_log(failed_.path())) : "");
}

}  // namespace ferry::worker
