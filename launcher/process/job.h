// Runs mpirun, and with it all ranks, as a child of this process.
//
//   ferry -n N              stays; in the shell's process group, so that Ctrl-C, Ctrl-Z and kill reach it
//   └─ mpirun               in its own group, stdin /dev/null (or this one's), stdout and stderr through a
//   relay
//      ├─ ferry (rank 0)    killed by the kernel when mpirun ends, as mpirun is when its parent ends
//      └─ ferry (rank 1)
#pragma once

#include <unistd.h>

#include <string>
#include <vector>

namespace ferry::launcher {

// Descriptors of this process; run_job closes none of them.
struct JobStreams {
  int in = -1;              // rank 0 reads it; no terminal.  -1: /dev/null
  int out = STDOUT_FILENO;  // gets what the ranks write to their standard output
  int err = STDERR_FILENO;  // and to their standard error
};

struct JobEnd {
  int code = 0;            // mpirun's: the first nonzero one of a rank, 128 + n for a rank ended by signal n;
                           // or 128 + n if signal n (signals.h) ended this process's job
  bool by_signal = false;  // a signal to this process ended or stopped it
  std::string said;        // what this process has said of the end on its standard error; or empty
};

// Runs `words` (mpirun and its arguments) until all ranks have ended.  With `can_stop`, the first SIGTERM or
// SIGUSR1 becomes SIGUSR1 for the ranks, which save and stop; then the code is theirs, worker::kRequeueExit.
// SIGTSTP stops mpirun, the ranks and this process; SIGCONT continues them.  If this process dies, even by
// SIGKILL, so do all ranks, stopped ones too.  Other threads may exist.  One job at a time, on the thread
// that started main.
JobEnd run_job(std::vector<std::string> words, bool can_stop, const JobStreams& streams = {});

// On a rank started by run_job (on this node; not by a hand-written mpirun): makes it die with mpirun, at
// once if mpirun is gone already.  Call first in main.
void die_with_mpirun();

// True on such a rank.
bool started_by_job();

// As above, but also true if `mpirun` is a script that starts the real one.
bool launched_by_ferry();

}  // namespace ferry::launcher
