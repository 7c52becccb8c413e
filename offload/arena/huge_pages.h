// Whether shared memory lies on pages of 2 MiB, and what to do where it does not.
#pragma once

#include <cstddef>
#include <string>

namespace ferry::offload {

// Whether the kernel gives shared memory that asks for them pages of 2 MiB.  `root` stands before /sys, for
// tests.
bool shared_huge_pages(const std::string& root = "");

// What to say about the weights of `name`; nothing where there are such pages, or so few bytes (under 1 GiB)
// that it does not matter.
std::string huge_page_advice(const std::string& name, std::size_t bytes, bool huge_pages);

}  // namespace ferry::offload
