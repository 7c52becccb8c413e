// More cases, against ftfy itself, are in tests/parity/text_parity.py.
#include "model/text/clean.h"

#include <gtest/gtest.h>

#include "model/text/entities.h"
#include "model/text/prompts.h"
#include "model/text/unicode.h"

namespace ferry::model {
namespace {

std::string u8(const char8_t* text) { return reinterpret_cast<const char*>(text); }

TEST(CleanPrompt, LeavesPlainTextAlone) {
  EXPECT_EQ(clean_prompt("A cat, running (fast) & far - \"yes\"!"), "A cat, running (fast) & far - \"yes\"!");
  EXPECT_EQ(clean_prompt(""), "");
  EXPECT_EQ(clean_prompt(u8(u8"你好世界 🐈‍⬛")), u8(u8"你好世界 🐈‍⬛"));
}

TEST(CleanPrompt, FoldsTheCommasOfTheDefaultNegativePrompt) {
  const std::string cleaned = clean_prompt(std::string(kWanNegativePrompt));
  EXPECT_EQ(cleaned.find(u8(u8"，")), std::string::npos);
  EXPECT_EQ(cleaned.substr(0, 13), u8(u8"色调艳丽,"));
}

TEST(CleanPrompt, CollapsesEveryKindOfWhiteSpace) {
  EXPECT_EQ(clean_prompt(" \t a\r\n\r\nb \u00a0\u2003c\u3000 d\u2028e\f "), "a b c d e");
}

TEST(CleanPrompt, FoldsWidthsQuotesAndLigatures) {
  EXPECT_EQ(clean_prompt("\uff2c\uff2f\uff35\uff24\u3000\uff4e\uff4f\uff49\uff53\uff45"), "LOUD noise");
  EXPECT_EQ(clean_prompt("\uff76\uff9e"), "\u30ac");  // half-width KA and its mark compose
  EXPECT_EQ(clean_prompt("\u201cit\u2019s\u201d \u201bx\u02bc"), "\"it's\" 'x'");
  EXPECT_EQ(clean_prompt("\ufb02u\ufb03est \u01c4 \ufb05"), "fluffiest D\u017d \u017ft");
}

TEST(CleanPrompt, RemovesControlsAndTerminalEscapes) {
  EXPECT_EQ(clean_prompt("\x1b[1;31mred\x1b[0m\x01\x7f\ufeff hat\ufffc"), "red hat");
  EXPECT_EQ(clean_prompt(std::string("a\0b", 3)), "ab");
}

TEST(CleanPrompt, ReadsC1ControlsAsWindows1252) {
  EXPECT_EQ(clean_prompt("\u0093quoted\u0094 \u0085"), "\"quoted\" \u2026");
}

TEST(CleanPrompt, ComposesCharacters) {
  EXPECT_EQ(clean_prompt("e\u0301 A\u030a \u1112\u1161\u11ab"), "\u00e9 \u00c5 \ud55c");
}

TEST(CleanPrompt, UnescapesUntilNothingIsLeft) {
  EXPECT_EQ(clean_prompt("Caf&eacute; &amp;amp;amp; tea &#x1F408; &#8364;5"),
            "Caf\u00e9 & tea \U0001f408 \u20ac5");
  EXPECT_EQ(clean_prompt("P&EACUTE;REZ BUNDESSTRA&SZLIG;E"), "P\u00c9REZ BUNDESSTRASSE");
  EXPECT_EQ(clean_prompt("this&not that &ampx AT&T"), "this\u00ac that &x AT&T");
}

TEST(CleanPrompt, OfNothingThatCanBeSeenIsBlank) {
  for (const char* prompt :
       {"", " \t\r\n\f\v", "\u00a0", "\u3000", "\u2003\u2009\u202f\u205f\u1680", "\u2028\u2029",
        "\u0085\u001c", "\u200b\u200c\u200d\u2060", "\ufeff", "\u00ad\u180e", "\u202a\u2066\u2069",
        "\x01\x7f", "\x1b[31m\x1b[0m", "&nbsp;&#32; &ZeroWidthSpace;", "&amp;nbsp;", "\u3164\u115f\uffa0",
        "\ufe0f\u034f", "\u2800", "\U000e0020\U000e0100"}) {
    EXPECT_TRUE(is_blank_prompt(prompt)) << prompt;
  }
  for (const char* prompt :
       {"a", "\u3000a", ".", "\u4f60", "\U0001f408\u200d\u2b1b", "&lt;", "\ufffd", "0"}) {
    EXPECT_FALSE(is_blank_prompt(prompt)) << prompt;
  }
}

TEST(Unicode, TheFirstByteThatIsNotUtf8IsFound) {
  EXPECT_EQ(first_not_utf8("caf\u00e9 \U0001f408"), std::string_view::npos);
  EXPECT_EQ(first_not_utf8(""), std::string_view::npos);
  EXPECT_EQ(first_not_utf8("caf\xe9"), 3U);
  EXPECT_EQ(first_not_utf8("a\xc3"), 1U);               // cut short
  EXPECT_EQ(first_not_utf8("\u00e9\xed\xa0\x80"), 2U);  // a surrogate
  EXPECT_EQ(first_not_utf8("\xc0\x80"), 0U);            // longer than it need be
  EXPECT_EQ(first_not_utf8("\xf4\x90\x80\x80"), 0U);    // above U+10FFFF
}

TEST(CleanPrompt, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(clean_prompt("a\xff\xc3 b\xed\xa0\x80"), "a\ufffd\ufffd b\ufffd\ufffd\ufffd");
}

TEST(Entities, HtmlStopsRepairOfClosedOnesOnly) {
  // From the line with '<' on, only the two final rounds of unescaping are left.
  EXPECT_EQ(clean_prompt("&amp;amp;amp;amp;\n<b>&amp;amp;amp;amp;"), "& <b>&amp;amp;");
}

TEST(Entities, NumbersOfNoCharacter) {
  EXPECT_EQ(unescape_html(U"&#0;&#xD800;&#x110000;&#99999999999999;"), U"\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(unescape_html(U"&#1;&#xFFFE;&#xfdd0;|"), U"|");
  EXPECT_EQ(unescape_html(U"&#x93;&#;&#x;&"), U"\u201c&#;&#x;&");
}

TEST(Entities, ClosedOnesNeedTheSemicolonAndKeepIt) {
  EXPECT_EQ(unescape_closed(U"&amp &amp; &#59; &#38; &unknown; &;"), U"&amp & &#59; & &unknown; &;");
  EXPECT_EQ(unescape_closed(U"&NotEqualTilde;&nTILDE;"), U"\u2242\u0338&nTILDE;");
}

TEST(Unicode, Utf8RoundTripsAndRefusesSurrogates) {
  EXPECT_EQ(to_utf8(from_utf8("a\u00e9\u4f60\U0001f408")), "a\u00e9\u4f60\U0001f408");
  EXPECT_THROW(to_utf8(std::u32string(1, 0xd800)), std::invalid_argument);
}

}  // namespace
}  // namespace ferry::model
