#include <csignal>
#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/run_failure.h"
#include "launcher/program.h"
#include "launcher/shown.h"
#include "launcher/streams.h"

// Wrong input: one line, exit code 2, from the rank that speaks.  Anything else that escapes: exit code 1.
int main(int argc, char** argv) {
  using namespace ferry;
  launcher::guard_streams();
  // A file that grows past the size limit is a failed write like others.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return launcher::run_program(argc, argv);
  } catch (const UserError& error) {
    // A value may hold line breaks.
    const std::string line = launcher::shown(error.what(), std::string::npos);
    if (launcher::speaks()) std::fprintf(stderr, "ferry: %s\n", line.c_str());
    return 2;
  } catch (const RunFailure& error) {
    if (launcher::speaks()) std::fprintf(stderr, "ferry: %s\n", error.what());
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ferry: %s\n", error.what());
    return 1;
  }
}
