// What one start of ranks is told and answers: lines to and from the first rank, through mpirun.
#pragma once

#include <unistd.h>

#include <exception>
#include <functional>
#include <string>
#include <thread>

#include "base/handle.h"
#include "launcher/process/job.h"

namespace ferry::launcher {

class Talk {
 public:
  // Called on a thread with each line of the first rank's standard output that begins with '{'; what it
  // returns is the next line that rank reads; empty: no more.  What it throws, finish() throws.
  using Answer = std::function<std::string(const std::string& line)>;

  // `first` is the first line.  Other output, and the ranks' standard error, go to this process's standard
  // error.
  Talk(std::string first, Answer answer);
  ~Talk();
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;

  // For run_job().
  JobStreams streams() const;
  // Call when the job has ended: waits until all has been read.
  void finish();
  // Why the ranks failed, in their last words; empty if they gave no reason.  Call after finish().
  const std::string& reason() const { return reason_; }

 private:
  using Descriptor = Handle<int, ::close, -1>;
  struct Pipe {
    Pipe();
    Descriptor output;
    Descriptor input;
  };
  void answer_all(const std::string& first);
  void answer(const std::string& line);
  void tell(const std::string& line);
  void relay_errors();

  Answer answer_;
  Pipe in_;
  Pipe out_;
  Pipe err_;
  std::string reason_;
  std::exception_ptr failure_;
  std::thread answers_;
  std::thread errors_;
};

// The reason in a line of the ranks' standard error: "12:00:00 [0/2] critical: rank 1 on vm: REASON" or
// "ferry: REASON"; empty if it gives none.
std::string reason_in(const std::string& line);

}  // namespace ferry::launcher
