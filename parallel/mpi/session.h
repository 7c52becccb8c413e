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

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/handle.h"
#include "parallel/mpi/comm_thread.h"
#include "parallel/mpi/control.h"
#include "parallel/mpi/environment.h"

namespace ferry::parallel {

int free_comm(MPI_Comm comm) noexcept;
using OwnedComm = Handle<MPI_Comm, free_comm>;

class Session {
 public:
  // Starts MPI and determines the ranks of the node.  Joins an MPI that runs already with at least
  // MPI_THREAD_SERIALIZED, and leaves that running.  Works without mpirun, as one rank.  Throws MpiError.
  Session(int& argc, char**& argv);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // Waits for the other ranks and finalizes MPI. If an exception is leaving its scope, or a rank does not
  // arrive, it brings every rank down instead; so main catches inside.  Destroy all groups first.
  ~Session();

  int rank() const { return world().rank(); }
  int size() const { return world().size(); }
  int node_rank() const { return node().rank(); }  // this rank's index on its node
  int node_size() const { return node().size(); }
  int node_index() const { return node_index_; }  // nodes are ordered by lowest rank
  int node_count() const { return node_count_; }
  const std::string& host() const { return host_; }

  // The control plane over all ranks and over this node's ranks.
  Control& world() { return *world_; }
  Control& node() { return *node_; }
  const Control& world() const { return *world_; }
  const Control& node() const { return *node_; }
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

  // Limit of a wait for another rank in MPI without a heartbeat from the others, in seconds (initially 600).
  // parallel/patience.h says how to wait elsewhere.
  void set_deadline(double seconds) { thread_->set_deadline(seconds); }
  double deadline_s() const { return thread_->deadline_s(); }
  // Sends a heartbeat.  A rank that works while others wait for it (text encoding, decoding, loading) calls
  // it regularly, with every progress report.  Any thread; returns at once.
  void send_heartbeat() { thread_->send_heartbeat(); }

  // Logs rank, host and reason and ends all ranks with `exit_code`, which must not be 0.
  [[noreturn]] void abort(const std::string& reason, int exit_code = 1);

 private:
  void find_nodes();
  void finish() noexcept;

  bool owns_mpi_ = false;
  int exceptions_ = 0;
  int node_index_ = 0;
  int node_count_ = 1;
  std::string host_;
  OwnedComm node_comm_;
  std::vector<OwnedComm> comms_;
  std::unique_ptr<CommThread> thread_;
  std::unique_ptr<Control> world_;
  std::unique_ptr<Control> node_;
};

}  // namespace ferry::parallel
