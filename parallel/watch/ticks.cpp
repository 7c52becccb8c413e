#include "parallel/watch/ticks.h"

#include <utility>

namespace ferry::parallel {

Ticks::Ticks(Board board, int index, std::optional<Fault> fault)
    : board_(std::move(board)), index_(index), fault_(fault) {}

void Ticks::set(const Where& where) {
  mine().where = packed(where);
  progress();
}

void Ticks::at(const Where& where) {
  set(where);
  if (fault_) fault_->meet(where);
}

void Ticks::begin(Stage stage) { at({.stage = stage, .step = 0, .block = -1}); }

void Ticks::within(Stage stage) {
  Where now = where();
  now.stage = stage;
  at(now);
}

void Ticks::step(int step) {
  Where now = where();
  now.step = step;
  now.block = -1;
  at(now);
}

void Ticks::block(int block) {
  Where now = where();
  now.block = block;
  at(now);
}

Sign Ticks::sign() const {
  const Place& place = mine();
  return {.where = place.where,
          .tick_age = Clock::now().time_since_epoch().count() - place.tick,
          .waits = place.waits,
          .device_free = place.device_free,
          .host_free = place.host_free,
          .asked = place.asked ? 1U : 0U,
          .gives_up = place.gives_up ? 1U : 0U,
          .group = place.group};
}

void Ticks::progress() noexcept { mine().tick = Clock::now().time_since_epoch().count(); }

}  // namespace ferry::parallel
