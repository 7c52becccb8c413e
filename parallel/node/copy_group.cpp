#include "parallel/node/copy_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "parallel/bytes_at.h"
#include "parallel/node/peer_port.h"
#include "parallel/patience.h"
#include "parallel/peers.h"
#include "parallel/watch/ticks.h"

namespace ferry::parallel {

namespace {

constexpr double kCheckDeadline_s = 10;
constexpr std::size_t kCheckBytes = 256;  // per piece

// An allocation of the same size on every rank.
struct Region {
  DeviceMemory mine;
  std::vector<DeviceMemory> peers;  // by rank; this rank's is empty
  std::unique_ptr<Event> used;      // after the last exchange
  std::string handle;

  bool holds(const void* data) const {
    const auto* at = static_cast<const std::byte*>(data);
    return at >= mine.data() && at < mine.data() + mine.bytes();
  }
};

class CopyGroup final : public Group {
 public:
  CopyGroup(Control members, std::unique_ptr<PeerPort> port, Device& device, Ticks* ticks)
      : members_(std::move(members)),
        device_(device),
        ticks_(ticks),
        port_(std::move(port)),
        begin_(device.make_event(EventKind::Order)),
        end_(device.make_event(EventKind::Order)),
        last_(device.make_event(EventKind::Order)) {}
  ~CopyGroup() override;

  // Returns the error of the lowest rank on which copies do not work; empty if they do.
  std::string check_copies();
  void set_base(std::unique_ptr<Group> base) {
    base_ = std::move(base);
    backend_ = base_->backend() + (device_.type() == DeviceType::Cuda ? " + copy engines" : " + copies");
  }

  int rank() const override { return members_.rank(); }
  int size() const override { return members_.size(); }
  const std::string& backend() const override { return backend_; }
  bool copies() const override { return true; }
  void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) override;
  void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) override;
  void all_gather_parts(void* data, std::span<const Range> parts, std::span<const Slice> mine,
                        StreamGate* gate, Stream& stream) override;
  void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) override {
    base_->broadcast(buffer, bytes, root, stream);
  }
  void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                 Stream& stream) override {
    base_->send_recv(sends, receives, stream);
  }
  void check() override { base_->check(); }
  DeviceMemory allocate(Device& device, std::size_t bytes) override;

 private:
  Peers peers() { return peers_of(members_); }
  Region make_region(std::size_t bytes);
  std::string check(Region& region);
  std::string trade_known_bytes(Region& region, std::size_t bytes);
  bool ends(const Event& used) const;
  void give_up(std::uint32_t turn) noexcept;
  DeviceMemory allocate_without_copies(Device& device, std::size_t bytes);
  Region* region_of(const void* recv);
  void exchange(Region& region, void* recv, const Pieces& pieces, bool own_in_place,
                const std::function<const void*(int peer)>& piece, Stream& stream);
  void copy_own(void* to, const void* from, std::size_t bytes, Stream& stream);
  void take_turn(Stream& stream);
  void end_turn(Region& region, Stream& stream);
  void retire(void* memory) noexcept;

  Control members_;
  Device& device_;
  Ticks* ticks_;
  std::unique_ptr<PeerPort> port_;
  std::unique_ptr<Group> base_;
  std::unique_ptr<Stream> own_;  // for this rank's own pieces; made when first needed
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
  std::unique_ptr<Event> last_;  // after the last exchange, whatever its stream
  std::vector<Region> regions_;
  std::string backend_;
  std::uint32_t turn_ = 0;  // number of exchanges, the same on every rank
};

// No barrier while an exception propagates: the others may not arrive.
CopyGroup::~CopyGroup() {
  if (std::uncaught_exceptions() > 0) return;
  try {
    port_->close_flags();
    members_.barrier();
  } catch (const std::exception& failed) {
    spdlog::warn("the end of an exchange: {}", failed.what());
  }
}

Region* CopyGroup::region_of(const void* recv) {
  const auto found = std::find_if(regions_.begin(), regions_.end(),
                                  [recv](const Region& region) { return region.holds(recv); });
  return found == regions_.end() ? nullptr : &*found;
}

