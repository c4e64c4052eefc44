// Tags of objects, of versions and of buckets.
#include "services/s3/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;
using test::FakeUpload;

namespace {

model::Tagging tagging(const std::vector<std::pair<std::string, std::string>>& tags) {
  std::vector<model::Tag> out;
  for (const auto& [key, value] : tags) out.emplace_back().set_key(key).set_value(value);
  model::Tagging tagging;
  tagging.set_tag_set(std::move(out));
  return tagging;
}

model::PutObjectTaggingRequest putting(
    const std::vector<std::pair<std::string, std::string>>& tags) {
  return model::PutObjectTaggingRequest().set_bucket("home").set_key("k").set_tagging(
      tagging(tags));
}

std::string tags_of(Bench& bench, const std::string& key, const std::string& version = "") {
  auto in = model::GetObjectTaggingRequest().set_bucket("home").set_key(key);
  if (!version.empty()) in.set_version_id(version);
  auto answer = bench.call("GetObjectTagging", std::move(in).take());
  if (!answer) return answer.error().code;
  std::string out;
  for (const auto& tag : model::GetObjectTaggingOutput(std::move(*answer)).tag_set()) {
    out += fmt::format("{}={} ", *tag.key(), *tag.value());
  }
  return out;
}

}  // namespace

TEST_CASE("tags: of an object, with it or later, copied or replaced") {
  Bench bench;
  bench.make("home");
  bench.upload = std::make_unique<FakeUpload>("1");
  bench.done("PutObject", Bench::object("k").set_tagging("a=1&b%20c=d+e"));
  CHECK(tags_of(bench, "k") == "a=1 b c=d e ");
  auto head = bench.ok<model::GetObjectOutput>("GetObject", Bench::getting("k"));
  CHECK(head.tag_count() == 2);
  auto copying = [](const std::string& to) {
    return model::CopyObjectRequest().set_bucket("home").set_key(to).set_copy_source("home/k");
  };
  bench.done("CopyObject", copying("copy"));
  CHECK(tags_of(bench, "copy") == "a=1 b c=d e ");
  bench.done("CopyObject", copying("new").set_tagging_directive("REPLACE").set_tagging("x=y"));
  CHECK(tags_of(bench, "new") == "x=y ");
  bench.done("PutObjectTagging", putting({{"z", ""}}));
  bench.restart();
  CHECK(tags_of(bench, "k") == "z= ");
  CHECK(bench.get("k") == "1");
  bench.done("DeleteObjectTagging",
             model::DeleteObjectTaggingRequest().set_bucket("home").set_key("k"));
  CHECK(tags_of(bench, "k").empty());
  CHECK(tags_of(bench, "none") == "NoSuchKey");
}

TEST_CASE("tags: what cannot be one, and how many there may be") {
  Bench bench;
  bench.make("home");
  bench.put("k", "1");
  std::vector<std::pair<std::string, std::string>> many;
  for (std::size_t i = 0; i < limits::object_tags; ++i) many.emplace_back(std::to_string(i), "");
  CHECK(bench.code("PutObjectTagging", putting(many)) == "(success)");
  many.emplace_back("more", "");
  CHECK(bench.code("PutObjectTagging", putting(many)) == "BadRequest");
  CHECK(bench.code("PutObjectTagging", putting({{"a", "1"}, {"a", "2"}})) == "InvalidTag");
  CHECK(bench.code("PutObjectTagging", putting({{"aws:a", "1"}})) == "InvalidTag");
  CHECK(bench.code("PutObjectTagging", putting({{"", "1"}})) == "InvalidTag");
  CHECK(bench.code("PutObjectTagging",
                   putting({{std::string(limits::object_tag_key_length + 1, 'k'), "1"}})) ==
        "InvalidTag");
  CHECK(bench.code("PutObjectTagging",
                   putting({{"k", std::string(limits::object_tag_value_length + 1, 'v')}})) ==
        "InvalidTag");
}

TEST_CASE("tags: of versions, and what is told of them") {
  Bench bench;
  bench.make("home");
  model::VersioningConfiguration configuration;
  configuration.set_status("Enabled");
  bench.done("PutBucketVersioning",
             model::PutBucketVersioningRequest().set_bucket("home").set_versioning_configuration(
                 configuration));
  std::string one(*bench.put("k", "one").version_id());
  std::string two(*bench.put("k", "two").version_id());
  bench.tell_bus();
  bench.done("PutObjectTagging", putting({{"of", "one"}}).set_version_id(one));
  bench.done("PutObjectTagging", putting({{"of", "two"}}).set_version_id(two));
  CHECK(tags_of(bench, "k") == "of=two ");
  CHECK(tags_of(bench, "k", one) == "of=one ");
  CHECK(bench.get("k") == "two");
  bench.settle();
  REQUIRE(bench.target.taken.size() == 2);
  auto detail = *wire::parse_json(bench.target.taken[0].payload);
  CHECK(detail.at({"object", "version-id"})->string_value() == one);
  const auto& attributes = bench.target.taken[0].attributes;
  CHECK(std::ranges::any_of(attributes, [](const events::Attribute& attribute) {
    return attribute.value == "Object Tags Added";
  }));
  auto gone = bench.ok<model::DeleteObjectOutput>(
      "DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("k"));
  std::string marker(*gone.version_id());
  CHECK(tags_of(bench, "k") == "NoSuchKey");
  CHECK(tags_of(bench, "k", marker) == "MethodNotAllowed");
  CHECK(bench.code("PutObjectTagging", putting({}).set_version_id(marker)) == "MethodNotAllowed");
}

TEST_CASE("tags: of a bucket") {
  Bench bench;
  bench.make("home");
  auto get = [&] {
    model::GetBucketTaggingRequest in;
    in.set_bucket("home");
    return bench.call("GetBucketTagging", std::move(in).take());
  };
  CHECK(get().error().code == "NoSuchTagSet");
  bench.done("PutBucketTagging", model::PutBucketTaggingRequest().set_bucket("home").set_tagging(
                                     tagging({{"a", "1"}, {"b", "2"}})));
  bench.restart();
  CHECK(model::GetBucketTaggingOutput(*get()).tag_set().size() == 2);
  bench.done("DeleteBucketTagging", model::DeleteBucketTaggingRequest().set_bucket("home"));
  CHECK(get().error().code == "NoSuchTagSet");
}
