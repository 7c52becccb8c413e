// Signals of this process, whichever of its threads the kernel gives them to.
//
// A mask and a signalfd would miss some: threads of libraries (CUDA's driver starts one when it counts GPUs)
// have masks of their own, and the kernel gives a signal of the process to any thread that does not block it.
#pragma once

#include <array>
#include <csignal>
#include <optional>

namespace ferry::launcher {

struct Caught {
  int signal = 0;
  bool by_kernel = false;  // by the terminal, say; else a process sent it
};

// While one exists, the signals of a set are noted by handlers and change nothing else.  At most one at a
// time; made, released and destroyed on one thread.
class CaughtSignals {
 public:
  // Takes them from now on, also what this thread blocked.  Throws SystemError.
  explicit CaughtSignals(const sigset_t& set);
  CaughtSignals(const CaughtSignals&) = delete;
  CaughtSignals& operator=(const CaughtSignals&) = delete;
  ~CaughtSignals();  // as release(), but those that still wait are dropped

  int descriptor() const;              // for poll: readable while one waits
  std::optional<Caught> next() const;  // the first that waits; from any thread
  // Gives the signals back to what they did before.  Those that still wait are raised again, on this thread.
  void release();
  // Raises `signal` on this thread with its default action, and goes on catching it if it returns.
  static void raise_by_default(int signal);
  // In a child between fork and exec, forked with all signals blocked: each of the set acts by default, and
  // none is blocked.
  void forget_in_child() const;

 private:
  void give_back();

  sigset_t set_;
  sigset_t mask_ = {};  // from before
  std::array<struct sigaction, NSIG> actions_ = {};
  bool released_ = false;
};

}  // namespace ferry::launcher
