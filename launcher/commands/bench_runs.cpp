#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/decode.h"
#include "bench/forward.h"
#include "launcher/commands/bench_networks.h"
#include "launcher/process/streams.h"
#include "worker/stages/attention.h"
#include "worker/weights/stage_weights.h"

namespace ferry::launcher {
namespace {

std::string spread_text(std::vector<double> samples) {
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  return fmt::format("{:>9.4f} s   {:.4f} to {:.4f}", bench::median(samples), *least, *most);
}

std::string text_of(const bench::ForwardResult& r) {
  std::vector<double> floor;
  for (std::size_t i = 0; i < r.linear_seconds.size(); ++i) {
    floor.push_back(r.linear_seconds[i] + r.attention_seconds[i]);
  }
  const bench::ForwardCase& c = r.measured;
  std::string text = fmt::format(
      "DiT forward, {}x{}, {} frames: {} tokens, {} blocks of width {}, {} branches, {}; {}, {} ranks, {} "
      "threads\n"
      "             median        least to most of {}\n",
      c.width, c.height, c.frames, r.tokens, c.config.layers, c.config.dim, c.branches, name_of(r.compute),
      r.device, r.ranks, r.threads, c.samples);
  text += fmt::format("forward    {}\nlinears    {}\nattention  {}\n", spread_text(r.forward_seconds),
                      spread_text(r.linear_seconds), spread_text(r.attention_seconds));
  const double forward = bench::median(r.forward_seconds);
  return text + fmt::format("forward / (linears + attention alone) {:.3f}; {:.0f} GFLOP/s\n",
                            forward / bench::median(floor), 1e3 * r.tflop / forward);
}

std::string text_of(const bench::DecodeResult& r) {
  const bench::DecodeCase& c = r.measured;
  std::string text = fmt::format(
      "VAE decode, {}x{}, {} frames, {}; {}, {} threads; {:.2f} TFLOP\n"
      "             median        least to most of {}\n",
      c.width, c.height, c.frames, name_of(c.compute), r.device, r.threads, r.tflop, c.samples);
  text += fmt::format("decode     {}\nfloor      {}\n", spread_text(r.decode_seconds),
                      spread_text(r.floor_seconds));
  return text +
         fmt::format(
             "decode / (convolutions and attention alone) {:.3f}; peak {:.3f} GB beyond weights and latent\n",
             bench::median(r.decode_seconds) / bench::median(r.floor_seconds),
             1e-9 * static_cast<double>(r.peak_bytes));
}

template <typename Result>
void print(const Result& result, const worker::Rank& rank, const worker::StageRecord& stage, bool json) {
  say(json ? with_stage(to_json(result), rank, stage) : text_of(result));
}

// The floor's samples as text, for other ranks.
std::string floor_text(const bench::ForwardResult& result) {
  return nlohmann::json({result.linear_seconds, result.attention_seconds}).dump();
}

bench::ForwardResult floor_from(const std::string& text) {
  const auto samples = nlohmann::json::parse(text).get<std::vector<std::vector<double>>>();
  bench::ForwardResult result;
  result.linear_seconds = samples.at(0);
  result.attention_seconds = samples.at(1);
  return result;
}

// The ranks of a measurement and the weights of one stage.
struct Stage {
  Stage(const worker::StageSource& source, const worker::Options& options, int heads,
        parallel::Session& session)
      : rank(worker::make_rank(worker::make_device(options.model.device, session),
                               parallel::make_mesh(options.parallel, session.size(), session.rank(), heads),
                               options.parallel.exchange, session)),
        model(*rank, worker::Keep::One),
        loaded(model, source, waited_for(session), record) {}
  // The one that says nothing, with a heartbeat: ranks that load faster wait.
  worker::Progress& waited_for(parallel::Session& session) {
    progress.set_heartbeat([&session] { session.send_heartbeat(); });
    return progress;
  }
  std::unique_ptr<worker::Rank> rank;
  worker::Progress progress;
  worker::StageRecord record;
  worker::LoadedModel model;
  worker::BorrowedStage loaded;
};

}  // namespace

int bench_forward(const BenchOptions& options, parallel::Session& session) {
  const worker::Networks networks = open_network(worker::Role::Dit, options.run, session);
  const worker::Network& dit = networks[worker::Role::Dit].value();
  const model::DitConfig& config = networks.facts.dit;
  Stage stage({&dit, worker::Runs::AllRanks}, options.run, static_cast<int>(config.heads), session);
  stage.rank->attention = worker::choose_attention(options.run.attention, dit.compute, config.head_dim(),
                                                   *stage.rank->device, session);
  const model::DitRuntime runtime =
      stage.rank->dit_runtime(dit.compute, stage.loaded.weights().exchange_gate());
  const worker::JobOptions& job = options.run.job;
  const bench::ForwardCase what{.config = config,
                                .width = job.width.value_or(kBenchWidth),
                                .height = job.height.value_or(kBenchHeight),
                                .frames = job.frames.value_or(kBenchFrames),
                                .branches = options.branches,
                                .warmups = options.warmups,
                                .samples = options.samples,
                                .after_first = [&] { stage.loaded.note_torch_peak(); }};
  bench::ForwardResult result = bench::measure_forward(what, stage.loaded.weights(), runtime);
  for (const std::string& text : session.all_gather(floor_text(result))) {
    bench::take_slower_floor(result, floor_from(text));
  }
  stage.loaded.finish(stage.record);
  if (session.rank() == 0) print(result, *stage.rank, stage.record, options.json);
  return 0;
}

int bench_decode(const BenchOptions& options, parallel::Session& session) {
  const worker::Networks networks = open_network(worker::Role::Vae, options.run, session);
  const worker::Network& vae = networks[worker::Role::Vae].value();
  Stage stage({&vae, worker::Runs::FirstRank}, options.run, session.size(), session);
  const worker::JobOptions& job = options.run.job;
  const bench::DecodeCase what{.config = networks.facts.vae,
                               .width = job.width.value_or(kBenchWidth),
                               .height = job.height.value_or(kBenchHeight),
                               .frames = job.frames.value_or(kBenchFrames),
                               .compute = vae.compute,
                               .samples = options.samples};
  std::optional<bench::DecodeResult> result;
  if (session.rank() == 0) result = bench::measure_decode(what, stage.loaded.weights(), *stage.rank->device);
  session.barrier();
  stage.loaded.finish(stage.record);
  if (result) print(*result, *stage.rank, stage.record, options.json);
  return 0;
}

}  // namespace ferry::launcher
