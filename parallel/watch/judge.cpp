#include "parallel/watch/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace ferry::parallel {

namespace {

constexpr double kBeatsWithin_s = 1;     // a watchdog that runs looks every tenth of a second
constexpr double kMessagesWithin_s = 3;  // and sends every second
constexpr double kGiB = 1 << 30;

struct Judge {
  std::span<const Seen> ranks;
  Clock::time_point now;
  Clock::time_point resumed;
  double deadline_s;

  double age(Clock::time_point then) const { return seconds_between(std::max(then, resumed), now); }
  bool judged(const Seen& rank) const { return !rank.left && must_tick(rank.where.stage); }
  bool stuck(const Seen& rank) const { return judged(rank) && !rank.waits && age(rank.tick) > deadline_s; }
  // A rank of another node sends until its session ends.
  bool beats(const Seen& rank) const {
    return !rank.left && (!rank.remote || rank.where.stage != Stage::End);
  }
  bool silent(const Seen& rank) const {
    const double most = rank.remote ? kMessagesWithin_s : kBeatsWithin_s;
    return beats(rank) && age(rank.beat) > std::min(most, deadline_s / 2);
  }
  // True if all of `among` that must tick wait and none has ticked.
  bool all_stand(const std::vector<std::size_t>& among) const {
    const auto of = [this](std::size_t i) { return judged(ranks[i]); };
    const auto stands = [&](std::size_t i) { return !of(i) || age(ranks[i].tick) > deadline_s; };
    return std::ranges::any_of(among, of) && std::ranges::all_of(among, stands);
  }
  // Ranks that wait for each other and all stand: those of a group, or all; empty: there are none.
  std::vector<std::size_t> standing() const {
    std::map<int, std::vector<std::size_t>> groups;
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      all.push_back(i);
      if (ranks[i].group > 0) groups[ranks[i].group].push_back(i);
    }
    if (all_stand(all)) return all;
    for (const auto& [group, members] : groups) {
      if (all_stand(members)) return members;
    }
    return {};
  }
  bool anything_late() const {
    return !standing().empty() || std::ranges::any_of(ranks, [this](const Seen& rank) {
      return stuck(rank) || (beats(rank) && age(rank.beat) > deadline_s);
    });
  }
};

bool behind(const Seen& a, const Seen& b) {
  return std::pair(a.where.step, a.where.block) < std::pair(b.where.step, b.where.block);
}

// The index of the least advanced of them; by time where they are in no step.
std::size_t least(std::span<const Seen> ranks, const std::vector<std::size_t>& among) {
  const bool steps = std::ranges::all_of(among, [&](std::size_t i) { return ranks[i].where.step > 0; });
  return *std::ranges::min_element(among, [&](std::size_t a, std::size_t b) {
    if (steps && behind(ranks[a], ranks[b])) return true;
    if (steps && behind(ranks[b], ranks[a])) return false;
    return ranks[a].tick < ranks[b].tick;
  });
}

template <class Is>
std::vector<std::size_t> those_that(std::span<const Seen> ranks, const Is& is) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (is(ranks[i])) found.push_back(i);
  }
  return found;
}

std::string free_text(const Seen& rank) {
  std::string text;
  const auto add = [&](const char* name, std::size_t bytes) {
    if (bytes == 0) return;
    text += fmt::format("{}{} {:.1f} GiB", text.empty() ? "; free there: " : ", ", name,
                        static_cast<double>(bytes) / kGiB);
  };
  add("device", rank.device_free);
  add("host", rank.host_free);
  return text;
}

const char* words_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::Gone:
      return "is gone (killed, or crashed)";
    case Trouble::Stopped:
      return "has stopped";
    case Trouble::Stuck:
      return "makes no progress";
    case Trouble::Standstill:
      return "is the least advanced of ranks that all wait";
  }
  return "";
}

}  // namespace

bool must_tick(Stage stage) { return stage != Stage::Start && stage != Stage::End; }

std::optional<Verdict> judge(std::span<const Seen> ranks, Clock::time_point now, Clock::time_point resumed,
                             double deadline_s) {
  const std::vector<std::size_t> gone = those_that(ranks, [](const Seen& rank) { return rank.gone; });
  if (!gone.empty()) return Verdict{Trouble::Gone, gone.front()};
  const Judge judge{ranks, now, resumed, deadline_s};
  if (!judge.anything_late()) return std::nullopt;
  const auto silent = those_that(ranks, [&](const Seen& rank) { return judge.silent(rank); });
  if (!silent.empty()) {
    return Verdict{Trouble::Stopped, *std::ranges::min_element(silent, [&](std::size_t a, std::size_t b) {
                     return ranks[a].beat < ranks[b].beat;
                   })};
  }
  const auto stuck = those_that(ranks, [&](const Seen& rank) { return judge.stuck(rank); });
  if (!stuck.empty()) return Verdict{Trouble::Stuck, least(ranks, stuck)};
  std::vector<std::size_t> standing = judge.standing();
  std::erase_if(standing, [&](std::size_t i) { return !judge.judged(ranks[i]); });
  return Verdict{Trouble::Standstill, least(ranks, standing)};
}

std::string report(const Seen& rank, Trouble trouble, const std::string& host, Clock::time_point now) {
  const Clock::time_point last = trouble == Trouble::Stopped ? std::min(rank.beat, now) : rank.tick;
  return fmt::format("rank {} on {} {}: {}; its last sign is {:.1f} s old{}", rank.rank, host,
                     words_of(trouble), text_of(rank.where), seconds_between(last, now), free_text(rank));
}

}  // namespace ferry::parallel
