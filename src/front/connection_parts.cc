// Bodies that are read in parts, as their reader asks for them.
#include <algorithm>

#include "front/connection.h"

namespace mayfly::front {

namespace http1 = io::http1;

namespace {

constexpr std::size_t part_bytes = 256 * limits::kib;  // at the most, and held for each such body
constexpr std::size_t chunk_bytes = 64 * limits::kib;

std::unexpected<http1::Refusal> refused(int status, std::string text) {
  return std::unexpected(http1::Refusal{status, std::move(text)});
}

}  // namespace

io::Task<std::expected<std::string, http1::Refusal>> Connection::read_part(std::stop_token stop) {
  auto part = co_await take_part(std::move(stop));
  if (!part) broken_ = true;
  co_return part;
}

io::Task<std::expected<std::string, http1::Refusal>> Connection::take_part(std::stop_token stop) {
  if (reader_.body_complete()) co_return std::string();
  const bool sized = reader_.head().framing == http1::Framing::length;
  if (!parts_) {
    if (!reserve(part_bytes)) co_return refused(503, "too many bodies at once");
    if (!co_await send_continue()) co_return refused(400, "the connection is gone");
    parts_.emplace();
    if (!sized) {
      // The head's bytes stay where they are: views point there.
      parts_->chunks.assign(unread().begin(), unread().end());
      parts_->end = parts_->chunks.size();
      begin_ = end_;
    }
  }
  auto part = sized ? co_await sized_part(std::move(stop)) : co_await chunked_part(std::move(stop));
  if (part) parts_->received += part->size();
  co_return part;
}

// Within the time between two reads, and not slower in all than the slowest client may be.
io::Task<std::expected<std::size_t, http1::Refusal>> Connection::read_socket(std::span<char> into,
                                                                             std::stop_token stop) {
  std::stop_source either;
  std::stop_callback on_stop(stop_, [&either] { either.request_stop(); });
  std::stop_callback on_asked(stop, [&either] { either.request_stop(); });
  MonoTime before = loop_.now();
  Duration in_all = limits::http_body_idle_time +
                    std::chrono::seconds(parts_->received / limits::http_body_bytes_per_second);
  Duration left = in_all - std::min(parts_->waited, in_all);
  Deadline deadline = before + std::min<Duration>(limits::http_body_idle_time, left);
  auto got = co_await stream_.read(into, deadline, either.get_token());
  parts_->waited += loop_.now() - before;
  if (!got && got.error().kind == ErrorKind::timeout) {
    co_return refused(408, "the body did not arrive in time");
  }
  if (!got || *got == 0) co_return refused(400, "the body was cut off");
  co_return *got;
}

io::Task<std::expected<std::string, http1::Refusal>> Connection::sized_part(std::stop_token stop) {
  auto piece = reader_.read_body(unread());
  if (!piece) co_return std::unexpected(std::move(piece).error());
  begin_ += piece->consumed;
  if (!piece->data.empty()) co_return std::string(piece->data);
  auto size = static_cast<std::size_t>(std::min<std::uint64_t>(reader_.body_missing(), part_bytes));
  std::string part;
  part.resize_and_overwrite(size, [](char*, std::size_t given) { return given; });
  auto got = co_await read_socket(part, std::move(stop));
  if (!got) co_return std::unexpected(std::move(got).error());
  reader_.body_taken(*got);
  part.resize(*got);
  co_return part;
}

io::Task<std::expected<std::string, http1::Refusal>> Connection::chunked_part(
    std::stop_token stop) {
  BodyParts& parts = *parts_;
  while (true) {
    std::string_view input(parts.chunks.data() + parts.begin, parts.end - parts.begin);
    auto piece = reader_.read_body(input);
    if (!piece) co_return std::unexpected(std::move(piece).error());
    parts.begin += piece->consumed;
    std::string out(piece->data);
    if (piece->end) give_back(input.substr(piece->consumed));
    if (piece->end || !out.empty()) co_return out;
    if (piece->consumed > 0 && parts.begin < parts.end) continue;
    parts.chunks.resize(chunk_bytes);
    auto got = co_await read_socket(parts.chunks, stop);
    if (!got) co_return std::unexpected(std::move(got).error());
    parts.begin = 0;
    parts.end = *got;
  }
}

}  // namespace mayfly::front
