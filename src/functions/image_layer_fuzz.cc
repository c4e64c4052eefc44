// Any bytes as a layer of a container image. Nothing but what lies below the root may be made,
// changed or removed.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "functions/image_layer.h"

using namespace mayfly;
using namespace mayfly::functions;
namespace fs = std::filesystem;

namespace {

fs::path make_place() {
  char name[] = "/tmp/mayfly-fuzz-layer-XXXXXX";
  return ::mkdtemp(name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fs::path place = make_place();
  fs::path root = place / "root";
  fs::remove_all(root);
  fs::create_directory(root);
  std::ofstream(place / "beside") << "x";
  io::Fd blob(::memfd_create("layer", MFD_CLOEXEC));
  if (::write(blob.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  ::lseek(blob.get(), 0, SEEK_SET);
  auto tree = ImageTree::open(root, {.bytes = 1 << 20, .entries = 1000});
  if (!tree) std::abort();
  if (tree->apply(blob.get(), {}) && !tree->finish()) std::abort();
  std::size_t beside = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(place)) ++beside;
  if (beside != 2 || fs::file_size(place / "beside") != 1) std::abort();
  return 0;
}