void CopyGroup::all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) {
  pieces.check(size());
  Region* region = region_of(recv);
  if (region == nullptr) return base_->all_to_all(recv, send, pieces, stream);
  exchange(
      *region, recv, pieces, !pieces.moves_own(),
      [&](int peer) { return at(send, pieces.place_sent(rank(), peer)); }, stream);
}

void CopyGroup::all_gather(void* recv, const void* send, std::size_t bytes, Stream& stream) {
  Region* region = region_of(recv);
  if (region == nullptr) return base_->all_gather(recv, send, bytes, stream);
  const bool in_place = at(recv, static_cast<std::size_t>(rank()) * bytes) == send;
  exchange(
      *region, recv, bytes, in_place, [&](int) { return send; }, stream);
}

// Checks what every rank receives, so that all ranks throw or none.
void check_room(std::size_t room, const Pieces& pieces, int ranks) {
  for (int rank = 0; rank < ranks; ++rank) {
    std::size_t bytes = 0;
    for (int from = 0; from < ranks; ++from) {
      bytes = std::max(bytes, pieces.place_received(from, rank) + pieces.bytes(from, rank));
    }
    if (bytes <= room) continue;
    throw std::invalid_argument(
        fmt::format("rank {} of {} would receive {} bytes where it has {}", rank, ranks, bytes, room));
  }
}

// In parallel with the copies to peers: it crosses no link.
void CopyGroup::copy_own(void* to, const void* from, std::size_t bytes, Stream& stream) {
  stream.record(*begin_);
  own_->wait(*begin_);
  own_->copy(to, from, bytes);
  own_->record(*end_);
}

// Flags only increase: exchanges of one group are serialized, whatever their streams.
void CopyGroup::take_turn(Stream& stream) {
  stream.wait(*last_);
  ++turn_;
}

void CopyGroup::end_turn(Region& region, Stream& stream) {
  stream.record(*region.used);
  stream.record(*last_);
}

void CopyGroup::exchange(Region& region, void* recv, const Pieces& pieces, bool own_in_place,
                         const std::function<const void*(int peer)>& piece, Stream& stream) {
  if (pieces.largest() == 0) return;
  const int ranks = size();
  const int me = rank();
  const auto begin = static_cast<std::size_t>(static_cast<std::byte*>(recv) - region.mine.data());
  check_room(region.mine.bytes() - begin, pieces, ranks);
  if (!own_in_place && own_ == nullptr) own_ = device_.make_stream("own piece", Priority::High);
  take_turn(stream);
  if (!own_in_place) {
    copy_own(at(recv, pieces.place_received(me, me)), piece(me), pieces.bytes(me, me), stream);
  }
  port_->meet(stream, Signal::Free, turn_);
  // Rank r starts with its neighbour r + 1, so that no rank is the first target of all.
  for (int i = 1; i < ranks; ++i) {
    const int peer = (me + i) % ranks;
    stream.copy(region.peers[static_cast<std::size_t>(peer)].data() + begin + pieces.place_received(me, peer),
                piece(peer), pieces.bytes(me, peer));
  }
  port_->meet(stream, Signal::Landed, turn_);
  if (!own_in_place) stream.wait(*end_);
  end_turn(region, stream);
}

