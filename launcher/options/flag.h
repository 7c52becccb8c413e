// An option of a command: what it is called, what help says, and where its value goes.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ferry::launcher {

struct Flag {
  std::string key;         // as in a .cfg file, "job.prompt"; also a flag, "--job.prompt"
  std::string short_form;  // the flag that help shows, "prompt"; empty: only the key
  std::string value_name;  // "TEXT"
  std::string help;
  std::string default_text = {};  // what holds when it is not given; empty: nothing to say
  bool is_switch = false;         // "--overwrite" alone means "true"
  // Stores the value.  Throws UserError (through launcher/options/value.h) naming `flag` as the user wrote
  // it.
  std::function<void(const std::string& flag, const std::string& value)> set = {};
};

struct FlagGroup {
  std::string title;  // "[job]"
  std::vector<Flag> flags;
  bool listed = true;  // false: help prints the title alone
};

// One value that somebody gave.
struct Setting {
  const Flag* flag = nullptr;
  std::string written;  // "--prompt", "wan.cfg: job.prompt": how messages name it
  std::string value;
};

}  // namespace ferry::launcher
