#include "offload/link_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>

#include "base/clock.h"
#include "offload/link.h"

namespace ferry::offload {

namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr double kMostSeconds = 0.1;  // of one copy
constexpr int kRepeats = 5;
constexpr double kClearlySlower = 1.2;
constexpr double kNoticed_ms = 0.1;  // less than the threads of a busy machine differ by themselves

// So many that the clock's grain does not matter; a slow emulated link does not take for ever.
std::size_t test_bytes(const NodeArena& arena, const Options& options) {
  const std::size_t bytes = std::min(kMostBytes, largest_blob(arena.layout()).bytes);
  if (options.link_gbps <= 0) return bytes;
  return std::clamp(static_cast<std::size_t>(options.link_gbps * 1e9 * kMostSeconds),
                    std::min(kBlobAlign, bytes), bytes);
}

// Seconds of several tries, ascending.  Other work on the machine makes a try longer, never shorter.
struct Tries {
  std::array<double, kRepeats> seconds{};
  double median() const { return seconds[kRepeats / 2]; }
  double least() const { return seconds[0]; }
};

// What the measurements of one rank share.
class Bench {
 public:
  Bench(NodeArena& arena, const Options& options, const StageSetup& setup)
      : setup_(setup),
        source_(arena.at(largest_blob(arena.layout()))),
        ranks_(static_cast<std::size_t>(setup.weights->size())),
        bytes_(test_bytes(arena, options) / (2 * kTensorAlign * ranks_) * (2 * kTensorAlign * ranks_)),
        to_(setup.device->allocate(bytes_)),
        from_(setup.weights->allocate(*setup.device, bytes_)),
        copy_(setup.device->make_stream("ferry-test", Priority::High)),
        own_(setup.gather == nullptr ? setup.device->make_stream("ferry-test-2", Priority::High) : nullptr),
        link_(options.link_gbps, chunk_bytes(setup.device->type())) {}
  double bytes() const { return static_cast<double>(bytes_); }
  void copy() { link_.copy(*copy_, to_.data(), source_, bytes_); }
  void gather() {
    const std::size_t shard = bytes_ / ranks_;
    setup_.weights->all_gather(
        from_.data(), from_.data() + shard * static_cast<std::size_t>(setup_.weights->rank()), shard, comm());
  }
  // From one half of a buffer into the other, which no copy touches.
  void exchange() {
    const std::size_t half = bytes_ / 2;
    setup_.weights->all_to_all(from_.data(), from_.data() + half, half / ranks_, comm());
  }
  void wait_copy() { copy_->synchronize(); }
  void wait_comm() { comm().synchronize(); }
  // `work` on this rank, all ranks starting each try together.
  Tries time(const std::function<void()>& work, const std::function<void()>& end = {}) {
    Tries tries;
    for (double& each : tries.seconds) {
      barrier(setup_.peers);
      const Clock::time_point begin = Clock::now();
      work();
      each = seconds_since(begin);
      if (end) end();
    }
    std::sort(tries.seconds.begin(), tries.seconds.end());
    return tries;
  }

 private:
  Stream& comm() { return own_ ? *own_ : *setup_.gather; }
  const StageSetup& setup_;
  const std::byte* source_;
  std::size_t ranks_;
  std::size_t bytes_;
  DeviceMemory to_;
  DeviceMemory from_;
  std::unique_ptr<Stream> copy_;
  std::unique_ptr<Stream> own_;
  Link link_;
};

// The largest of every rank's times, so that all decide alike.
double slowest(const Peers& peers, double seconds) {
  double most = 0;
  for (const std::string& each : gather_words(peers, fmt::format("{:.9f}", seconds))) {
    most = std::max(most, std::stod(each));
  }
  return std::max(most, 1e-9);
}

// Page-locking beside copies slows both.
class Quiet {
 public:
  explicit Quiet(NodeArena& arena) : arena_(arena) { arena_.pause_pinning(true); }
  ~Quiet() { arena_.pause_pinning(false); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  NodeArena& arena_;
};

}  // namespace

LinkFigures measure_links(NodeArena& arena, const Options& options, const StageSetup& setup) {
  const Quiet quiet(arena);
  Bench bench(arena, options, setup);
  const auto whole_copy = [&] {
    bench.copy();
    bench.wait_copy();
  };
  const auto whole_exchange = [&] {
    bench.exchange();
    bench.wait_comm();
  };
  whole_copy();  // touches the memory
  bench.time(whole_exchange);
  double alone = 0;
  for (int turn = 0; turn < setup.peers.size; ++turn) {
    const Tries mine = bench.time([&] {
      if (turn == setup.peers.rank) whole_copy();
    });
    if (turn == setup.peers.rank) alone = mine.median();
  }
  LinkFigures figures;
  const auto gbps = [&](double seconds) { return bench.bytes() / slowest(setup.peers, seconds) / 1e9; };
  figures.alone_gbps = gbps(alone);
  figures.together_gbps = gbps(bench.time(whole_copy).median());
  figures.gather_gbps = gbps(bench
                                 .time([&] {
                                   bench.gather();
                                   bench.wait_comm();
                                 })
                                 .median());
  figures.exchange_ms = 1e3 * slowest(setup.peers, bench.time(whole_exchange).median());
  const Tries beside = bench.time(
      [&] {
        bench.copy();
        whole_exchange();
      },
      [&] { bench.wait_copy(); });
  figures.exchange_beside_ms = 1e3 * slowest(setup.peers, beside.least());
  figures.by_copies = slowest(setup.peers, setup.weights->copies() ? 0 : 1) < 1;
  return figures;
}

Interleave choose_interleave(const LinkFigures& figures) {
  const bool slower = figures.exchange_beside_ms > kClearlySlower * figures.exchange_ms &&
                      figures.exchange_beside_ms > kNoticed_ms + figures.exchange_ms;
  return slower && !figures.by_copies ? Interleave::Gated : Interleave::Free;
}

std::string to_text(const LinkFigures& figures) {
  return fmt::format(
      "links {:.3g} GB/s alone, {:.3g} together; gather {:.3g} GB/s; all-to-all {:.2f} ms, {:.2f} beside "
      "copies",
      figures.alone_gbps, figures.together_gbps, figures.gather_gbps, figures.exchange_ms,
      figures.exchange_beside_ms);
}

}  // namespace ferry::offload
