// Grids, and the file that several processes share.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/sweep/cell.h"
#include "launcher/sweep/conduct.h"
#include "launcher/sweep/grid.h"
#include "launcher/sweep/row.h"
#include "launcher/sweep/sweep_file.h"
#include "launcher/sweep/talk.h"
#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kModel = FERRY_DEMO_MODEL;

class Grid : public ::testing::Test {
 protected:
  std::vector<SweepCell> cells(const std::string& text) {
    return read_grid(folder_.write("grid.cfg", text + "\n[model]\npath = " + kModel + "\n"), {});
  }
  std::string refused(const std::string& text) {
    return user_error_of([&] { read_grid(folder_.write("grid.cfg", text), {}); });
  }
  // The different ones.
  std::size_t planned(const std::string& text) { return plan_sweep(cells(text)).size(); }

  TemporaryFolder folder_;
};

std::vector<std::string> names_in(const std::vector<SweepCell>& cells) {
  std::vector<std::string> names;
  for (const SweepCell& cell : cells) names.push_back(name_of(cell, true));
  return names;
}

TEST_F(Grid, EveryCombinationIsACellAndThoseOfOneNumberOfRanksFollowOneAnother) {
  const std::vector<SweepCell> all = cells("[grid]\ntype = none, async\nranks = 1, 2\nframes = 5,9,13");
  ASSERT_EQ(all.size(), 12U);
  std::vector<int> ranks;
  for (const SweepCell& cell : all) ranks.push_back(cell.ranks);
  EXPECT_TRUE(std::is_sorted(ranks.begin(), ranks.end()));
  EXPECT_EQ(all[0].options.offload[worker::Role::Dit].type, offload::StrategyKind::None);
  EXPECT_EQ(all[1].options.offload[worker::Role::Dit].type, offload::StrategyKind::Async);
  EXPECT_EQ(all[11].options.job.frames, 13);
  std::vector<std::string> names = names_in(all);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::unique(names).begin(), names.end());
}

TEST_F(Grid, OtherGroupsHoldForAllCellsAndTheCommandLineOverridesThem) {
  worker::Options options;
  const std::vector<FlagGroup> groups = sweep_keys(options);
  const CommandLine line = parse_command_line(groups, {"--guidance", "3"});
  const std::string path = folder_.write(
      "grid.cfg", "[grid]\nranks = 1\n[job]\nguidance = 2\nframes = 9\n[model]\npath = " + kModel + "\n");
  const std::vector<SweepCell> all = read_grid(path, line.settings);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].options.job.guidance, 3);
  EXPECT_EQ(all[0].options.job.frames, 9);
  EXPECT_EQ(all[0].options.model.dtype, "fp32");  // the model's ferry.cfg
  EXPECT_THAT(name_of(all[0], true), HasSubstr("job.guidance"));
}

TEST_F(Grid, SizeIsTheModelsElseThatOfBenchmarks) {
  EXPECT_EQ(fields_of(cells("[grid]\nranks=1")[0], true).at("size"), "128x128");
  const std::string bare = folder_.path() / "bare";
  std::filesystem::create_directory(bare);
  const auto without = read_grid(folder_.write("g.cfg", "[grid]\nmodel = " + bare), {});
  EXPECT_EQ(fields_of(without[0], true).at("size"), "416x240");
  EXPECT_EQ(fields_of(cells("[grid]\nsize = 64 x 64")[0], true).at("size"), "64x64");
}

