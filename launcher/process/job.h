// mpirun as the child of this process, and with it every rank.
//
//   ferry -n N              stays; in the shell's process group, so Ctrl-C, Ctrl-Z and kill reach it
//   └─ mpirun               in a group of its own, stdin /dev/null, stdout and stderr through a relay
//      ├─ ferry (rank 0)    killed by the kernel when mpirun is gone, as mpirun is when its parent is
//      └─ ferry (rank 1)
#pragma once

#include <string>
#include <vector>

namespace ferry::launcher {

// Runs `words` (mpirun and its arguments) to the end of all ranks and returns the exit code: mpirun's (the
// first bad one of a rank; 128 + n for a rank that signal n ended), or 128 + n when signal n (signals.h)
// ended this process's job.  SIGTSTP stops mpirun, the ranks and this process; SIGCONT goes on.  When this
// process dies, by SIGKILL included, so do all ranks, stopped ones too.  Other threads may be there.
// Called once, on the thread that started main.
int run_job(std::vector<std::string> words);

// On a rank that run_job started (this machine's; not one of an mpirun written by hand): it dies when mpirun
// does, at once if mpirun is gone already.  Called first in main.
void die_with_mpirun();

// True on such a rank.
bool started_by_job();

// True on such a rank too when `mpirun` is a script that starts the real one.
bool launched_by_ferry();

}  // namespace ferry::launcher
