#include "parallel/single_group.h"

#include <fmt/format.h>

#include <stdexcept>

namespace ferry::parallel {

namespace {

class SingleGroup final : public Group {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::string& backend() const override { return backend_; }
  void all_to_all(void* recv, const void* send, const Pieces& pieces, Stream& stream) override {
    pieces.check(1);
    if (pieces.moves_own()) stream.copy(recv, send, pieces.bytes(0, 0));
  }
  void all_gather(void* recv, const void* send, std::size_t bytes_per_rank, Stream& stream) override {
    if (recv != send) stream.copy(recv, send, bytes_per_rank);
  }
  void broadcast(void*, std::size_t, int root, Stream&) override { check_root(*this, root); }
  void send_recv(std::span<const Outgoing> sends, std::span<const Incoming> receives, Stream&) override {
    check_peers(*this, sends, receives);
  }
  void check() override {}

 private:
  std::string backend_ = "single";
};

}  // namespace

void check_root(const Group& group, int root) {
  if (root >= 0 && root < group.size()) return;
  throw std::invalid_argument(fmt::format("broadcast: root {} in a group of {}", root, group.size()));
}

void check_peers(const Group& group, std::span<const Outgoing> sends, std::span<const Incoming> receives) {
  const auto check = [&](int peer) {
    if (peer >= 0 && peer < group.size() && peer != group.rank()) return;
    throw std::invalid_argument(
        fmt::format("send_recv: peer {} of rank {} in a group of {}", peer, group.rank(), group.size()));
  };
  for (const Outgoing& message : sends) check(message.peer);
  for (const Incoming& message : receives) check(message.peer);
}

std::unique_ptr<Group> make_single_group() { return std::make_unique<SingleGroup>(); }

}  // namespace ferry::parallel
