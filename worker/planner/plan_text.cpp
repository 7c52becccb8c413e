#include "worker/planner/plan_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "offload/need.h"

namespace ferry::worker {
namespace {

using Json = nlohmann::ordered_json;
using offload::StrategyKind;

double gib(std::size_t bytes) { return static_cast<double>(bytes) / offload::kGiB; }

std::string_view transport_of(const Plan& plan) {
  return plan.step.type == StrategyKind::Async ? name_of(plan.transport) : "full";
}

std::string flags_of(const Plan& plan) {
  const int ranks = plan.data * plan.step.ulysses * (plan.step.cfg == parallel::CfgMode::Parallel ? 2 : 1);
  std::string text =
      fmt::format("-n {} --cfg {} --ulysses {}", ranks, word_of(plan.step.cfg), plan.step.ulysses);
  if (plan.data > 1) text += fmt::format(" --data {} --jobs FILE", plan.data);
  text += fmt::format(" --offload.type {}", name_of(plan.step.type));
  if (plan.step.type != StrategyKind::Async) return text;
  return text +
         fmt::format(" --offload.offload_ratio {:.4g} --offload.prefetch_size {} --offload.transport {}",
                     plan.step.offload_ratio, plan.step.prefetch_size, transport_of(plan));
}

std::string row_of(const Plan& plan, bool recommended) {
  const Prediction& step = plan.step;
  const bool async = step.type == StrategyKind::Async;
  return fmt::format(
      "{:<8} {:>7} {:>4}  {:<10} {:>5} {:>8} {:>9} {:>8.2f} {:>8.2f} {:>8.2f} {:>9.3f} {:>9.3f} {:>15} "
      "{:>15} "
      "{:>8.1f} {:>9.1f} {:>9.2f}  {}\n",
      word_of(step.cfg), step.ulysses, plan.data, name_of(step.type),
      async ? fmt::format("{:.2f}", step.offload_ratio) : "",
      async ? fmt::format("{}", step.prefetch_size) : "", async ? transport_of(plan) : "",
      gib(plan.gpu_bytes), gib(plan.total_bytes), gib(plan.node_bytes), step.step_s, step.compute_s,
      fmt::format("{:.3f} ({:.3f})", step.copy_s, step.exposed_copy_s),
      fmt::format("{:.3f} ({:.3f})", step.exchange_s, step.exposed_exchange_s), plan.start_s, plan.video_s,
      plan.videos_per_hour,
      recommended ? "recommended"
      : plan.fits ? ""
                  : "does not fit");
}

constexpr std::string_view kHead =
    "cfg      ulysses data  type       ratio prefetch transport  weights     GPU     node    step s   compute"
    "  copy (exposed)   exch. (exposed)    start   video s   videos/h\n"
    "                                                              GiB     GiB      GiB\n";

Json json_of(const Plan& plan) {
  const Prediction& step = plan.step;
  return {{"type", name_of(step.type)},
          {"cfg", word_of(step.cfg)},
          {"ulysses", step.ulysses},
          {"data", plan.data},
          {"nodes", plan.nodes},
          {"offload_ratio", step.offload_ratio},
          {"prefetch_size", step.prefetch_size},
          {"transport", transport_of(plan)},
          {"share", step.share},
          {"gpu_bytes", plan.gpu_bytes},
          {"gpu_total_bytes", plan.total_bytes},
          {"dit_bytes", step.gpu_bytes},
          {"activation_bytes", step.activation_bytes},
          {"node_bytes", plan.node_bytes},
          {"ferried_bytes", step.ferried_bytes},
          {"step_s", step.step_s},
          {"compute_s", step.compute_s},
          {"copy_s", step.copy_s},
          {"exchange_s", step.exchange_s},
          {"exposed_copy_s", step.exposed_copy_s},
          {"exposed_exchange_s", step.exposed_exchange_s},
          {"start_s", plan.start_s},
          {"decode_s", plan.decode_s},
          {"video_s", plan.video_s},
          {"videos_per_hour", plan.videos_per_hour},
          {"assumed", step.assumed},
          {"fitted", step.fitted},
          {"fits", plan.fits}};
}

std::vector<std::string> notes_of(const Plans& plans, const ModelShapes& model) {
  std::vector<std::string> notes = model.notes;
  if (!plans.job.note.empty()) notes.push_back(plans.job.note);
  return notes;
}

}  // namespace

std::string plan_table(const Plans& plans, const ModelShapes& model, const MachineRates& machine, int rows) {
  const Plan& best = plans.all[plans.recommended];
  std::string text =
      fmt::format("{}, {}x{}, {} frames, {} steps{}; {} ({}), {:.1f} GiB a GPU, {}{:.0f} GiB a node\n\n",
                  model.name, plans.job.width, plans.job.height, plans.job.frames, plans.job.steps,
                  plans.job.guided ? ", guided" : "", machine.name, machine.device, plans.vram_gib,
                  best.nodes > 1 ? fmt::format("{} nodes, ", best.nodes) : "", plans.host_gib);
  text += fmt::format("recommended: {}\n", flags_of(best));
  text +=
      fmt::format("  step {:.3f} s, video {:.1f} s; weights {:.2f} GiB and activations {:.2f} GiB on a GPU\n",
                  best.step.step_s, best.video_s, gib(best.step.gpu_bytes), gib(best.step.activation_bytes));
  if (plans.most_videos != plans.recommended) {
    const Plan& most = plans.all[plans.most_videos];
    text += fmt::format("most videos an hour ({:.2f}): {}\n", most.videos_per_hour, flags_of(most));
  }
  text += "\n" + std::string(kHead);
  for (std::size_t i = 0; i < plans.all.size() && i < static_cast<std::size_t>(rows); ++i)
    text += row_of(plans.all[i], i == plans.recommended);
  if (plans.all.size() > static_cast<std::size_t>(rows))
    text +=
        fmt::format("and {} more, which --json lists\n", plans.all.size() - static_cast<std::size_t>(rows));
  if (!best.step.assumed.empty()) {
    text += fmt::format("\nthe recommended plan leans on assumed, not measured, rates: {}\n",
                        fmt::join(best.step.assumed, ", "));
  }
  if (!best.step.fitted.empty()) {
    text += fmt::format("{}the recommended plan leans on rates fitted to whole forwards or runs: {}\n",
                        best.step.assumed.empty() ? "\n" : "", fmt::join(best.step.fitted, ", "));
  }
  for (const std::string& note : notes_of(plans, model)) text += note + "\n";
  return text;
}

std::string plan_json(const Plans& plans, const ModelShapes& model, const MachineRates& machine) {
  Json all = Json::array();
  for (const Plan& each : plans.all) all.push_back(json_of(each));
  const Plan& best = plans.all[plans.recommended];
  const Json json = {{"model", model.name},
                     {"machine", machine.name},
                     {"job",
                      {{"width", plans.job.width},
                       {"height", plans.job.height},
                       {"frames", plans.job.frames},
                       {"steps", plans.job.steps},
                       {"guided", plans.job.guided}}},
                     {"vram_gib", plans.vram_gib},
                     {"host_gib", plans.host_gib},
                     {"assumed", best.step.assumed},
                     {"fitted", best.step.fitted},
                     {"notes", notes_of(plans, model)},
                     {"recommended", json_of(best)},
                     {"most_videos", json_of(plans.all[plans.most_videos])},
                     {"plans", all}};
  return json.dump() + "\n";
}

}  // namespace ferry::worker