// One signal that this rank's memory is free, one that all its slices have landed: in between each rank sends
// at the speed of its own link, independent of the others.
void CopyGroup::all_gather_parts(void* data, std::span<const Range> parts, std::span<const Slice> mine,
                                 StreamGate* gate, Stream& stream) {
  Region* region = region_of(data);
  if (region == nullptr) return base_->all_gather_parts(data, parts, mine, gate, stream);
  const int ranks = size();
  const int me = rank();
  const auto place = static_cast<std::size_t>(static_cast<std::byte*>(data) - region->mine.data());
  const std::size_t room = region->mine.bytes() - place;
  for (const Range& part : parts) {
    if (part.offset <= room && part.bytes <= room - part.offset) continue;
    throw std::invalid_argument(
        fmt::format("all_gather_parts: a part ends at {} in {} bytes", part.offset + part.bytes, room));
  }
  take_turn(stream);
  port_->meet(stream, Signal::Free, turn_);
  for (const auto& [range, there] : mine) {
    stream.wait(*there);
    if (gate != nullptr) gate->pass(stream);
    for (int i = 1; i < ranks; ++i) {
      const int peer = (me + i) % ranks;
      stream.copy(region->peers[static_cast<std::size_t>(peer)].data() + place + range.offset,
                  at(data, range.offset), range.bytes);
    }
  }
  port_->meet(stream, Signal::Landed, turn_);
  end_turn(*region, stream);
}

// Allocates and opens a region, on every rank or on none.  Throws OutOfMemory and Error on every rank.
Region CopyGroup::make_region(std::size_t bytes) {
  Region region;
  std::string error;
  bool full = false;
  try {
    PeerPort::Shared shared = port_->share(bytes);
    region.mine = std::move(shared.memory);
    region.handle = std::move(shared.handle);
    region.used = device_.make_event(EventKind::Order);
  } catch (const OutOfMemory& failed) {
    full = true;
    error = failed.what();
  } catch (const std::exception& failed) {
    error = failed.what();
  }
  full = !members_.all_agree(!full);
  error = first_error(peers(), error);
  if (full) throw OutOfMemory(error);
  if (!error.empty()) throw Error(error);

  const std::vector<std::string> handles = members_.all_gather(region.handle);
  try {
    for (int peer = 0; peer < size(); ++peer) {
      region.peers.push_back(peer == rank() ? DeviceMemory()
                                            : port_->open(handles[static_cast<std::size_t>(peer)], bytes));
    }
  } catch (const std::exception& failed) {
    error = failed.what();
  }
  error = first_error(peers(), error);
  if (error.empty()) error = check(region);
  if (error.empty()) return region;
  region.peers.clear();
  members_.barrier();  // an owner frees its memory once no peer has it open
  throw Error(error);
}

// Runs one exchange of known bytes, which takes a turn on every rank even if it fails early.
std::string CopyGroup::check(Region& region) {
  const std::size_t bytes = std::min(kCheckBytes, region.mine.bytes() / static_cast<std::size_t>(size()));
  if (bytes == 0) return {};
  const std::uint32_t turn = turn_ + 1;
  const std::string error = trade_known_bytes(region, bytes);
  turn_ = turn;
  return first_error(peers(), error);
}

// Fill byte of the piece that goes from one rank to another.
struct KnownByte {
  std::size_t ranks;
  std::uint32_t turn;
  std::uint8_t operator()(std::size_t from, std::size_t to) const {
    return static_cast<std::uint8_t>(1 + (from * ranks + to + turn) % 251);
  }
};

// Returns an error for the first of the others' pieces that is not as sent.
std::string lost_piece(const std::vector<std::uint8_t>& got, std::size_t me, const KnownByte& byte_of) {
  const std::size_t bytes = got.size() / byte_of.ranks;
  for (std::size_t from = 0; from < byte_of.ranks; ++from) {
    const auto* piece = got.data() + from * bytes;
    const auto right = [wanted = byte_of(from, me)](std::uint8_t byte) { return byte == wanted; };
    if (from == me || std::all_of(piece, piece + bytes, right)) continue;
    return fmt::format("a copy from rank {} did not arrive", from);
  }
  return {};
}

