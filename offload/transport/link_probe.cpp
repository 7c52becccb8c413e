#include "offload/transport/link_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <limits>
#include <sstream>

#include "base/clock.h"
#include "offload/transport/link.h"
#include "offload/transport/parts.h"

namespace ferry::offload {

namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;
constexpr double kMostSeconds = 0.1;  // per copy
constexpr int kRepeats = 5;
constexpr double kClearlySlower = 1.2;
constexpr double kNoticed_ms = 0.1;  // smaller differences are scheduling noise on a busy node

// Large enough for the clock's resolution, but bounded in time for a slow emulated link.
std::size_t test_bytes(const NodeArena& arena, double link_gbps) {
  const std::size_t bytes = std::min(kMostBytes, largest_blob(arena.layout()).bytes);
  if (link_gbps <= 0) return bytes;
  return std::clamp(static_cast<std::size_t>(link_gbps * 1e9 * kMostSeconds), std::min(kBlobAlign, bytes),
                    bytes);
}

// Emulated links may differ, but gathers and exchanges need equal sizes.
std::size_t same_bytes(const parallel::Peers& peers, std::size_t bytes) {
  for (const std::string& each : all_gather_text(peers, std::to_string(bytes))) {
    bytes = std::min<std::size_t>(bytes, std::stoull(each));
  }
  return bytes;
}

// Seconds of several tries, ascending.  Other load on the node only makes tries longer.
struct Tries {
  std::array<double, kRepeats> seconds{};
  double median() const { return seconds[kRepeats / 2]; }
  double least() const { return seconds[0]; }
};

double seconds_of(const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return seconds_since(begin);
}

// Maximum over the ranks, so that all decide alike.
double most(const parallel::Peers& peers, double value) {
  for (const std::string& each : all_gather_text(peers, fmt::format("{:.9f}", value))) {
    value = std::max(value, std::stod(each));
  }
  return value;
}

// State shared by the measurements of one rank.
class Bench {
 public:
  Bench(NodeArena& arena, double link_gbps, const StageSetup& setup)
      : setup_(setup),
        source_(arena.at(largest_blob(arena.layout()))),
        ranks_(static_cast<std::size_t>(setup.copy_sharers->size())),
        bytes_(same_bytes(setup.peers, test_bytes(arena, link_gbps)) / (2 * kTensorAlign * ranks_) *
               (2 * kTensorAlign * ranks_)),
        to_(setup.device->allocate(bytes_)),
        from_(setup.copy_sharers->allocate(*setup.device, bytes_)),
        copy_(setup.device->make_stream("ferry-test", Priority::High)),
        own_(setup.gather_stream == nullptr ? setup.device->make_stream("ferry-test-2", Priority::High)
                                            : nullptr),
        link_(link_gbps, chunk_bytes(setup.device->type())) {}
  double bytes() const { return static_cast<double>(bytes_); }
  void copy() { link_.copy(*copy_, to_.data(), source_, bytes_); }
  void gather() {
    const std::size_t shard = bytes_ / ranks_;
    setup_.copy_sharers->all_gather(
        from_.data(), from_.data() + shard * static_cast<std::size_t>(setup_.copy_sharers->rank()), shard,
        comm());
  }
  // Exchanges between two halves of a buffer that no copy touches.
  void exchange() {
    const std::size_t half = bytes_ / 2;
    setup_.copy_sharers->all_to_all(from_.data(), from_.data() + half, half / ranks_, comm());
  }
  void wait_copy() { copy_->synchronize(); }
  void wait_comm() { comm().synchronize(); }
  // Times `work` on this rank; all ranks start each try together.
  Tries time(const std::function<void()>& work, const std::function<void()>& end = {}) {
    Tries tries;
    for (double& each : tries.seconds) {
      barrier(setup_.peers);
      each = seconds_of(work);
      if (end) end();
    }
    std::sort(tries.seconds.begin(), tries.seconds.end());
    return tries;
  }
  // The median of `work` on this rank, while the others of its group wait; all groups at once.
  double time_alone(const std::function<void()>& work) {
    Tries mine;
    const int turns = static_cast<int>(most(setup_.peers, setup_.copy_sharers->size()));
    for (int turn = 0; turn < turns; ++turn) {
      barrier(setup_.peers);
      if (turn != setup_.copy_sharers->rank()) continue;
      for (double& each : mine.seconds) each = seconds_of(work);
    }
    std::ranges::sort(mine.seconds);
    return mine.median();
  }

 private:
  Stream& comm() { return own_ ? *own_ : *setup_.gather_stream; }
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

double slowest(const parallel::Peers& peers, double seconds) { return std::max(most(peers, seconds), 1e-9); }

// Speed per rank of the weight-sharing group, the minimum over all such groups, so that all decide alike.
std::vector<double> by_rank(const StageSetup& setup, double gbps) {
  const auto size = static_cast<std::size_t>(setup.copy_sharers->size());
  std::vector<double> speeds(size, std::numeric_limits<double>::infinity());
  bool alike = true;
  const std::string mine = fmt::format("{} {} {}", size, setup.copy_sharers->rank(), gbps);
  for (const std::string& each : all_gather_text(setup.peers, mine)) {
    std::istringstream words(each);
    std::size_t ranks = 0;
    std::size_t rank = 0;
    double speed = 0;
    words >> ranks >> rank >> speed;
    alike = alike && ranks == size;
    if (rank < size) speeds[rank] = std::min(speeds[rank], speed);
  }
  return alike ? speeds : std::vector<double>();
}

// Pauses page-locking, since it and copies slow each other down.
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

LinkFigures measure_links(NodeArena& arena, double link_gbps, const StageSetup& setup) {
  const Quiet quiet(arena);
  Bench bench(arena, link_gbps, setup);
  const auto whole_copy = [&] {
    bench.copy();
    bench.wait_copy();
  };
  const auto whole_exchange = [&] {
    bench.exchange();
    bench.wait_comm();
  };
  whole_copy();  // faults the memory in
  bench.time(whole_exchange);
  const double alone = bench.time_alone(whole_copy);
  LinkFigures figures;
  const auto gbps = [&](double seconds) { return bench.bytes() / slowest(setup.peers, seconds) / 1e9; };
  figures.alone_gbps = gbps(alone);
  const double together = bench.time(whole_copy).median();
  figures.together_gbps = gbps(together);
  figures.by_rank_gbps = by_rank(setup, bench.bytes() / std::max(together, 1e-9) / 1e9);
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
  figures.by_copies = slowest(setup.peers, setup.copy_sharers->copies() ? 0 : 1) < 1;
  return figures;
}

Interleave choose_interleave(const LinkFigures& figures) {
  const bool slower = figures.exchange_beside_ms > kClearlySlower * figures.exchange_ms &&
                      figures.exchange_beside_ms > kNoticed_ms + figures.exchange_ms;
  return slower && !figures.by_copies ? Interleave::Gated : Interleave::Free;
}

std::string to_text(const LinkFigures& figures) {
  std::string together = fmt::format("{:.3g}", figures.together_gbps);
  if (!parts_of_links(figures.by_rank_gbps).empty()) {
    together += fmt::format(" to {:.3g}", std::ranges::max(figures.by_rank_gbps));
  }
  return fmt::format(
      "links {:.3g} GB/s alone, {} together; gather {:.3g} GB/s; all-to-all {:.2f} ms, {:.2f} beside "
      "copies",
      figures.alone_gbps, together, figures.gather_gbps, figures.exchange_ms, figures.exchange_beside_ms);
}

}  // namespace ferry::offload
