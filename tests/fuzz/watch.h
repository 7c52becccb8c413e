// What a fuzzed process may not do, and what stays of the input that made it do it.
#pragma once

#include <string>
#include <string_view>

namespace ferry::fuzz {

// From now on the process ends, after it kept the input, when it crashes, when a sanitizer reports, or when
// one input takes more than 20 s of computing, or 300 s by the clock.  Without a sanitizer it may take 256
// MiB of memory more than it has now; AddressSanitizer refuses single allocations above 64 MB (see the
// options in watch.cpp).
void watch_this_process(const std::string& kept_path);

// The input that is being read: kept should the process end.  `input` must live until the next call.
void reads_now(std::string_view input);
// Nothing is.
void reads_nothing();

// Writes the input that is being read to the path given above.
void keep_input();

}  // namespace ferry::fuzz
