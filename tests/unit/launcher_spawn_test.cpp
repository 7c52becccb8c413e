#include "launcher/process/spawn.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace ferry::launcher {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::Pair;

TEST(Spawn, RanksGetEveryWordAsItIs) {
  // What looks like -n may be a value.
  const Launch launch =
      plan_launch("f", {"generate", "--negative_prompt", "-no text", "--seed=3", "-n", "2"}, 2, 8);
  const std::vector<std::string> words(launch.words.begin() + 6, launch.words.end());
  EXPECT_THAT(words, ElementsAre("f", "generate", "--negative_prompt", "-no text", "--seed=3", "-n", "2"));
}

TEST(Spawn, RanksAreUnboundAndShareTheCores) {
  ::unsetenv("OMP_NUM_THREADS");
  const Launch launch = plan_launch("/bin/ferry", {"demo"}, 3, 8);
  EXPECT_THAT(launch.words,
              ElementsAre("mpirun", "--bind-to", "none", "--oversubscribe", "-n", "3", "/bin/ferry", "demo"));
  EXPECT_THAT(launch.variables, Contains(Pair("OMP_NUM_THREADS", "2")));
  EXPECT_THAT(plan_launch("f", {}, 4, 2).variables, Contains(Pair("OMP_NUM_THREADS", "1")));
}

TEST(Spawn, RanksStayOnThisMachineUnlessTheUserSaysWhereSlotsComeFrom) {
  ::unsetenv("OMPI_MCA_ras");
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables,
              Contains(Pair("OMPI_MCA_ras", ::testing::HasSubstr("slurm"))));
  ::setenv("OMPI_MCA_ras", "slurm", 1);
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables, Not(Contains(Pair("OMPI_MCA_ras", ::testing::_))));
  ::unsetenv("OMPI_MCA_ras");
}

TEST(Spawn, MpirunIsQuietUnlessTheUserSaysOtherwise) {
  ::unsetenv("OMPI_MCA_orte_execute_quiet");
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables, Contains(Pair("OMPI_MCA_orte_execute_quiet", "1")));
  ::setenv("OMPI_MCA_orte_execute_quiet", "0", 1);
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables,
              Not(Contains(Pair("OMPI_MCA_orte_execute_quiet", ::testing::_))));
  ::unsetenv("OMPI_MCA_orte_execute_quiet");
}

TEST(Spawn, AThreadCountThatIsSetIsKept) {
  ::setenv("OMP_NUM_THREADS", "5", 1);
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables, Not(Contains(Pair("OMP_NUM_THREADS", ::testing::_))));
  ::unsetenv("OMP_NUM_THREADS");
}

}  // namespace
}  // namespace ferry::launcher
