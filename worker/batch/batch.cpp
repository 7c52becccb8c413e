#include "worker/batch/batch.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/reservation.h"
#include "base/text/shown.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

// Equal for all paths to one file.
std::string key_of(const std::string& path) {
  try {
    return Reservation::key_of(path);
  } catch (const SystemError&) {  // without a folder, which is an error of the item
    return fs::path(path).lexically_normal().string();
  }
}

struct Output {
  std::string what;
  std::string path;
};

std::vector<Output> outputs_of(const JobOptions& job) {
  const std::string stem = stem_of(job);
  const std::string video = job.out.empty() ? "the name " + stem : "out " + shown(job.out);
  std::vector<Output> outputs;
  for (const char* extension : {".json", ".png", ".mp4", ".y4m"})
    outputs.push_back({video, stem + extension});
  if (!job.save.empty()) outputs.push_back({"save " + shown(job.save), job.save});
  return outputs;
}

}  // namespace

std::string title_of(const BatchItem& item) {
  const nlohmann::json id = nlohmann::json::parse(item.id);
  if (id.is_null()) return fmt::format("line {}", item.line);
  return fmt::format("line {} ({})", item.line, shown(id.is_string() ? id.get<std::string>() : item.id));
}

std::string stem_of(const JobOptions& job) {
  return job.out.empty() ? job.name : fs::path(job.out).replace_extension().string();
}

void check_outputs_differ(const std::vector<BatchItem>& items) {
  std::map<std::string, int> lines;
  for (const BatchItem& item : items) {
    for (const Output& output : outputs_of(item.job)) {
      const auto [first, fresh] = lines.emplace(key_of(output.path), item.line);
      if (fresh || first->second == item.line) continue;
      throw UserError(fmt::format("line {}: {}: line {} writes the same file; accepted: another name",
                                  item.line, output.what, first->second));
    }
  }
}

}  // namespace ferry::worker
