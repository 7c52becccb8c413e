#include "launcher/spawn.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace ferry::launcher {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::Pair;

TEST(Spawn, EveryWayToSayRanksIsTakenOutAndNothingElse) {
  EXPECT_THAT(without_ranks({"generate", "-n", "2", "--prompt", "n 3"}),
              ElementsAre("generate", "--prompt", "n 3"));
  EXPECT_THAT(without_ranks({"generate", "-n2", "--noise", "f"}), ElementsAre("generate", "--noise", "f"));
  EXPECT_THAT(without_ranks({"--ranks", "2", "x"}), ElementsAre("x"));
  EXPECT_THAT(without_ranks({"--ranks=2", "--negative_prompt="}), ElementsAre("--negative_prompt="));
}

TEST(Spawn, RanksAreUnboundAndShareTheCores) {
  ::unsetenv("OMP_NUM_THREADS");
  const Launch launch = plan_launch("/bin/ferry", {"demo", "-n", "3"}, 3, 8);
  EXPECT_THAT(launch.words, ElementsAre("mpirun", "--quiet", "--bind-to", "none", "--oversubscribe", "-n",
                                        "3", "/bin/ferry", "demo"));
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

TEST(Spawn, AThreadCountThatIsSetIsKept) {
  ::setenv("OMP_NUM_THREADS", "5", 1);
  EXPECT_THAT(plan_launch("f", {}, 2, 8).variables, Not(Contains(Pair("OMP_NUM_THREADS", ::testing::_))));
  ::unsetenv("OMP_NUM_THREADS");
}

}  // namespace
}  // namespace ferry::launcher
