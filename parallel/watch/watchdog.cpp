#include "parallel/watch/watchdog.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <exception>
#include <utility>

#include "base/host/memory_use.h"
#include "parallel/patience.h"
#include "parallel/watch/process.h"

namespace ferry::parallel {

namespace {

constexpr std::chrono::milliseconds kLook(100);
constexpr std::chrono::seconds kSuspended(1);  // a look as late as this: the process did not run
constexpr std::chrono::milliseconds kOtherNodesFirst(2000);
constexpr std::chrono::milliseconds kOthersFirst(500);  // until a rank speaks in place of a lower one
constexpr std::chrono::milliseconds kSure(150);         // a process that has gone is looked for twice
constexpr std::chrono::seconds kMemoryEvery(1);
constexpr double kContactEvery_s = 1;
constexpr double kContactsInDeadline = 5;   // at least
constexpr std::chrono::seconds kGoDown(3);  // mpirun, or the rank that spoke, takes about one
constexpr double kRuns = 0.02;              // share of a core

double seconds_of(clockid_t clock) {
  timespec time = {};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Not through the log, whose lock a stuck thread may hold.
void say(const std::string& text) {
  constexpr int kPatience_ms = 100;
  const std::string line = (::isatty(STDERR_FILENO) == 1 ? "\nferry: " : "ferry: ") + text + "\n";
  pollfd err = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&err, 1, kPatience_ms) <= 0 || (err.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

Watchdog::Watchdog(WatchSetup setup)
    : setup_(std::move(setup)),
      ticks_(setup_.board, setup_.index, setup_.fault),
      deadline_s_(setup_.deadline_s),
      last_look_(Clock::now()),
      resumed_(last_look_) {
  has_clock_ = ::pthread_getcpuclockid(::pthread_self(), &main_clock_) == 0;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  ::pthread_setname_np(thread_.native_handle(), "ferry-watch");
}

void Watchdog::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    try {
      look();
    } catch (const std::exception&) {  // /proc could not be read
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, kLook, [] { return false; });
  }
}

void Watchdog::look() {
  const Clock::time_point now = Clock::now();
  if (now - last_look_ > kSuspended) resumed_ = now;
  note_own_progress(now);
  last_look_ = now;
  mine().beat = now.time_since_epoch().count();
  note_memory(now);
  keep_contact(now);
  if (down() != 0) return go_down_with_others(now);
  const std::vector<Seen> ranks = all_seen();
  const auto verdict = judge(ranks, now, resumed_, deadline_s_);
  if (verdict != std::exchange(verdict_, verdict)) verdict_at_ = now;
  if (!verdict) {
    const auto works = [&](const Seen& rank) {
      return rank.rank != setup_.board.rank(setup_.index) && !rank.left && must_tick(rank.where.stage);
    };
    const bool sees_all = ranks.size() == setup_.hosts.size();
    if (sees_all && std::ranges::any_of(ranks, works)) setup_.all_is_well();
    return;
  }
  const Clock::duration age = now - verdict_at_;
  if (verdict->trouble == Trouble::Gone && age < kSure) return;
  if (age >= turn(ranks, now)) tell(*verdict, ranks, now);
}

// On the CPU a block, or a step, may last as long as it likes while the thread that computes it runs.
void Watchdog::note_own_progress(Clock::time_point now) {
  if (!has_clock_ || !ticks_.computes_on_host()) return;
  const double before = std::exchange(main_s_, seconds_of(main_clock_));
  if (main_s_ - before > kRuns * seconds_between(last_look_, now)) ticks_.progress();
}

void Watchdog::note_memory(Clock::time_point now) {
  if (now - memory_at_ < kMemoryEvery) return;
  memory_at_ = now;
  mine().host_free = host_memory().available_bytes;
}

void Watchdog::keep_contact(Clock::time_point now) {
  const double every = std::min(kContactEvery_s, deadline_s_ / kContactsInDeadline);
  if (!setup_.contact || seconds_between(contact_at_, now) < every) return;
  contact_at_ = now;
  setup_.contact();
}

void Watchdog::hear(int rank, const Sign& sign) {
  const Clock::time_point now = Clock::now();
  const std::lock_guard lock(remote_mutex_);
  remote_[rank] = {.rank = rank,
                   .process = 0,
                   .started = 0,
                   .where = unpacked(sign.where),
                   .tick = now - std::chrono::nanoseconds(sign.tick_age),
                   .beat = now,
                   .waits = sign.waits > 0,
                   .left = false,
                   .asked = sign.asked > 0,
                   .gives_up = sign.gives_up > 0,
                   .group = sign.group,
                   .gone = false,
                   .device_free = sign.device_free,
                   .host_free = sign.host_free,
                   .remote = true};
}

void Watchdog::go_down_with_others(Clock::time_point now) {
  if (!down_at_) down_at_ = now;
  if (now - *down_at_ > kGoDown) setup_.end(down());
}

std::vector<Seen> Watchdog::all_seen() const {
  std::vector<Seen> ranks;
  for (int i = 0; i < setup_.board.size(); ++i) ranks.push_back(setup_.board.seen(i));
  const Clock::duration deaf = Clock::now() - listened_.load();
  const std::lock_guard lock(remote_mutex_);
  for (const auto& [rank, seen] : remote_) {
    ranks.push_back(seen);
    ranks.back().tick += deaf;
    ranks.back().beat += deaf;
  }
  return ranks;
}

// How long the lowest rank that runs gets to speak: none if this is that rank.
Clock::duration Watchdog::turn(const std::vector<Seen>& ranks, Clock::time_point now) const {
  Clock::duration wait(0);
  for (const Seen& rank : ranks) {
    if (rank.rank >= setup_.board.rank(setup_.index) || rank.left || rank.gone) continue;
    const Clock::duration silence = now - std::max(rank.beat, resumed_);
    if (silence > (rank.remote ? kOtherNodesFirst : kSuspended)) continue;
    wait = std::max<Clock::duration>(wait, rank.remote ? kOtherNodesFirst : kOthersFirst);
  }
  return wait;
}

void Watchdog::tell(const Verdict& verdict, const std::vector<Seen>& ranks, Clock::time_point now) {
  if (!claim(1)) return;
  say(report(ranks[verdict.index], verdict.trouble, host(ranks[verdict.index].rank), now));
  setup_.end(1);
}

std::optional<std::string> Watchdog::about_gone() const {
  for (const Seen& rank : all_seen()) {
    if (rank.gone) return report(rank, Trouble::Gone, host(rank.rank), Clock::now());
  }
  return std::nullopt;
}

bool Watchdog::a_rank_has_gone() {
  if (down() != 0) return true;
  const auto line = about_gone();
  if (!line) return false;
  if (claim(1)) say(*line);
  return true;
}

bool Watchdog::a_rank_was_asked_to_stop() const {
  for (int i = 0; i < setup_.board.size(); ++i) {
    if (setup_.board.place(i).asked) return true;
  }
  const std::lock_guard lock(remote_mutex_);
  return std::ranges::any_of(remote_, [](const auto& each) { return each.second.asked; });
}

int Watchdog::ranks_that_stay() const {
  auto stay = static_cast<int>(setup_.hosts.size());
  for (int i = 0; i < setup_.board.size(); ++i) {
    const Place& place = setup_.board.place(i);
    if (place.gives_up || place.left) --stay;
  }
  const std::lock_guard lock(remote_mutex_);
  for (const auto& [rank, seen] : remote_) stay -= seen.gives_up ? 1 : 0;
  return stay;
}

bool Watchdog::all_refuse(double seconds) {
  mine().refused = true;
  ticks_.begin(Stage::End);
  Patience patience(seconds);
  const auto all = [this] {
    for (int i = 0; i < setup_.board.size(); ++i) {
      const Place& place = setup_.board.place(i);
      if (!place.refused && !place.left) return false;
    }
    return true;
  };
  while (!all()) {
    if (patience.over()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Watchdog::kill_others() const {
  for (int i = 0; i < setup_.board.size(); ++i) {
    const Seen rank = setup_.board.seen(i);
    if (i == setup_.index || rank.left || rank.gone) continue;
    if (!has_ended(rank.process, rank.started)) ::kill(rank.process, SIGKILL);
  }
}

}  // namespace ferry::parallel
