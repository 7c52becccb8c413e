// parallel/mesh.h, parallel/binding.h and parallel/mpi/environment.h: what one process can
// decide alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "parallel/binding.h"
#include "parallel/mesh.h"
#include "parallel/mpi/alone.h"
#include "parallel/mpi/environment.h"
#include "parallel/single_group.h"

namespace ferry::parallel {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Call>
std::string user_error(Call&& call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal(const Options& options, int ranks, int heads) {
  return user_error([&] { make_mesh(options, ranks, 0, heads); });
}

TEST(Mesh, AllRanksBecomeUlyssesUnlessToldOtherwise) {
  const Mesh mesh = make_mesh({}, 4, 3, 12);
  EXPECT_EQ(mesh.ulysses, 4);
  EXPECT_EQ(mesh.cfg, 1);
  EXPECT_EQ(mesh.data, 1);
  EXPECT_EQ(mesh.ulysses_index, 3);
  EXPECT_EQ(make_mesh({}, 1, 0, 12).size(), 1);
}

TEST(Mesh, RanksOfOneSequenceGroupAreConsecutive) {
  const Options options = {.ulysses = 3, .cfg = CfgMode::Parallel, .data = 2};
  for (int rank = 0; rank < 12; ++rank) {
    const Mesh mesh = make_mesh(options, 12, rank, 12);
    EXPECT_EQ((mesh.data_index * mesh.cfg + mesh.cfg_index) * mesh.ulysses + mesh.ulysses_index, rank);
    EXPECT_EQ(mesh.data_index, rank / 6);
    EXPECT_EQ(mesh.cfg_index, rank / 3 % 2);
  }
}

TEST(Mesh, WhatIsLeftGoesToTheDegreeThatIsZero) {
  EXPECT_EQ(make_mesh({.ulysses = 0, .cfg = CfgMode::Parallel, .data = 2}, 16, 0, 12).ulysses, 4);
  EXPECT_EQ(make_mesh({.ulysses = 2, .cfg = CfgMode::Serial, .data = 0}, 8, 0, 12).data, 4);
  EXPECT_EQ(make_mesh({.ulysses = 2, .cfg = CfgMode::Parallel, .data = 0}, 8, 0, 12).data, 2);
}

TEST(Mesh, GroupsAreGivenOrWhatIsLeft) {
  EXPECT_EQ(groups_of({}, 4), 1);
  EXPECT_EQ(groups_of({.data = 2}, 4), 2);
  EXPECT_EQ(groups_of({.ulysses = 2, .data = 0}, 8), 4);
  EXPECT_EQ(groups_of({.ulysses = 2, .cfg = CfgMode::Parallel, .data = 0}, 8), 2);
  EXPECT_NE(user_error([] { groups_of({.data = 3}, 4); }), "");
  EXPECT_NE(user_error([] { groups_of({.ulysses = 3, .data = 0}, 4); }), "");
  EXPECT_NE(user_error([] { groups_of({.ulysses = 0, .data = 0}, 4); }), "");
  EXPECT_NE(user_error([] { groups_of({.data = -1}, 4); }), "");
}

TEST(Mesh, RefusesDegreesThatAreNotTheRanks) {
  EXPECT_THAT(refusal({.ulysses = 3}, 4, 12), AllOf(HasSubstr("3 ranks"), HasSubstr("4 were started")));
  EXPECT_THAT(refusal({.ulysses = 2, .data = 3}, 4, 12), HasSubstr("6 ranks"));
  EXPECT_THAT(refusal({.ulysses = 0, .data = 3}, 4, 12), AllOf(HasSubstr("4 ranks"), HasSubstr("3")));
  EXPECT_THAT(refusal({.ulysses = 3, .data = 0}, 4, 12), HasSubstr("parallel.data"));
  EXPECT_THAT(refusal({.ulysses = 0, .data = 0}, 4, 12), HasSubstr("only one"));
  EXPECT_THAT(refusal({.ulysses = -2}, 4, 12), AllOf(HasSubstr("parallel.ulysses"), HasSubstr("-2")));
  EXPECT_THAT(refusal({.data = -1}, 4, 12), HasSubstr("parallel.data"));
}

TEST(Mesh, RefusesGuidanceBranchesOnAnOddNumberOfRanks) {
  EXPECT_THAT(refusal({.cfg = CfgMode::Parallel}, 3, 12), AllOf(HasSubstr("even"), HasSubstr("3")));
  EXPECT_THAT(refusal({.cfg = CfgMode::Parallel}, 1, 12), HasSubstr("even"));
}

TEST(Mesh, TakesRanksThatDoNotDivideTheHeads) {
  for (const auto& [ranks, heads] : {std::pair{5, 12}, {7, 12}, {8, 12}, {12, 12}, {3, 40}, {6, 40}}) {
    EXPECT_EQ(make_mesh({}, ranks, 0, heads).ulysses, ranks);
  }
  EXPECT_EQ(make_mesh({.cfg = CfgMode::Parallel}, 10, 0, 12).ulysses, 5);
}

TEST(Mesh, CountsWhatExchangesSendFromNodeToNode) {
  EXPECT_EQ(crossings(std::vector{0, 0, 0, 0}, 4), 0);
  EXPECT_EQ(crossings(std::vector{0, 0, 1, 1}, 2), 0) << "each group is inside a node";
  EXPECT_EQ(crossings(std::vector{0, 1}, 2), 0.5);
  EXPECT_EQ(crossings(std::vector{0, 1, 2, 3}, 4), 0.75);
  EXPECT_EQ(crossings(std::vector{0, 0, 1, 1}, 4), 0.5);
  EXPECT_EQ(crossings(std::vector{0, 0, 1}, 3), 4.0 / 9);
  EXPECT_EQ(crossings(std::vector{0, 0, 0, 1}, 2), 0.5) << "one group of two";
  EXPECT_EQ(crossings(std::vector{0, 1, 2, 3}, 2), 1) << "each of two groups";
  EXPECT_EQ(crossings({}, 4), 0);
}

TEST(Nodes, AreReadFromAList) {
  EXPECT_EQ(made_up_node("0,1,0,2", 1), 1);
  EXPECT_EQ(made_up_node("0,1,0,2", 2), 0);
  EXPECT_EQ(made_up_node("0,1,0,2", 3), 2);
  EXPECT_EQ(made_up_node("0,1", 2), 0);
  EXPECT_EQ(made_up_node("", 0), 0);
  EXPECT_THROW(made_up_node("a,b", 1), std::invalid_argument);
}

TEST(Mesh, RefusesMoreUlyssesRanksThanHeadsAndNamesWhatWorks) {
  EXPECT_EQ(refusal({}, 5, 4), "4 attention heads are too few for 5 Ulysses ranks; start 4 or 3 ranks");
  EXPECT_EQ(refusal({}, 16, 12),
            "12 attention heads are too few for 16 Ulysses ranks; "
            "use --cfg parallel (ulysses 8, with guidance), or start 12 or 11 ranks");
  EXPECT_EQ(refusal({.cfg = CfgMode::Parallel}, 26, 12),
            "12 attention heads are too few for 13 Ulysses ranks; start 24 or 22 ranks");
  EXPECT_EQ(refusal({}, 2, 1),
            "1 attention heads are too few for 2 Ulysses ranks; "
            "use --cfg parallel (ulysses 1, with guidance), or start 1 rank");
  EXPECT_EQ(refusal({.data = 2}, 32, 12),
            "12 attention heads are too few for 16 Ulysses ranks; "
            "use --cfg parallel (ulysses 8, with guidance), or start 24 or 22 ranks");
  EXPECT_EQ(refusal({.ulysses = 2}, 4, 12),
            "data 1 x cfg 1 x ulysses 2 are 2 ranks, but 4 were started; use --cfg paired (ulysses 4) or "
            "--cfg parallel (ulysses 2, with guidance), or start 3 or 2 ranks");
  EXPECT_EQ(refusal({.cfg = CfgMode::Parallel}, 1, 12),
            "parallel.cfg = parallel needs an even number of ranks, not 1; use --cfg paired (ulysses 1)");
  EXPECT_EQ(refusal({}, 4, 12), "accepted");
}

// A refusal that sends its reader into the next one is worse than none.
TEST(Mesh, WhatARefusalNamesIsAccepted) {
  const std::regex way("--cfg (paired|parallel) .ulysses ([0-9]+)[,)]");
  const std::regex counts("start ([0-9]+)( or ([0-9]+))?");
  for (const int heads : {1, 4, 12, 40}) {
    for (int ranks = 1; ranks <= 90; ++ranks) {
      for (const CfgMode mode : {CfgMode::Auto, CfgMode::Parallel}) {
        const std::string text = refusal({.cfg = mode}, ranks, heads);
        if (text == "accepted") continue;
        for (std::sregex_iterator each(text.begin(), text.end(), way), end; each != end; ++each) {
          const CfgMode named = (*each)[1] == "parallel" ? CfgMode::Parallel : CfgMode::Paired;
          EXPECT_EQ(refusal({.ulysses = std::stoi((*each)[2]), .cfg = named}, ranks, heads), "accepted")
              << text;
        }
        std::smatch found;
        if (!std::regex_search(text, found, counts)) {
          EXPECT_THAT(text, HasSubstr("use ")) << "nothing is named";
          continue;
        }
        EXPECT_EQ(refusal({.cfg = mode}, std::stoi(found[1]), heads), "accepted") << text;
        if (found[3].matched) {
          EXPECT_EQ(refusal({.cfg = mode}, std::stoi(found[3]), heads), "accepted") << text;
        }
      }
    }
  }
}

TEST(Mesh, TheUlyssesDegreeThatIsLeft) {
  EXPECT_EQ(ulysses_left(8, 1, 40), 8);
  EXPECT_EQ(ulysses_left(8, 1, 12), 8);
  EXPECT_EQ(ulysses_left(8, 2, 12), 4);
  EXPECT_EQ(ulysses_left(7, 2, 12), 0) << "branches on halves of an odd number";
  EXPECT_EQ(ulysses_left(16, 1, 12), 0) << "more ranks than heads";
}

VisibleGpus sees(int rank, std::vector<std::string> uuids) {
  return {.rank = rank, .uuids = std::move(uuids)};
}

std::string binding_refusal(const std::vector<VisibleGpus>& node) {
  return user_error([&] { assign_gpus(node); });
}

TEST(Binding, RanksThatSeeAllGpusTakeTheirIndexOnTheNode) {
  const std::vector<std::string> all = {"a", "b", "c"};
  EXPECT_THAT(assign_gpus(std::vector{sees(4, all), sees(5, all), sees(6, all)}), ElementsAre(0, 1, 2));
  EXPECT_THAT(assign_gpus(std::vector{sees(0, all)}), ElementsAre(0));
}

TEST(Binding, ARankThatSeesOneGpuTakesIt) {
  EXPECT_THAT(assign_gpus(std::vector{sees(0, {"b"}), sees(1, {"a"})}), ElementsAre(0, 0));
}

TEST(Binding, AnOrderOfTheUsersIsKept) {
  // CUDA_VISIBLE_DEVICES=2,0 on every rank: index 0 is GPU c.
  const std::vector<std::string> reordered = {"c", "a"};
  EXPECT_THAT(assign_gpus(std::vector{sees(0, reordered), sees(1, reordered)}), ElementsAre(0, 1));
}

TEST(Binding, TwoRanksNeverShareAGpu) {
  EXPECT_THAT(binding_refusal({sees(2, {"gpu-a"}), sees(3, {"gpu-a"})}),
              AllOf(HasSubstr("ranks 2 and 3"), HasSubstr("gpu-a")));
  // Different views that meet in one GPU: index 0 of the first, index 1 of the second.
  EXPECT_THAT(binding_refusal({sees(0, {"b", "a"}), sees(1, {"a", "b"})}), HasSubstr("ranks 0 and 1"));
}

TEST(Binding, RefusesMoreRanksThanGpusAndRanksWithoutOne) {
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_THAT(binding_refusal({sees(0, two), sees(1, two), sees(2, two)}),
              AllOf(HasSubstr("3 ranks"), HasSubstr("2 GPUs"), HasSubstr("rank 2")));
  EXPECT_THAT(binding_refusal({sees(0, {"a"}), sees(1, {})}),
              AllOf(HasSubstr("rank 1"), HasSubstr("no GPU")));
}

TEST(Binding, ThreadsShareTheCores) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_EQ(threads_per_rank(16, 4), 4);
  EXPECT_EQ(threads_per_rank(2, 4), 1);
  EXPECT_EQ(threads_per_rank(3, 2), 1);
}

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(IsRank, KnowsMpirunAndPmix) {
  EXPECT_TRUE(is_rank(environment({{"OMPI_COMM_WORLD_RANK", "0"}})));
  EXPECT_TRUE(is_rank(environment({{"PMIX_RANK", "3"}})));
  EXPECT_TRUE(is_rank(environment({{"PMIX_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}})));
  EXPECT_TRUE(is_rank(environment({{"OMPI_COMM_WORLD_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})));
}

TEST(IsRank, ATaskThatMpiDoesNotKnowOrAShellInAStepIsNone) {
  EXPECT_FALSE(is_rank(environment({{"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}})));
  EXPECT_FALSE(is_rank(environment({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})));
}

TEST(StartedTogether, IsWhatTheFirstVariableAboveOneSays) {
  const auto hydra = started_together(environment({{"PMI_SIZE", "4"}, {"MPI_LOCALNRANKS", "2"}}));
  ASSERT_TRUE(hydra);
  EXPECT_EQ(hydra->variable, "PMI_SIZE");
  EXPECT_EQ(hydra->processes, 4);
  EXPECT_EQ(started_together(environment({{"SLURM_STEP_NUM_TASKS", "1"}, {"WORLD_SIZE", "8"}}))->processes,
            8);
  EXPECT_FALSE(
      started_together(environment({{"SLURM_NTASKS", "8"}, {"PMI_SIZE", "1"}, {"WORLD_SIZE", "x"}})));
}

TEST(LeaveStep, TakesTheStepOutAndLeavesTheJobAndSettings) {
  for (const char* name :
       {"SLURM_STEP_ID", "SLURM_STEPID", "PMI_FD", "PMIX_RANK", "SLURM_JOB_ID", "PMIX_MCA_psec"}) {
    ::setenv(name, "1", 1);
  }
  leave_step();
  for (const char* name : {"SLURM_STEP_ID", "SLURM_STEPID", "PMI_FD", "PMIX_RANK"}) {
    EXPECT_EQ(::getenv(name), nullptr) << name;
  }
  for (const char* name : {"SLURM_JOB_ID", "PMIX_MCA_psec"}) {
    EXPECT_NE(::getenv(name), nullptr) << name;
    ::unsetenv(name);
  }
}

TEST(IsRank, ABatchScriptIsNone) {
  EXPECT_FALSE(is_rank(environment({})));
  EXPECT_FALSE(is_rank(environment({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}})));
  EXPECT_FALSE(is_rank(environment({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}})));
}

TEST(SingleGroup, CopiesToItself) {
  const auto device = make_cpu_device();
  const auto group = make_single_group();
  EXPECT_EQ(group->size(), 1);
  const std::vector<int> send = {1, 2, 3};
  std::vector<int> recv(3);
  group->all_to_all(recv.data(), send.data(), 12, device->compute());
  EXPECT_EQ(recv, send);
  recv.assign(3, 0);
  group->all_gather(recv.data(), send.data(), 12, device->compute());
  EXPECT_EQ(recv, send);
  group->all_gather(recv.data(), recv.data(), 12, device->compute());
  group->broadcast(recv.data(), 12, 0, device->compute());
  EXPECT_EQ(recv, send);
  EXPECT_THROW(group->broadcast(recv.data(), 12, 1, device->compute()), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::parallel
