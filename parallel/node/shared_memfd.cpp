#include "parallel/node/shared_memfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "parallel/agree.h"

namespace ferry::parallel {

namespace {

constexpr int kTimeoutMs = 60'000;
const std::string kError = "error: ";
const std::string kFull = "full: ";

// The others mean that there is no such memory here.
bool means_no_room(int code) { return code == EFBIG || code == ENOSPC || code == ENOMEM || code == EDQUOT; }

OwnedDescriptor make_memfd(const char* name, std::size_t bytes) {
  OwnedDescriptor made(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made) throw_errno("memfd_create");
  if (::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) {
    if (means_no_room(errno)) {
      throw Error(fmt::format("no room for {} bytes of shared host memory: {}", bytes, std::strerror(errno)));
    }
    throw_errno("ftruncate of the shared memory");
  }
  return made;
}

// Rank 0's message to its peers: the socket's name, and its process and descriptors in case they go through
// /proc.
struct Offer {
  std::string socket;
  long process = 0;
  std::vector<int> descriptors;
};

std::vector<OwnedDescriptor> opened_by_path(const Offer& offer) {
  std::vector<OwnedDescriptor> opened;
  for (const int descriptor : offer.descriptors) {
    const std::string path = fmt::format("/proc/{}/fd/{}", offer.process, descriptor);
    opened.emplace_back(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!opened.back()) throw_errno("cannot open " + path);
  }
  return opened;
}

std::vector<OwnedDescriptor> take(const Offer& offer) {
  std::string why = "not all descriptors came";
  try {
    std::vector<OwnedDescriptor> received = receive_descriptors(offer.socket, kTimeoutMs);
    if (received.size() == offer.descriptors.size()) return received;
  } catch (const SystemError& failed) {
    why = failed.what();
  }
  try {
    std::vector<OwnedDescriptor> opened = opened_by_path(offer);
    spdlog::debug("shared memory through /proc/{}: {}", offer.process, why);
    return opened;
  } catch (const SystemError& failed) {
    throw SystemError(why + ", and " + failed.what());
  }
}

struct FirstRank {
  OwnedDescriptor listener;
  std::vector<OwnedDescriptor> memory;
};

// Rank 0 makes the memory and the socket; returns the message to send, or kError or kFull and the reason.
std::string open_offer(const char* name, const std::vector<std::size_t>& bytes, FirstRank& first) {
  try {
    Offer offer;
    for (const std::size_t each : bytes) {
      first.memory.push_back(make_memfd(name, each));
      offer.descriptors.push_back(first.memory.back().get());
    }
    first.listener = listen_for_peers(offer.socket);
    return fmt::format("{} {} {}", offer.socket, ::getpid(), fmt::join(offer.descriptors, " "));
  } catch (const SystemError& failed) {
    return kError + failed.what();
  } catch (const Error& failed) {
    return kFull + failed.what();
  }
}

// A peer that loses its connection opens them through /proc.
void try_to_send(OwnedDescriptor listener, const std::vector<OwnedDescriptor>& memory, int peers) {
  try {
    send_descriptors(listener.get(), memory, peers, kTimeoutMs);
  } catch (const SystemError& failed) {
    spdlog::debug("shared memory is not sent: {}", failed.what());
  }
}

Offer read_offer(const std::string& words) {
  if (words.starts_with(kError)) throw SystemError(words.substr(kError.size()));
  if (words.starts_with(kFull)) throw Error(words.substr(kFull.size()));
  Offer offer;
  std::istringstream in(words);
  in >> offer.socket >> offer.process;
  for (int descriptor = -1; in >> descriptor;) offer.descriptors.push_back(descriptor);
  return offer;
}

}  // namespace

std::vector<OwnedDescriptor> share_memfds(const char* name, const std::vector<std::size_t>& bytes,
                                          const Peers& peers) {
  FirstRank first;
  const std::string words = peers.rank == 0 ? open_offer(name, bytes, first) : "";
  const Offer offer = read_offer(all_gather_text(peers, words)[0]);
  std::vector<OwnedDescriptor> memory;
  fail_together(peers, [&] {
    if (peers.rank == 0) {
      try_to_send(std::move(first.listener), first.memory, peers.size - 1);
      memory = std::move(first.memory);
    } else {
      memory = take(offer);
    }
  });
  return memory;
}

}  // namespace ferry::parallel
