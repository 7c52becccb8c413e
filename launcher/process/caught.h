// Catches signals of this process on any of its threads.
//
// A mask and a signalfd would miss some: library threads (CUDA's driver starts one when it counts GPUs) have
// masks of their own, and the kernel delivers a process signal to any thread that does not block it.
#pragma once

#include <array>
#include <csignal>
#include <optional>

namespace ferry::launcher {

struct Caught {
  int signal = 0;
  bool by_kernel = false;  // for example by the terminal; else sent by a process
};

// While one exists, the signals of a set are only recorded by handlers.  At most one at a time; constructed,
// released and destroyed on one thread.
class CaughtSignals {
 public:
  // Catches them from now on, including those that this thread blocked.  Throws SystemError.
  explicit CaughtSignals(const sigset_t& set);
  CaughtSignals(const CaughtSignals&) = delete;
  CaughtSignals& operator=(const CaughtSignals&) = delete;
  ~CaughtSignals();  // as release(), but pending ones are dropped

  int descriptor() const;              // for poll: readable while one is pending
  std::optional<Caught> next() const;  // the first pending one; any thread
  // Restores the signals' previous handling.  Pending ones are raised again on this thread.
  void release();
  // Raises `signal` on this thread with its default action, and resumes catching it if that returns.
  static void raise_by_default(int signal);
  // For a child between fork and exec, forked with all signals blocked: restores the default action of the
  // set, and unblocks all.
  void forget_in_child() const;

 private:
  void give_back();

  sigset_t set_;
  sigset_t mask_ = {};  // previous mask
  std::array<struct sigaction, NSIG> actions_ = {};
  bool released_ = false;
};

}  // namespace ferry::launcher
