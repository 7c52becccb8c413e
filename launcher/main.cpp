#include <csignal>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/run_failure.h"
#include "base/shown.h"
#include "launcher/job.h"
#include "launcher/program.h"
#include "launcher/streams.h"

namespace {

// A value may hold line breaks.
void say_error(const std::exception& error) {
  const std::string line = ferry::shown(error.what(), std::string::npos);
  std::fprintf(stderr, "ferry: %s%s\n", ferry::launcher::rank_prefix().c_str(), line.c_str());
}

}  // namespace

// Wrong input: one line and exit code 2.  Anything else that escapes: exit code 1.
int main(int argc, char** argv) {
  using namespace ferry;
  launcher::die_with_mpirun();
  launcher::guard_streams();
  // A file that grows past the size limit is a failed write like others.
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
