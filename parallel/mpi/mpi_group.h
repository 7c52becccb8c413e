// A group over MPI, for the CPU device.
#pragma once

#include <mpi.h>

#include <functional>
#include <string>
#include <vector>

#include "parallel/group.h"
#include "parallel/mpi/comm_thread.h"

namespace ferry::parallel {

// Operations accept any CPU stream; they run on the communication thread, ordered with the stream by two
// events.  An error (MpiError, or Error if a rank does not arrive within the thread's deadline) is thrown by
// the next wait or synchronize of that stream.
class MpiGroup final : public Group {
 public:
  static constexpr std::size_t kMessageBytes = std::size_t{1} << 30;

  // `thread` and `comm` are not owned and must outlive the group.  Messages are at most `message_bytes` long,
  // itself at most INT_MAX.
  MpiGroup(CommThread& thread, MPI_Comm comm, std::size_t message_bytes = kMessageBytes);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& backend() const override { return backend_; }
  void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) override;
  void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) override;
  void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) override;
  void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                 Stream& stream) override;
  void check() override {}

 private:
  void queue(Stream& stream, std::function<void()> work);
  void post_receive(void* data, std::size_t bytes, int peer);
  void post_send(const void* data, std::size_t bytes, int peer);
  void meet(std::size_t bytes, const char* what);
  void finish(std::size_t bytes, const char* what);

  CommThread& thread_;
  MPI_Comm comm_;
  std::size_t message_bytes_;
  int rank_ = 0;
  int size_ = 1;
  std::string backend_ = "mpi";
  CpuEvent ready_{EventKind::Order};
  CpuEvent done_{EventKind::Order};
  std::vector<MPI_Request> requests_;  // used by the communication thread only
};

}  // namespace ferry::parallel