TEST_F(Grid, WhatCannotBeReadIsRefusedInOneLine) {
  const std::map<std::string, std::string> cases = {
      {"", "has no [grid]"},
      {"[grid]\n", "has no [grid]"},
      {"[grid]\nranks =\n", "empty list"},
      {"[grid]\nranks = 1,,2\n", "empty value"},
      {"[grid]\nranks = 0\n", "from 1"},
      {"[grid]\nranks = 1e9\n", "grid.ranks"},
      {"[grid]\nranks = many\n", "'many'"},
      {"[grid]\nrank = 1\n", "did you mean ranks?"},
      {"[grid]\nweights = bf16\n", "unknown key 'weights'"},
      {"[grid]\ntype = asyn\n", "did you mean async?"},
      {"[grid]\nsize = big\n", "grid.size"},
      {"[grid]\noffload_ratio = 2\n", "grid.offload_ratio"},
      {"[grid]\nlink_gbps = nan\n", "grid.link_gbps"},
      {"[grid]\nranks = 1\nranks = 2\n", "given twice"},
      {"[grid]\ntype = none\n[offload]\ntype = async\n", "[grid] has it too"},
      {"[grid]\nranks = 1\n[job]\nprompt = x\n", "job.prompt"},
      {"[grid]\nranks = 1\n[nothing]\nx = 1\n", "unknown group"},
      {"[grid\nranks = 1\n", "line 1"},
      {std::string("[grid]\nranks = \0001\n", 18), "NUL"},
      {"[grid]\nmodel = \xff\xfe\n", "UTF-8"},
      {"[grid]\nranks = 1\n", "--model"},
      {"[grid]\nmodel = /not/there\n", "/not/there"}};
  for (const auto& [text, said] : cases) {
    EXPECT_THAT(refused(text), AllOf(HasSubstr(said), Not(HasSubstr("\n")))) << text;
  }
}

TEST_F(Grid, TooManyCellsAreRefused) {
  std::string text = "[grid]\n";
  for (const char* key : {"frames", "prefetch_size", "link_gbps", "ulysses"}) {
    text += std::string(key) + " = ";
    for (int i = 1; i <= 20; ++i) text += std::to_string(i) + (i < 20 ? "," : "\n");
  }
  EXPECT_THAT(refused(text + "[model]\npath = " + kModel), HasSubstr("more than 10000 cells"));
}

TEST_F(Grid, CellsThatDifferInAKeyWithoutEffectAreOne) {
  const std::string links = "link_gbps = 1,2,4\n";
  const std::string ways = "transport = full,sharded\ninterleave = free,gated\nprefetch_size = 1,2\n";
  EXPECT_EQ(planned("[grid]\ntype = none\n" + links + ways), 1U);
  EXPECT_EQ(planned("[grid]\ntype = model\noffload_ratio = 0.5,1\n" + links + ways), 1U);
  EXPECT_EQ(planned("[grid]\ntype = sequential\n" + links + ways), 3U);
  EXPECT_EQ(planned("[grid]\ntype = auto\noffload_ratio = 0.5,1\n"), 1U);
  EXPECT_EQ(planned("[grid]\nranks = 2\ncfg = paired\ntype = async\n" + links + ways), 24U);
  // One rank shares no copies and exchanges nothing; halves of two ranks exchange nothing.
  EXPECT_EQ(planned("[grid]\nranks = 1\ncfg = paired\ntype = async\n" + links + ways), 6U);
  EXPECT_EQ(planned("[grid]\nranks = 2\ncfg = parallel\ntype = async\n" + links + ways), 12U);
  EXPECT_EQ(planned("[grid]\nranks = 1\ncfg = paired\ntype = async\noffload_ratio = 0\n" + links + ways), 1U);
  EXPECT_EQ(planned("[grid]\nranks = 2\ncfg = paired\nulysses = 0,2"), 1U);
  EXPECT_EQ(planned("[grid]\ncfg = serial,paired"), 2U);
  EXPECT_EQ(planned("[grid]\ncfg = serial,paired\n[job]\nguidance = 1\n"), 1U);
  const std::string spellings =
      folder_.write("m.cfg", "[grid]\nmodel = " + kModel + "/, " + kModel + "/../demo\n");
  EXPECT_EQ(plan_sweep(read_grid(spellings, {})).size(), 1U);
}

