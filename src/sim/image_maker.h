// ImageMaker: container images for tests: layers as tars, compressed as asked, and the directory of
// an OCI layout or of what `docker save` packs around them. Whatever the test says is written, also
// what no tool would write.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "store/sha256.h"

namespace mayfly::sim {

enum class Packing { none, gzip, zstd };

class LayerMaker {
 public:
  explicit LayerMaker(Packing packing = Packing::none) : writer_(archive_write_new()) {
    archive_write_set_format_pax_restricted(writer_);
    archive_write_set_bytes_in_last_block(writer_, 1);
    if (packing == Packing::gzip) archive_write_add_filter_gzip(writer_);
    if (packing == Packing::zstd) archive_write_add_filter_zstd(writer_);
    archive_write_open(
        writer_, &bytes_, nullptr,
        [](archive*, void* to, const void* from, std::size_t length) -> la_ssize_t {
          static_cast<std::string*>(to)->append(static_cast<const char*>(from), length);
          return static_cast<la_ssize_t>(length);
        },
        nullptr);
  }
  LayerMaker(const LayerMaker&) = delete;
  LayerMaker& operator=(const LayerMaker&) = delete;
  ~LayerMaker() {
    if (writer_) archive_write_free(writer_);
  }

  LayerMaker& file(const std::string& name, const std::string& text, unsigned mode = 0644) {
    return add(name, AE_IFREG, mode, text, {}, {});
  }
  LayerMaker& directory(const std::string& name, unsigned mode = 0755) {
    return add(name, AE_IFDIR, mode, {}, {}, {});
  }
  LayerMaker& link(const std::string& name, const std::string& target) {
    return add(name, AE_IFLNK, 0777, {}, target, {});
  }
  LayerMaker& hard_link(const std::string& name, const std::string& target) {
    return add(name, AE_IFREG, 0644, {}, {}, target);
  }
  LayerMaker& device(const std::string& name) { return add(name, AE_IFCHR, 0666, {}, {}, {}); }
  LayerMaker& pipe(const std::string& name) { return add(name, AE_IFIFO, 0666, {}, {}, {}); }
  std::string bytes() {
    archive_write_close(writer_);
    archive_write_free(writer_);
    writer_ = nullptr;
    return bytes_;
  }

 private:
  LayerMaker& add(const std::string& name, unsigned type, unsigned mode, const std::string& text,
                  const std::string& link, const std::string& hard_link) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, mode);
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    if (!link.empty()) archive_entry_set_symlink(entry, link.c_str());
    if (!hard_link.empty()) archive_entry_set_hardlink(entry, hard_link.c_str());
    archive_write_header(writer_, entry);
    if (!text.empty()) archive_write_data(writer_, text.data(), text.size());
    archive_entry_free(entry);
    return *this;
  }

  archive* writer_;
  std::string bytes_;
};

// A layer in both of its forms; `plain` and `stored` differ where it is compressed.
struct Layer {
  std::string plain;
  std::string stored;
  std::string media_type = "application/vnd.oci.image.layer.v1.tar";
};
inline Layer plain_layer(LayerMaker& maker) {
  std::string bytes = maker.bytes();
  return {bytes, bytes};
}

class ImageMaker {
 public:
  ImageMaker& layer(Layer layer) {
    layers_.push_back(std::move(layer));
    return *this;
  }
  // The `config` member of the image's config, as JSON.
  ImageMaker& config(std::string json) {
    config_ = std::move(json);
    return *this;
  }
  ImageMaker& platform(std::string os, std::string architecture) {
    os_ = std::move(os);
    architecture_ = std::move(architecture);
    return *this;
  }

  // Into `dir` (made where missing); answers the digest of the manifest.
  std::string write_oci(const std::filesystem::path& dir) const {
    std::string layers;
    for (const Layer& layer : layers_) {
      layers += (layers.empty() ? "" : ",") + part(layer.media_type, put(dir, layer.stored));
    }
    std::string config = put(dir, config_json());
    std::string manifest = R"({"schemaVersion":2,"config":)" +
                           part("application/vnd.oci.image.config.v1+json", config) +
                           R"(,"layers":[)" + layers + "]}";
    std::string digest = put(dir, manifest);
    write(dir / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write(dir / "index.json", R"({"schemaVersion":2,"manifests":[{"mediaType":)"
                              R"("application/vnd.oci.image.manifest.v1+json","digest":"sha256:)" +
                                  digest + R"(","size":)" + std::to_string(manifest.size()) +
                                  R"(,"platform":{"os":")" + os_ + R"(","architecture":")" +
                                  architecture_ + R"("}}]})");
    return digest;
  }
  // As `docker save` did before it wrote OCI layouts; answers the digest of the config.
  std::string write_docker(const std::filesystem::path& dir, const std::string& name) const {
    std::string config = config_json();
    std::string digest = store::sha256_hex(config);
    write(dir / (digest + ".json"), config);
    std::string layers;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      std::string path = "l" + std::to_string(i) + "/layer.tar";
      write(dir / path, layers_[i].plain);
      layers += (i > 0 ? ",\"" : "\"") + path + "\"";
    }
    write(dir / "manifest.json", R"([{"Config":")" + digest + R"(.json","RepoTags":[")" + name +
                                     R"("],"Layers":[)" + layers + "]}]");
    return digest;
  }

  static void write(const std::filesystem::path& path, const std::string& bytes) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }

 private:
  std::string config_json() const {
    std::string ids;
    for (const Layer& layer : layers_) {
      ids += (ids.empty() ? "\"sha256:" : ",\"sha256:") + store::sha256_hex(layer.plain) + "\"";
    }
    return R"({"os":")" + os_ + R"(","architecture":")" + architecture_ + R"(","config":)" +
           config_ + R"(,"rootfs":{"type":"layers","diff_ids":[)" + ids + "]}}";
  }
  std::string part(const std::string& type, const std::string& digest) const {
    return R"({"mediaType":")" + type + R"(","digest":"sha256:)" + digest + R"(","size":)" +
           std::to_string(sizes_.at(digest)) + "}";
  }
  std::string put(const std::filesystem::path& dir, const std::string& bytes) const {
    std::string digest = store::sha256_hex(bytes);
    sizes_[digest] = bytes.size();
    write(dir / "blobs/sha256" / digest, bytes);
    return digest;
  }

  std::vector<Layer> layers_;
  std::string config_ = "{}";
  std::string os_ = "linux";
  std::string architecture_ = "amd64";
  mutable std::map<std::string, std::size_t> sizes_;
};

}  // namespace mayfly::sim
