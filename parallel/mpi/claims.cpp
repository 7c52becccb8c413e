#include "parallel/mpi/claims.h"

#include <mpi.h>

#include <string>

#include "parallel/mpi/mpi_check.h"

namespace ferry::parallel {

// Used on the communication thread; may outlive a caller that has timed out.
struct Claims::Window {
  MPI_Win handle = MPI_WIN_NULL;
  std::int64_t* counter = nullptr;
};

Claims::Claims(Session& session) : session_(session), window_(std::make_shared<Window>()) {
  // Making a window spins while it waits: enter it once all ranks have arrived.
  session.everyone().barrier();
  session.thread().run(
      [window = window_, comm = session.everyone().comm(), first = session.everyone().rank() == 0] {
        const MPI_Aint bytes = first ? sizeof(std::int64_t) : 0;
        FERRY_MPI_CHECK(MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, comm,
                                         static_cast<void*>(&window->counter), &window->handle));
        FERRY_MPI_CHECK(MPI_Win_set_errhandler(window->handle, MPI_ERRORS_RETURN));
        if (first) *window->counter = 0;
        FERRY_MPI_CHECK(MPI_Win_lock_all(MPI_MODE_NOCHECK, window->handle));
        FERRY_MPI_CHECK(MPI_Win_sync(window->handle));
      });
  session.everyone().barrier();
}

void Claims::restart() {
  Control& everyone = session_.everyone();
  everyone.barrier();
  base_ = std::stoll(everyone.broadcast(everyone.rank() == 0 ? std::to_string(add(0)) : "", 0));
}

std::int64_t Claims::take() { return add(1) - base_; }

void Claims::close() { add(kClosed); }

// Returns the counter as it was.
std::int64_t Claims::add(std::int64_t more) {
  struct Numbers {
    std::int64_t more = 0;
    std::int64_t before = 0;
  };
  auto numbers = std::make_shared<Numbers>(Numbers{.more = more});
  session_.thread().run([window = window_, numbers, thread = &session_.thread()] {
    MPI_Request request = MPI_REQUEST_NULL;
    FERRY_MPI_CHECK(MPI_Rget_accumulate(&numbers->more, 1, MPI_INT64_T, &numbers->before, 1, MPI_INT64_T, 0,
                                        0, 1, MPI_INT64_T, MPI_SUM, window->handle, &request));
    thread->wait_all({&request, 1}, "a claim");
  });
  return numbers->before;
}

}  // namespace ferry::parallel
