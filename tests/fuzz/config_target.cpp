// The target of .cfg files: what is read must be what a second reading of the rules says, and what is refused
// must be wrong by it too.  Then keys and values, as for a run.
#include <stdexcept>

#include "base/error.h"
#include "launcher/options/config_file.h"
#include "launcher/options/config_text.h"
#include "launcher/options/keys.h"
#include "launcher/options/settings.h"
#include "tests/fuzz/config_rules.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"

namespace ferry::fuzz {
namespace {

using Lines = std::vector<ConfigLine>;

const std::string kGood =
    "# how it is made\n[model]\ndtype = bf16 ; half\n[job]\nprompt = \"a #1 blue square; it's new\" # "
    "quoted\n"
    "negative_prompt = it's 'bad' \"and\" ugly\nsize=832x480\n\tsteps\t=\t50\t# many\nout = '~/a b.mp4'\n"
    "fps = 16\nsave = \"x y.safetensors\"\n\n[offload]\ntype = async ;no comment\nmodule_config = "
    "onload_dtype=bf16, offload_device=cpu\n"
    "; end\n[ dit ]\noffload.prefetch_size = 2\n";

std::optional<Lines> parsed(std::string_view text) {
  try {
    Lines lines;
    for (const launcher::ConfigEntry& entry : launcher::parse_config_text(text))
      lines.emplace_back(entry.group, entry.key, entry.value);
    return lines;
  } catch (const UserError&) {
    return {};
  }
}

void read_cfg(std::string_view input) {
  if (parsed(input) != by_the_rules(std::string(input))) throw std::logic_error("not read by the rules");
  worker::Options options;
  const auto groups = launcher::run_keys(options);
  launcher::apply_settings(groups, launcher::parse_config_file(groups, put("x.cfg", input)), options);
}

// The text of a parser's corner cases alone has keys that no run has.
std::vector<std::string> cfg_corpus() { return {kGood, ""}; }

}  // namespace

Target cfg_target() {
  using std::string_view_literals::operator""sv;
  return {"cfg",
          read_cfg,
          cfg_corpus,
          {"#"sv,
           ";"sv,
           " #"sv,
           " ;"sv,
           "\""sv,
           "'"sv,
           "\" "sv,
           "' #"sv,
           "="sv,
           " = "sv,
           "["sv,
           "]"sv,
           "\n"sv,
           "\r"sv,
           "\r\n"sv,
           " "sv,
           "\t"sv,
           "\v"sv,
           "\f"sv,
           "\\"sv,
           "\xef\xbb\xbf"sv,
           "\xff\xfe"sv,
           "\0"sv,
           "\xc3\xa9"sv,
           "\xe9"sv,
           "[job]\n"sv,
           "[offload]\n"sv,
           "\nk="sv,
           "\nsteps = "sv,
           "\nsize = "sv,
           "\nmodule_config = "sv,
           "\nseed = -1\n"sv,
           "nan"sv,
           "1e308"sv,
           "true"sv,
           "async"sv,
           "99999999999999999999"sv}};
}

}  // namespace ferry::fuzz
