#include "worker/batch/survey.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files/reservation.h"
#include "base/log.h"
#include "base/text/shown.h"
#include "checkpoint/formats/json_text.h"
#include "worker/job/latents.h"
#include "worker/job/prompts.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kMostLatents = 20;  // files of latents beside one video

bool is_there(const std::string& path) {
  std::error_code error;
  return !path.empty() && fs::exists(fs::symlink_status(path, error));
}

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// Without the model, for an item whose inputs are gone.
bool results_are_there(const JobOptions& job) {
  const std::string stem = stem_of(job);
  const bool named = stem != job.out && !job.out.empty();
  const bool video = named ? is_file(job.out) : is_file(stem + ".mp4") || is_file(stem + ".y4m");
  return is_file(stem + ".json") && video && (job.save.empty() || is_file(job.save));
}

// What decides a video, of a record's `job`.
constexpr std::array kDeciding = {
    "prompt",       "negative_prompt", "width",   "height",    "frames", "steps",
    "sampler",      "guidance",        "shift",   "fps",       "seed",   "noise",
    "noise_device", "context",         "latents", "out_scale", "loras"};
// ... and of its `options`.
constexpr std::array kDecidingOptions = {"model.dtype", "model.vae_dtype"};

bool same_folder(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
}

std::string words_of(const Json& value) {
  return shown(value.is_string() ? value.get<std::string>() : value.dump());
}

class Differences {
 public:
  void compare(const std::string& name, const Json& mine, const Json& there) {
    if (mine != there)
      texts_.push_back(fmt::format("{} is {}, there {}", name, words_of(mine), words_of(there)));
  }
  std::string text() const { return fmt::format("{}", fmt::join(texts_, "; ")); }

 private:
  std::vector<std::string> texts_;
};

std::string value_of(const Echo& echo, const std::string& key) {
  for (const auto& [name, value] : echo) {
    if (name == key) return value;
  }
  return "not given";
}

// A killed run's job as its latents say, which may have drawn a seed.
Job with_seed_of(const std::string& latents, Job job) {
  if (!job.seed_drawn) return job;
  const Json made_by = Json::parse(made_by_of(latents), nullptr, false);
  const Json::json_pointer place("/job/seed");
  if (made_by.is_object() && made_by.contains(place) && made_by.at(place).is_number_integer())
    job.seed = made_by.at(place).get<std::int64_t>();
  return job;
}

bool remove_if_there(const std::string& path) { return !path.empty() && ::unlink(path.c_str()) == 0; }

// Whether results without a record may be of the run that left `latents`: it gives the names in this order.
bool may_be_its(const Job& job, const std::string& latents) {
  std::error_code error;
  const auto since = fs::last_write_time(latents, error);
  if (error || (is_there(job.sheet) && !is_there(job.video))) return false;
  for (const std::string& path : {job.save, job.video, job.sheet}) {
    if (is_there(path) && (!is_file(path) || fs::last_write_time(path, error) < since)) return false;
  }
  return true;
}

// The latents that a run of this very job has left, or an empty text.
std::string own_latents(const Engine& engine, const BatchItem& item, Job job) {
  if (!is_there(latents_path(job.video, 1))) return "";
  Options options;
  options.echo = item.echo;
  count_tokens(job, engine.networks());
  for (int number = 1; number <= kMostLatents; ++number) {
    const std::string latents = latents_path(job.video, number);
    if (is_file(latents) && are_latents_of(latents, options, with_seed_of(latents, job))) return latents;
  }
  return "";
}

// Nothing if another process is at work on one of the names.
std::vector<Reservation> hold_all(const Job& job, const std::string& latents) {
  std::vector<Reservation> held;
  for (const std::string& path : {job.video, job.sheet, job.record, job.save, latents}) {
    if (path.empty()) continue;
    std::optional<Reservation> one = Reservation::take(path);
    if (!one) return {};
    held.push_back(*std::move(one));
  }
  return held;
}

