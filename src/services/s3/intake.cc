#include "services/s3/intake.h"

#include "api/input.h"
#include "services/s3/limits.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

// What a worker does with the blocks of one upload.
struct Sink {
  Digest md5{Algorithm::md5};
  std::optional<Digest> sum;
  std::unique_ptr<store::Files::Writer> file;

  void hash(std::string_view bytes) {
    md5.update(bytes);
    if (sum) sum->update(bytes);
  }
};

std::string header_of(Algorithm algorithm) {
  return "x-amz-checksum-" + wire::to_lower(name_of(algorithm));
}

Refusal invalid_checksum(std::string_view header) {
  return invalid_request(fmt::format("Value for {} header is invalid.", header));
}

ApiResult<void> check_value(Algorithm algorithm, std::string_view value) {
  auto raw = wire::base64_decode(value);
  static const std::string nothing;
  if (!raw || raw->size() != digest_of(algorithm, nothing).size()) {
    return invalid_checksum(header_of(algorithm));
  }
  return {};
}

Refusal too_large() {
  return refuse("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size");
}

// Takes the payload in; everything is kept in the frame of its task.
class Intake {
 public:
  Intake(Pieces& pieces, io::BodySource* source, Expected expected)
      : pieces_(pieces), source_(source), expected_(std::move(expected)) {
    sink_->sum.emplace(expected_.algorithm.value_or(Algorithm::crc64nvme));
    out_.piece.id = pieces.new_id();
  }

  io::Task<ApiResult<Received>> run(const wire::Pairs* trailers) {
    auto taken = co_await take();
    if (taken) taken = co_await check(trailers);
    if (!taken) {
      if (created_) pieces_.drop({.id = out_.piece.id, .size = 1});
      co_return std::unexpected(std::move(taken.error()));
    }
    co_return std::move(out_);
  }

 private:
  io::Task<ApiResult<void>> take() {
    while (source_ != nullptr) {
      auto bytes = co_await source_->next({});
      if (!bytes) co_return std::unexpected(api_error(bytes.error()));
      if (bytes->empty()) break;
      out_.piece.size += bytes->size();
      if (out_.piece.size > expected_.most) co_return too_large();
      if (block_.empty()) {
        block_ = *std::move(bytes);
      } else {
        block_ += *bytes;
      }
      if (block_.size() < limits::object_block_bytes) continue;
      auto written = co_await write(false);
      if (!written) co_return std::unexpected(std::move(written.error()));
    }
    if (out_.piece.size > limits::object_row_bytes) co_return co_await write(true);
    out_.piece.in_row = true;
    sink_->hash(block_);
    out_.md5 = sink_->md5.finish();
    sum_ = sink_->sum->finish();
    out_.bytes = std::move(block_);
    co_return ApiResult<void>();
  }

  io::Task<ApiResult<void>> write(bool last) {
    created_ = true;
    auto done = co_await pieces_.workers().run(
        [files = pieces_.files(), sink = sink_, id = out_.piece.id, block = std::move(block_),
         last]() -> Result<std::pair<std::string, std::string>> {
          if (!sink->file) {
            TRY_ASSIGN(sink->file, files->create(id));
          }
          sink->hash(block);
          TRY(sink->file->append(block));
          if (!last) return {};
          TRY(sink->file->finish());
          return std::pair(sink->md5.finish(), sink->sum->finish());
        });
    block_.clear();
    if (!done) co_return std::unexpected(api_error(done.error()));
    if (last) std::tie(out_.md5, sum_) = *std::move(done);
    co_return ApiResult<void>();
  }

  io::Task<ApiResult<void>> check(const wire::Pairs* trailers) {
    if (!expected_.md5.empty() && expected_.md5 != out_.md5) {
      co_return refuse("BadDigest", 400,
                       "The Content-MD5 you specified did not match what we received.");
    }
    auto named = read_trailer(trailers);
    if (!named) co_return std::unexpected(std::move(named.error()));
    auto algorithm = expected_.algorithm.value_or(Algorithm::crc64nvme);
    if (sink_->sum->algorithm() != algorithm) {
      auto again = co_await hash_again(algorithm);
      if (!again) co_return std::unexpected(api_error(again.error()));
    }
    out_.checksum = {algorithm, wire::base64_encode(sum_), false};
    if (!expected_.value.empty() && expected_.value != out_.checksum.value) {
      co_return refuse("BadDigest", 400,
                       fmt::format("The {} you specified did not match the calculated checksum.",
                                   name_of(algorithm)));
    }
    co_return ApiResult<void>();
  }

