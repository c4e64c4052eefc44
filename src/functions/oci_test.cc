#include "functions/oci.h"

#include <doctest/doctest.h>

#include "base/limits.h"

namespace mayfly::functions {
namespace {

const std::string digest_a(64, 'a');
const std::string digest_b(64, 'b');

std::string descriptor(const std::string& digest, const std::string& more = "") {
  return R"({"mediaType":"m","digest":"sha256:)" + digest + R"(","size":5)" + more + "}";
}

TEST_CASE("an index and a manifest are told apart by what they list") {
  auto index = parse_oci_document(
      R"({"schemaVersion":2,"manifests":[)" +
      descriptor(digest_a, R"(,"platform":{"os":"linux","architecture":"arm64"},"annotations":)"
                           R"({"org.opencontainers.image.ref.name":"1.0"})") +
      "]}");
  REQUIRE(index);
  CHECK(index->is_index);
  REQUIRE(index->manifests.size() == 1);
  CHECK(index->manifests[0].digest == digest_a);
  CHECK(index->manifests[0].architecture == "arm64");
  CHECK(index->manifests[0].name == "1.0");
  auto manifest = parse_oci_document(R"({"schemaVersion":2,"config":)" + descriptor(digest_a) +
                                     R"(,"layers":[)" + descriptor(digest_b) + "]}");
  REQUIRE(manifest);
  CHECK_FALSE(manifest->is_index);
  CHECK(manifest->config.digest == digest_a);
  REQUIRE(manifest->layers.size() == 1);
  CHECK(manifest->layers[0].size == 5);
}

TEST_CASE("documents that are wrong are refused with what is wrong") {
  auto refused = [](const std::string& json) {
    auto parsed = parse_oci_document(json);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == ErrorKind::invalid);
    return parsed.error().message;
  };
  CHECK(refused("{").find("invalid JSON") != std::string::npos);
  CHECK(refused("{}").find("schemaVersion") != std::string::npos);
  CHECK(refused(R"({"schemaVersion":2})").find("neither an index nor") != std::string::npos);
  for (const std::string digest : {"../../etc/passwd", "", "AAAA"}) {
    CHECK(refused(R"({"schemaVersion":2,"manifests":[)" + descriptor(digest) + "]}")
              .find("is no digest") != std::string::npos);
  }
  CHECK(refused(R"({"schemaVersion":2,"manifests":[{"digest":"sha256:)" + digest_a + "\"}]}")
            .find("without its size") != std::string::npos);
  std::string many;
  for (std::size_t i = 0; i <= limits::image_layers; ++i) {
    many += (i > 0 ? "," : "") + descriptor(digest_a);
  }
  CHECK(refused(R"({"schemaVersion":2,"manifests":[)" + many + "]}").find("more than 1000 parts") !=
        std::string::npos);
}

TEST_CASE("as many layers as are allowed are read") {
  std::string many;
  for (std::size_t i = 0; i < limits::image_layers; ++i) {
    many += (i > 0 ? "," : "") + descriptor(digest_a);
  }
  auto manifest = parse_oci_document(R"({"schemaVersion":2,"config":)" + descriptor(digest_b) +
                                     R"(,"layers":[)" + many + "]}");
  REQUIRE(manifest);
  CHECK(manifest->layers.size() == limits::image_layers);
}

TEST_CASE("docker's manifest.json names files inside its archive alone") {
  auto good = parse_docker_manifest(
      R"([{"Config":"c.json","RepoTags":["app:1"],"Layers":["l/layer.tar"]}])");
  REQUIRE(good);
  CHECK(good->front().config == "c.json");
  CHECK(good->front().names == std::vector<std::string>{"app:1"});
  CHECK(parse_docker_manifest(R"([{"Config":"c.json","RepoTags":null,"Layers":[]}])"));
  for (const char* path : {"../c.json", "/etc/passwd", "", "a/../../b"}) {
    CHECK_FALSE(
        parse_docker_manifest(R"([{"Config":")" + std::string(path) + R"(","Layers":[]}])"));
    CHECK_FALSE(
        parse_docker_manifest(R"([{"Config":"c","Layers":[")" + std::string(path) + R"("]}])"));
  }
  CHECK_FALSE(parse_docker_manifest("[]"));
  CHECK_FALSE(parse_docker_manifest(R"([{"Config":"c","Layers":[1]}])"));
}

