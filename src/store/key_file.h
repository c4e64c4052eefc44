// A key of this server in a file of its own, which nobody else may read. Made when it is asked for
// the first time; on the disk when it is answered.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/random.h"
#include "base/result.h"

namespace mayfly::store {

// `bytes` random bytes. corrupt: the file has another size. A file that others may read is made
// private.
Result<std::string> open_key_file(const std::filesystem::path& file, std::size_t bytes,
                                  Random& random);

}  // namespace mayfly::store
