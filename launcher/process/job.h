// Runs mpirun, and with it all ranks, as a child of this process.
//
//   ferry -n N              stays; in the shell's process group, so that Ctrl-C, Ctrl-Z and kill reach it
//   └─ mpirun               in its own group, stdin /dev/null (or this one's), stdout and stderr through a
//   relay
//      ├─ ferry (rank 0)    killed by the kernel when mpirun ends, as mpirun is when its parent ends
//      └─ ferry (rank 1)
#pragma once

#include <string>
#include <vector>

namespace ferry::launcher {

// Runs `words` (mpirun and its arguments) until all ranks have ended and returns the exit code: mpirun's (the
// first nonzero one of a rank; 128 + n for a rank ended by signal n), or 128 + n if signal n (signals.h)
// ended this process's job.  With `can_stop`, the first SIGTERM or SIGUSR1 becomes SIGUSR1 for the ranks,
// which save and stop; then the code is theirs, worker::kRequeueExit.  SIGTSTP stops mpirun, the ranks and
// this process; SIGCONT continues them.  If this process dies, even by SIGKILL, so do all ranks, stopped ones
// too.  With `gives_input`, which needs a standard input that is no terminal, rank 0 reads this process's.
// Other threads may exist. Call once, on the thread that started main.
int run_job(std::vector<std::string> words, bool can_stop, bool gives_input);

// On a rank started by run_job (on this node; not by a hand-written mpirun): makes it die with mpirun, at
// once if mpirun is gone already.  Call first in main.
void die_with_mpirun();

// True on such a rank.
bool started_by_job();

// As above, but also true if `mpirun` is a script that starts the real one.
bool launched_by_ferry();

}  // namespace ferry::launcher