TEST_F(Grid, ImpossibleCellsAreKnownBeforeRanksStart) {
  const auto plan =
      plan_sweep(cells("[grid]\nranks = 1,2\ncfg = parallel,paired\ntype=async\nprefetch_size=1,100"));
  std::map<std::string, int> reasons;
  for (const PlannedCell& cell : plan) {
    const bool odd = cell.cell.ranks == 1 && cell.fields.at("cfg") == "parallel";
    const bool deep = cell.fields.at("prefetch_size") == 100;
    EXPECT_EQ(!cell.impossible.empty(), odd || deep) << cell.name << ": " << cell.impossible;
    if (!odd && !deep) continue;
    EXPECT_THAT(cell.impossible, HasSubstr(odd ? "even number of ranks" : "prefetch_size")) << cell.name;
  }
  EXPECT_EQ(plan.size(), 8U);
  EXPECT_THAT(plan_sweep(cells("[grid]\nframes = 16"))[0].impossible, HasSubstr("4n+1"));
  EXPECT_THAT(plan_sweep(cells("[grid]\nsize = 100x100"))[0].impossible, HasSubstr("multiples of 16"));
}

std::string row(const std::string& cell, const std::string& more = R"(,"step_s":1.5)") {
  return R"({"cell":")" + cell + "\"" + more + "}";
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

class Shared : public ::testing::Test {
 protected:
  std::string path_of(const std::string& content) const { return folder_.write("s.jsonl", content); }
  std::string refused(const std::string& content) const {
    return user_error_of([&] { SweepFile file(path_of(content)); });
  }
  TemporaryFolder folder_;
};

TEST_F(Shared, RowsThatAreThereNeedNoMeasurement) {
  SweepFile file(path_of(row("a") + "\n" + row("b", R"(,"error":"no")") + "\n"));
  EXPECT_FALSE(file.claim("a"));
  EXPECT_FALSE(file.claim("b"));
  EXPECT_TRUE(file.claim("c"));
}

TEST_F(Shared, ATornLineIsNotBelievedAndIsCutOff) {
  const std::string whole = row("a") + "\n";
  const std::string torn = row("b");
  for (std::size_t bytes = 1; bytes <= torn.size(); ++bytes) {
    const std::string path = path_of(whole + torn.substr(0, bytes));
    SweepFile file(path);
    EXPECT_TRUE(file.claim("b")) << bytes;
    file.append(row("c"));
    EXPECT_THAT(lines_of(path), ElementsAre(row("a"), row("c"))) << bytes;
  }
  // In the middle, as of a file system that lost a piece.
  SweepFile file(path_of(whole + torn.substr(0, 12) + "\n" + std::string(4, '\0') + "\n" + row("d") + "\n"));
  EXPECT_TRUE(file.claim("b"));
  EXPECT_FALSE(file.claim("d"));
}

