// The bytes of the lean protocol; see the table in lean.h.
#include <algorithm>
#include <bit>
#include <cstring>

#include "guest/lambda/errors.h"
#include "guest/lambda/lean.h"

namespace mayfly::guest {
namespace {

constexpr std::uint32_t knows_output = 0x40;
constexpr std::uint32_t output_unread = 0x80;
// Of a body, beside the answer.
constexpr std::size_t label_bytes = 2 + 256;

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

// The same into memory that has room; answers where the next value goes.
template <class T>
char* put(char* at, T value) {
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

template <class T>
T get(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return static_cast<T>(value);
}

}  // namespace

Result<FrameHead> parse_frame_head(std::string_view bytes) {
  FrameHead head;
  head.length = get<std::uint32_t>(bytes, 0);
  auto type = get<std::uint8_t>(bytes, 4);
  head.type = static_cast<FrameType>(type & 0x3F);
  head.sequence = get<std::uint32_t>(bytes, 8);
  bool known = head.type >= FrameType::ready && head.type <= FrameType::notice;
  bool answers = head.type == FrameType::response || head.type == FrameType::error;
  head.busy_micros = get<std::uint32_t>(bytes, 4) >> 8;
  if ((type & knows_output) != 0) {
    head.output = (type & output_unread) != 0 ? Output::unread : Output::read;
  } else if ((type & output_unread) != 0) {
    known = false;
  }
  bool timed = answers || head.type == FrameType::ready;
  bool told = head.output != Output::unknown && !answers;
  if (!known || told || (head.busy_micros != 0 && !timed)) {
    return fail(ErrorKind::corrupt, "a frame of the guest has no valid head");
  }
  if (head.length > frame_body_max_bytes) {
    return fail(ErrorKind::corrupt, "a frame of the guest is beyond any limit");
  }
  return head;
}

Result<> encode_invoke_head(std::string& out, const InvokeRequest& request, std::uint32_t sequence,
                            When when) {
  constexpr std::size_t short_max = 0xFFFF;
  std::size_t labels = request.request_id.size() + request.invoked_function_arn.size() +
                       request.trace_header.size() + request.client_context.size() +
                       request.cognito_identity.size() + request.tenant_id.size();
  std::size_t length = 24 + labels + request.payload.size();
  if (request.request_id.size() > short_max || request.invoked_function_arn.size() > short_max ||
      request.trace_header.size() > short_max || request.tenant_id.size() > short_max / 2 ||
      length > frame_body_max_bytes) {
    return fail(ErrorKind::too_large, "the event does not fit a frame");
  }
  bool ahead = when == When::ahead;
  std::array<char, frame_head_bytes + 24> head{};
  char* at = put(head.data(), static_cast<std::uint32_t>(length));
  at = put(at, static_cast<std::uint32_t>(FrameType::invoke));
  at = put(at, sequence);
  at = put(at, ahead ? std::chrono::ceil<std::chrono::milliseconds>(request.limit).count()
                     : request.deadline_epoch_ms);
  at = put(at, static_cast<std::uint16_t>(request.request_id.size()));
  at = put(at, static_cast<std::uint16_t>(request.invoked_function_arn.size()));
  at = put(at, static_cast<std::uint16_t>(request.trace_header.size()));
  at = put(at, static_cast<std::uint16_t>(2 * request.tenant_id.size() + (ahead ? 1 : 0)));
  at = put(at, static_cast<std::uint32_t>(request.client_context.size()));
  put(at, static_cast<std::uint32_t>(request.cognito_identity.size()));
  out.reserve(out.size() + head.size() + labels);
  out.append(head.data(), head.size());
  out += request.request_id;
  out += request.invoked_function_arn;
  out += request.trace_header;
  out += request.client_context;
  out += request.cognito_identity;
  out += request.tenant_id;
  return {};
}

std::string encode_bare_frame(FrameType type) {
  std::string out;
  put(out, std::uint32_t{0});
  put(out, static_cast<std::uint32_t>(type));
  put(out, std::uint32_t{0});
  return out;
}

std::string encode_credit(std::uint32_t bytes, std::uint32_t sequence) {
  std::string out;
  put(out, static_cast<std::uint32_t>(sizeof bytes));
  put(out, static_cast<std::uint32_t>(FrameType::credit));
  put(out, sequence);
  put(out, bytes);
  return out;
}

Result<LabelledBody> parse_labelled_body(std::string_view body) {
  if (body.size() < 2 || body.size() - 2 < get<std::uint16_t>(body, 0)) {
    return fail(ErrorKind::corrupt, "a frame of the guest is shorter than its label");
  }
  std::size_t label = get<std::uint16_t>(body, 0);
  return LabelledBody{body.substr(2, label), body.substr(2 + label)};
}

FrameReader::FrameReader() { set_answer_max(response_max_bytes); }

void FrameReader::set_answer_max(std::size_t bytes) { kept_bytes_ = bytes + label_bytes; }

std::size_t FrameReader::gather(std::string_view bytes, std::size_t wanted) {
  std::size_t count = std::min(bytes.size(), wanted - held_.size());
  held_ += bytes.substr(0, count);
  return count;
}

Result<> FrameReader::feed(std::string_view bytes, const std::function<void(const Frame&)>& take) {
  while (!bytes.empty()) {
    if (held_.empty() && bytes.size() >= frame_head_bytes) {
      TRY_ASSIGN(head_, parse_frame_head(bytes));
      std::size_t whole = frame_head_bytes + head_.length;
      if (head_.length <= kept_bytes_ && whole <= bytes.size()) {
        take({head_, bytes.substr(frame_head_bytes, head_.length)});
        bytes.remove_prefix(whole);
        continue;
      }
    }
    if (held_.size() < frame_head_bytes) {
      bytes.remove_prefix(gather(bytes, frame_head_bytes));
      if (held_.size() < frame_head_bytes) return {};
      TRY_ASSIGN(head_, parse_frame_head(held_));
      skip_ = head_.length - std::min<std::size_t>(head_.length, kept_bytes_);
      held_.reserve(frame_head_bytes + head_.length - skip_);
    }
    std::size_t body = std::min<std::size_t>(head_.length, kept_bytes_);
    bytes.remove_prefix(gather(bytes, frame_head_bytes + body));
    if (held_.size() < frame_head_bytes + body) return {};
    std::size_t skipped = std::min(skip_, bytes.size());
    bytes.remove_prefix(skipped);
    skip_ -= skipped;
    if (skip_ > 0) return {};
    take({head_, std::string_view(held_).substr(frame_head_bytes), body < head_.length});
    std::string().swap(held_);
  }
  return {};
}

}  // namespace mayfly::guest
