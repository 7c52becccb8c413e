#include "worker/job/latents.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/float_type.h"
#include "base/log.h"
#include "base/text/shown.h"
#include "checkpoint/formats/safetensors.h"
#include "model/defaults.h"
#include "model/vae/vae.h"
#include "worker/output/files.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensor = "latents";
constexpr const char* kMadeBy = "made_by";  // in the metadata
constexpr int kMostNumbers = 100;

// Identity of the file at a path; zeros if there is none.  Includes the time, since inodes are soon reused.
std::array<std::int64_t, 4> file_at(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  return {static_cast<std::int64_t>(info.st_dev), static_cast<std::int64_t>(info.st_ino), info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

std::string temporary_folder() {
  const char* named = std::getenv("TMPDIR");
  return named != nullptr && *named != '\0' ? named : "/tmp";
}

void check_shape(const std::string& path, const checkpoint::TensorEntry& latents,
                 const model::VaeConfig& vae) {
  const bool fits = latents.shape.size() == 4 && latents.shape[0] == vae.z_dim &&
                    std::all_of(latents.shape.begin(), latents.shape.end(), [](auto n) { return n >= 1; });
  if (!fits || !is_unscaled_float(latents.dtype)) {
    throw UserError(fmt::format("latents {}: tensor `{}` is [{}] {}, this VAE needs [{}, T, h, w] fp32", path,
                                kTensor, fmt::join(latents.shape, ", "), name_of(latents.dtype), vae.z_dim));
  }
}

void check_asked(const Job& job, const JobOptions& options) {
  const bool size =
      job.width == options.width.value_or(job.width) && job.height == options.height.value_or(job.height);
  if (!size) {
    throw UserError(fmt::format("size {}x{}: latents {} are of {}x{}", options.width.value_or(job.width),
                                options.height.value_or(job.height), job.latents, job.width, job.height));
  }
  if (options.frames.value_or(job.frames) != job.frames) {
    throw UserError(
        fmt::format("frames {}: latents {} are of {} frames", *options.frames, job.latents, job.frames));
  }
}

std::string maker_json(const Options& options, const Job& job) {
  nlohmann::json maker = {{"job", nlohmann::json::parse(to_json(job))},
                          {"options", nlohmann::json::object()}};
  for (const auto& [key, value] : options.echo) maker["options"][key] = value;
  return maker.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Frame rate of the job that made the file, if recorded.
double fps_in(const std::string& made_by) {
  const nlohmann::json maker = nlohmann::json::parse(made_by, nullptr, false);
  const nlohmann::json::json_pointer place("/job/fps");
  const bool says = maker.is_object() && maker.contains(place) && maker.at(place).is_number();
  const double fps = says ? maker.at(place).get<double>() : 0;
  return fps > 0 && fps <= 1000 ? fps : model::ModelDefaults{}.fps;
}

}  // namespace

std::string latents_path(const std::string& video, int number) {
  const fs::path path(video);
  const std::string ending =
      number == 1 ? ".latents.safetensors" : fmt::format(".latents-{}.safetensors", number);
  const std::size_t longest = longest_name(video);
  const std::size_t room = longest > ending.size() ? longest - ending.size() : 0;
  return (path.parent_path() / (first_characters(path.stem().string(), room) + ending)).string();
}

std::string stem_of_latents(const std::string& path) {
  std::string name = fs::path(path).stem().string();
  const std::size_t ending = name.rfind(".latents");
  const bool ends =
      ending != std::string::npos && name.find_first_not_of("-0123456789", ending + 8) == std::string::npos;
  if (ends) name.resize(ending);
  return name.empty() ? "video" : name;
}

std::string made_by_of(const std::string& path) {
  try {
    const auto file = checkpoint::SafetensorsFile::open(path);
    const auto made_by = file.metadata().find(kMadeBy);
    return made_by == file.metadata().end() ? "" : made_by->second;
  } catch (const UserError&) {
    return "";  // another file of that name
  }
}

bool are_latents_of(const std::string& path, const Options& options, const Job& job) {
  return made_by_of(path) == maker_json(options, job);
}

void take_latents(Job& job, const JobOptions& options, const model::VaeConfig& vae) {
  job.latents = options.latents;
  const auto file = checkpoint::SafetensorsFile::open(job.latents);
  const checkpoint::TensorEntry& latents = file.at(kTensor);
  check_shape(job.latents, latents, vae);
  std::copy(latents.shape.begin(), latents.shape.end(), job.latent_shape.begin());
  job.frames = (latents.shape[1] - 1) * model::temporal_scale(vae) + 1;
  job.height = latents.shape[2] * model::spatial_scale(vae);
  job.width = latents.shape[3] * model::spatial_scale(vae);
  check_asked(job, options);
  const auto made_by = file.metadata().find(kMadeBy);
  if (made_by != file.metadata().end()) job.made_by = made_by->second;
  job.fps = fps_in(job.made_by);
}

void KeptLatents::keep(const at::Tensor& latents) {
  latents_ = latents.contiguous();
  if (write(names_->latents, names_->latents_replace)) return;
  const std::string name = fs::path(job_->video).filename().string();
  for (const std::string& folder : {temporary_folder(), std::string(".")}) {
    for (int number = 1; number <= kMostNumbers; ++number) {
      const std::string path = latents_path((fs::path(folder) / name).string(), number);
      if (file_at(path)[1] != 0) continue;
      if (write(path, false)) return;
      break;
    }
  }
  spdlog::warn("the latents are nowhere on disk: they are lost if decoding or writing fails");
}

bool KeptLatents::write(const std::string& path, bool replace) {
  try {
    checkpoint::SafetensorsWriter file(path, {{kTensor, DType::F32, latents_.sizes().vec()}},
                                       {{kMadeBy, maker_json(*options_, *job_)}});
    file.write({static_cast<const std::byte*>(latents_.const_data_ptr()), latents_.nbytes()});
    file.finish(if_taken(replace));
  } catch (const SystemError& error) {
    spdlog::warn("the latents: {}", error.what());
    return false;
  }
  path_ = path;
  file_ = file_at(path);
  spdlog::info("the latents are in {} until the results are written", shown(path_, std::string::npos));
  return true;
}

bool KeptLatents::is_there() const { return !path_.empty() && file_[1] != 0 && file_at(path_) == file_; }

void KeptLatents::remove() noexcept {
  if (is_there()) ::unlink(path_.c_str());
  path_.clear();
  latents_.reset();
}

std::string KeptLatents::way_on() {
  if (!latents_.defined()) return "";
  if (!is_there()) {
    path_.clear();
    keep(latents_);
  }
  if (path_.empty()) return "";
  const std::string word = shell_word(path_);
  return fmt::format("; the latents are in {}: the same command with --latents {} decodes them", word, word);
}

}  // namespace ferry::worker
