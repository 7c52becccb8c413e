// A program of ranks that goes wrong in the way its argument says, for tests/unit/parallel_session_test.cpp.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "parallel/mpi/mpi_group.h"
#include "parallel/mpi/session.h"

namespace {

using ferry::parallel::MpiGroup;
using ferry::parallel::Session;

void run(Session& ranks, const std::string& how) {
  const bool last = ranks.rank() == ranks.size() - 1;
  if (how == "finish") ranks.barrier();
  if (how == "throw" && last) throw std::runtime_error("planted failure");
  if (how == "die" && last) std::raise(SIGKILL);
  if (how == "hang" && last) std::this_thread::sleep_for(std::chrono::seconds(60));
  if (how == "late" && last) std::this_thread::sleep_for(std::chrono::seconds(1));
  if (how == "late") return;
  if (how == "work" && last) {
    for (int i = 0; i < 12; ++i) {
      ranks.send_heartbeat();
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
    }
  }
  ranks.barrier();
  // Nobody sends: the others wait on the communication thread when one rank gives up.
  if (how == "throw_mid_exchange") {
    if (last) throw std::runtime_error("planted failure");
    MpiGroup group(ranks.thread(), MPI_COMM_WORLD);
    char byte = 0;
    const auto device = ferry::make_cpu_device();
    group.broadcast(&byte, 1, ranks.size() - 1, device->compute());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc > 1 ? argv[1] : "";
  if (how == "leave_scope") {
    // main should catch inside; when it does not, no rank may be left behind.
    try {
      Session ranks(argc, argv);
      if (ranks.rank() == 0) throw std::runtime_error("planted failure");
      ranks.barrier();
    } catch (const std::exception&) {  // the planted one; the session has brought the ranks down
    }
    return 0;
  }
  Session ranks(argc, argv);
  ranks.set_deadline(2);
  try {
    run(ranks, how);
  } catch (const std::exception& error) {
    ranks.abort(error.what(), 7);
  }
  if (ranks.rank() == 0) std::puts("all ranks finished");
  return 0;
}
