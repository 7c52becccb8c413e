// What the files of a job's model and of its LoRAs say of the sampling: whether they were distilled for few
// steps (model/sampler/sampler.h, step_distill), and the pipeline's scheduler.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "checkpoint/network/distilled.h"
#include "worker/job/job.h"
#include "worker/job/options.h"
#include "worker/networks.h"

namespace ferry::worker {

// What the DiT's config.json or the header of its first file says.  Throws UserError: one of them is damaged.
std::optional<checkpoint::Distilled> distilled_of(const checkpoint::Checkpoint& checkpoint);

// What a LoRA's header says; `path` is the file or its folder.  Throws UserError: there is none, or it is
// damaged.
std::optional<checkpoint::Distilled> distilled_of_lora(const std::string& path);

// Of the files of a program, each read once: what becomes of one later has no effect.
struct SamplingSaid {
  std::optional<std::optional<checkpoint::Distilled>> dit{};            // set once it is open
  std::string scheduler{};                                              // its sampler, or empty
  std::map<std::string, std::optional<checkpoint::Distilled>> loras{};  // by the file's path
};

// Reads the files of the networks and LoRAs that have been opened since the last call.  Throws UserError as
// distilled_of() and checkpoint::scheduler_sampler().
void read_said(SamplingSaid& said, const Networks& networks);

// Of the LoRAs of the open DiT that have a strength and of the DiT itself: the first that says steps which
// step_distill can take, else the first that says anything.
std::optional<checkpoint::Distilled> distilled_of(const SamplingSaid& said, const Networks& networks);

// The options with what `said` chooses, the sampler and with it the steps; unchanged where they name a
// sampler, other steps, or a guidance that is not 1.
JobOptions with_distilled(JobOptions options, const std::optional<checkpoint::Distilled>& said);

// A line for the log, or an empty text: that `said` chose the sampler of `job`, or what keeps it from that.
std::string said_note(const std::optional<checkpoint::Distilled>& said, const JobOptions& given,
                      const Job& job);

// As said_note(); else, that a file of the DiT or a LoRA has a name which the job's sampling does not follow.
std::string distilled_note(const Networks& networks, const std::optional<checkpoint::Distilled>& said,
                           const JobOptions& given, const Job& job);

// A line for the log, or an empty text: that nobody chose the sampler, and the scheduler means another.
std::string scheduler_note(const SamplingSaid& said, const JobOptions& given, const Job& job);

}  // namespace ferry::worker
