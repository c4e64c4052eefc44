// The documents of a container image: what names its parts and how it is started. Bytes to values;
// no I/O. Sources: the OCI image specification 1.1 (image-layout, index, manifest, config) and the
// manifest.json that `docker save` writes.
//
// Every parser answers `invalid` with what is wrong and where. Names that become names of files are
// checked here: a digest is "sha256:" and 64 lower-case hex digits, kept without its prefix; a path
// of docker's archive cannot lead out of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::functions {

struct Descriptor {
  std::string media_type;
  std::string digest;  // hex
  std::uint64_t size = 0;
  std::string os;            // empty: not said
  std::string architecture;  // "amd64"
  std::string name;          // annotation: the tag, or the whole name
  bool attestation = false;  // says something about an image, and is none
};

// An index lists manifests, of several platforms or of several images; a manifest has layers.
struct OciDocument {
  bool is_index = false;
  std::vector<Descriptor> manifests;
  Descriptor config;
  std::vector<Descriptor> layers;
};

// One image of docker's manifest.json.
struct DockerImage {
  std::string config;               // path in the archive
  std::vector<std::string> layers;  // paths, the lowest first
  std::vector<std::string> names;   // "repository:tag"
};

// How a program of the image is started, by the image's own word.
struct ImageConfig {
  std::string os;
  std::string architecture;  // as Go calls it: "amd64", "arm64"
  std::vector<std::string> entry_point;
  std::vector<std::string> command;
  std::vector<std::string> env;       // "KEY=value"
  std::string working_dir;            // empty: the root
  std::string user;                   // not honoured: the platform has a user of its own
  std::vector<std::string> diff_ids;  // hex of each layer's plain tar

  bool operator==(const ImageConfig&) const = default;
};

// "registry.example.com:5000/team/app:1.2@sha256:…", in parts.
struct ImageName {
  std::string registry;    // empty: not said
  std::string repository;  // "team/app"
  std::string tag;         // "latest" where neither it nor a digest is given
  std::string digest;      // hex

  std::string str() const;               // in full, as given
  std::string without_registry() const;  // "team/app:1.2"
};

Result<OciDocument> parse_oci_document(std::string_view json);
Result<std::vector<DockerImage>> parse_docker_manifest(std::string_view json);
Result<ImageConfig> parse_image_config(std::string_view json);
// The config as parse_image_config() reads it again.
std::string write_image_config(const ImageConfig& config);
// The content of `oci-layout`: the one version there is.
Result<> check_oci_layout(std::string_view json);
Result<ImageName> parse_image_name(std::string_view text);

// Of an index: the image of Linux for this architecture, or, where it names no platforms, the only
// one. `not_found` says what there is.
Result<Descriptor> choose_platform(const std::vector<Descriptor>& manifests,
                                   std::string_view architecture);

// "x86_64" → "amd64".
std::string_view go_architecture(std::string_view machine);

}  // namespace mayfly::functions
