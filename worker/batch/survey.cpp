#include "worker/batch/survey.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
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

bool results_are_there(const std::string& stem) {
  return is_there(stem + ".json") && (is_there(stem + ".mp4") || is_there(stem + ".y4m"));
}

// What decides a video, of a record's `job`.
constexpr std::array kDeciding = {"prompt",       "negative_prompt", "width",   "height",   "frames", "steps",
                                  "sampler",      "guidance",        "shift",   "fps",      "seed",   "noise",
                                  "noise_device", "context",         "latents", "out_scale"};
// ... and of its `options`.
constexpr std::array kDecidingOptions = {"model.dtype", "model.vae_dtype", "lora.path", "lora.strength"};

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

// A run that is killed while it gives its results their names leaves some of them, and the latents, which say
// whose they are; so do those of a drawn seed, which the next run will not draw.
void remove_leftovers(const Engine& engine, const BatchItem& item, Job job) {
  if (job.overwrite || is_there(job.record)) return;
  const bool results = is_there(job.video) || is_there(job.sheet) || is_there(job.save);
  if (!results && !job.seed_drawn) return;
  Options options;
  options.echo = item.echo;
  for (int number = 1; number <= kMostLatents; ++number) {
    const std::string latents = latents_path(job.video, number);
    if (!is_there(latents)) return;
    if (number == 1) count_tokens(job, engine.networks());
    if (!are_latents_of(latents, options, with_seed_of(latents, job))) continue;
    spdlog::info("{}: what a killed run has left is removed", title_of(item));
    for (const std::string& path : {job.video, job.sheet, job.save, latents}) {
      if (!path.empty()) ::unlink(path.c_str());
    }
    return;
  }
}

// The job as of a run that may replace what is there.
Job job_of(Engine& engine, const BatchItem& item) {
  JobOptions options = item.job;
  options.overwrite = true;
  Job job = engine.preview(options);
  job.overwrite = item.job.overwrite;
  return job;
}

ItemFacts facts_of(Engine& engine, const BatchItem& item) {
  ItemFacts facts;
  facts.error = item.error;
  if (!facts.error.empty()) return facts;
  facts.there = !item.job.overwrite && results_are_there(stem_of(item.job));
  try {
    facts.job = job_of(engine, item);
  } catch (const UserError& error) {
    // What is there was made when it could be.
    (facts.there ? facts.differences : facts.error) = error.what();
    return facts;
  }
  if (facts.there) {
    facts.differences =
        differences_from_record(stem_of(item.job) + ".json", item, facts.job, engine.networks().folder);
    return facts;
  }
  remove_leftovers(engine, item, facts.job);
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
    found.compare("model", model_folder, record.value("model", Json::object()).value("folder", ""));
  } catch (const UserError& error) {
    return error.what();
  } catch (const Json::exception&) {
    return "its record is not one of Ferry's";
  }
  return found.text();
}

std::vector<ItemFacts> survey(Engine& engine, const Batch& batch) {
  std::vector<ItemFacts> facts;
  for (const BatchItem& item : batch.items) {
    // Only a fault of the model is thrown here.
    if (item.error.empty()) engine.open(item.job);
    facts.push_back(facts_of(engine, item));
  }
  return facts;
}

}  // namespace ferry::worker
