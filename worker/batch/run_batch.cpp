#include "worker/batch/run_batch.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/host/exhausted.h"
#include "base/log.h"
#include "parallel/mesh.h"
#include "worker/batch/batch_run.h"
#include "worker/batch/in_groups.h"
#include "worker/state/meeting.h"

namespace ferry::worker {
namespace {

// One video after the other, by all ranks.
class InTurn final : public BatchRun {
 public:
  using BatchRun::BatchRun;

 private:
  int make_all() override {
    for (std::size_t place = 0; place < left().size(); ++place) {
      if (!session().all_agree(!stop().asked())) return stopped(place);
      begin_phase(stop(), StopRequest::Phase::NothingDone, session());
      if (make(place) == kRequeueExit) return kRequeueExit;
      if (first()) contexts().drop_done(place);
    }
    return 0;
  }

  void plan_text(Prepared& prepared, std::size_t place) override {
    TextVisit visit;
    if (first()) visit = contexts().plan(place, engine().networks());
    const nlohmann::json mine = {visit.known, visit.more_later};
    const auto decided = nlohmann::json::parse(session().broadcast(mine.dump(), 0));
    prepared.later[Role::TextEncoder] = decided[1].get<bool>();
    prepared.text = {.store = first() ? &contexts().store() : nullptr,
                     .known = decided[0].get<bool>(),
                     .ahead = std::move(visit.ahead)};
  }

  void note_made(std::size_t place, double seconds) override {
    if (first()) ledger().note_made(left()[place], seconds);
  }

  void note_failure(std::size_t place, const std::string& error, int exit_code) override {
    if (first()) ledger().note_failure(left()[place], error, exit_code);
  }

  int stopped(std::size_t place) {
    if (first()) {
      spdlog::info("stopped between two videos: {} are left; the same command goes on",
                   left().size() - place);
    }
    return kRequeueExit;
  }
};

}  // namespace

int run_batch(const Options& options, const Batch& batch, parallel::Session& session, StopRequest& stop) {
  session.set_deadline(options.run.deadline_s);
  session.divide(1);
  session.ticks().asked_to_stop(false);  // of a batch before
  // To a group the batch is as to a run of its own.
  Options of_group = options;
  of_group.parallel.data = 1;
  Engine engine(of_group, session);
  session.divide(groups_of(options.parallel, session.size()));
  // Before the engine's destructors, which wait for the device and for NCCL.
  engine.rank().failed = [&](const std::exception& error) { session.abort(message_of(error)); };
  int code = 0;
  speak_first(engine.rank(), [&] {
    std::unique_ptr<BatchRun> run;
    if (session.groups() == 1) {
      run = std::make_unique<InTurn>(engine, of_group, batch, stop);
    } else {
      run = std::make_unique<InGroups>(engine, of_group, batch, stop);
    }
    code = run->run();
  });
  return code;
}

}  // namespace ferry::worker