TEST_CASE("an image's config reads back as it was") {
  auto config = parse_image_config(
      R"({"os":"linux","architecture":"amd64","config":{"Entrypoint":["/run","-x"],"Cmd":["a b"],)"
      R"("Env":["A=1","B="],"WorkingDir":"/app","User":"1000:1000"},"rootfs":{"type":"layers",)"
      R"("diff_ids":["sha256:)" +
      digest_a + R"("]}})");
  REQUIRE(config);
  CHECK(config->entry_point == std::vector<std::string>{"/run", "-x"});
  CHECK(config->command == std::vector<std::string>{"a b"});
  CHECK(config->env == std::vector<std::string>{"A=1", "B="});
  CHECK(config->working_dir == "/app");
  CHECK(config->user == "1000:1000");
  CHECK(config->diff_ids == std::vector<std::string>{digest_a});
  auto again = parse_image_config(write_image_config(*config));
  REQUIRE(again);
  CHECK(*again == *config);
}

TEST_CASE("a config may leave out how it is started, and may not hide zeros") {
  auto bare = parse_image_config(R"({"rootfs":{"type":"layers","diff_ids":[]}})");
  REQUIRE(bare);
  CHECK(bare->entry_point.empty());
  auto nulls = parse_image_config(
      R"({"config":{"Entrypoint":null,"Cmd":null},"rootfs":{"type":"layers","diff_ids":null}})");
  CHECK(nulls);
  for (const char* bad : {R"({"rootfs":{"type":"other"}})", R"({})",
                          R"({"config":{"Cmd":["a\u0000b"]},"rootfs":{"type":"layers"}})",
                          R"({"config":{"Cmd":"sh"},"rootfs":{"type":"layers"}})",
                          R"({"rootfs":{"type":"layers","diff_ids":["md5:1"]}})"}) {
    INFO(bad);
    CHECK_FALSE(parse_image_config(bad));
  }
}

TEST_CASE("names of images") {
  auto parts = [](std::string_view text) {
    auto name = parse_image_name(text);
    if (!name) return std::string("refused");
    return fmt::format("{}|{}|{}|{}", name->registry, name->repository, name->tag, name->digest);
  };
  CHECK(parts("app") == "|app|latest|");
  CHECK(parts("team/app:1.2") == "|team/app|1.2|");
  CHECK(parts("123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1") ==
        "123456789012.dkr.ecr.us-east-1.amazonaws.com|app|v1|");
  CHECK(parts("localhost:5000/app") == "localhost:5000|app|latest|");
  CHECK(parts("localhost/app") == "localhost|app|latest|");
  CHECK(parts("app@sha256:" + digest_a) == "|app||" + digest_a);
  CHECK(parts("r.io/app:1@sha256:" + digest_a) == "r.io|app|1|" + digest_a);
  for (const char* bad : {"", "App", "app:", "app:.x", "a//b", "/app", "app/", "app@sha256:12",
                          "app@", "-app", "app:a b", "../app", "a/../b"}) {
    INFO(bad);
    CHECK(parts(bad) == "refused");
  }
  CHECK(parts(std::string(limits::image_name_bytes, 'a')) != "refused");
  CHECK(parts(std::string(limits::image_name_bytes + 1, 'a')) == "refused");
  CHECK(parse_image_name("r.io/app:1")->str() == "r.io/app:1");
  CHECK(parse_image_name("r.io/app:1")->without_registry() == "app:1");
}

TEST_CASE("of several platforms this machine's is taken, and attestations are none") {
  auto of = [](std::string digest, std::string os, std::string architecture) {
    Descriptor out;
    out.digest = std::move(digest);
    out.os = std::move(os);
    out.architecture = std::move(architecture);
    return out;
  };
  Descriptor arm = of("arm", "linux", "arm64");
  Descriptor amd = of("amd", "linux", "amd64");
  Descriptor windows = of("windows", "windows", "amd64");
  Descriptor note = of("note", "unknown", "unknown");
  note.attestation = true;
  CHECK(choose_platform({note, windows, arm, amd}, "amd64")->digest == "amd");
  auto none = choose_platform({windows, arm, note}, "amd64");
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::not_found);
  CHECK(none.error().message.find("windows/amd64, linux/arm64") != std::string::npos);
  Descriptor silent = of("silent", "", "");
  CHECK(choose_platform({silent, note}, "amd64")->digest == "silent");
  CHECK_FALSE(choose_platform({silent, silent}, "amd64"));
}

}  // namespace
}  // namespace mayfly::functions
