// What the self-test's figures decide: the default unless the other is clearly better.
#include "offload/transport/link_probe.h"

#include <gtest/gtest.h>

namespace ferry::offload {
namespace {

TEST(ChooseInterleave, GatedOnlyWhenCopiesClearlySlowAnExchange) {
  EXPECT_EQ(choose_interleave({.exchange_ms = 1, .exchange_beside_ms = 1.1}), Interleave::Free);
  EXPECT_EQ(choose_interleave({.exchange_ms = 1, .exchange_beside_ms = 0.5}), Interleave::Free);
  EXPECT_EQ(choose_interleave({.exchange_ms = 0.07, .exchange_beside_ms = 0.15}), Interleave::Free);
  EXPECT_EQ(choose_interleave({.exchange_ms = 1, .exchange_beside_ms = 1.5}), Interleave::Gated);
  EXPECT_EQ(choose_interleave({.exchange_ms = 1, .exchange_beside_ms = 1.5, .by_copies = true}),
            Interleave::Free);
}

TEST(LinkFigures, ArePrinted) {
  const std::string text = to_text({.alone_gbps = 55.5,
                                    .together_gbps = 20,
                                    .gather_gbps = 200,
                                    .exchange_ms = 1.25,
                                    .exchange_beside_ms = 2.5});
  for (const char* figure : {"55.5", "20 together", "200", "1.25", "2.50"}) {
    EXPECT_NE(text.find(figure), std::string::npos) << text;
  }
}

TEST(LinkFigures, NameTheFastestLinkWhereLinksDiffer) {
  const std::string even = to_text({.together_gbps = 20, .by_rank_gbps = {21, 20}});
  EXPECT_NE(even.find("20 together"), std::string::npos) << even;
  const std::string uneven = to_text({.together_gbps = 20, .by_rank_gbps = {40, 20}});
  EXPECT_NE(uneven.find("20 to 40 together"), std::string::npos) << uneven;
}

}  // namespace
}  // namespace ferry::offload
