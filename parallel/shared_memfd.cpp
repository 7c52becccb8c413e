#include "parallel/shared_memfd.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <sstream>

#include "base/error.h"
#include "base/log.h"

namespace ferry::parallel {

namespace {

constexpr int kTimeoutMs = 60'000;

OwnedDescriptor make_memfd(const char* name, std::size_t bytes) {
  OwnedDescriptor made(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
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
std::string open_offer(const char* name, std::size_t bytes, FirstRank& first) {
  try {
    Offer offer;
    first.memory = make_memfd(name, bytes);
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

std::string first_error_of(const std::string& mine, const AllGather& all_gather) {
  const std::vector<std::string> errors = all_gather(mine);
  for (std::size_t r = 0; r < errors.size(); ++r) {
    if (errors[r].empty()) continue;
    return errors.size() == 1 ? errors[r] : "rank " + std::to_string(r) + ": " + errors[r];
  }
  return {};
}

OwnedDescriptor share_memfd(const char* name, std::size_t bytes, int rank, int size,
                            const AllGather& all_gather) {
  FirstRank first;
  const std::string words = rank == 0 ? open_offer(name, bytes, first) : "";
  const Offer offer = read_offer(all_gather(words)[0]);
  OwnedDescriptor memory;
  std::string error;
  try {
    if (rank == 0) send_descriptor(first.listener.get(), first.memory.get(), size - 1, kTimeoutMs);
    memory = rank == 0 ? std::move(first.memory) : take(offer);
  } catch (const SystemError& failed) {
    error = failed.what();
  }
  error = first_error_of(error, all_gather);
  if (!error.empty()) throw SystemError(error);
  return memory;
}

}  // namespace ferry::parallel
