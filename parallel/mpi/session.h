// MPI for the life of the program: a local of main().
//
//   parallel::Session ranks(argc, argv);
//   try {
//     return worker::run(options, ranks);
//   } catch (const std::exception& error) {
//     ranks.abort(error.what());   // brings every rank down
//   }
//
// After the constructor one communication thread owns all MPI calls.
#pragma once

#include <mpi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/handle.h"
#include "parallel/mpi/comm_thread.h"
#include "parallel/mpi/control.h"
#include "parallel/mpi/environment.h"
#include "parallel/watch/ticks.h"

namespace ferry::parallel {

class Watchdog;

int free_comm(MPI_Comm comm) noexcept;
using OwnedComm = Handle<MPI_Comm, free_comm>;
// Of a window whose epoch of MPI_Win_lock_all is open.
int free_window(MPI_Win window) noexcept;
using OwnedWindow = Handle<MPI_Win, free_window>;

// Ranks that work together.
struct Together {
  std::unique_ptr<Control> world;
  std::unique_ptr<Control> node;
  std::vector<int> nodes{};  // by rank, ascending from 0
  int node_count = 1;
};

class Session {
 public:
  // Starts MPI and numbers the ranks by node: those of a node follow each other, and nodes are in the order
  // of their lowest ranks in MPI_COMM_WORLD, so the first rank is the first of both.  Joins an MPI that runs
  // already with at least MPI_THREAD_SERIALIZED, and leaves that running.  Works without mpirun, as one rank.
  // Throws MpiError.
  Session(int& argc, char**& argv);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // Waits for the other ranks and finalizes MPI. If an exception is leaving its scope, or a rank does not
  // arrive, it brings every rank down instead; so main catches inside.  Destroy all groups first.
  ~Session();

  // The ranks that work together: all of them or, after divide(), those of this rank's group.  "The world" of
  // this header and others is they, and "the node" is those of them that share this rank's host.
  int rank() const { return world().rank(); }
  int size() const { return world().size(); }
  int node_rank() const { return node().rank(); }  // this rank's index on its node
  int node_size() const { return node().size(); }
  int node_index() const { return nodes()[static_cast<std::size_t>(rank())]; }
  int node_count() const { return ranks_->node_count; }
  const std::vector<int>& nodes() const { return ranks_->nodes; }  // node_index() by rank
  // True if ranks have other numbers than in MPI_COMM_WORLD.
  bool is_renumbered() const { return renumbered_; }
  const std::string& host() const { return host_; }

  // The control plane over the world and over this node's ranks.
  Control& world() { return *ranks_->world; }
  Control& node() { return *ranks_->node; }
  const Control& world() const { return *ranks_->world; }
  const Control& node() const { return *ranks_->node; }
  void barrier() { world().barrier(); }
  std::string broadcast(const std::string& text, int root) { return world().broadcast(text, root); }
  std::vector<std::string> all_gather(const std::string& text) { return world().all_gather(text); }
  bool all_agree(bool mine) { return world().all_agree(mine); }

  // The communication thread.  Only work queued there calls MPI.
  Stream& comm() { return thread_->stream(); }
  CommThread& thread() { return *thread_; }
  MPI_Comm node_comm() const { return node().comm(); }

  // Makes a communicator of the ranks that pass the same `color`, ordered by world rank.  Collective over the
  // world; the Session owns it until MPI ends.
  MPI_Comm split(int color);