// A run that is killed while it gives its results their names leaves some of them, and the latents, which say
// whose they are; one of a drawn seed leaves latents that no other run will have.  One that is killed behind
// that leaves latents and state.
void remove_leftovers(const Engine& engine, const BatchItem& item, const Job& job, bool complete) {
  const bool results = is_there(job.video) || is_there(job.sheet) || is_there(job.save);
  if (job.overwrite || (!results && !job.seed_drawn)) return;
  const std::string latents = own_latents(engine, item, job);
  if (latents.empty() || (!complete && !may_be_its(job, latents))) return;
  const std::vector<Reservation> held = hold_all(job, latents);
  if (held.empty() || is_there(job.record) != complete) return;
  if (!complete) {
    for (const std::string& path : {job.sheet, job.video, job.save}) {
      if (remove_if_there(path))
        spdlog::info("{}: {}, which a killed run has left, is removed", title_of(item), shown(path));
    }
  }
  remove_if_there(latents);
}

// The job as of a run that may replace what is there.
Job job_of(Engine& engine, const BatchItem& item) {
  JobOptions options = item.job;
  options.overwrite = true;
  Job job = engine.preview(options);
  job.overwrite = item.job.overwrite;
  return job;
}

// What is there of a resolved job, and what is not.
void look_at_results(Engine& engine, const BatchItem& item, bool removes, ItemFacts& facts) {
  const Job& job = facts.job;
  if (!job.overwrite && is_file(job.record) && is_file(job.video)) {
    facts.there = job.save.empty() || is_file(job.save);
    if (!facts.there) {
      facts.error = fmt::format("its video is there, but {} is not: --overwrite makes both again",
                                shown(job.save, std::string::npos));
      return;
    }
    facts.differences = differences_from_record(job.record, item, job, engine.networks().folder);
  }
  if (removes) remove_leftovers(engine, item, job, facts.there);
}

ItemFacts facts_of(Engine& engine, const BatchItem& item, bool removes) {
  ItemFacts facts;
  facts.error = item.error;
  if (!facts.error.empty()) return facts;
  try {
    engine.open(item.job);
    facts.job = job_of(engine, item);
    look_at_results(engine, item, removes, facts);
  } catch (const UserError& error) {
    // What is there was made when it could be.
    facts.there = !item.job.overwrite && results_are_there(item.job);
    (facts.there ? facts.differences : facts.error) = shown(error.what(), std::string::npos);
  }
  return facts;
}

}  // namespace

std::string differences_from_record(const std::string& path, const BatchItem& item, const Job& job,
                                    const std::string& model_folder) {
  Differences found;
  try {
    const Json record = checkpoint::read_json_object(path);
    const Json there = record.value("job", Json::object());
    const Json mine = Json::parse(to_json(job));
    for (const char* name : kDeciding) {
      // A record of decoding has no sampling; a drawn seed is as good as another.
      if (!there.contains(name) || (job.seed_drawn && std::string(name) == "seed")) continue;
      found.compare(name, mine.value(name, Json()), there[name]);
    }
    Echo options;
    const Json given = record.value("options", Json::object());
    for (const auto& [key, value] : given.items())
      options.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
    for (const char* key : kDecidingOptions)
      found.compare(key, value_of(item.echo, key), value_of(options, key));
    const std::string folder = record.value("model", Json::object()).value("folder", "");
    if (!same_folder(folder, model_folder)) found.compare("model", model_folder, folder);
  } catch (const UserError& error) {
    return shown(error.what(), std::string::npos);
  } catch (const Json::exception&) {
    return "its record is not one of Ferry's";
  }
  return found.text();
}

std::vector<ItemFacts> survey(Engine& engine, const Batch& batch, bool removes) {
  std::vector<ItemFacts> facts;
  for (const BatchItem& item : batch.items) {
    engine.rank().session->send_heartbeat();
    // Only a fault of the model, or of the program's own LoRAs, is thrown here.
    if (item.error.empty()) engine.open_model(item.job);
    facts.push_back(facts_of(engine, item, removes));
  }
  return facts;
}

}  // namespace ferry::worker
