#include "parallel/mpi/session.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "parallel/mpi/components.h"
#include "parallel/mpi/environment.h"
#include "parallel/mpi/mpi_check.h"
#include "parallel/patience.h"
#include "parallel/share_board.h"
#include "parallel/watch/watchdog.h"

namespace ferry::parallel {

namespace {

constexpr double kFirstDeadline_s = 600;
constexpr double kDrain_s = 1;
constexpr double kDying_s = 0.2;  // from closed connections to a process that has ended
constexpr std::chrono::milliseconds kLook(10);
constexpr double kRefusal_s = 10;                  // of ranks that throw the same UserError
constexpr double kOfDeadline = 0.8;                // before the watchdog
constexpr std::chrono::milliseconds kAbort(2500);  // for mpirun to end all ranks

// Returns true if this call started MPI.
bool start_mpi(int& argc, char**& argv) {
  int running = 0;
  int provided = 0;
  FERRY_MPI_CHECK(MPI_Initialized(&running));
  if (running != 0) {
    FERRY_MPI_CHECK(MPI_Query_thread(&provided));
  } else {
    avoid_broken_components();
    FERRY_MPI_CHECK(MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided));
  }
  if (provided < MPI_THREAD_SERIALIZED) {
    throw MpiError("this MPI does not let a second thread communicate (MPI_THREAD_SERIALIZED)");
  }
  // Inherited by communicators made from this one.
  FERRY_MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  return running == 0;
}

// Runs before the communication thread exists.
OwnedComm split_world(int color, int key) {
  MPI_Comm made = MPI_COMM_NULL;
  FERRY_MPI_CHECK(MPI_Comm_split(MPI_COMM_WORLD, color, key, &made));
  return OwnedComm(made);
}

// The ranks of this host, by rank; in tests, those of a made-up node.
OwnedComm node_of(int rank) {
  if (const auto nodes = environment_variable("FERRY_TEST_NODES")) {
    return split_world(made_up_node(*nodes, rank), rank);
  }
  MPI_Comm node = MPI_COMM_NULL;
  FERRY_MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node));
  return OwnedComm(node);
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  FERRY_MPI_CHECK(MPI_Comm_rank(comm, &rank));
  return rank;
}

std::string host_name() {
  std::array<char, 256> name = {};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

void begin_abort(int exit_code) {
  try {
    std::thread([exit_code] { MPI_Abort(MPI_COMM_WORLD, exit_code); }).detach();
  } catch (const std::system_error&) {  // no memory for a thread: the ranks of this node are killed anyway
  }
}

}  // namespace

int free_comm(MPI_Comm comm) noexcept { return MPI_Comm_free(&comm); }

int free_window(MPI_Win window) noexcept {
  MPI_Win_unlock_all(window);
  return MPI_Win_free(&window);
}

Session::Session(int& argc, char**& argv)
    : owns_mpi_(start_mpi(argc, argv)), exceptions_(std::uncaught_exceptions()), host_(host_name()) {
  find_ranks();
  watch();
}

void Session::find_ranks() {
  const int rank = rank_in(MPI_COMM_WORLD);
  const MPI_Comm node = comms_.emplace_back(node_of(rank)).get();
  int lowest = rank;
  FERRY_MPI_CHECK(MPI_Bcast(&lowest, 1, MPI_INT, 0, node));
  // Ranks with the same key keep their order.
  const MPI_Comm world = comms_.emplace_back(split_world(0, lowest)).get();
  thread_ = std::make_unique<CommThread>(kFirstDeadline_s, world);
  all_ = together(world, node);
  renumbered_ = !all_.world->all_agree(this->rank() == rank);
}

void Session::watch() {
  const Board board = share_board(peers_of(*all_.node), rank());
  const bool several_nodes = board.size() < size();
  watchdog_ = std::make_unique<Watchdog>(
      WatchSetup{.board = board,
                 .index = index_on(board, rank()),
                 .hosts = everyone().all_gather(host_),
                 .fault = planted_fault(environment_variable("FERRY_TEST_FAULT").value_or(""), rank()),
                 .deadline_s = thread_->deadline_s(),
                 .end = [this](int code) { end_all(code); },
                 .contact = several_nodes ? [this] { keep_contact(); } : std::function<void()>(),
                 .all_is_well = [this] { thread_->heard(); }});
  thread_->set_ticks(watchdog_->ticks());
  if (!several_nodes) return;
  thread_->set_signs(
      [this] {
        watchdog_->listens();
        return ticks().sign();
      },
      [this, board](int rank, const Sign& sign) {
        if (index_on(board, rank) < 0) watchdog_->hear(rank, sign);
      });
}

void Session::keep_contact() {
  if (!mpi_over_) thread_->keep_contact();
}

void Session::set_deadline(double seconds) {
  thread_->set_deadline(seconds);
  watchdog_->set_deadline(seconds);
}

void Session::send_heartbeat() {
  watchdog_->ticks().progress();
  thread_->send_heartbeat();
}

Ticks& Session::ticks() { return watchdog_->ticks(); }

