#include "bench/traffic_rates.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "bench/decode.h"
#include "offload/transport/link.h"

namespace ferry::bench {

namespace {

constexpr double kLossLinkGbps = 0.8;  // of copies beside computing on the CPU, as a link there may be

std::size_t copied_bytes(const Probe& probe) {
  return std::size_t{1} << (probe.device.type() == DeviceType::Cuda ? 29 : 26);
}

// Page-locked while it exists.
class HostBuffer {
 public:
  HostBuffer(Device& device, std::size_t bytes) : device_(device), data_(bytes, std::byte{1}) {
    device_.pin(data_.data(), bytes);
  }
  ~HostBuffer() { device_.unpin(data_.data()); }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  const std::byte* data() const { return data_.data(); }
  std::size_t bytes() const { return data_.size(); }

 private:
  Device& device_;
  std::vector<std::byte> data_;
};

double slowest(const Probe& probe, double value) { return probe.slowest ? probe.slowest(value) : value; }

double seconds_once(const Probe& probe, const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  probe.device.compute().synchronize();
  return seconds_since(begin);
}

// Seconds that computing loses for each GB of traffic that `begin` starts and `end` waits for, medians of
// rounds with and without in turn.  `begin` gets the seconds that computing takes alone, and returns the GB
// that it moves.
double loss_of(const Probe& probe, const std::function<void()>& compute,
               const std::function<double(double alone_s)>& begin, const std::function<void()>& end) {
  const double first = seconds_of(probe, compute);
  std::vector<double> losses;
  for (int i = 0; i < probe.samples; ++i) {
    // Not behind the traffic, as ranks on the CPU meet on the thread that carries it.
    if (probe.meet) probe.meet();
    const double alone = seconds_once(probe, compute);
    if (probe.meet) probe.meet();
    const double gigabytes = begin(first);
    const double beside = seconds_once(probe, compute);
    end();
    losses.push_back((beside - alone) / gigabytes);
  }
  return std::max(0.0, slowest(probe, median(losses)));
}

double copy_loss(const Probe& probe, const HostBuffer& source, const DeviceMemory& target, double link_gbps,
                 const std::function<void()>& compute) {
  const bool gpu = probe.device.type() == DeviceType::Cuda;
  const double gbps = gpu ? link_gbps : std::min(kLossLinkGbps, link_gbps);
  const auto stream = probe.device.make_stream("ferry-loss", Priority::High);
  offload::Link link(gpu ? 0 : gbps, offload::chunk_bytes(probe.device.type()));
  const auto begin = [&](double alone_s) {
    // A little less than computing takes, so that all of it runs beside.
    auto left = static_cast<std::size_t>(0.9 * alone_s * gbps * 1e9);
    const double moved = 1e-9 * static_cast<double>(left);
    while (left > 0) {
      const std::size_t bytes = std::min(left, source.bytes());
      link.copy(*stream, target.data(), source.data(), bytes);
      left -= bytes;
    }
    return moved;
  };
  return loss_of(probe, compute, begin, [&] { stream->synchronize(); });
}

// Buffers of a group of ranks.
struct Buffers {
  Buffers(const Probe& probe, std::size_t size)
      : send(probe.group->allocate(probe.device, size)), receive(probe.group->allocate(probe.device, size)) {}
  DeviceMemory send;
  DeviceMemory receive;
};

// Waits on the host for what has been queued on the traffic stream.
void finish(const Probe& probe) { probe.traffic_stream->synchronize(); }

void gather(const Probe& probe, const DeviceMemory& block, const Event& ready) {
  const auto ranks = static_cast<std::size_t>(probe.ranks);
  const std::size_t part = block.bytes() / ranks;
  std::vector<parallel::Range> parts;
  for (std::size_t i = 0; i < ranks; ++i) parts.push_back({i * part, part});
  const parallel::Slice mine{parts[static_cast<std::size_t>(probe.group->rank())], &ready};
  probe.group->all_gather_parts(block.data(), parts, {&mine, 1}, nullptr, *probe.traffic_stream);
}

void measure_gathers(const Probe& probe, const std::function<void()>& compute, worker::RankRates& rates) {
  const std::size_t bytes = copied_bytes(probe);
  const DeviceMemory block = probe.group->allocate(probe.device, bytes);
  const auto ready = probe.device.make_event(EventKind::Order);
  probe.device.compute().record(*ready);
  const double received = 1e-9 * static_cast<double>(bytes) * (probe.ranks - 1) / probe.ranks;
  const double seconds = seconds_of(probe, [&] {
    gather(probe, block, *ready);
    finish(probe);
  });
  rates.gather_gbps = measured(received / seconds);
  const auto begin = [&](double alone_s) {
    const int count = std::max(1, static_cast<int>(0.5 * alone_s / seconds));
    for (int i = 0; i < count; ++i) gather(probe, block, *ready);
    return count * received;
  };
  rates.gather_loss = measured(loss_of(probe, compute, begin, [&] { finish(probe); }));
}

void measure_exchanges(const Probe& probe, worker::RankRates& rates) {
  const bool gpu = probe.device.type() == DeviceType::Cuda;
  const std::size_t small = std::size_t{1} << 12;
  const std::size_t large = std::size_t{1} << (gpu ? 27 : 21);
  const double least = exchange_seconds(probe, small);
  const double most = exchange_seconds(probe, large);
  const double sent = 1e-9 * static_cast<double>(large - small) * (probe.ranks - 1) / probe.ranks;
  rates.exchange_s = measured(least);
  rates.exchange_gbps = measured(sent / std::max(1e-6, most - least));
}

}  // namespace

double exchange_seconds(const Probe& probe, std::size_t bytes) {
  constexpr int kExchanges = 8;
  const Buffers buffers(probe, bytes);
  const auto ranks = static_cast<std::size_t>(probe.ranks);
  const parallel::Pieces pieces(bytes / ranks);
  return seconds_of(probe,
                    [&] {
                      for (int i = 0; i < kExchanges; ++i) {
                        probe.group->all_to_all(buffers.receive.data(), buffers.send.data(), pieces,
                                                *probe.traffic_stream);
                      }
                      finish(probe);
                    }) /
         kExchanges;
}

void measure_traffic(const Probe& probe, const RateShapes& shapes, worker::RankRates& rates) {
  const HostBuffer source(probe.device, copied_bytes(probe));
  const DeviceMemory target = probe.device.allocate(source.bytes());
  const auto stream = probe.device.make_stream("ferry-link", Priority::High);
  offload::Link link(0, offload::chunk_bytes(probe.device.type()));
  const double seconds = seconds_of(probe, [&] {
    link.copy(*stream, target.data(), source.data(), source.bytes());
    stream->synchronize();
  });
  rates.link_gbps = measured(1e-9 * static_cast<double>(source.bytes()) / seconds);
  const std::function<void()> compute = compute_load(probe, shapes);
  rates.copy_loss = measured(copy_loss(probe, source, target, rates.link_gbps.value, compute));
  if (probe.group == nullptr) {
    rates.exchange_gbps = rates.gather_gbps = {rates.link_gbps.value, worker::RateSource::Assumed};
    return;
  }
  measure_exchanges(probe, rates);
  measure_gathers(probe, compute, rates);
}

}  // namespace ferry::bench
