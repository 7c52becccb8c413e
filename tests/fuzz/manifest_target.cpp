// The target of manifests: JSON lines with keys of a job.
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "launcher/options/manifest.h"
#include "tests/fuzz/target.h"

namespace ferry::fuzz {
namespace {

const std::string kGood =
    "{\"id\": \"cat\", \"prompt\": \"a cat\", \"seed\": 1, \"size\": \"64x32\", \"overwrite\": true}\n"
    "\n"
    "{\"prompt\": \"\\u00e9\", \"guidance\": 2.5, \"frames\": 5, \"out\": \"a/b.mp4\", \"save\": "
    "\"x.st\"}\r\n"
    "{\"id\": 7, \"job.steps\": 3, \"negative_prompt\": \"\", \"noise\": \"n.st\", \"promt\": \"y\"}\n";

bool is_one_line(const std::string& text) {
  return !text.empty() && text.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos;
}

void check(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void read_manifest(std::string_view input) {
  std::set<std::string> stems;
  int line = 0;
  for (const worker::BatchItem& item : launcher::parse_manifest(input, "m.jsonl", {})) {
    check(item.line > line, "lines in another order");
    line = item.line;
    check(item.error.empty() || is_one_line(item.error), "an error that is not one line");
    check(is_one_line(title_of(item)), "a title that is not one line");
    check(!nlohmann::json::parse(item.id).is_discarded(), "an id that is no JSON");
    const std::string stem = stem_of(item.job);
    check(stems.insert(stem).second, "two items of one name");
    check(!item.job.out.empty() || !item.job.name.empty(), "no name");
    check(item.job.name.find('/') == std::string::npos && !item.job.name.starts_with('.'),
          "a name that leads elsewhere");
    check(stem.find('\0') == std::string::npos, "a zero byte in a path");
  }
  check(line > 0, "no item");
}

std::vector<std::string> manifest_corpus() {
  return {kGood, "\xEF\xBB\xBF{\"prompt\": \"x\"}", "{}\n{\"id\": null, \"size\": []}\n"};
}

}  // namespace

Target manifest_target() {
  return {"manifest",
          read_manifest,
          manifest_corpus,
          {"{",
           "}",
           "\n",
           "\r\n",
           "\"id\":",
           "\"out\":",
           "\"../x\"",
           "\"a.mp4\"",
           "\"./a.y4m\"",
           "\"\\u0000\"",
           "\"\\n\"",
           "\"seed\":",
           "\"size\":",
           "\"prompt\":",
           "null",
           "true",
           "[",
           "]",
           "1e400",
           "-1",
           "\"\"",
           "\"\\ud800\"",
           "99999999999999999999",
           "\"save\":",
           "\"name\":",
           ",",
           ":",
           "\"latents\":",
           "\"x\""}};
}

}  // namespace ferry::fuzz
