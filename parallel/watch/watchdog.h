// A thread per rank that watches all ranks of its node, and brings the job down when one fails.
//
// It calls neither CUDA nor NCCL, takes no lock that another thread holds for long, and reads only memory, so
// it works while the main thread is stuck in any of them.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "parallel/watch/board.h"
#include "parallel/watch/judge.h"
#include "parallel/watch/ticks.h"

namespace ferry::parallel {

struct WatchSetup {
  Board board;
  int index = 0;                     // of this rank
  std::vector<std::string> hosts{};  // by rank of the world
  std::optional<Fault> fault;
  double deadline_s = 600;
  // Ends this process and the job with this code, and does not return (in tests it may).  On any thread.
  std::function<void(int code)> end;
  // Several nodes: called once a second, or more often for a short deadline; sends ticks().sign() to the
  // ranks of other nodes.
  std::function<void()> contact{};
  // Called at each look at which all ranks of the world are seen, and another one, that must tick, is not
  // late.
  std::function<void()> all_is_well;
};

class Watchdog {
 public:
  // Call on the main thread, whose use of a core counts as progress where it computes (Ticks).
  explicit Watchdog(WatchSetup setup);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() = default;

  Ticks& ticks() { return ticks_; }
  void set_deadline(double seconds) { deadline_s_ = seconds; }

  // True if a rank of this node has ended without having left, or the job is going down already.  The first
  // of the node to find that reports it, once, on stderr.  Any thread.
  bool a_rank_has_gone();
  // True if a rank has said so (Ticks::asked_to_stop); of another node, as soon as it has been heard.  Any
  // thread.
  bool a_rank_was_asked_to_stop() const;
  // How many ranks have not said that they give up (Ticks::give_up), nor left; those of other nodes as far as
  // they have been heard.  Any thread.
  int ranks_that_stay() const;
  // A rank of another node has sent this.  Any thread.
  void hear(int rank, const Sign& sign);
  // Messages are taken in now.  What was not heard in a time in which none were does not count.  Any thread.
  void listens() { listened_ = Clock::now(); }

  // True if this call is the first of the node to say that the job goes down, with this code; only then is a
  // reason to be given.
  bool claim(int code) { return setup_.board.claim(code); }
  // The code of the first claim; 0: none.
  int down() const { return setup_.board.down(); }
  // The line on a rank that has gone, if one has.
  std::optional<std::string> about_gone() const;

  // From now on this rank ends on purpose.
  void leave() { mine().left = true; }
  // Says that this rank has thrown a UserError; true once every rank has, or has left, and false after
  // `seconds`.  Blocks.
  bool all_refuse(double seconds);
  // Kills the ranks of this node that have not left: those that do not run any longer.
  void kill_others() const;

 private:
  Place& mine() const { return setup_.board.place(setup_.index); }
  void run(const std::stop_token& stop);
  void look();
  void note_own_progress(Clock::time_point now);
  void note_memory(Clock::time_point now);
  void keep_contact(Clock::time_point now);
  void go_down_with_others(Clock::time_point now);
  std::vector<Seen> all_seen() const;
  Clock::duration turn(const std::vector<Seen>& ranks, Clock::time_point now) const;
  const std::string& host(int rank) const { return setup_.hosts.at(static_cast<std::size_t>(rank)); }
  void tell(const Verdict& verdict, const std::vector<Seen>& ranks, Clock::time_point now);

  WatchSetup setup_;
  Ticks ticks_;
  std::atomic<double> deadline_s_;
  // Used by the thread only:
  clockid_t main_clock_ = 0;
  bool has_clock_ = false;
  double main_s_ = 0;
  Clock::time_point last_look_;
  Clock::time_point resumed_;
  Clock::time_point memory_at_;
  Clock::time_point contact_at_;
  std::optional<Verdict> verdict_;
  Clock::time_point verdict_at_;
  std::optional<Clock::time_point> down_at_;
  std::atomic<Clock::time_point> listened_ = Clock::now();
  mutable std::mutex remote_mutex_;
  std::map<int, Seen> remote_;  // by rank
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace ferry::parallel
