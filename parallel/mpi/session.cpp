#include "parallel/mpi/session.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>

#include "parallel/mpi/mpi_check.h"

namespace ferry::parallel {

namespace {

constexpr double kFirstDeadline_s = 600;
constexpr double kDrain_s = 2;

// Returns true if this call started MPI.
bool start_mpi(int& argc, char**& argv) {
  int running = 0;
  int provided = 0;
  FERRY_MPI_CHECK(MPI_Initialized(&running));
  if (running != 0) {
    FERRY_MPI_CHECK(MPI_Query_thread(&provided));
  } else {
    FERRY_MPI_CHECK(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided));
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    throw MpiError("this MPI does not let a second thread communicate (MPI_THREAD_SERIALIZED)");
  }
  // Inherited by communicators made from this one.
  FERRY_MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  return running == 0;
}

std::string host_name() {
  std::array<char, 256> name = {};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

}  // namespace

int free_comm(MPI_Comm comm) noexcept { return MPI_Comm_free(&comm); }

Session::Session(int& argc, char**& argv)
    : owns_mpi_(start_mpi(argc, argv)), exceptions_(std::uncaught_exceptions()), host_(host_name()) {
  find_nodes();
  thread_ = std::make_unique<CommThread>(kFirstDeadline_s);
  world_ = std::make_unique<Control>(*thread_, MPI_COMM_WORLD);
  node_ = std::make_unique<Control>(*thread_, node_comm_.get());
}

// Runs before the communication thread exists.
void Session::find_nodes() {
  int rank = 0;
  int size = 1;
  FERRY_MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  FERRY_MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size));
  MPI_Comm node = MPI_COMM_NULL;
  FERRY_MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node));
  node_comm_ = OwnedComm(node);

  // A node is identified by its lowest rank.
  int lowest = rank;
  FERRY_MPI_CHECK(MPI_Bcast(&lowest, 1, MPI_INT, 0, node));
  std::vector<int> all(static_cast<std::size_t>(size));
  FERRY_MPI_CHECK(MPI_Allgather(&lowest, 1, MPI_INT, all.data(), 1, MPI_INT, MPI_COMM_WORLD));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  node_count_ = static_cast<int>(all.size());
  node_index_ = static_cast<int>(std::find(all.begin(), all.end(), lowest) - all.begin());
}

MPI_Comm Session::split(int color) {
  // MPI_Comm_split spins while it waits: enter it once all ranks have arrived.
  barrier();
  auto made = std::make_shared<MPI_Comm>(MPI_COMM_NULL);
  thread_->run([made, color, key = rank()] {
    FERRY_MPI_CHECK(MPI_Comm_split(MPI_COMM_WORLD, color, key, made.get()));
  });
  comms_.emplace_back(*made);
  return *made;
}

void Session::abort(const std::string& reason, int exit_code) {
  spdlog::critical("rank {} on {}: {}", rank(), host_, reason);
  spdlog::default_logger()->flush();
  thread_->stop();
  thread_->drain(kDrain_s);
  // A single rank has no others to bring down, and MPI_Abort is verbose.
  if (size() > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void Session::finish() noexcept {
  try {
    if (std::uncaught_exceptions() > exceptions_ && size() > 1) abort("an exception ended the program");
    if (owns_mpi_) barrier();
  } catch (const std::exception& error) {
    abort(error.what());
  }
}

Session::~Session() {
  finish();
  node_.reset();
  world_.reset();
  thread_.reset();
  comms_.clear();
  node_comm_ = {};
  if (owns_mpi_) MPI_Finalize();
}

}  // namespace ferry::parallel
