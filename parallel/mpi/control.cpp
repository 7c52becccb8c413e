#include "parallel/mpi/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "parallel/mpi/mpi_check.h"

namespace ferry::parallel {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 30;  // MPI counts are ints

void wait(CommThread& thread, MPI_Request request, const char* what) { thread.wait_all({&request, 1}, what); }

void broadcast_on(CommThread& thread, MPI_Comm comm, std::string& text, int root) {
  std::uint64_t bytes = text.size();
  MPI_Request request = MPI_REQUEST_NULL;
  FERRY_MPI_CHECK(MPI_Ibcast(&bytes, 1, MPI_UINT64_T, root, comm, &request));
  wait(thread, request, "broadcast");
  text.resize(bytes);
  for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
    const int count = static_cast<int>(std::min<std::size_t>(kPieceBytes, bytes - at));
    FERRY_MPI_CHECK(MPI_Ibcast(text.data() + at, count, MPI_BYTE, root, comm, &request));
    wait(thread, request, "broadcast");
  }
}

// Gathers in rounds of at most kPieceBytes.
void gather_on(CommThread& thread, MPI_Comm comm, const std::string& mine, std::vector<std::string>& all) {
  const std::uint64_t bytes = mine.size();
  std::vector<std::uint64_t> sizes(all.size());
  MPI_Request request = MPI_REQUEST_NULL;
  FERRY_MPI_CHECK(MPI_Iallgather(&bytes, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, comm, &request));
  wait(thread, request, "all_gather");
  const std::uint64_t most = std::ranges::max(sizes);
  const std::uint64_t piece = kPieceBytes / all.size();
  std::vector<int> counts(all.size());
  std::vector<int> offsets(all.size());
  std::string arrived;
  for (std::uint64_t at = 0; at < most; at += piece) {
    const auto left = [&](std::uint64_t size) {
      return static_cast<int>(std::min(piece, size - std::min(size, at)));
    };
    std::ranges::transform(sizes, counts.begin(), left);
    std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
    arrived.resize(static_cast<std::size_t>(offsets.back()) + static_cast<std::size_t>(counts.back()));
    FERRY_MPI_CHECK(MPI_Iallgatherv(mine.data() + std::min(bytes, at), left(bytes), MPI_BYTE, arrived.data(),
                                    counts.data(), offsets.data(), MPI_BYTE, comm, &request));
    wait(thread, request, "all_gather");
    for (std::size_t r = 0; r < all.size(); ++r) {
      all[r].append(arrived, static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r]));
    }
  }
}

struct Members {
  int rank = 0;
  std::vector<int> numbers;
};

Members members_of(MPI_Comm comm, MPI_Comm of) {
  Members members;
  int size = 1;
  FERRY_MPI_CHECK(MPI_Comm_rank(comm, &members.rank));
  FERRY_MPI_CHECK(MPI_Comm_size(comm, &size));
  std::vector<int> places(static_cast<std::size_t>(size));
  std::iota(places.begin(), places.end(), 0);
  members.numbers.resize(places.size());
  MPI_Group own = MPI_GROUP_NULL;
  MPI_Group world = MPI_GROUP_NULL;
  FERRY_MPI_CHECK(MPI_Comm_group(comm, &own));
  FERRY_MPI_CHECK(MPI_Comm_group(of, &world));
  FERRY_MPI_CHECK(MPI_Group_translate_ranks(own, size, places.data(), world, members.numbers.data()));
  MPI_Group_free(&own);
  MPI_Group_free(&world);
  return members;
}

}  // namespace

// The code below runs on the communication thread with values it owns: if a rank gives up waiting, this
// object and the caller's locals may be gone before their turn comes.

Control::Control(CommThread& thread, MPI_Comm comm) : thread_(thread), comm_(comm) {
  auto members = std::make_shared<Members>();
  thread_.run([members, comm, world = thread.world()] { *members = members_of(comm, world); });
  rank_ = members->rank;
  numbers_ = std::move(members->numbers);
  size_ = static_cast<int>(numbers_.size());
}

void Control::barrier() {
  thread_.run([thread = &thread_, comm = comm_] {
    MPI_Request request = MPI_REQUEST_NULL;
    FERRY_MPI_CHECK(MPI_Ibarrier(comm, &request));
    wait(*thread, request, "barrier");
  });
}

std::string Control::broadcast(const std::string& text, int root) {
  if (root < 0 || root >= size_) throw std::invalid_argument(fmt::format("broadcast: no rank {}", root));
  auto shared = std::make_shared<std::string>(rank_ == root ? text : std::string());
  thread_.run(
      [thread = &thread_, comm = comm_, shared, root] { broadcast_on(*thread, comm, *shared, root); });
  return std::move(*shared);
}

std::vector<std::string> Control::all_gather(const std::string& text) {
  auto all = std::make_shared<std::vector<std::string>>(static_cast<std::size_t>(size_));
  thread_.run([thread = &thread_, comm = comm_, all, text] { gather_on(*thread, comm, text, *all); });
  return std::move(*all);
}

bool Control::all_agree(bool mine) { return max(mine ? 0.0 : 1.0) == 0.0; }

double Control::max(double mine) {
  auto value = std::make_shared<double>(mine);
  thread_.run([thread = &thread_, comm = comm_, value] {
    MPI_Request request = MPI_REQUEST_NULL;
    FERRY_MPI_CHECK(MPI_Iallreduce(MPI_IN_PLACE, value.get(), 1, MPI_DOUBLE, MPI_MAX, comm, &request));
    wait(*thread, request, "all_reduce");
  });
  return *value;
}

}  // namespace ferry::parallel