  // Divides the ranks into `count` groups of equal size and consecutive ranks, which then work apart: rank(),
  // split() and so on are of this rank's group.  Heartbeats, deadlines, ticks and abort() stay those of the
  // whole job.  Divided again, it is as if it had not been before; 1 makes them one.  Collective over all
  // ranks.  Throws UserError on every rank: the ranks do not divide by `count`, or the groups do not lie
  // evenly on the nodes.
  void divide(int count);
  int group() const { return group_; }  // index of this rank's group; 0 if not divided
  int groups() const { return groups_; }
  // All ranks, divided or not.
  Control& everyone() { return *all_.world; }
  // Keeps a window until MPI ends: freeing it earlier would wait for ranks that may have failed.
  void own(OwnedWindow window) { windows_.push_back(std::move(window)); }
  // Ranks of this rank's group, and of all groups, on its node, whether or not an Undivided exists.
  int group_node_size() const { return (group_ranks_ ? *group_ranks_ : all_).node->size(); }
  int whole_node_size() const { return all_.node->size(); }

  // While it exists, the session is of all ranks again, on this rank: for what all groups do together.
  class Undivided {
   public:
    explicit Undivided(Session& session) : session_(session), before_(session.ranks_) {
      session_.ranks_ = &session_.all_;
    }
    ~Undivided() { session_.ranks_ = before_; }
    Undivided(const Undivided&) = delete;
    Undivided& operator=(const Undivided&) = delete;

   private:
    Session& session_;
    const Together* before_;
  };

  // Limit in seconds (initially 600) of a rank's silence: of a wait in MPI without a heartbeat from the
  // others, and of the time between two ticks (watch/ticks.h), after which the watchdog reports the rank that
  // is late and brings all down.  parallel/patience.h says how to wait elsewhere.
  void set_deadline(double seconds);
  // For waits that end by themselves: longer than the deadline, so that the watchdog comes first.
  double patience_s() const { return thread_->patience_s(); }
  // Sends a heartbeat, which is a tick too.  A rank that works while others wait for it (text encoding,
  // decoding, loading) calls it regularly, with every progress report.  Any thread; returns at once.
  void send_heartbeat();
  // Where this rank is, for the watchdogs of all.
  Ticks& ticks();

  // True if a rank of this node has ended without having said so, or the job is going down for another
  // reason.  The first of the node to find a rank gone reports it on stderr.  Any thread, at any time: for a
  // rank that gets a signal, which mpirun sends after a rank has died.
  bool a_rank_has_gone();
  // True if a rank of the job was asked to stop early, and has said so (Ticks::asked_to_stop).
  bool a_rank_was_asked_to_stop() const;
  // This rank was asked to stop and ends without attending the next meeting of all (worker/state/meeting.h),
  // as those do that have the same to say.  Tells the others.  Any thread; returns at once.
  void give_up();
  // True if a rank of the job has said so, or has left; if all have, as far as this one has heard.  Any
  // thread.
  bool a_rank_has_given_up() const;
  bool all_have_given_up() const;
  // This rank ends by itself: the others are not to take it for one that died.  Any thread.
  void leave();
  // For a rank that has thrown a UserError: true if all ranks of its node have as well.  Waits for them, less
  // than the deadline and at most 10 s.
  bool all_refuse();

  // Ends all ranks with `exit_code`, which must not be 0, without running any destructor.  Logs rank, host,
  // place and reason, unless another rank of the node has given the reason already; if a rank has gone, that
  // rank.  Any thread but the communication thread.
  [[noreturn]] void abort(const std::string& reason, int exit_code = 1);

 private:
  void find_ranks();
  Together together(MPI_Comm world, MPI_Comm node);
  MPI_Comm split(Control& ranks, int color);
  void watch();
  void keep_contact();
  [[noreturn]] void end_all(int exit_code);
  void finish() noexcept;

  bool owns_mpi_ = false;
  int exceptions_ = 0;
  bool renumbered_ = false;
  std::string host_;
  std::vector<OwnedComm> comms_;
  std::vector<OwnedWindow> windows_;
  std::unique_ptr<CommThread> thread_;
  Together all_;
  std::optional<Together> group_ranks_;  // after divide()
  const Together* ranks_ = &all_;        // used by the main thread
  int group_ = 0;
  int groups_ = 1;
  std::atomic<bool> mpi_over_ = false;
  std::atomic<bool> ending_ = false;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace ferry::parallel