  ApiResult<void> read_trailer(const wire::Pairs* trailers) {
    if (trailers == nullptr) return {};
    for (auto algorithm : all_algorithms()) {
      const auto* value = wire::find_pair_nocase(*trailers, header_of(algorithm));
      if (value == nullptr) continue;
      if (auto good = check_value(algorithm, *value); !good) return good;
      expected_.algorithm = algorithm;
      expected_.value = *value;
    }
    return {};
  }

  // A trailer of which nothing was said before the payload.
  io::Task<Result<>> hash_again(Algorithm algorithm) {
    if (out_.piece.in_row) {
      sum_ = digest_of(algorithm, out_.bytes);
      co_return Result<>{};
    }
    CO_TRY_ASSIGN(sum_, co_await pieces_.workers().run([files = pieces_.files(), id = out_.piece.id,
                                                        size = out_.piece.size,
                                                        algorithm]() -> Result<std::string> {
      TRY_ASSIGN(auto reader, files->read(id));
      Digest digest(algorithm);
      for (std::uint64_t at = 0; at < size; at += limits::object_block_bytes) {
        auto most = std::min<std::uint64_t>(limits::object_block_bytes, size - at);
        TRY_ASSIGN(auto block, reader->read(at, most));
        digest.update(block);
      }
      return digest.finish();
    }));
    co_return Result<>{};
  }

  Pieces& pieces_;
  io::BodySource* source_;
  Expected expected_;
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
  std::string block_;
  std::string sum_;
  bool created_ = false;
  Received out_;
};

}  // namespace

ApiResult<std::string> read_md5(std::string_view text) {
  auto raw = wire::base64_decode(text);
  constexpr std::size_t md5_bytes = 16;
  if (!raw || raw->size() != md5_bytes) {
    return refuse("InvalidDigest", 400, "The Content-MD5 you specified is not valid.");
  }
  return *std::move(raw);
}

ApiResult<std::optional<Algorithm>> read_algorithm(std::optional<std::string_view> name) {
  if (!name || name->empty()) return std::nullopt;
  auto upper = wire::to_upper(*name);
  if (upper.starts_with("XXHASH")) return not_built(fmt::format("The checksum {} is", upper));
  auto algorithm = algorithm_named(upper);
  if (!algorithm) {
    return invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
  }
  return algorithm;
}

ApiResult<void> read_checksum_member(const wire::Record& input, Expected& into) {
  for (std::string_view name : {"XXHASH64", "XXHASH3", "XXHASH128"}) {
    if (!api::text_of(input, fmt::format("Checksum{}", name)).empty()) {
      return not_built(fmt::format("The checksum {} is", name));
    }
  }
  for (auto algorithm : all_algorithms()) {
    auto value = api::text_of(input, fmt::format("Checksum{}", name_of(algorithm)));
    if (value.empty()) continue;
    if (!into.value.empty()) {
      return invalid_request(
          "Expecting a single x-amz-checksum- header. Multiple checksum Types "
          "are not allowed.");
    }
    if (into.algorithm && *into.algorithm != algorithm) {
      return invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.");
    }
    if (auto good = check_value(algorithm, value); !good) return good;
    into.algorithm = algorithm;
    into.value = std::move(value);
  }
  return {};
}

ApiResult<Expected> expected_of(const wire::Record& input, std::uint64_t most) {
  Expected out;
  out.most = most;
  if (auto md5 = api::text_of(input, "ContentMD5"); !md5.empty()) {
    auto raw = read_md5(md5);
    if (!raw) return std::unexpected(std::move(raw.error()));
    out.md5 = *std::move(raw);
  }
  auto algorithm = read_algorithm(api::text_of(input, "ChecksumAlgorithm"));
  if (!algorithm) return std::unexpected(std::move(algorithm.error()));
  out.algorithm = *algorithm;
  if (auto good = read_checksum_member(input, out); !good) {
    return std::unexpected(std::move(good.error()));
  }
  return out;
}

io::Task<ApiResult<Received>> receive(Pieces& pieces, api::Upload* upload, Expected expected) {
  if (upload != nullptr && upload->size().value_or(0) > expected.most) co_return too_large();
  Intake intake(pieces, upload, std::move(expected));
  co_return co_await intake.run(upload == nullptr ? nullptr : &upload->trailers());
}

io::Task<ApiResult<Received>> receive(Pieces& pieces, io::BodySource& source, Expected expected) {
  Intake intake(pieces, &source, std::move(expected));
  co_return co_await intake.run(nullptr);
}

}  // namespace mayfly::services::s3
