#include "launcher/ranks.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <exception>

#include "base/error.h"
#include "base/host/exhausted.h"
#include "base/log.h"
#include "base/run_failure.h"
#include "launcher/process/interrupt.h"
#include "launcher/program.h"
#include "parallel/mpi/alone.h"

namespace ferry::launcher {
namespace {

// For the end of MPI after a UserError or RunFailure that every rank of this node has thrown.
constexpr double kRefusalDeadlineS = 10;

// `ended` is set to the error that every rank has thrown.
int run_session(parallel::Session& session, const std::function<int(parallel::Session&)>& work,
                std::exception_ptr& ended) {
  const auto end_together = [&](int code, const std::exception& error) {
    if (!session.all_refuse()) session.abort(error.what(), code);
    ended = std::current_exception();
    session.set_deadline(kRefusalDeadlineS);
    return code;
  };
  try {
    return work(session);
  } catch (const UserError& error) {
    return end_together(2, error);
  } catch (const RunFailure& error) {
    return end_together(1, error);
  } catch (const std::exception& error) {
    session.abort(message_of(error));
  }
}

class PeersOfSession {
 public:
  PeersOfSession(Interrupt& interrupt, parallel::Session& session) : interrupt_(interrupt) {
    Interrupt::Peers peers{.one_has_gone = [&session] { return session.a_rank_has_gone(); },
                           .leave = [&session] { session.leave(); }};
    if (session.size() > 1) {
      peers.give_up = [&session] { session.give_up(); };
      peers.one_has_given_up = [&session] { return session.a_rank_has_given_up(); };
      peers.all_have_given_up = [&session] { return session.all_have_given_up(); };
    }
    interrupt_.set_peers(std::move(peers));
  }
  ~PeersOfSession() { interrupt_.set_peers({}); }
  PeersOfSession(const PeersOfSession&) = delete;
  PeersOfSession& operator=(const PeersOfSession&) = delete;

 private:
  Interrupt& interrupt_;
};

void do_nothing(int /*signal*/) {}

// Once the results or the state are on disk, a request to stop changes nothing: the exit handlers take a
// tenth of a second, in which it would give another exit code.
void keep_code_at_exit() {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    // What nohup ignores stays ignored.
    if (std::signal(signal, do_nothing) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

void start_alone() {
  parallel::leave_step();
  // MPI then needs no daemon (nor ssh to start it).
  setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
}

}  // namespace

void refuse_unknown_to_mpi() {
  const auto started = parallel::started_together();
  if (!started) return;
  throw UserError(
      fmt::format("{} processes were started ({}={}) but MPI sees 1: start them with Open MPI's mpirun or "
                  "srun --mpi=pmix; or give each process -n N, the number of ranks it shall launch by itself "
                  "(-n 1 too)",
                  started->processes, started->variable, started->processes));
}

int run_ranks(int& argc, char**& argv, const worker::RunOptions& options,
              const std::function<int(parallel::Session&)>& work, worker::StopRequest* stop) {
  if (!parallel::is_rank()) start_alone();
  if (stop != nullptr) keep_code_at_exit();
  Interrupt interrupt(stop);
  std::exception_ptr ended;
  int code = 0;
  {
    parallel::Session session(argc, argv);
    session.set_deadline(options.deadline_s);
    const PeersOfSession peers(interrupt, session);
    start_log(options.log_level, session.rank(), session.size());
    if (session.rank() == 0 && session.is_renumbered())
      spdlog::info("ranks are numbered by node here, which is another order than MPI's");
    code = run_session(
        session,
        [&](parallel::Session& ranks) {
          // A Slurm step whose PMIx this MPI could not use.
          if (ranks.size() == 1 && !parallel::environment_variable("OMPI_COMM_WORLD_RANK"))
            refuse_unknown_to_mpi();
          return work(ranks);
        },
        ended);
  }
  // Every rank has it; one reports it.
  if (ended && is_reporting_process()) std::rethrow_exception(ended);
  return code;
}

}  // namespace ferry::launcher