// False if the exchange before `used` takes too long.
bool CopyGroup::ends(const Event& used) const {
  const Ticks::Wait wait(ticks_);
  Patience patience(kCheckDeadline_s);
  while (!used.done() && !patience.over()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  return used.done();
}

// Returns this rank's error, or an empty string.  On return, this rank's waits have ended and nothing of the
// exchange is queued, so no flag of this turn rises later.
std::string CopyGroup::trade_known_bytes(Region& region, std::size_t bytes) {
  const auto ranks = static_cast<std::size_t>(size());
  const auto me = static_cast<std::size_t>(rank());
  const std::uint32_t turn = turn_ + 1;
  const KnownByte byte_of = {ranks, turn};
  std::vector<std::uint8_t> got(bytes * ranks);
  DeviceMemory sent;
  std::unique_ptr<Stream> stream;  // destroyed first: its queued work uses the others
  try {
    sent = device_.allocate(bytes * ranks);
    stream = device_.make_stream("check", Priority::High);
    for (std::size_t to = 0; to < ranks; ++to) {
      stream->fill(sent.data() + to * bytes, byte_of(me, to), bytes);
    }
    exchange(
        region, region.mine.data(), bytes, /*own_in_place=*/true,
        [&](int peer) { return sent.data() + static_cast<std::size_t>(peer) * bytes; }, *stream);
    const bool late = !ends(*region.used);
    if (late) port_->release(turn);
    stream->copy(got.data(), region.mine.data(), got.size());
    stream->synchronize();
    if (late) return "a copy to another rank's device did not end";
  } catch (const std::exception& failed) {
    give_up(turn);
    return failed.what();
  }
  return lost_piece(got, me, byte_of);
}

// Ends this rank's waits in exchange `turn`, if the device still works.
void CopyGroup::give_up(std::uint32_t turn) noexcept {
  try {
    port_->release(turn);
  } catch (const std::exception& failed) {
    spdlog::warn("waits of an exchange that failed are left: {}", failed.what());
  }
}

DeviceMemory CopyGroup::allocate_without_copies(Device& device, std::size_t bytes) {
  DeviceMemory memory;
  fail_together(peers(), [&] { memory = device.allocate(bytes); });
  return memory;
}

DeviceMemory CopyGroup::allocate(Device& device, std::size_t bytes) {
  if (bytes == 0) return {};
  try {
    regions_.push_back(make_region(bytes));
  } catch (const OutOfMemory&) {
    throw;
  } catch (const std::exception& failed) {
    if (rank() == 0) spdlog::warn("exchanges go by {}: {}", base_->backend(), failed.what());
    return allocate_without_copies(device, bytes);
  }
  return {regions_.back().mine.data(), bytes, [this](void* memory) { retire(memory); }};
}

// While an exception propagates other ranks may not arrive; then the memory lives as long as the group.
void CopyGroup::retire(void* memory) noexcept {
  try {
    Region* region = region_of(memory);
    region->used->synchronize();
    device_.compute().synchronize();
    if (std::uncaught_exceptions() > 0) return;
    region->peers.clear();
    members_.barrier();
    regions_.erase(regions_.begin() + (region - regions_.data()));
  } catch (const std::exception& failed) {
    spdlog::warn("device memory of an exchange is kept: {}", failed.what());
  }
}

std::string CopyGroup::check_copies() {
  try {
    Region region = make_region(kCheckBytes * static_cast<std::size_t>(size()));
    region.peers.clear();
    members_.barrier();
    return {};
  } catch (const std::exception& failed) {
    return failed.what();
  }
}

std::unique_ptr<PeerPort> make_port(Device& device, Control& members, double patience_s) {
  return device.type() == DeviceType::Cuda ? make_cuda_peer_port(device, members)
                                           : make_host_peer_port(members, patience_s);
}

}  // namespace

std::unique_ptr<Group> make_copy_group(std::unique_ptr<Group> base, Control members, Device& device,
                                       const CopyWaits& waits, std::string& why) {
  std::unique_ptr<CopyGroup> made;
  std::string error;
  try {
    made = std::make_unique<CopyGroup>(members, make_port(device, members, waits.patience_s), device,
                                       waits.ticks);
  } catch (const std::exception& failed) {
    error = failed.what();
  }
  why = first_error(peers_of(members), error);
  if (made == nullptr && !why.empty()) members.barrier();  // matches the barrier in the others' destructors
  if (why.empty()) why = made->check_copies();
  if (!why.empty()) return base;
  made->set_base(std::move(base));
  return made;
}

}  // namespace ferry::parallel
