// Any bytes as the documents and names of a container image. What is accepted must read back the
// same from what is written.
#include <cstdint>
#include <cstdlib>

#include "functions/oci.h"

using namespace mayfly;
using namespace mayfly::functions;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto document = parse_oci_document(bytes); document && document->is_index) {
    (void)choose_platform(document->manifests, "amd64");
  }
  (void)parse_docker_manifest(bytes);
  (void)check_oci_layout(bytes);
  if (auto config = parse_image_config(bytes)) {
    auto again = parse_image_config(write_image_config(*config));
    if (!again || !(*again == *config)) std::abort();
  }
  if (auto name = parse_image_name(bytes)) {
    auto again = parse_image_name(name->str());
    if (!again || again->str() != name->str()) std::abort();
  }
  return 0;
}
