#include "worker/spin_limit.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "base/log.h"

namespace ferry::worker {

namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(100);
constexpr std::uint64_t kEnough_ns = 50'000'000;  // minimum runnable time of a sample
// Two runs on the same cores wait at least a third of the time; a single one only briefly, when a stage
// begins.
constexpr double kContended = 0.2;
constexpr int kContendedLooks = 2;
constexpr double kCalm = 0.1;
constexpr int kCalmLooks = 2;

double share(const CoreTimes& from, const CoreTimes& to) {
  // Times of threads that have ended are missing from `to`.
  if (to.on_core < from.on_core || to.waiting < from.waiting) return 0;
  const std::uint64_t waiting = to.waiting - from.waiting;
  const std::uint64_t all = waiting + to.on_core - from.on_core;
  return all < kEnough_ns ? 0 : static_cast<double>(waiting) / static_cast<double>(all);
}

// A sleeping team, large enough for libgomp to count more threads than cores; it exists until its creating
// thread ends.
class SleepingTeam {
 public:
  // Throws std::system_error if no thread can be started.
  explicit SleepingTeam(int threads)
      : maker_([this, threads](const std::stop_token& stop) {
          // Unused, but gcc makes no team for an empty region.
          std::atomic<int> started = 0;
#pragma omp parallel num_threads(threads)
          ++started;
          std::unique_lock lock(mutex_);
          wake_.wait(lock, stop, [] { return false; });
        }) {
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread maker_;
};

}  // namespace

std::optional<CoreTimes> core_times() {
  CoreTimes sum;
  bool any = false;
  std::error_code error;
  for (auto task = std::filesystem::directory_iterator("/proc/self/task", error);
       !error && task != std::filesystem::directory_iterator(); task.increment(error)) {
    std::ifstream file(task->path() / "schedstat");
    CoreTimes one;
    if (!(file >> one.on_core >> one.waiting)) continue;
    any = true;
    sum.on_core += one.on_core;
    sum.waiting += one.waiting;
  }
  return any ? std::optional(sum) : std::nullopt;
}

bool SpinRule::limits(double share) {
  contended_ = share > kContended ? contended_ + 1 : 0;
  calm_ = share < kCalm ? calm_ + 1 : 0;
  if (contended_ >= kContendedLooks) limited_ = true;
  if (calm_ >= kCalmLooks) limited_ = false;
  return limited_;
}

SpinLimit::SpinLimit() {
  const int threads = at::get_num_threads();
  const int cores = omp_get_num_procs();
  // A single thread waits for no other, and libgomp itself handles more threads than cores.
  if (threads < 2 || threads > cores) return;
  team_threads_ = cores + 2 - threads;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

void SpinLimit::watch(const std::stop_token& stop) {
  try {
    std::optional<SleepingTeam> team;
    std::optional<CoreTimes> last = core_times();
    if (!last) team.emplace(team_threads_);
    SpinRule rule;
    while (!stop.stop_requested()) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stop, kBetweenLooks, [] { return false; });
      }
      const std::optional<CoreTimes> now = core_times();
      if (!now || !last) continue;
      const bool limits = rule.limits(share(*last, *now));
      last = now;
      if (limits && !team) team.emplace(team_threads_);
      if (!limits && team) team.reset();
    }
  } catch (const std::system_error& failed) {
    spdlog::debug("OpenMP threads go on spinning: {}", failed.what());
  }
}

}  // namespace ferry::worker
