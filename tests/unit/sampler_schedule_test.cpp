#include "model/sampler/schedule.h"

#include <gmock/gmock.h>

#include <sstream>

namespace ferry::model {
namespace {

using ::testing::ElementsAreArray;

std::vector<double> numbers(const char* text) {
  std::istringstream stream(text);
  std::vector<double> values;
  for (double value = 0; stream >> value;) values.push_back(value);
  return values;
}

// Tables of wan21.md section 6.1.
struct Table {
  int steps;
  double shift;
  const char* timesteps;
};

class UnipcTable : public ::testing::TestWithParam<Table> {};

TEST_P(UnipcTable, TimestepsAreThoseOfTheReference) {
  const Schedule schedule = unipc_schedule(GetParam().steps, GetParam().shift);
  EXPECT_THAT(schedule.timesteps, ElementsAreArray(numbers(GetParam().timesteps)));
  EXPECT_EQ(schedule.sigmas.size(), schedule.timesteps.size() + 1);
  EXPECT_EQ(schedule.sigmas.back(), 0.0f);
}

INSTANTIATE_TEST_SUITE_P(
    Official, UnipcTable,
    ::testing::Values(
        Table{50, 5,
              "999 995 991 987 982 978 973 968 963 957 952 946 940 934 927 920 913 906 898 890 882 "
              "873 863 854 843 833 821 809 796 783 768 753 737 720 701 681 660 636 611 584 555 522 "
              "487 448 405 356 302 241 172 92"},
        Table{50, 3,
              "999 992 985 978 971 963 956 948 939 931 922 913 904 894 884 874 864 853 841 829 817 "
              "805 792 778 764 749 734 718 701 684 666 647 627 606 585 562 538 512 486 458 428 396 "
              "363 327 290 249 206 160 111 57"},
        Table{50, 8,
              "999 997 994 991 989 986 983 979 976 973 969 965 961 957 953 948 944 939 934 928 922 "
              "916 910 903 896 888 880 871 862 852 841 830 817 804 789 773 756 737 716 692 666 636 "
              "603 565 521 470 409 337 249 140"},
        Table{40, 5,
              "999 994 989 983 978 972 965 959 952 944 937 929 920 911 902 892 882 870 859 846 833 "
              "818 803 786 768 749 728 706 681 654 624 591 555 514 468 416 356 288 208 113"},
        Table{40, 3,
              "999 991 982 973 963 954 944 933 922 911 899 887 874 861 847 832 817 801 785 767 749 "
              "730 710 688 666 642 617 590 562 531 499 465 428 388 345 299 249 195 136 71"},
        Table{40, 12,
              "999 997 995 993 990 988 985 982 979 976 972 969 965 961 956 952 947 941 936 929 922 "
              "915 907 898 888 877 865 852 837 819 799 776 749 717 678 631 571 492 386 235"},
        Table{4, 5, "999 937 833 624"}, Table{6, 3, "999 937 856 749 599 374"}));

TEST(UnipcSchedule, SigmasAreThoseOfTheReference) {
  const Schedule fifty = unipc_schedule(50, 5);
  EXPECT_FLOAT_EQ(fifty.sigmas[0], 0.9997998476f);
  EXPECT_FLOAT_EQ(fifty.sigmas[1], 0.9957323670f);
  EXPECT_FLOAT_EQ(fifty.sigmas[49], 0.0925068557f);
  EXPECT_FLOAT_EQ(unipc_schedule(50, 3).sigmas[0], 0.9996664524f);
  EXPECT_THAT(unipc_schedule(4, 5).sigmas,
              ElementsAreArray({0.9997998476f, 0.9372654557f, 0.8330553770f, 0.6246873736f, 0.0f}));
}

TEST(DpmppSchedule, StartsAtExactlyOneWithTheTimestepsOfTheReference) {
  const Schedule schedule = dpmpp_schedule(50, 5);
  EXPECT_EQ(schedule.sigmas[0], 1.0f);
  EXPECT_EQ(schedule.sigmas.back(), 0.0f);
  EXPECT_THAT(schedule.timesteps,
              ElementsAreArray(numbers(
                  "1000 995 991 987 982 978 973 968 963 957 952 946 940 934 927 921 913 906 898 890 882 873 "
                  "864 854 844 833 821 809 797 783 769 753 737 720 701 681 660 637 612 585 555 523 487 448 "
                  "405 357 303 241 172 92")));
  EXPECT_THAT(dpmpp_schedule(4, 5).timesteps, ElementsAreArray({1000.0, 937.0, 833.0, 625.0}));
  EXPECT_THAT(dpmpp_schedule(6, 3).timesteps, ElementsAreArray({1000.0, 937.0, 857.0, 750.0, 600.0, 375.0}));
}

TEST(EulerSchedule, KeepsTheFractionOfTimesteps) {
  const Schedule schedule = euler_schedule(4, 5);
  EXPECT_THAT(schedule.sigmas, ElementsAreArray(dpmpp_schedule(4, 5).sigmas));
  EXPECT_DOUBLE_EQ(schedule.timesteps[1], 937.5);
  EXPECT_NEAR(schedule.timesteps[2], 833.0 + 1.0 / 3, 1e-9);
}

TEST(DistillSchedule, FourStepsAreTheTrainedOnes) {
  const Schedule schedule = distill_schedule(4, 5);
  EXPECT_THAT(schedule.sigmas, ElementsAreArray({1.0f, 0.9375f, 0.8333333f, 0.625f, 0.0f}));
  EXPECT_THAT(schedule.timesteps,
              ::testing::Pointwise(::testing::DoubleNear(1e-9), {1000.0, 937.5, 2500.0 / 3, 625.0}));
  EXPECT_THROW(distill_schedule(3, 5), std::invalid_argument);
}

TEST(Schedules, FallStrictlyOverTheWholeAcceptedRange) {
  // Equal neighbours would make the multistep solvers divide zero by zero.
  for (auto* make : {unipc_schedule, dpmpp_schedule, euler_schedule, distill_schedule}) {
    for (const double shift : {0.001, 0.5, 1.0, 5.0, 1000.0}) {
      for (const int steps : {1, 2, 50, 1000}) {
        const auto sigmas = make(steps, shift).sigmas;
        for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) {
          ASSERT_GT(sigmas[i], sigmas[i + 1]) << "shift " << shift << " steps " << steps << " at " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ferry::model
