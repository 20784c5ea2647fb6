// Counts the program's allocations, for tests of what promises to make none.
#pragma once

#include <cstddef>

/// Calls of operator new so far.
size_t allocationCount();
