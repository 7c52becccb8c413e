// parallel/node/copy_group.h where its check fails.
#include <gmock/gmock.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "parallel/mpi/mpi_group.h"
#include "parallel/node/copy_group.h"
#include "parallel/watch/ticks.h"
#include "tests/support/mpi_fixture.h"

namespace ferry::parallel {
namespace {

// A stream whose copies throw.
class NoCopies final : public Stream {
 public:
  explicit NoCopies(std::unique_ptr<Stream> inner) : inner_(std::move(inner)) {}
  const std::string& name() const override { return inner_->name(); }
  void record(Event& event) override { inner_->record(event); }
  void wait(const Event& event) override { inner_->wait(event); }
  void copy(void*, const void*, std::size_t) override { throw Error("no copy"); }
  void fill(void* dst, std::uint8_t byte, std::size_t bytes) override { inner_->fill(dst, byte, bytes); }
  void cast(void* dst, DType to, const void* src, DType from, std::size_t count) override {
    inner_->cast(dst, to, src, from, count);
  }
  void call(std::function<void()> work) override { inner_->call(std::move(work)); }
  void synchronize() override { inner_->synchronize(); }
  void* native() const override { return inner_->native(); }

 private:
  std::unique_ptr<Stream> inner_;
};

enum class Fails : std::uint8_t { Nothing, Stream, Copy };

// The CPU, on which what the check does may fail.
class Faulty final : public Device {
 public:
  explicit Faulty(Fails fails) : fails_(fails) {}
  DeviceType type() const override { return cpu_->type(); }
  int index() const override { return cpu_->index(); }
  const std::string& name() const override { return cpu_->name(); }
  Stream& compute() override { return cpu_->compute(); }
  std::unique_ptr<Stream> make_stream(const std::string& name, Priority priority) override {
    auto stream = cpu_->make_stream(name, priority);
    if (name != "check" || fails_ == Fails::Nothing) return stream;
    if (fails_ == Fails::Stream) throw Error("no stream");
    return std::make_unique<NoCopies>(std::move(stream));
  }
  std::unique_ptr<Event> make_event(EventKind kind) override { return cpu_->make_event(kind); }
  DeviceMemory allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void pin(void* data, std::size_t bytes) override { cpu_->pin(data, bytes); }
  void unpin(void* data) noexcept override { cpu_->unpin(data); }
  MemoryUse memory() const override { return cpu_->memory(); }

 private:
  std::unique_ptr<Device> cpu_ = make_cpu_device();
  Fails fails_;
};

class CopyCheckTest : public ferry::testing::MpiTest {};

// The first rank never comes.  The last fails when it has queued a wait for it, and those between wait for
// it too: none of them until the deadline of its waits.
TEST_F(CopyCheckTest, AFailedCheckEndsLongBeforeTheDeadline) {
  if (size() == 1) GTEST_SKIP() << "one rank copies to nobody";
  constexpr double kDeadline_s = 45;
  constexpr double kSoon_s = 30;  // the check gives up after 10
  Faulty device(rank() == 0 ? Fails::Stream : rank() == size() - 1 ? Fails::Copy : Fails::Nothing);
  auto base = std::make_unique<MpiGroup>(session().thread(), session().world().comm());
  const Group* const plain = base.get();
  std::string why;
  Ticks& ticks = session().ticks();
  int looks = 0;
  int waiting = 0;
  std::jthread polling([&](const std::stop_token& stop) {
    for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      looks += 1;
      waiting += ticks.sign().waits > 0 ? 1 : 0;
    }
  });
  const Clock::time_point begin = Clock::now();
  const auto group = make_copy_group(std::move(base), session().world(), device,
                                     {.patience_s = kDeadline_s, .ticks = &ticks}, why);
  polling.request_stop();
  polling.join();
  // Those between: a rank that has failed waits for nothing but the others' answers.
  if (rank() != 0 && rank() != size() - 1) {
    EXPECT_GT(waiting, looks / 2) << looks << ": while it polls it waits, and is not late itself";
  }
  EXPECT_LT(seconds_since(begin), kSoon_s);
  EXPECT_EQ(group.get(), plain);
  EXPECT_THAT(why, ::testing::HasSubstr("rank 0: no stream"));
  std::vector<int> all(static_cast<std::size_t>(size()));
  const int mine = rank();
  group->all_gather(all.data(), &mine, sizeof mine, device.compute());
  for (int other = 0; other < size(); ++other) EXPECT_EQ(all[static_cast<std::size_t>(other)], other);
}

}  // namespace
}  // namespace ferry::parallel
