// Two videos of one engine, for tests/e2e/worker_videos_test.py:  videos_program KEEP MODEL FOLDER [DEVICE]
//
// Rank 0 leaves FOLDER/0.safetensors and FOLDER/1.safetensors, as --save would, and prints for each how long
// it took from there to the first step.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/clock.h"
#include "parallel/mpi/session.h"
#include "worker/engine.h"
#include "worker/generate.h"
#include "worker/record/results.h"

namespace {

using ferry::parallel::Session;
using ferry::worker::JobOptions;
using ferry::worker::Keep;

// The two that the test knows too.
std::vector<JobOptions> jobs_of(const std::string& folder) {
  JobOptions first;
  first.prompt = "a red circle moving right on a black background";
  first.negative_prompt = "a blue square";
  first.width = 80;
  first.height = 48;
  first.frames = 5;
  first.steps = 3;
  first.guidance = 5;
  first.seed = 3;
  first.overwrite = true;
  JobOptions second = first;
  second.prompt = "a green square";
  second.width = 96;
  second.height = 64;
  second.frames = 9;
  second.steps = 2;
  second.seed = 17;
  std::vector<JobOptions> jobs = {first, second};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].out = folder + "/" + std::to_string(i) + ".mp4";
    jobs[i].save = folder + "/" + std::to_string(i) + ".safetensors";
  }
  return jobs;
}

// Steps and decoding.
double seconds_from_first_step(const ferry::worker::Generation& made) {
  double seconds = made.stages[2].load_s + made.stages[2].run_s;
  for (const double step : made.stages[1].step_s) seconds += step;
  return seconds;
}

void run(Session& session, const std::vector<std::string>& words) {
  ferry::worker::Options options;
  options.run.keep = words.at(1) == "one" ? Keep::One : Keep::All;
  options.model.path = words.at(2);
  options.model.device = words.size() > 4 ? words[4] : "cpu";
  options.model.dtype = options.model.device == "cpu" ? "fp32" : "bf16";
  const std::vector<JobOptions> jobs = jobs_of(words.at(3));
  ferry::worker::Engine engine(options, session);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const ferry::Clock::time_point begin = ferry::Clock::now();
    ferry::worker::Prepared prepared = engine.prepare(jobs[i]);
    for (bool& needed : prepared.later) needed = i + 1 < jobs.size();
    ferry::worker::Progress silent;
    ferry::worker::Generation made;
    ferry::worker::generate(engine, prepared, silent, made);
    const double seconds = ferry::seconds_since(begin) - seconds_from_first_step(made);
    if (session.rank() != 0) continue;
    std::printf("video %zu: %.3f s to the first step, of which text %.3f s\n", i, seconds,
                made.stages[0].run_s);
    ferry::worker::write_tensors(prepared.job, made);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Session session(argc, argv);
  try {
    run(session, {argv, argv + argc});
  } catch (const std::exception& error) {
    session.abort(error.what());
  }
  return 0;
}
