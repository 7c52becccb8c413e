// How a rank says where it is and that it gets on.
//
// Stages, steps and blocks are set by the main thread; the rest may be called on any thread.  A tick costs
// tens of nanoseconds.
#pragma once

#include <cstddef>
#include <optional>

#include "parallel/watch/board.h"
#include "parallel/watch/fault.h"

namespace ferry::parallel {

class Ticks {
 public:
  Ticks(Board board, int index, std::optional<Fault> fault);

  // Each of these is a tick.  begin() forgets step and block, within() keeps them.
  void begin(Stage stage);
  void within(Stage stage);
  void step(int step);    // from 1
  void block(int block);  // from 0
  void at(const Where& where);
  // As at(), for a place that the device has passed.
  void note(const Where& where) { set(where); }
  // Real progress where it is.
  void progress() noexcept;

  Where where() const { return unpacked(mine().where); }

  // While one exists this rank waits for others, or for its device, and is not late itself.
  class Wait {
   public:
    explicit Wait(Ticks* ticks) : ticks_(ticks) {
      if (ticks_ != nullptr) ++ticks_->mine().waits;
    }
    ~Wait() {
      if (ticks_ != nullptr) --ticks_->mine().waits;
    }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Ticks* ticks_;
  };

  // False on a rank whose device is a GPU: then the time that its main thread spends on a core is no
  // progress.
  void computes_on_host(bool yes) { on_host_ = yes; }
  bool computes_on_host() const { return on_host_; }
  Sign sign() const;  // any thread
  // From now on this rank works apart with those that say the same number, and waits for none but them; 0:
  // with all again.
  void work_in_group(int number) { mine().group = number; }
  // Whether this rank was asked to stop early: so ranks of other groups hear of it.
  void asked_to_stop(bool asked) { mine().asked = asked; }
  // This rank, which was asked to stop, ends before the ranks' next meeting, which it will not attend.
  void give_up() { mine().gives_up = true; }
  // Free memory of the device, for reports.
  void device_memory(std::size_t free_bytes) { mine().device_free = free_bytes; }

 private:
  Place& mine() const { return board_.place(index_); }
  void set(const Where& where);

  Board board_;
  int index_;
  std::optional<Fault> fault_;
  std::atomic<bool> on_host_ = true;
};

}  // namespace ferry::parallel
