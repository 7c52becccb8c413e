#include "parallel/comm_thread.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "parallel/mpi_check.h"

namespace ferry::parallel {

namespace {

using std::chrono::microseconds;

// One pause between two tests, by how long it has been waited beyond the first moments.
void pause(Clock::duration waited) {
  if (waited < std::chrono::milliseconds(20)) {
    std::this_thread::sleep_for(microseconds(20));
  } else if (waited < std::chrono::seconds(1)) {
    std::this_thread::sleep_for(microseconds(50));
  } else {
    // Another rank works alone (it encodes text or decodes): leave it the cores.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

CommThread::CommThread(double deadline_s) : deadline_s_(deadline_s) {
  // Linux rounds sleeps up by 50 us unless told otherwise.
  stream_.call([] { ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); });
}

void CommThread::run(std::function<void()> work) {
  const Deadline deadline(deadline_s_ + 1);
  stream_.call(std::move(work));
  stream_.record(done_);
  if (!done_.synchronize_until(deadline.end())) {
    throw Error(fmt::format("no answer from the communication thread within {} s", deadline.seconds()));
  }
}

void CommThread::wait_all(std::span<MPI_Request> requests, const char* what, double busy_s) {
  const Clock::duration busy = as_duration(busy_s);
  const Deadline deadline(deadline_s_);
  const Clock::time_point begin = Clock::now();
  while (true) {
    int done = 0;
    FERRY_MPI_CHECK(
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE));
    if (done != 0) return;
    if (stopped_) throw Error(fmt::format("{} was stopped", what));
    if (deadline.passed()) {
      throw Error(
          fmt::format("{} waited longer than {} s: another rank is late or gone", what, deadline.seconds()));
    }
    const Clock::duration waited = Clock::now() - begin;
    if (waited < busy) {
      std::this_thread::yield();
    } else {
      pause(waited);
    }
  }
}

bool CommThread::drain(double seconds) {
  stream_.record(done_);
  return done_.wait_until(Deadline(seconds).end());
}

}  // namespace ferry::parallel
