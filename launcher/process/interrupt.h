// What a rank does on a signal: it ends at once, leaving nothing unfinished behind, or stops at the next
// border.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "launcher/process/caught.h"
#include "worker/state/stop_request.h"

namespace ferry::launcher {

// While one exists, a separate thread takes the signals of launcher/process/signals.h.
//
//   SIGTERM, SIGUSR1   the first one asks the run to stop (worker/state/stop_request.h), if there is one to
//                      ask; where nothing has been done the process ends at once, together with the other
//                      ranks that are asked (worker/state/meeting.h), or 3 s later without them.  More of its
//                      kind within a second are the same delivery.  Under `ferry -n` only SIGUSR1 asks: its
//                      mpirun ends ranks by SIGTERM
//                      A second one of these then only hastens it
//   any other, or a    removes the files that this process is still writing, and exits with code
//   second one         128 + the signal's number
//
// Under mpirun every rank receives the signal, and one rank that exits takes the others along.
class Interrupt {
 public:
  // Of a rank, while it has a session.  Called on the thread.
  struct Peers {
    // True if another rank of the job has gone, which it reports: Open MPI's mpirun then sends SIGTERM to the
    // rest, who are not asked to stop but end.
    std::function<bool()> one_has_gone;
    std::function<void()> leave;  // says that this rank ends on purpose
    // Of several ranks, which end together where nothing has been done: tells the others that this one gives
    // up (called more than once); true if one, and if all, have.
    std::function<void()> give_up{};
    std::function<bool()> one_has_given_up{};
    std::function<bool()> all_have_given_up{};
  };

  // `stop` (optional) must outlive it.
  explicit Interrupt(worker::StopRequest* stop = nullptr);
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  // Replaces the peers, of which nothing is called any longer once this returns; empty: none.
  void set_peers(Peers peers);

 private:
  struct Asked {  // the signal that asked to stop
    int signal = 0;
    Clock::time_point at;
    Clock::time_point tell_at;
    std::optional<Clock::time_point> gave_up;
    std::optional<Clock::time_point> all_gave_up;
  };
  void run();
  bool can_ask(int signal) const;
  void take(int signal, Asked& asked);
  // Where nothing has been done: ends the process once all ranks give up, or after 3 s.
  void give_up_if_possible(Asked& asked);
  [[noreturn]] void end_process(const std::string& how, int code);

  CaughtSignals caught_;
  worker::StopRequest* request_;
  std::mutex mutex_;
  Peers peers_;
  int stop_ = -1;  // eventfd: tells the thread to end
  std::thread thread_;
};

// Files that this process has open for writing under a temporary name: unfinished results on a file system
// without unnamed files (base/files/pending_file.h).  Reads /proc/self/fd.
std::vector<std::string> unfinished_files();

}  // namespace ferry::launcher
