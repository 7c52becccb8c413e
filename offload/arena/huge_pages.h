// Availability of 2 MiB pages for shared memory, and advice if there are none.
#pragma once

#include <cstddef>
#include <string>

namespace ferry::offload {

// True if the kernel uses 2 MiB pages for shared memory that requests them.  `root` is prepended to /sys, for
// tests.
bool shared_huge_pages(const std::string& root = "");

// Advice about the weights of `name`; empty with such pages, or below 1 GiB, where it does not matter.
std::string huge_page_advice(const std::string& name, std::size_t bytes, bool huge_pages);

}  // namespace ferry::offload