bool Session::a_rank_has_gone() { return watchdog_->a_rank_has_gone(); }

bool Session::a_rank_was_asked_to_stop() const { return watchdog_->a_rank_was_asked_to_stop(); }

void Session::give_up() {
  ticks().give_up();
  if (everyone().size() > all_.node->size()) keep_contact();
}

bool Session::a_rank_has_given_up() const { return watchdog_->ranks_that_stay() < all_.world->size(); }

bool Session::all_have_given_up() const { return watchdog_->ranks_that_stay() == 0; }

void Session::leave() { watchdog_->leave(); }

bool Session::all_refuse() {
  return watchdog_->all_refuse(std::min(kRefusal_s, kOfDeadline * thread_->deadline_s()));
}

Together Session::together(MPI_Comm world, MPI_Comm node) {
  Together ranks{.world = std::make_unique<Control>(*thread_, world),
                 .node = std::make_unique<Control>(*thread_, node)};
  // A node begins at each of its first ranks.
  int count = 0;
  for (const std::string& each : ranks.world->all_gather(ranks.node->rank() == 0 ? "first" : "")) {
    count += each.empty() ? 0 : 1;
    ranks.nodes.push_back(count - 1);
  }
  ranks.node_count = count;
  return ranks;
}

MPI_Comm Session::split(Control& ranks, int color) {
  // MPI_Comm_split spins while it waits: enter it once all ranks have arrived.
  ranks.barrier();
  auto made = std::make_shared<MPI_Comm>(MPI_COMM_NULL);
  thread_->run([made, color, comm = ranks.comm(), key = ranks.rank()] {
    FERRY_MPI_CHECK(MPI_Comm_split(comm, color, key, made.get()));
  });
  comms_.emplace_back(*made);
  return *made;
}

MPI_Comm Session::split(int color) { return split(world(), color); }

void Session::divide(int count) {
  ranks_ = &all_;
  group_ranks_.reset();
  group_ = 0;
  groups_ = 1;
  if (count == 1) return;
  const int ranks = size();
  if (count < 1 || ranks % count != 0)
    throw UserError(fmt::format("data {}: {} ranks do not divide by it", count, ranks));
  const int mine = rank() / (ranks / count);
  const MPI_Comm world = split(*all_.world, mine);
  Together group = together(world, split(*all_.node, mine));
  // So that ranks of one group share copies of weights that all groups have.
  const std::vector<std::string> sizes = everyone().all_gather(std::to_string(group.node->size()));
  const bool alike = std::ranges::all_of(sizes, [&](const std::string& each) { return each == sizes[0]; });
  if (!everyone().all_agree(alike && all_.node->rank() % group.node->size() == group.node->rank()))
    throw UserError(fmt::format("data {}: its groups of {} consecutive ranks do not lie evenly on the nodes",
                                count, ranks / count));
  group_ranks_ = std::move(group);
  ranks_ = &*group_ranks_;
  group_ = mine;
  groups_ = count;
}

void Session::abort(const std::string& reason, int exit_code) {
  // A failed call may be the first that is seen of another rank's death.
  Patience dying(everyone().size() > 1 ? kDying_s : 0);
  while (!a_rank_has_gone() && !dying.over()) std::this_thread::sleep_for(kLook);
  const Where where = ticks().where();
  if (watchdog_->claim(exit_code)) {
    const std::string place = must_tick(where.stage) ? text_of(where) + ": " : "";
    spdlog::critical("rank {} on {}: {}{}", everyone().rank(), host_, place, reason);
    spdlog::default_logger()->flush();
  }
  end_all(watchdog_->down());
}

// MPI_Abort asks mpirun, or Slurm, to end all ranks, stopped ones too.  On a thread of its own, in case it
// gets no answer.  Then this rank does what it can: it kills the others of the node.
void Session::end_all(int exit_code) {
  watchdog_->leave();
  // A single rank has no others to bring down, and MPI_Abort is verbose.
  if (everyone().size() == 1) std::_Exit(exit_code);
  if (!ending_.exchange(true)) {
    thread_->stop();
    thread_->drain(kDrain_s);
    if (!mpi_over_) begin_abort(exit_code);
  }
  std::this_thread::sleep_for(kAbort);
  watchdog_->kill_others();
  std::_Exit(exit_code);
}

void Session::finish() noexcept {
  try {
    if (std::uncaught_exceptions() > exceptions_ && everyone().size() > 1) {
      abort("an exception ended the program");
    }
    if (!owns_mpi_) return;
    everyone().barrier();
    thread_->end_heartbeats();
  } catch (const std::exception& error) {
    abort(error.what());
  }
}

Session::~Session() {
  ticks().begin(Stage::End);
  finish();
  // The watchdog stays to the end; without MPI it kills the others itself.
  mpi_over_ = true;
  thread_->drain(kDrain_s);
  group_ranks_.reset();
  all_ = {};
  windows_.clear();
  comms_.clear();
  if (owns_mpi_) MPI_Finalize();
  leave();
  watchdog_.reset();
}

}  // namespace ferry::parallel
