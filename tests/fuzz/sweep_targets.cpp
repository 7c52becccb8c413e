// Targets of sweeps and plans: grids, rows, and rates of machines.
#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/log.h"
#include "launcher/sweep/grid.h"
#include "launcher/sweep/ranks.h"
#include "launcher/sweep/row.h"
#include "launcher/sweep/sweep_file.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"
#include "worker/planner/predict.h"
#include "worker/planner/rates.h"
#include "worker/planner/shapes.h"

namespace ferry::fuzz {
namespace {

using Json = nlohmann::json;

constexpr int kSeconds = 15;  // small readers

void check(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// The current folder stands for a model's.
const std::string kGrid =
    "[grid]\nranks = 1, 2, 4\ncfg = [paired, parallel]\ntype = none, async\nlink_gbps = 0, 1.5 # slow\n"
    "size = 64x64, 832x480\nframes = 5\noffload_ratio = 0.5, 1\n[model]\npath = .\ndevice = "
    "cpu\n[job]\nguidance = 5\n"
    "[dit]\noffload.prefetch_size = 2\n[run]\ndeadline_s = 5\n";

// What the ranks are told of a cell is the cell.
void read_grid_file(std::string_view input) {
  constexpr std::size_t kLooked = 20;
  const std::vector<launcher::SweepCell> cells = launcher::read_grid(put("grid.cfg", input), {});
  check(!cells.empty() && cells.size() <= launcher::kMostCells, "no cell, or too many");
  for (std::size_t i = 0; i < std::min(cells.size(), kLooked); ++i) {
    const launcher::SweepCell& cell = cells[i];
    check(cell.ranks >= 1, "no rank");
    const std::string line = launcher::line_for_ranks(cell, {});
    const std::string name = launcher::name_of(cell, true);
    check((line + name).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "not one line");
    const auto settings = Json::parse(line).at("settings").get<worker::Echo>();
    const launcher::SweepCell told{cell.ranks, launcher::options_of(settings), settings};
    check(launcher::name_of(told, true) == name, "the ranks measure another cell");
    launcher::label_of(launcher::fields_of(cell, true));
  }
}

std::vector<std::string> grid_corpus() { return {kGrid, "[grid]\nranks=1\n[model]\npath=.\n"}; }

const std::string kRow =
    R"({"cell":"a","ranks":2,"cfg":"paired","type":"async","transport":"full","offload_ratio":1.0,"link_gbps":1.5,)"
    R"("size":"64x64","frames":5,"step_s":0.5,"step_spread":0.01,"exposed_copy_s":0.1,"exposed_exchange_s":0.0,)"
    R"("gpu_bytes":1000,"activations_bytes":10,"predicted_step_s":0.4})";

// What is there stays, and a row behind it is read again.
void read_rows(std::string_view input) {
  spdlog::set_level(spdlog::level::off);  // torn lines are said
  const std::string path = put("rows.jsonl", input);
  launcher::SweepFile file(path);
  const std::vector<std::string> rows = file.rows();
  launcher::table_of(rows);
  file.append(R"({"cell":"fuzz: one more","error":"no"})");
  launcher::SweepFile again(path);
  check(again.rows().size() == file.rows().size(), "rows differ when they are read again");
  check(std::equal(rows.begin(), rows.end(), again.rows().begin()), "rows have changed");
  check(again.knows("fuzz: one more"), "an appended row is lost");
}

std::vector<std::string> rows_corpus() {
  return {kRow + "\n{\"cell\":\"b\",\"error\":\"why\"}\n", kRow + "\n{\"cell\":\"to",
          kRow.substr(0, 90) + "\n" + kRow + "\n", ""};
}

worker::Cell small_cell(int ranks) {
  return {.dit = worker::model_shapes("1.3B").dit,
          .compute = DType::BF16,
          .width = 832,
          .height = 480,
          .frames = 81,
          .guided = true,
          .ranks = ranks,
          .parallel = {},
          .offload = {}};
}

// Rates that are taken make times that are numbers.
void read_machine(std::string_view input) {
  static const std::array cells = {small_cell(1), small_cell(4)};
  const worker::MachineRates machine = worker::machine_from_json(std::string(input), "m.json");
  const std::string text = worker::to_json(machine);
  check(worker::to_json(worker::machine_from_json(text, "again")) == text, "not read as written");
  for (const worker::Cell& cell : cells) {
    const worker::Prediction prediction = worker::predict(cell, machine);
    check(std::isfinite(prediction.step_s) && prediction.step_s > 0, "a time that is no number");
  }
}

std::vector<std::string> machine_corpus() {
  return {worker::to_json(worker::load_machine("h100")), worker::to_json(worker::load_machine("pcie"))};
}

}  // namespace

Target grid_target() {
  return {"grid",
          read_grid_file,
          grid_corpus,
          {"[grid]\n",
           "[model]\n",
           "[dit]\n",
           "path = .\n",
           "\nranks = ",
           "\ntype = ",
           "\nsize = ",
           "\nlink_gbps = ",
           "\nulysses = ",
           "\nmodel = ",
           ",",
           ", ",
           "[",
           "]",
           "#",
           "\"",
           "=",
           "\n",
           "1",
           "4096",
           "0",
           "-1",
           "nan",
           "1e308",
           "async",
           "auto",
           "model",
           "64x64",
           "\xff",
           "\\",
           "offload.type = none\n",
           "99999999999999999999"},
          kSeconds};
}

Target rows_target() {
  return {"rows",
          read_rows,
          rows_corpus,
          {"{\"cell\":",     "\n",          "\"step_s\":", "\"error\":", "\"ranks\":", "\"step_spread\":",
           "\"gpu_bytes\":", "null",        "true",        "\"x\"",      "[]",         "{}",
           "1e400",          "-1",          ",",           ":",          "}",          "{",
           "\"\"",           "\"\\ud800\"", "\"\\u0000\"", "\xff",       "\r"},
          kSeconds};
}

Target machine_target() {
  return {"machine",
          read_machine,
          machine_corpus,
          {"{\"value\": 1, \"source\": \"measured\"}",
           "\"value\":",
           "\"source\":",
           "\"by_ranks\":",
           "\"ranks\":",
           "\"rows\":",
           "0",
           "-1",
           "1.5",
           "1e-9",
           "1e9",
           "1e308",
           "1e400",
           "99999999999999999999",
           "null",
           "true",
           "[]",
           "{}",
           "\"\"",
           "\"fp32\"",
           ",",
           ":",
           "}",
           "{",
           "[",
           "]",
           "\"\\n\""},
          kSeconds};
}

}  // namespace ferry::fuzz
