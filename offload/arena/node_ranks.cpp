// Node memory on an MPI session.
#include <mpi.h>

#include <memory>

#include "offload/arena/layout.h"
#include "offload/arena/node_memory.h"
#include "offload/arena/placement.h"
#include "parallel/mpi/mpi_check.h"
#include "parallel/mpi/session.h"

namespace ferry::offload {

namespace {

int free_window(MPI_Win window) noexcept { return MPI_Win_free(&window); }

// Made on the communication thread; may outlive a caller that has timed out.
struct Shared {
  MPI_Win window = MPI_WIN_NULL;
  void* base = nullptr;
};

class WindowMemory final : public NodeMemory {
 public:
  WindowMemory(parallel::Session& session, std::shared_ptr<Shared> shared, std::size_t bytes)
      : session_(session), shared_(std::move(shared)), bytes_(bytes) {
    const auto base = reinterpret_cast<std::uintptr_t>(shared_->base);
    data_ = static_cast<std::byte*>(shared_->base) + (round_up(base, kBlobAlign) - base);
  }
  WindowMemory(const WindowMemory&) = delete;
  WindowMemory& operator=(const WindowMemory&) = delete;
  // Collective, like MPI_Win_free.
  ~WindowMemory() override {
    try {
      session_.thread().run([shared = shared_] { free_window(shared->window); });
    } catch (...) {  // the job is being aborted
    }
  }
  MemoryKind kind() const override { return MemoryKind::Window; }
  std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }
  void seal() override {}

 private:
  parallel::Session& session_;
  std::shared_ptr<Shared> shared_;
  std::size_t bytes_;
  std::byte* data_ = nullptr;
};

// The node's rank 0 allocates everything; the others map its part.  Runs on the communication thread.
void make_window(Shared& shared, MPI_Comm node, bool first, std::size_t bytes) {
  const auto mine = static_cast<MPI_Aint>(first ? bytes + kBlobAlign : 0);
  FERRY_MPI_CHECK(MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, node, static_cast<void*>(&shared.base),
                                          &shared.window));
  MPI_Aint size = 0;
  int unit = 0;
  FERRY_MPI_CHECK(MPI_Win_shared_query(shared.window, 0, &size, &unit, static_cast<void*>(&shared.base)));
}

std::unique_ptr<NodeMemory> make_window_memory(parallel::Session& session, std::size_t bytes) {
  auto shared = std::make_shared<Shared>();
  session.thread().run([shared, bytes, node = session.node_comm(), first = session.node_rank() == 0] {
    make_window(*shared, node, first, bytes);
  });
  return std::make_unique<WindowMemory>(session, std::move(shared), bytes);
}

}  // namespace

NodeRanks node_ranks(parallel::Session& session) {
  NodeRanks node;
  node.peers = node_peers(session);
  node.make_window = [&session](std::size_t bytes) { return make_window_memory(session, bytes); };
  node.at_work = [&session] { session.ticks().progress(); };
  return node;
}

NodeRanks node_ranks(parallel::Session& session, const Device& device) {
  NodeRanks node = node_ranks(session);
  node.home = numa_home(device, node.peers.rank, node.peers.size);
  return node;
}

}  // namespace ferry::offload
