#include "parallel/mpi/comm_thread.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "parallel/mpi/mpi_check.h"
#include "parallel/patience.h"

namespace ferry::parallel {

namespace {

constexpr int kSignTag = 2;
constexpr std::chrono::milliseconds kLongWait(500);
constexpr double kAfterWatchdog_s = 2;
constexpr double kSignEvery_s = 1;
constexpr double kSignsInDeadline = 5;  // at least

// Sleeps between two tests for a hundredth of the time waited so far, which bounds the overshoot, and for at
// most 1 ms while another rank works alone.
void pause(Clock::duration waited) {
  std::this_thread::sleep_for(
      std::clamp<Clock::duration>(waited / 100, std::chrono::microseconds(20), std::chrono::milliseconds(1)));
}

}  // namespace

CommThread::CommThread(double deadline_s, MPI_Comm world) : world_(world), deadline_s_(deadline_s) {
  // Linux adds up to 50 us to sleeps by default.
  stream_.call([] { ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); });
}

void CommThread::set_ticks(Ticks& ticks) {
  run([this, &ticks] { ticks_ = &ticks; });
}

double CommThread::patience_s() const { return deadline_s() + kAfterWatchdog_s; }

void CommThread::run(std::function<void()> work) {
  const Clock::time_point begin = Clock::now();
  stream_.call(std::move(work));
  stream_.record(done_);
  // The thread enforces the deadline itself; this one covers work whose turn never comes.
  constexpr std::chrono::seconds kGrace(1);
  while (true) {
    const Clock::time_point end = limit(begin) + kGrace;
    if (done_.synchronize_until(end)) return;
    const Clock::time_point now = Clock::now();
    if (was_stopped(end, now)) last_sign_ = now;
    if (now < limit(begin) + kGrace) continue;
    throw Error(fmt::format("no answer from the communication thread within {} s", deadline_s()));
  }
}

// Runs on the thread.
void CommThread::look_for_signs() {
  while (true) {
    int found = 0;
    MPI_Status status;
    FERRY_MPI_CHECK(MPI_Iprobe(MPI_ANY_SOURCE, kSignTag, world_, &found, &status));
    if (found == 0) return;
    Sign sign;
    FERRY_MPI_CHECK(
        MPI_Recv(&sign, sizeof sign, MPI_BYTE, status.MPI_SOURCE, kSignTag, world_, MPI_STATUS_IGNORE));
    ++signs_heard_;
    last_sign_ = Clock::now();
    if (heard_) heard_(status.MPI_SOURCE, sign);
  }
}

Clock::time_point CommThread::limit(Clock::time_point begin) const {
  return std::max(begin, last_sign_.load()) + as_duration(deadline_s_);
}

void CommThread::set_signs(std::function<Sign()> mine, std::function<void(int rank, const Sign&)> heard) {
  run([this, mine = std::move(mine), heard = std::move(heard)] {
    sign_ = mine;
    heard_ = heard;
  });
}

double CommThread::sign_interval_s() const { return std::min(kSignEvery_s, deadline_s() / kSignsInDeadline); }

void CommThread::send_heartbeat() {
  stream_.call([this] {
    if (Clock::now() < sent_at_ + as_duration(sign_interval_s())) return;
    send_signs();
    look_for_signs();
  });
}

void CommThread::keep_contact() {
  // Else one is queued already, behind a wait that sends it.
  if (contact_due_.exchange(true)) return;
  stream_.call([this] { trade_signs_if_due(); });
}

// Runs on the thread.
void CommThread::trade_signs_if_due() {
  if (!contact_due_.exchange(false)) return;
  send_signs();
  look_for_signs();
}

void CommThread::end_heartbeats() {
  run([this] {
    if (sign_) send_signs();  // ranks of other nodes learn that this one ends
    signs_over_ = true;
    int size = 1;
    FERRY_MPI_CHECK(MPI_Comm_size(world_, &size));
    std::vector<int> sent(static_cast<std::size_t>(size));
    MPI_Request request = MPI_REQUEST_NULL;
    FERRY_MPI_CHECK(MPI_Iallgather(&signs_sent_, 1, MPI_INT, sent.data(), 1, MPI_INT, world_, &request));
    wait_all({&request, 1}, "the end of heartbeats");
    const int due = std::reduce(sent.begin(), sent.end()) - signs_sent_;
    const Clock::time_point begin = Clock::now();
    for (look_for_signs(); signs_heard_ < due; look_for_signs()) {
      if (Clock::now() >= limit(begin)) throw Error("a heartbeat that was sent did not arrive");
      pause(Clock::now() - begin);
    }
    for (Sent& each : sent_) wait_all({&each.request, 1}, "a heartbeat");
    sent_.clear();
  });
}

// Runs on the thread.
void CommThread::send_signs() {
  if (signs_over_) return;
  std::erase_if(sent_, [](Sent& sent) {
    int done = 0;
    FERRY_MPI_CHECK(MPI_Test(&sent.request, &done, MPI_STATUS_IGNORE));
    return done != 0;
  });
  int rank = 0;
  int size = 1;
  FERRY_MPI_CHECK(MPI_Comm_rank(world_, &rank));
  FERRY_MPI_CHECK(MPI_Comm_size(world_, &size));
  for (int peer = 0; peer < size; ++peer) {
    if (peer == rank) continue;
    Sent& sent = sent_.emplace_back(Sent{.sign = std::make_unique<Sign>(sign_ ? sign_() : Sign{})});
    FERRY_MPI_CHECK(
        MPI_Isend(sent.sign.get(), sizeof(Sign), MPI_BYTE, peer, kSignTag, world_, &sent.request));
  }
  ++signs_sent_;
  sent_at_ = Clock::now();
}

void CommThread::wait_all(std::span<MPI_Request> requests, const char* what, double busy_s) {
  const Clock::duration busy = as_duration(busy_s);
  const Ticks::Wait wait(ticks_);
  const Clock::time_point begin = Clock::now();
  Clock::time_point last_look = begin;
  while (true) {
    int done = 0;
    FERRY_MPI_CHECK(
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE));
    if (done != 0) return;
    if (stopped_) throw Error(fmt::format("{} was stopped", what));
    const Clock::time_point now = Clock::now();
    if (was_stopped(std::exchange(last_look, now), now)) last_sign_ = now;
    if (now >= limit(begin)) {
      throw Error(
          fmt::format("{} waited longer than {} s: another rank is late or gone", what, deadline_s()));
    }
    if (now - begin < busy) {
      std::this_thread::yield();
      continue;
    }
    if (now - begin > kLongWait) look_for_signs();
    trade_signs_if_due();
    pause(now - begin);
  }
}

bool CommThread::drain(double seconds) {
  stream_.record(done_);
  return done_.wait_until(Clock::now() + as_duration(seconds));
}

}  // namespace ferry::parallel
