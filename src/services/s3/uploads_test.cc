// Uploads in parts.
#include "services/s3/fixture_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::services::s3;
using test::Bench;
using test::FakeUpload;

namespace {

std::string start(Bench& bench, const std::string& algorithm = "") {
  auto in = model::CreateMultipartUploadRequest().set_bucket("home").set_key("big");
  if (!algorithm.empty()) in.set_checksum_algorithm(algorithm);
  return std::string(
      *bench.ok<model::CreateMultipartUploadOutput>("CreateMultipartUpload", std::move(in))
           .upload_id());
}

using Sent = std::pair<int, std::string>;  // number and tag

Sent part(Bench& bench, const std::string& id, int number, const std::string& bytes) {
  bench.upload = std::make_unique<FakeUpload>(bytes);
  auto out = bench.ok<model::UploadPartOutput>("UploadPart", model::UploadPartRequest()
                                                                 .set_bucket("home")
                                                                 .set_key("big")
                                                                 .set_upload_id(id)
                                                                 .set_part_number(number));
  return {number, std::string(*out.e_tag())};
}

model::CompleteMultipartUploadRequest complete(const std::string& id,
                                               const std::vector<Sent>& sent) {
  std::vector<model::CompletedPart> parts;
  for (const auto& [number, etag] : sent) {
    parts.emplace_back().set_part_number(number).set_e_tag(etag);
  }
  model::CompletedMultipartUpload list;
  list.set_parts(std::move(parts));
  model::CompleteMultipartUploadRequest out;
  out.set_bucket("home").set_key("big").set_upload_id(id).set_multipart_upload(list);
  return out;
}

constexpr const char* operation = "CompleteMultipartUpload";

}  // namespace

TEST_CASE("uploads in parts: the whole has all of them, a tag of theirs, and one checksum") {
  Bench bench;
  bench.make("home");
  auto id = start(bench);
  std::string first(limits::object_part_bytes_min, 'a');
  auto old = part(bench, id, 1, "replaced");
  auto one = part(bench, id, 1, first);
  auto two = part(bench, id, 2, "end");
  part(bench, id, 3, std::string(50'000, 'x'));
  CHECK(bench.code(operation, complete(id, {two, one})) == "InvalidPartOrder");
  CHECK(bench.code(operation, complete(id, {old, two})) == "InvalidPart");
  bench.restart();
  auto out = bench.ok<model::CompleteMultipartUploadOutput>(operation, complete(id, {one, two}));
  auto md5s = digest_of(Algorithm::md5, first) + digest_of(Algorithm::md5, "end");
  CHECK(out.e_tag() == "\"" + wire::hex_encode(digest_of(Algorithm::md5, md5s)) + "-2\"");
  CHECK(out.checksum_crc64_nvme() ==
        wire::base64_encode(digest_of(Algorithm::crc64nvme, first + "end")));
  CHECK(out.checksum_type() == "FULL_OBJECT");
  CHECK(bench.get("big") == first + "end");
  auto again = bench.ok<model::CompleteMultipartUploadOutput>(operation, complete(id, {one, two}));
  CHECK(again.e_tag() == out.e_tag());
  auto range = Bench::getting("big");
  range.set_range(fmt::format("bytes={}-{}", first.size() - 2, first.size()));
  bench.ok<model::GetObjectOutput>("GetObject", std::move(range));
  CHECK(bench.body() == "aae");
  auto second = Bench::getting("big");
  second.set_part_number(2);
  auto head = bench.ok<model::GetObjectOutput>("GetObject", std::move(second));
  CHECK(bench.body() == "end");
  CHECK(head.parts_count() == 2);
  bench.settle();
  CHECK(bench.files() == 1);  // the last part is a row
  CHECK(bench.rows("u/") + bench.rows("q/") == 0);
  bench.done("DeleteObject", model::DeleteObjectRequest().set_bucket("home").set_key("big"));
  bench.settle();
  CHECK(bench.files() + bench.rows("p/") + bench.rows("d/") + bench.rows("f/") == 0);
}

TEST_CASE("uploads in parts: composite checksums, small parts, copies, lists, the end of one") {
  Bench bench;
  bench.make("home");
  bench.put("source", "0123456789");
  auto id = start(bench, "SHA256");
  auto copied = bench.ok<model::UploadPartCopyOutput>("UploadPartCopy",
                                                      model::UploadPartCopyRequest()
                                                          .set_bucket("home")
                                                          .set_key("big")
                                                          .set_upload_id(id)
                                                          .set_part_number(1)
                                                          .set_copy_source("home/source")
                                                          .set_copy_source_range("bytes=2-4"));
  Sent one{1, std::string(*copied.copy_part_result()->e_tag())};
  auto two = part(bench, id, 2, "end");
  CHECK(bench.code(operation, complete(id, {one, two})) == "EntityTooSmall");
  auto parts = bench.ok<model::ListPartsOutput>(
      "ListParts", model::ListPartsRequest().set_bucket("home").set_key("big").set_upload_id(id));
  CHECK(parts.parts().size() == 2);
  CHECK(parts.parts()[0].size() == 3);
  auto other = start(bench);
  auto uploads = bench.ok<model::ListMultipartUploadsOutput>(
      "ListMultipartUploads",
      model::ListMultipartUploadsRequest().set_bucket("home").set_max_uploads(1));
  CHECK(uploads.is_truncated() == true);
  REQUIRE(uploads.uploads().size() == 1);
  auto out = bench.ok<model::CompleteMultipartUploadOutput>(operation, complete(id, {one}));
  auto sum = digest_of(Algorithm::sha256, digest_of(Algorithm::sha256, "234"));
  CHECK(out.checksum_sha256() == wire::base64_encode(sum) + "-1");
  CHECK(bench.get("big") == "234");
  part(bench, other, 1, std::string(50'000, 'x'));
  auto abort = [&] {
    return bench.code(
        "AbortMultipartUpload",
        model::AbortMultipartUploadRequest().set_bucket("home").set_key("big").set_upload_id(
            other));
  };
  CHECK(abort() == "(success)");
  CHECK(abort() == "NoSuchUpload");
  bench.settle();
  CHECK(bench.files() == 0);
}

TEST_CASE("uploads in parts: those of a bucket that is deleted end with it") {
  Bench bench;
  bench.make("home");
  bench.make("homes");
  auto id = start(bench);
  part(bench, id, 1, std::string(50'000, 'x'));
  part(bench, id, 2, "in a row");
  start(bench);
  auto other = bench.ok<model::CreateMultipartUploadOutput>(
      "CreateMultipartUpload",
      model::CreateMultipartUploadRequest().set_bucket("homes").set_key("k"));
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(bench.code("DeleteBucket", model::DeleteBucketRequest().set_bucket("home")) == "SlowDown");
  bench.disk.fail_writes_with.reset();
  CHECK(bench.rows("q/") == 2);
  bench.done("DeleteBucket", model::DeleteBucketRequest().set_bucket("home"));
  bench.settle();
  CHECK(bench.files() + bench.rows("q/") + bench.rows("d/") + bench.rows("f/") == 0);
  CHECK(bench.rows("u/") == 1);
  bench.make("home");
  auto uploads = bench.ok<model::ListMultipartUploadsOutput>(
      "ListMultipartUploads", model::ListMultipartUploadsRequest().set_bucket("home"));
  CHECK(uploads.uploads().empty());
}
