#include "worker/batch/batch.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/reservation.h"
#include "base/text/lower.h"
#include "base/text/shown.h"
#include "worker/job/latents.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

// Equal for all paths to one file.
std::string key_of(const std::string& path) {
  std::error_code error;
  const fs::path target = fs::weakly_canonical(path, error);
  try {
    return Reservation::key_of(error ? path : target.string());
  } catch (const SystemError&) {  // without a folder, which is an error of the item
    return fs::path(path).lexically_normal().string();
  }
}

bool is_video(const std::string& extension) {
  return lower(extension) == ".mp4" || lower(extension) == ".y4m";
}

struct File {
  std::string what;
  std::string path;
};

// All that a run may write, latents and state included.
std::vector<File> outputs_of(const JobOptions& job) {
  const std::string stem = stem_of(job);
  const std::string video = job.out.empty() ? "the name " + stem : "out " + shown(job.out);
  std::vector<File> outputs;
  for (const char* extension : {".json", ".png", ".mp4", ".y4m"}) {
    outputs.push_back({video, stem + extension});
    if (!is_video(extension)) continue;
    const fs::path path(stem + extension);
    outputs.push_back(
        {video, (path.parent_path() / fmt::format(".{}.state", path.filename().string())).string()});
    outputs.push_back({video, latents_path(path.string(), 1)});
  }
  if (!job.save.empty()) outputs.push_back({"save " + shown(job.save), job.save});
  return outputs;
}

std::vector<File> inputs_of(const JobOptions& job) {
  std::vector<File> inputs;
  for (const auto& [what, path] :
       {std::pair("noise", &job.noise), {"context", &job.context}, {"latents", &job.latents}}) {
    if (!path->empty()) inputs.push_back({what, *path});
  }
  return inputs;
}

}  // namespace

std::string title_of(const BatchItem& item) {
  const nlohmann::json id = nlohmann::json::parse(item.id);
  if (id.is_null()) return fmt::format("line {}", item.line);
  return fmt::format("line {} ({})", item.line, shown(id.is_string() ? id.get<std::string>() : item.id));
}

std::string stem_of(const JobOptions& job) {
  if (job.out.empty()) return job.name;
  const fs::path path(job.out);
  return is_video(path.extension().string()) ? (path.parent_path() / path.stem()).string() : job.out;
}

void check_outputs_differ(const std::vector<BatchItem>& items,
                          const std::vector<std::pair<std::string, std::string>>& taken) {
  struct Use {
    int line = 0;  // 0: of none
    std::string how;
  };
  std::map<std::string, Use> uses;
  for (const auto& [path, what] : taken) uses.emplace(key_of(path), Use{0, "that is " + what});
  for (const BatchItem& item : items) {
    for (const File& input : inputs_of(item.job)) {
      const std::string how = fmt::format("line {} reads it as its {}", item.line, input.what);
      uses.emplace(key_of(input.path), Use{item.line, how});
    }
  }
  for (const BatchItem& item : items) {
    for (const File& output : outputs_of(item.job)) {
      const std::string how = fmt::format("line {} writes the same file", item.line);
      const auto [first, fresh] = uses.emplace(key_of(output.path), Use{item.line, how});
      if (fresh || first->second.line == item.line) continue;
      throw UserError(
          fmt::format("line {}: {}: {}; accepted: another name", item.line, output.what, first->second.how));
    }
  }
}

}  // namespace ferry::worker
