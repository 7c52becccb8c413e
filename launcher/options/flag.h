// An option of a command: name, help, and the destination of its value.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ferry::launcher {

struct Flag {
  std::string key;         // as in a .cfg file, "job.prompt"; also a flag, "--job.prompt"
  std::string short_form;  // the flag shown in help, "prompt"; empty: only the key
  std::string value_name;  // "TEXT"
  std::string help;
  std::string default_text = {};  // the default; empty: not shown
  bool is_switch = false;         // "--overwrite" alone means "true"
  // Stores the value; of one that repeats, behind those before.  Throws UserError (through
  // launcher/options/value.h) naming `flag` as the user wrote it.
  std::function<void(const std::string& flag, const std::string& value)> set = {};
  bool repeats = false;  // may be given several times: a list, in order
};

struct FlagGroup {
  std::string title;  // "[job]"
  std::vector<Flag> flags;
  bool listed = true;  // false: help prints only the title
};

// A value given by the user.
struct Setting {
  const Flag* flag = nullptr;
  std::string written;  // "--prompt", "wan.cfg: job.prompt": name in messages
  std::string value;
  bool of_model = false;  // from the checkpoint's own ferry.cfg
};

}  // namespace ferry::launcher
