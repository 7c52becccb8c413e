#include "parallel/nccl/nccl_group.h"

#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/handle.h"
#include "parallel/nccl/nccl_all_to_all.h"
#include "parallel/nccl/nccl_check.h"
#include "parallel/patience.h"
#include "parallel/watch/ticks.h"

namespace ferry::parallel {

namespace {

// A communicator still owned when destroyed has failed or was never completed, so abort it.
using OwnedNccl = Handle<ncclComm_t, ncclCommAbort>;

std::string loaded_version() {
  int code = 0;
  FERRY_CHECK(ncclGetVersion(&code));
  return fmt::format("nccl {}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

cudaStream_t native(Stream& stream) {
  auto* const handle = static_cast<cudaStream_t>(stream.native());
  if (handle == nullptr)
    throw std::invalid_argument("a group over NCCL needs a CUDA stream, not " + stream.name());
  return handle;
}

// Uses NCCL's non-blocking mode: a call may continue in the background and is waited for here, for at most
// `patience_s`.
class NcclGroup final : public Group {
 public:
  NcclGroup(const ncclUniqueId& id, int rank, int size, double patience_s, Ticks* ticks);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup() override;
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& backend() const override { return backend_; }
  void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) override;
  void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) override;
  void broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) override;
  void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                 Stream& stream) override;
  void check() override;

 private:
  ncclComm_t working() const;
  void settle(ncclResult_t result, const char* what);
  ncclResult_t wait_while_in_progress() const;

  int rank_;
  int size_;
  double patience_s_;
  Ticks* ticks_;
  std::string backend_ = loaded_version();
  int exceptions_ = std::uncaught_exceptions();
  OwnedNccl comm_;
};

NcclGroup::NcclGroup(const ncclUniqueId& id, int rank, int size, double patience_s, Ticks* ticks)
    : rank_(rank), size_(size), patience_s_(patience_s), ticks_(ticks) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  const ncclResult_t result = ncclCommInitRankConfig(&comm, size, id, rank, &config);
  comm_ = OwnedNccl(comm);
  settle(result, "ncclCommInitRankConfig");
}

NcclGroup::~NcclGroup() {
  if (!comm_) return;
  if (std::uncaught_exceptions() > exceptions_) {
    // The others may not come here: NCCL would wait for them, and so would the abort of a communicator.
    static_cast<void>(comm_.release());
    return;
  }
  ncclResult_t result = ncclCommFinalize(comm_.get());
  if (result == ncclInProgress) result = wait_while_in_progress();
  if (result == ncclSuccess) static_cast<void>(ncclCommDestroy(comm_.release()));
}

ncclComm_t NcclGroup::working() const {
  if (!comm_) throw NcclError("this NCCL communicator has failed and was aborted");
  return comm_.get();
}

// Returns ncclInProgress if that took too long.
ncclResult_t NcclGroup::wait_while_in_progress() const {
  const Ticks::Wait wait(ticks_);
  Patience patience(patience_s_);
  const Clock::time_point begin = Clock::now();
  ncclResult_t state = ncclInProgress;
  while (true) {
    const ncclResult_t asked = ncclCommGetAsyncError(comm_.get(), &state);
    if (asked != ncclSuccess) return asked;
    if (state != ncclInProgress || patience.over()) return state;
    // A launch takes microseconds, the first connection seconds.
    if (seconds_since(begin) < 1e-3) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

void NcclGroup::settle(ncclResult_t result, const char* what) {
  if (result == ncclInProgress) result = wait_while_in_progress();
  if (result == ncclSuccess) return;
  const std::string why = result == ncclInProgress ? fmt::format("took longer than {} s", patience_s_)
                                                   : ncclGetErrorString(result);
  const std::string detail = ncclGetLastError(nullptr);
  comm_ = {};
  throw NcclError(fmt::format("{} on rank {} of {}: {} ({})", what, rank_, size_, why, detail));
}

void NcclGroup::all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) {
  pieces.check(size_);
  if (pieces.largest() == 0) return;
  ncclComm_t const comm = working();
  auto* const queue = native(stream);
  settle(pieces.plain() ? nccl_all_to_all(recv, send, pieces.bytes(0, 0), size_, comm, queue)
                        : nccl_send_recv(recv, send, pieces, rank_, size_, comm, queue),
         "all_to_all");
}

void NcclGroup::all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) {
  if (bytes_per_rank == 0) return;
  settle(ncclAllGather(send, recv, bytes_per_rank, ncclUint8, working(), native(stream)), "all_gather");
}

void NcclGroup::broadcast(void* buffer, std::size_t bytes, int root, Stream& stream) {
  check_root(*this, root);
  if (bytes == 0) return;
  settle(ncclBroadcast(buffer, buffer, bytes, ncclUint8, root, working(), native(stream)), "broadcast");
}

void NcclGroup::send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives,
                          Stream& stream) {
  check_peers(*this, sends, receives);
  settle(nccl_send_recv(sends, receives, working(), native(stream)), "send_recv");
}

void NcclGroup::check() {
  ncclResult_t state = ncclSuccess;
  FERRY_CHECK(ncclCommGetAsyncError(working(), &state));
  if (state != ncclInProgress) settle(state, "an earlier operation");
}

}  // namespace

std::unique_ptr<Group> make_nccl_group(Control& members, double patience_s, Ticks* ticks) {
  ncclUniqueId id = {};
  if (members.rank() == 0) FERRY_CHECK(ncclGetUniqueId(&id));
  const std::string bytes = members.broadcast(std::string(id.internal, sizeof id.internal), 0);
  std::memcpy(id.internal, bytes.data(), sizeof id.internal);
  return std::make_unique<NcclGroup>(id, members.rank(), members.size(), patience_s, ticks);
}

}  // namespace ferry::parallel
