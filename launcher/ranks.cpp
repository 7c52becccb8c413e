#include "launcher/ranks.h"

#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "launcher/interrupt.h"

namespace ferry::launcher {
namespace {

// Every rank throws the same UserError; one that does not come soon never will.
constexpr double kRefusalDeadlineS = 10;

int run_session(parallel::Session& session, const std::function<int(parallel::Session&)>& work,
                std::optional<UserError>& refused) {
  try {
    return work(session);
  } catch (const UserError& error) {
    refused = error;
    session.set_deadline(kRefusalDeadlineS);
    return 2;
  } catch (const std::exception& error) {
    session.abort(error.what());
  }
}

}  // namespace

int run_ranks(int& argc, char**& argv, const worker::RunOptions& options,
              const std::function<int(parallel::Session&)>& work) {
  // Alone, MPI needs no daemon beside this process (nor ssh to start it).
  if (!parallel::is_rank()) setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
  const Interrupt interrupt;
  std::optional<UserError> refused;
  int code = 0;
  {
    parallel::Session session(argc, argv);
    session.set_deadline(options.deadline_s);
    start_log(options.log_level, session.rank(), session.size());
    code = run_session(session, work, refused);
  }
  if (refused) throw UserError(*refused);
  return code;
}

}  // namespace ferry::launcher