TEST_F(Shared, AFileOfSomethingElseIsRefusedAndKept) {
  for (const std::string text : {"hello\n", "hello", "{\"a\":1}\n", "1\n", "[]\n"}) {
    EXPECT_THAT(refused(text), AllOf(HasSubstr("no row of a sweep"), Not(HasSubstr("\n")))) << text;
    std::ifstream file(folder_.path() / "s.jsonl");
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
  }
  EXPECT_THAT(user_error_of([&] { SweepFile file(folder_.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(user_error_of([] { SweepFile file("/not/there.jsonl"); }), HasSubstr("No such file"));
  EXPECT_THAT(user_error_of([] { SweepFile file("/dev/null"); }), HasSubstr("no regular file"));
}

TEST_F(Shared, ARowIsOneOfBothStepAndError) {
  SweepFile file(path_of(row("a", R"(,"step_s":1,"error":"x")") + "\n" + row("b", "") + "\n" +
                         row("c", R"(,"step_s":null)") + "\n"));
  for (const char* cell : {"a", "b", "c"}) EXPECT_TRUE(file.claim(cell)) << cell;
}

// Runs `work` in a process of its own, which ends by it.
pid_t in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    work();
  } catch (...) {
    ::_exit(9);
  }
  ::_exit(0);
}

int status_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_F(Shared, AClaimEndsWithItsProcessHoweverThatEnds) {
  const std::string path = path_of("");
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = in_child([&] {
    SweepFile file(path);
    const auto claim = file.claim("a");
    [[maybe_unused]] const auto told = ::write(ready[1], claim ? "y" : "n", 1);
    ::pause();
  });
  char held = 0;
  ASSERT_EQ(::read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  SweepFile file(path);
  EXPECT_FALSE(file.claim("a"));
  EXPECT_TRUE(file.claim("b"));
  ::kill(child, SIGKILL);
  status_of(child);
  EXPECT_TRUE(file.claim("a"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Shared, ManyProcessesMakeEachRowOnce) {
  constexpr int kProcesses = 6;
  constexpr int kCells = 60;
  const std::string path = path_of("");
  const std::string long_text(5000, 'x');
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(in_child([&] {
      SweepFile file(path);
      for (int cell = 0; cell < kCells; ++cell) {
        const std::string name = std::to_string(cell);
        const auto claim = file.claim(name);
        if (!claim) continue;
        file.append(row(name, R"(,"step_s":1,"x":")" + long_text + "\""));
      }
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  std::map<std::string, int> rows;
  for (const std::string& line : lines_of(path))
    ++rows[nlohmann::json::parse(line).at("cell").get<std::string>()];
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(kCells));
  for (const auto& [name, count] : rows) EXPECT_EQ(count, 1) << name;
}

// Each life of one is ended in the middle of its work; the last one finishes.
TEST_F(Shared, NoCellIsLostOrMadeTwiceByProcessesThatAreKilled) {
  constexpr int kCells = 40;
  const std::string path = path_of("");
  const auto work = [&] {
    SweepFile file(path);
    for (int cell = 0; cell < kCells; ++cell) {
      const std::string name = std::to_string(cell);
      if (const auto claim = file.claim(name)) file.append(row(name));
    }
  };
  for (std::size_t wanted = 3; wanted < kCells; wanted += 7) {
    const pid_t child = in_child(work);
    while (lines_of(path).size() < wanted) ::sched_yield();
    ::kill(child, SIGKILL);
    status_of(child);
  }
  EXPECT_EQ(status_of(in_child(work)), 0);
  std::map<std::string, int> rows;
  for (const std::string& line : lines_of(path))
    ++rows[nlohmann::json::parse(line).at("cell").get<std::string>()];
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(kCells));
  for (const auto& [name, count] : rows) EXPECT_EQ(count, 1) << name;
}

// From now on fcntl has no locks in this process, as on a file system without them.
void take_locks_away() {
  const std::uint32_t number = offsetof(seccomp_data, nr);
  const std::uint32_t command = offsetof(seccomp_data, args) + sizeof(std::uint64_t);
  std::vector<sock_filter> rules = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 5),
                                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, command),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_GETLK, 2, 0),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLK, 1, 0),
                                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLKW, 0, 1),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOLCK),
                                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program = {static_cast<unsigned short>(rules.size()), rules.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) ::_exit(77);
}

TEST_F(Shared, AFileSystemWithoutLocksIsRefusedInOneLine) {
  const std::string path = path_of("");
  const int status = status_of(in_child([&] {
    take_locks_away();
    const std::string said = user_error_of([&] { SweepFile file(path); });
    const bool right = said.find("has no locks") != std::string::npos && said.find('\n') == std::string::npos;
    ::_exit(right ? 0 : 1);
  }));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no seccomp filters";
  EXPECT_EQ(status, 0);
}

TEST(Table, TakesRowsThatSomebodyHasEdited) {
  const std::string table =
      table_of({R"({"cell":"a","step_s":1.5,"step_spread":"x","ranks":[],"gpu_bytes":{}})",
                R"({"cell":"b","error":"one\nline","ranks":2,"type":"a\u001bb"})"});
  EXPECT_THAT(table, HasSubstr("1.5000"));
  EXPECT_THAT(table, Not(HasSubstr("one\nline")));
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
}

TEST(Reason, IsInTheRanksLastWords) {
  EXPECT_EQ(reason_in("12:00:00 [1/2] critical: rank 1 on vm: denoise: full"), "rank 1 on vm: denoise: full");
  EXPECT_EQ(reason_in("ferry: no GPU"), "no GPU");
  EXPECT_EQ(reason_in("12:00:00 warning: slow"), "");
}

}  // namespace
}  // namespace ferry::launcher
