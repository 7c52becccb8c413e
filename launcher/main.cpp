#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/error.h"
#include "base/hardware_queues.h"
#include "base/host/exhausted.h"
#include "base/run_failure.h"
#include "base/text/shown.h"
#include "launcher/process/job.h"
#include "launcher/process/streams.h"
#include "launcher/program.h"

namespace {

// Escaped, since a value may contain line breaks.
void say_error(const std::exception& error) {
  const std::string line = ferry::shown(ferry::message_of(error), std::string::npos);
  std::fprintf(stderr, "ferry: %s%s\n", ferry::launcher::rank_prefix().c_str(), line.c_str());
}

// Sets the hardware queues of CUDA (base/hardware_queues.h); the first rank reports a changed value.
void provide_queues() {
  const std::string before = ferry::provide_hardware_queues();
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (before.empty() || (rank != nullptr && std::string(rank) != "0")) return;
  std::fprintf(stderr,
               "ferry: CUDA_DEVICE_MAX_CONNECTIONS=%s would make streams wait for each other: %d instead\n",
               ferry::shown(before, std::string::npos).c_str(), ferry::kHardwareQueues);
}

}  // namespace

// Wrong input: one line and exit code 2.  Any other exception: exit code 1.
int main(int argc, char** argv) {
  using namespace ferry;
  launcher::die_with_mpirun();
  launcher::guard_streams();
  provide_queues();
  // Exceeding the file size limit becomes an ordinary write error.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return launcher::run_program(argc, argv);
  } catch (const UserError& error) {
    launcher::let_first_rank_speak();
    say_error(error);
    return 2;
  } catch (const RunFailure& error) {
    say_error(error);
    return 1;
  } catch (const std::exception& error) {
    say_error(error);
    return 1;
  }
}
