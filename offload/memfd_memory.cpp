// The node's memory as a memfd.  Rank 0 makes it and passes the descriptor; every rank maps it.
#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "offload/descriptor.h"
#include "offload/node_memory.h"

// Linux 5.1; older headers of the C library lack it.
constexpr int kSealFutureWrite = 0x0010;

namespace ferry::offload {

namespace {

constexpr int kTimeoutMs = 60'000;

class MemfdMemory : public NodeMemory {
 public:
  MemfdMemory(OwnedDescriptor descriptor, std::size_t bytes)
      : descriptor_(std::move(descriptor)), bytes_(bytes) {
    data_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
    if (data_ == MAP_FAILED) throw_errno("cannot map " + std::to_string(bytes_) + " shared bytes");
    // First touch by 2 MiB pages is four times as fast; a kernel that has none says no, and that is fine.
    ::madvise(data_, bytes_, MADV_HUGEPAGE);
    // A core file of a crash need not hold the weights.
    ::madvise(data_, bytes_, MADV_DONTDUMP);
  }
  MemfdMemory(const MemfdMemory&) = delete;
  MemfdMemory& operator=(const MemfdMemory&) = delete;
  ~MemfdMemory() override { ::munmap(data_, bytes_); }
  MemoryKind kind() const override { return MemoryKind::Memfd; }
  std::byte* data() const override { return static_cast<std::byte*>(data_); }
  std::size_t bytes() const override { return bytes_; }
  // Mappings that exist stay writable (page-locking wants that); new ones cannot be.
  void seal() override {
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | kSealFutureWrite;
    if (::fcntl(descriptor_.get(), F_ADD_SEALS, seals) == 0) return;
    ::fcntl(descriptor_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  }

 private:
  OwnedDescriptor descriptor_;
  std::size_t bytes_;
  void* data_ = nullptr;
};

OwnedDescriptor make_memfd(std::size_t bytes) {
  OwnedDescriptor made(::memfd_create("ferry-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made) throw_errno("memfd_create");
  if (::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) throw_errno("ftruncate of the shared memory");
  return made;
}

// What rank 0 tells its peers: the socket's name, and its process and descriptor for the way through /proc.
struct Offer {
  std::string socket;
  long process = 0;
  int descriptor = -1;
};

OwnedDescriptor take(const Offer& offer) {
  try {
    return receive_descriptor(offer.socket, kTimeoutMs);
  } catch (const SystemError& failed) {
    const std::string path =
        "/proc/" + std::to_string(offer.process) + "/fd/" + std::to_string(offer.descriptor);
    OwnedDescriptor opened(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!opened) throw SystemError(failed.what() + (", and cannot open " + path));
    spdlog::debug("shared memory through {}: {}", path, failed.what());
    return opened;
  }
}

struct FirstRank {
  OwnedDescriptor listener;
  OwnedDescriptor memory;
};

// Rank 0's part before the others know of it; the words to send, or "error: ...".
std::string open_offer(std::size_t bytes, FirstRank& first) {
  try {
    Offer offer;
    first.memory = make_memfd(bytes);
    first.listener = listen_for_peers(offer.socket);
    return offer.socket + " " + std::to_string(::getpid()) + " " + std::to_string(first.memory.get());
  } catch (const SystemError& failed) {
    return std::string("error: ") + failed.what();
  }
}

Offer read_offer(const std::string& words) {
  if (words.rfind("error: ", 0) == 0) throw SystemError(words.substr(7));
  Offer offer;
  std::istringstream in(words);
  in >> offer.socket >> offer.process >> offer.descriptor;
  return offer;
}

}  // namespace

std::unique_ptr<NodeMemory> make_memfd_memory(std::size_t bytes, const Peers& node) {
  FirstRank first;
  const std::string words = node.rank == 0 ? open_offer(bytes, first) : "";
  const Offer offer = read_offer(gather_words(node, words)[0]);
  std::unique_ptr<NodeMemory> memory;
  std::string error;
  try {
    if (node.rank == 0) send_descriptor(first.listener.get(), first.memory.get(), node.size - 1, kTimeoutMs);
    memory = std::make_unique<MemfdMemory>(node.rank == 0 ? std::move(first.memory) : take(offer), bytes);
  } catch (const SystemError& failed) {
    error = failed.what();
  }
  error = first_error(node, error);
  if (!error.empty()) throw SystemError(error);
  return memory;
}

}  // namespace ferry::offload
