#include "launcher/process/caught.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace ferry::launcher {
namespace {

constexpr int kPatience_ms = 10000;

sigset_t set_of(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

// The next one, awaited.
Caught await(const CaughtSignals& caught) {
  pollfd source = {caught.descriptor(), POLLIN, 0};
  while (::poll(&source, 1, kPatience_ms) < 0) continue;
  return caught.next().value_or(Caught{});
}

std::atomic<int> times_handled = 0;

// What SIGUSR1 does for the process beside the tests: it counts.
class CaughtTest : public ::testing::Test {
 protected:
  CaughtTest() {
    times_handled = 0;
    ::signal(SIGUSR1, [](int) { ++times_handled; });
  }
  ~CaughtTest() override {
    ::signal(SIGUSR1, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }
  const sigset_t set_ = set_of(SIGUSR1);
};

TEST_F(CaughtTest, ASignalThatAnotherThreadTakesArrives) {
  std::atomic<bool> end = false;
  std::thread other([&] {
    while (!end) ::poll(nullptr, 0, 1);
  });
  const CaughtSignals caught(set_);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);  // so only the other can have it
  for (int i = 0; i < 20; ++i) {
    ::kill(::getpid(), SIGUSR1);
    const Caught first = await(caught);
    EXPECT_EQ(first.signal, SIGUSR1);
    EXPECT_FALSE(first.by_kernel);
  }
  EXPECT_FALSE(caught.next());
  EXPECT_EQ(times_handled, 0);
  end = true;
  other.join();
}

TEST_F(CaughtTest, ASignalThatWasBlockedArrivesAndIsBlockedAfterwards) {
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  {
    CaughtSignals caught(set_);
    ::raise(SIGUSR1);
    EXPECT_EQ(await(caught).signal, SIGUSR1);
  }
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 1);
}

TEST_F(CaughtTest, WhatStillWaitsIsRaisedAgainWhenReleased) {
  CaughtSignals caught(set_);
  ::raise(SIGUSR1);
  EXPECT_EQ(times_handled, 0);
  caught.release();
  EXPECT_EQ(times_handled, 1);
  ::raise(SIGUSR1);
  EXPECT_EQ(times_handled, 2);
}

TEST_F(CaughtTest, WhatStillWaitsIsDroppedWhenDestroyed) {
  {
    const CaughtSignals caught(set_);
    ::raise(SIGUSR1);
  }
  EXPECT_EQ(times_handled, 0);
  const CaughtSignals next(set_);
  EXPECT_FALSE(next.next());
}

TEST_F(CaughtTest, ItCatchesAgainAfterTheDefaultAction) {
  const CaughtSignals caught(set_of(SIGCONT));
  CaughtSignals::raise_by_default(SIGCONT);  // which goes on
  EXPECT_FALSE(caught.next());
  ::raise(SIGCONT);
  EXPECT_EQ(await(caught).signal, SIGCONT);
}

TEST_F(CaughtTest, AChildActsByDefaultAndBlocksNothing) {
  const CaughtSignals caught(set_);
  const auto end_in_child = [&] {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    caught.forget_in_child();
    ::raise(SIGUSR1);
  };
  EXPECT_EXIT(end_in_child(), ::testing::KilledBySignal(SIGUSR1), "");
}

}  // namespace
}  // namespace ferry::launcher
