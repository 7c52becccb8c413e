#include "worker/janitor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>

namespace ferry::worker {
namespace {

TEST(Janitor, TakesAndLetsTheCallerGoOn) {
  std::latch go(1);
  std::atomic<bool> done = false;
  Janitor janitor;
  janitor.take([&] {
    go.wait();
    done = true;
  });
  EXPECT_FALSE(done);
  go.count_down();
  janitor.finish();
  EXPECT_TRUE(done);
}

TEST(Janitor, WhatItDestroysDiesOnAnotherThread) {
  struct Thing {
    std::thread::id& died_on;
    explicit Thing(std::thread::id& where) : died_on(where) {}
    ~Thing() { died_on = std::this_thread::get_id(); }
  };
  std::thread::id died_on;
  Janitor janitor;
  janitor.take(std::make_unique<Thing>(died_on));
  janitor.finish();
  EXPECT_NE(died_on, std::thread::id());
  EXPECT_NE(died_on, std::this_thread::get_id());
}

TEST(Janitor, WhatItKeepsLivesUntilItBegins) {
  struct Thing {
    explicit Thing(std::atomic<bool>& alive) : alive_(alive) { alive_ = true; }
    ~Thing() { alive_ = false; }
    std::atomic<bool>& alive_;
  };
  std::atomic<bool> first = false, second = false;
  Janitor janitor;
  janitor.keep(std::make_unique<Thing>(first));
  janitor.take([] {});
  EXPECT_TRUE(first);
  janitor.begin();
  janitor.finish();
  EXPECT_FALSE(first);
  janitor.keep(std::make_unique<Thing>(second));
  janitor.finish();
  EXPECT_FALSE(second);
}

TEST(Janitor, NoExceptionIsLostAndNoWorkLeftOut) {
  std::atomic<bool> done = false;
  Janitor janitor;
  janitor.take([] { throw std::runtime_error("no"); });
  janitor.take([&] { done = true; });
  EXPECT_THROW(janitor.finish(), std::runtime_error);
  EXPECT_TRUE(done);
  EXPECT_NO_THROW(janitor.finish());
}

TEST(Janitor, WaitsWhenItDies) {
  std::atomic<bool> done = false;
  {
    Janitor janitor;
    janitor.take([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      done = true;
    });
  }
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace ferry::worker
