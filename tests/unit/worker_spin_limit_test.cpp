// Runs without OMP_WAIT_POLICY, which other tests set.
#include "worker/spin_limit.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace ferry::worker {
namespace {

TEST(SpinRule, LimitsWhenTheCoresAreContendedForAWhile) {
  SpinRule rule;
  EXPECT_FALSE(rule.limits(0.0));
  EXPECT_FALSE(rule.limits(0.6)) << "a stage begins";
  EXPECT_FALSE(rule.limits(0.0));
  EXPECT_FALSE(rule.limits(0.3));
  EXPECT_TRUE(rule.limits(0.3));
  EXPECT_TRUE(rule.limits(0.15)) << "neither contended nor calm";
  EXPECT_TRUE(rule.limits(0.0));
  EXPECT_TRUE(rule.limits(0.3));
  EXPECT_TRUE(rule.limits(0.0));
  EXPECT_FALSE(rule.limits(0.0)) << "calm again";
}

TEST(CoreTimes, CountWhatThreadsRan) {
  const auto before = core_times();
  if (!before) GTEST_SKIP() << "this kernel does not count";
  const Clock::time_point begin = Clock::now();
  std::atomic<double> value = 0;
  while (seconds_since(begin) < 0.3) value = std::sin(value + 1);
  const auto after = core_times();
  ASSERT_TRUE(after);
  // Of 0.3 s, on a core or waiting for one.
  EXPECT_GE(after->on_core + after->waiting, before->on_core + before->waiting + 250'000'000);
}

// More busy threads than cores.
class Crowd {
 public:
  Crowd() {
    for (int i = 0; i < 2 * omp_get_num_procs(); ++i) {
      threads_.emplace_back([](const std::stop_token& stop) {
        std::atomic<std::int64_t> count = 0;
        while (!stop.stop_requested()) ++count;
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

double thread_cpu_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// What a thread of a team spends on a core while it waits 30 ms for another, in ms; the median of some.
double spent_waiting(int threads = 2) {
  std::vector<double> spent;
  for (int i = 0; i < 9; ++i) {
    double mine = 0;
#pragma omp parallel num_threads(threads)
    {
      const int me = omp_get_thread_num();
      if (me == 0) std::this_thread::sleep_for(std::chrono::milliseconds(30));
      const double before = thread_cpu_ms();
#pragma omp barrier
      if (me == 1) mine = thread_cpu_ms() - before;
    }
    spent.push_back(mine);
  }
  std::sort(spent.begin(), spent.end());
  return spent[4];
}

TEST(SpinLimit, HoldsWhileCoresAreContendedAndNoLonger) {
  if (!core_times()) GTEST_SKIP() << "this kernel does not count";
  if (omp_get_num_procs() < 2) GTEST_SKIP() << "one core: nothing spins";
  const double free = spent_waiting();
  ASSERT_GT(free, 0.2) << "libgomp spins by default";
  at::set_num_threads(omp_get_num_procs());
  const SpinLimit limit;
  {
    const Crowd crowd;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    EXPECT_LT(spent_waiting(), free / 4);
  }
  // What runs for less than half of a core has nothing to be limited for, however busy others keep the
  // machine.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_GT(spent_waiting(), free / 4);
}

// What it does not do while cores are contended.
void expect_no_limit(double free) {
  const SpinLimit limit;
  const Crowd crowd;
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_GT(spent_waiting(), free / 4);
}

TEST(SpinLimit, LeavesAloneWhatTheUserHasSet) {
  if (omp_get_num_procs() < 2) GTEST_SKIP() << "one core: nothing spins";
  at::set_num_threads(omp_get_num_procs());
  const double free = spent_waiting();
  for (const char* name : {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}) {
    ::setenv(name, "300000", 1);
    expect_no_limit(free);
    ::unsetenv(name);
  }
}

std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

TEST(SpinLimit, LeavesMoreThreadsThanCoresToLibgomp) {
  const int cores = omp_get_num_procs();
  if (cores < 2) GTEST_SKIP() << "one core: nothing spins";
  const double free = spent_waiting();
  for (const int more : {1, 2, 3, 5}) {
    at::set_num_threads(cores + more);
    EXPECT_LT(spent_waiting(cores + more), free / 4) << "libgomp lets them spin shortly";
    const Crowd crowd;
    const std::ptrdiff_t before = threads_of_this_process();
    const SpinLimit limit;
    // Long enough to find the cores contended.
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_EQ(threads_of_this_process(), before) << more << " more threads than cores";
  }
  at::set_num_threads(cores);
}

}  // namespace
}  // namespace ferry::worker
