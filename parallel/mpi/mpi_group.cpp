#include "parallel/mpi/mpi_group.h"

#include <algorithm>
#include <cstring>

#include "parallel/bytes_at.h"
#include "parallel/mpi/mpi_check.h"

namespace ferry::parallel {

namespace {

constexpr std::size_t kLargeBytes = std::size_t{256} << 10;
constexpr double kSlowest = 0.5e9;  // bytes/s; below it a transfer counts as stalled, and its waiter sleeps

constexpr int kTag = 1;  // one suffices: operations, and messages between two ranks, are ordered

void copy_own(std::byte* to, const void* from, std::size_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

// Calls visit(offset, count) for pieces of at most `most` bytes.
template <class Visit>
void each_piece(std::size_t bytes, std::size_t most, Visit&& visit) {
  for (std::size_t offset = 0; offset < bytes; offset += most) {
    visit(offset, static_cast<int>(std::min(most, bytes - offset)));
  }
}

}  // namespace

MpiGroup::MpiGroup(CommThread& thread, MPI_Comm comm, std::size_t message_bytes)
    : thread_(thread), comm_(comm), message_bytes_(message_bytes) {
  thread_.run([this] {
    FERRY_MPI_CHECK(MPI_Comm_rank(comm_, &rank_));
    FERRY_MPI_CHECK(MPI_Comm_size(comm_, &size_));
  });
}

void MpiGroup::queue(Stream& stream, std::function<void()> work) {
  Stream& comm = thread_.stream();
  if (&stream == &comm) {
    comm.call(std::move(work));
    return;
  }
  stream.record(ready_);
  comm.wait(ready_);
  comm.call(std::move(work));
  comm.record(done_);
  stream.wait(done_);
}

void MpiGroup::post_receive(void* data, std::size_t bytes, int peer) {
  each_piece(bytes, message_bytes_, [&](std::size_t offset, int count) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    FERRY_MPI_CHECK(MPI_Irecv(at(data, offset), count, MPI_BYTE, peer, kTag, comm_, &request));
  });
}

void MpiGroup::post_send(const void* data, std::size_t bytes, int peer) {
  each_piece(bytes, message_bytes_, [&](std::size_t offset, int count) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    FERRY_MPI_CHECK(MPI_Isend(at(data, offset), count, MPI_BYTE, peer, kTag, comm_, &request));
  });
}

// Sleeps until every rank has arrived, so that finish() need not; only before large transfers.
void MpiGroup::meet(std::size_t bytes, const char* what) {
  if (bytes < kLargeBytes) return;
  MPI_Request request = MPI_REQUEST_NULL;
  FERRY_MPI_CHECK(MPI_Ibarrier(comm_, &request));
  thread_.wait_all({&request, 1}, what);
}

void MpiGroup::finish(std::size_t bytes, const char* what) {
  const double busy_s = bytes < kLargeBytes ? 100e-6 : static_cast<double>(bytes) / kSlowest;
  thread_.wait_all(requests_, what, busy_s);
  requests_.clear();
}

void MpiGroup::all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) {
  pieces.check(size_);
  queue(stream, [=, this] {
    // Upper bound of the bytes sent and received: the same on every rank, since all must call meet() or none.
    const std::size_t moved = 2 * pieces.largest() * static_cast<std::size_t>(size_ - 1);
    meet(moved, "all_to_all");
    // Rank r starts with its neighbour r + 1, so that no rank is the first target of all.
    for (int i = 1; i < size_; ++i) {
      const int peer = (rank_ + size_ - i) % size_;
      post_receive(at(recv, pieces.place_received(peer, rank_)), pieces.bytes(peer, rank_), peer);
    }
    for (int i = 1; i < size_; ++i) {
      const int peer = (rank_ + i) % size_;
      post_send(at(send, pieces.place_sent(rank_, peer)), pieces.bytes(rank_, peer), peer);
    }
    if (pieces.moves_own()) {
      copy_own(at(recv, pieces.place_received(rank_, rank_)), at(send, pieces.place_sent(rank_, rank_)),
               pieces.bytes(rank_, rank_));
    }
    finish(moved, "all_to_all");
  });
}

void MpiGroup::all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) {
  queue(stream, [=, this] {
    const std::size_t moved = 2 * bytes_per_rank * static_cast<std::size_t>(size_ - 1);
    meet(moved, "all_gather");
    for (int i = 1; i < size_; ++i) {
      const int peer = (rank_ + size_ - i) % size_;
      post_receive(at(recv, peer * bytes_per_rank), bytes_per_rank, peer);
    }
    for (int i = 1; i < size_; ++i) post_send(send, bytes_per_rank, (rank_ + i) % size_);
    copy_own(at(recv, rank_ * bytes_per_rank), send, bytes_per_rank);
    finish(moved, "all_gather");
  });
}

void MpiGroup::broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) {
  check_root(*this, root);
  queue(stream, [=, this] {
    meet(bytes, "broadcast");
    each_piece(bytes, message_bytes_, [&](std::size_t offset, int count) {
      MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
      FERRY_MPI_CHECK(MPI_Ibcast(at(buffer, offset), count, MPI_BYTE, root, comm_, &request));
      finish(static_cast<std::size_t>(count), "broadcast");
    });
  });
}

// No meet(): a rank without messages may omit the call.
void MpiGroup::send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                         Stream& stream) {
  check_peers(*this, sends, receives);
  queue(stream, [this, out = std::vector(sends.begin(), sends.end()),
                 in = std::vector(receives.begin(), receives.end())] {
    std::size_t moved = 0;
    for (const Incoming& message : in) {
      post_receive(message.data, message.bytes, message.peer);
      moved += message.bytes;
    }
    for (const Outgoing& message : out) {
      post_send(message.data, message.bytes, message.peer);
      moved += message.bytes;
    }
    finish(moved, "send_recv");
  });
}

}  // namespace ferry::parallel
