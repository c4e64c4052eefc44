#include "io/http1.h"

#include <llhttp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "io/http1_plain.h"

namespace mayfly::io::http1 {

namespace {

// Empty lines that a client may send before its request line (RFC 9112, 2.2).
constexpr std::size_t leading_empty_lines = 2;
// Bytes of chunk heads and extensions that may come without content between them.
constexpr std::size_t chunk_overhead_bytes = 4 * limits::kib;

std::unexpected<Refusal> refuse(int status, std::string text) {
  return std::unexpected(Refusal{status, std::move(text)});
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_digits(std::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

// Characters of a Host: letters, digits and what IPv6 literals, ports and names hold.
bool is_host(std::string_view host) {
  constexpr auto fine = [] {
    std::array<bool, 256> out{};
    for (int c = 0; c < 128; ++c) {
      char byte = static_cast<char>(c);
      out[static_cast<std::size_t>(c)] =
          (byte >= '0' && byte <= '9') || (lower(byte) >= 'a' && lower(byte) <= 'z') ||
          std::string_view("-._:[]~%").find(byte) != std::string_view::npos;
    }
    return out;
  }();
  return std::ranges::all_of(host, [&](char c) { return fine[static_cast<unsigned char>(c)]; });
}

bool is_target(std::string_view target) {
  auto fine = [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7f && c != '#';
  };
  // Eight bytes at a time. What may stand here lies between 0x21 and 0x7e: each term marks the top
  // bit of a byte that does not, or of one above it.
  constexpr std::uint64_t ones = 0x0101010101010101;
  while (target.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, target.data(), sizeof word);
    std::uint64_t odd = word | (word - ones * 0x21) | (word + ones) | ((word ^ ones * '#') - ones);
    if ((odd & (ones * 0x80)) != 0 && !std::ranges::all_of(target.substr(0, sizeof word), fine)) {
      return false;
    }
    target.remove_prefix(sizeof word);
  }
  return std::ranges::all_of(target, fine);
}

}  // namespace

std::string_view Head::field(std::string_view name) const {
  for (const auto& field : fields) {
    if (field.name.size() == name.size() && equals_ignoring_case(field.name, name)) {
      return field.value;
    }
  }
  return {};
}

struct Reader::Impl {
  llhttp_t parser{};
  Side side;
  HeadLimits limits;
  Head head;
  std::size_t scanned = 0;    // bytes of the head that are known to hold whole, good lines
  std::size_t lines = 0;      // of them
  std::size_t skipped = 0;    // leading empty lines, in bytes
  std::uint64_t missing = 0;  // Framing::length
  bool complete = false;
  bool no_body = false;
  // chunked
  Piece piece;
  std::size_t overhead = 0;  // bytes without content since the last content
  std::size_t trailer_bytes = 0;
  bool name_open = false;
  bool in_body = false;
  std::vector<std::pair<std::string, std::string>> trailers;

  Impl(Side the_side, HeadLimits the_limits) : side(the_side), limits(the_limits) { begin(); }

  static const llhttp_settings_t& settings();
  static Impl& of(llhttp_t* parser) { return *static_cast<Impl*>(parser->data); }

  void begin() {
    llhttp_init(&parser, side == Side::requests ? HTTP_REQUEST : HTTP_RESPONSE, &settings());
    parser.data = this;
    std::vector<Field> fields = std::move(head.fields);
    fields.clear();
    head = Head{};
    head.fields = std::move(fields);
    scanned = lines = skipped = 0;
    missing = 0;
    complete = no_body = in_body = false;
    overhead = trailer_bytes = 0;
    name_open = false;
    trailers.clear();
  }

  std::size_t read_plain(std::string_view buffer);
  std::expected<std::size_t, Refusal> scan(std::string_view buffer);
  std::expected<void, Refusal> parse(std::string_view text);
  enum class Lines { to_check, checked };
  std::expected<void, Refusal> check_fields(Lines lines_are);
  std::expected<void, Refusal> check_framing(std::string_view encoding, std::size_t encodings,
                                             std::string_view length, bool has_length);
  std::expected<void, Refusal> check_target(std::size_t hosts);
  void note_connection(std::string_view value);
  void on_field_text(std::string_view text);
  void on_value_text(std::string_view text);
};

// The parser hands a name or value over in one or more adjoining pieces.
void Reader::Impl::on_field_text(std::string_view text) {
  bool first = !std::exchange(name_open, true);
  if (in_body) {
    trailer_bytes += text.size();
    if (first) trailers.emplace_back();
    trailers.back().first += text;
  } else if (first) {
    head.fields.push_back({text, {}});
  } else {
    auto& name = head.fields.back().name;
    name = {name.data(), name.size() + text.size()};
  }
}

void Reader::Impl::on_value_text(std::string_view text) {
  if (in_body) {
    trailer_bytes += text.size();
    if (!trailers.empty()) trailers.back().second += text;
  } else if (!head.fields.empty()) {
    auto& value = head.fields.back().value;
    value = value.empty() ? text : std::string_view(value.data(), value.size() + text.size());
  }
}

const llhttp_settings_t& Reader::Impl::settings() {
  static const llhttp_settings_t made = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* p, const char* at, std::size_t size) {
      auto& target = of(p).head.target;
      target = target.empty() ? std::string_view(at, size)
                              : std::string_view(target.data(), target.size() + size);
      return 0;
    };
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t size) {
      of(p).on_field_text({at, size});
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t size) {
      of(p).on_value_text({at, size});
      return 0;
    };
    s.on_header_field_complete = [](llhttp_t* p) {
      of(p).name_open = false;
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* p) {
      p->upgrade = 0;  // offers to upgrade (h2c) are not taken; the message is read as it is
      return 0;
    };
    s.on_body = [](llhttp_t* p, const char* at, std::size_t size) {
      of(p).piece.data = {at, size};
      return static_cast<int>(HPE_PAUSED);
    };
    s.on_message_complete = [](llhttp_t* p) {
      of(p).complete = of(p).in_body;
      return of(p).in_body ? static_cast<int>(HPE_PAUSED) : 0;
    };
    return s;
  }();
  return made;
}

Reader::Reader(Side side, HeadLimits limits) : impl_(std::make_unique<Impl>(side, limits)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

const Head& Reader::head() const { return impl_->head; }
bool Reader::body_complete() const { return impl_->complete; }
std::uint64_t Reader::body_missing() const { return impl_->missing; }
void Reader::reset() { impl_->begin(); }

const std::vector<std::pair<std::string, std::string>>& Reader::trailers() const {
  return impl_->trailers;
}

// Looks for the end of the head line by line, so that a bad line is refused as soon as it is there
// and a head that grows slowly is not scanned twice.
std::expected<std::size_t, Refusal> Reader::Impl::scan(std::string_view buffer) {
  while (true) {
    std::string_view rest = buffer.substr(scanned);
    std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      std::size_t limit = lines == 0 && side == Side::requests
                              ? std::min(limits.target_bytes + 32, limits.head_bytes)
                              : limits.head_bytes;
      if (buffer.size() - skipped > limit) {
        return lines == 0 ? refuse(414, "the request line is too long")
                          : refuse(431, "the head is too large");
      }
      return 0;
    }
    std::string_view line = rest.substr(0, end);
    if (line.empty() || line.back() != '\r') return refuse(400, "a line must end with CR LF");
    line.remove_suffix(1);
    if (std::memchr(line.data(), '\r', line.size()) != nullptr) {
      return refuse(400, "a CR stands inside a line");
    }
    if (std::memchr(line.data(), '\0', line.size()) != nullptr) {
      return refuse(400, "a NUL stands in the head");
    }
    scanned += end + 1;
    if (line.empty() && lines == 0) {
      skipped = scanned;
      if (skipped > 2 * leading_empty_lines) return refuse(400, "empty lines before the request");
      continue;
    }
    if (scanned - skipped > limits.head_bytes) return refuse(431, "the head is too large");
    if (line.empty()) return scanned;
    if (lines > 0 && (line.front() == ' ' || line.front() == '\t')) {
      return refuse(400, "folded header fields are not accepted");
    }
    if (lines > 0 && line.front() == ':') return refuse(400, "a header field has no name");
    if (lines++ > limits.field_count) return refuse(431, "too many header fields");
  }
}

std::expected<void, Refusal> Reader::Impl::parse(std::string_view text) {
  llhttp_errno_t error = llhttp_execute(&parser, text.data(), text.size());
  if (error == HPE_OK) return {};
  if (error == HPE_INVALID_VERSION) return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken");
  if (error == HPE_INVALID_METHOD) return refuse(501, "this method is not known");
  const char* reason = llhttp_get_error_reason(&parser);
  return refuse(400, reason != nullptr && *reason != '\0' ? reason : llhttp_errno_name(error));
}

// 0: not plain.
std::size_t Reader::Impl::read_plain(std::string_view buffer) {
  auto plain = read_plain_head(buffer, limits, head.fields);
  if (!plain) {
    head.fields.clear();
    return 0;
  }
  head.target = plain->target;
  parser.method = static_cast<std::uint8_t>(plain->method);
  parser.http_major = parser.http_minor = 1;
  return plain->size;
}

std::expected<std::size_t, Refusal> Reader::read_head(std::string_view buffer) {
  auto& in = *impl_;
  std::expected<std::size_t, Refusal> size{0};
  if (in.side == Side::requests && in.scanned == 0) size = in.read_plain(buffer);
  auto lines_are = *size > 0 ? Impl::Lines::checked : Impl::Lines::to_check;
  if (lines_are == Impl::Lines::to_check) {
    size = in.scan(buffer);
    if (!size || *size == 0) return size;
    if (auto done = in.parse(buffer.substr(in.skipped, *size - in.skipped)); !done) {
      return std::unexpected(done.error());
    }
  }
  if (auto done = in.check_fields(lines_are); !done) return std::unexpected(done.error());
  in.in_body = true;
  in.missing = in.head.content_length;
  in.complete =
      in.head.framing == Framing::none || (in.head.framing == Framing::length && in.missing == 0);
  return size;
}

void Reader::Impl::note_connection(std::string_view value) {
  while (!value.empty()) {
    std::size_t comma = value.find(',');
    std::string_view option = trim(value.substr(0, comma));
    if (equals_ignoring_case(option, "close")) head.keep_alive = false;
    if (equals_ignoring_case(option, "keep-alive") && head.minor == 0) head.keep_alive = true;
    value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);
  }
}

std::expected<void, Refusal> Reader::Impl::check_fields(Lines lines_are) {
  head.minor = parser.http_minor;
  if (parser.http_major != 1 || head.minor > 1) {
    return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken");
  }
  head.keep_alive = head.minor == 1;
  head.status = side == Side::responses ? parser.status_code : 0;
  std::size_t hosts = 0;
  std::size_t encodings = 0;
  std::string_view encoding;
  std::string_view length;
  bool has_length = false;
  for (auto& field : head.fields) {
    if (lines_are == Lines::to_check) {
      field.value = trim(field.value);
      if (!is_token(field.name)) return refuse(400, "a header field's name is not a token");
      if (!is_field_value(field.value)) {
        return refuse(400, "a header field holds control characters");
      }
    }
    switch (field.name.size()) {
      case 4:
        if (!equals_ignoring_case(field.name, "host")) break;
        ++hosts;
        head.host = field.value;
        break;
      case 6:
        if (!equals_ignoring_case(field.name, "expect")) break;
        (equals_ignoring_case(field.value, "100-continue") ? head.expects_continue
                                                           : head.unknown_expectation) = true;
        break;
      case 10:
        if (equals_ignoring_case(field.name, "connection")) note_connection(field.value);
        break;
      case 14:
        if (!equals_ignoring_case(field.name, "content-length")) break;
        if (has_length && length != field.value) return refuse(400, "Content-Length values differ");
        has_length = true;
        length = field.value;
        break;
      case 17:
        if (!equals_ignoring_case(field.name, "transfer-encoding")) break;
        ++encodings;
        encoding = field.value;
        break;
      default: break;
    }
  }
  if (auto done = check_framing(encoding, encodings, length, has_length); !done) return done;
  return side == Side::requests ? check_target(hosts) : std::expected<void, Refusal>{};
}

std::expected<void, Refusal> Reader::Impl::check_framing(std::string_view encoding,
                                                         std::size_t encodings,
                                                         std::string_view length, bool has_length) {
  if (encodings > 0) {
    if (has_length)
      return refuse(400, "Transfer-Encoding and Content-Length contradict each other");
    if (head.minor == 0) return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (encodings > 1 || !equals_ignoring_case(encoding, "chunked")) {
      return refuse(400, "the only Transfer-Encoding accepted is chunked");
    }
    head.framing = Framing::chunked;
  } else if (has_length) {
    if (!is_digits(length)) return refuse(400, "Content-Length is not a number");
    auto [end, error] =
        std::from_chars(length.data(), length.data() + length.size(), head.content_length);
    if (error != std::errc()) return refuse(400, "Content-Length is out of range");
    head.framing = Framing::length;
  } else if (side == Side::responses) {
    head.framing = Framing::until_close;
  }
  bool bare =
      side == Side::responses && (head.status < 200 || head.status == 204 || head.status == 304);
  if (bare) {
    head.framing = Framing::none;
    head.content_length = 0;
  }
  return {};
}

std::expected<void, Refusal> Reader::Impl::check_target(std::size_t hosts) {
  head.method = llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
  if (head.target.size() > limits.target_bytes) return refuse(414, "the target is too long");
  if (parser.method == HTTP_CONNECT) return refuse(405, "this server is no proxy");
  // llhttp skips any number of spaces here; the method is before them, so the bytes are there.
  if (head.target.empty() || head.target.data()[-2] == ' ') {
    return refuse(400, "the request line must hold single spaces");
  }
  if (!is_target(head.target)) return refuse(400, "the target holds characters that need escapes");
  if (hosts > 1) return refuse(400, "more than one Host field");
  if (hosts == 0 && head.minor == 1) return refuse(400, "the Host field is missing");
  std::string_view target = head.target;
  if (std::size_t scheme = target.find("://");
      !target.starts_with('/') && scheme != std::string_view::npos) {
    // The absolute form that clients send to proxies: its authority goes before the Host field.
    target.remove_prefix(scheme + 3);
    std::size_t slash = target.find_first_of("/?");
    head.host = target.substr(0, slash);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    if (target.starts_with('?')) return refuse(400, "the target has no path");
  } else if (target == "*") {
    if (parser.method != HTTP_OPTIONS) return refuse(400, "the target * is for OPTIONS alone");
  } else if (!target.starts_with('/')) {
    return refuse(400, "the target must start with /");
  }
  if (!is_host(head.host)) return refuse(400, "the Host field is not a host");
  std::size_t mark = target.find('?');
  head.path = target.substr(0, mark);
  head.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  return {};
}

void Reader::expect_no_body() {
  impl_->head.framing = Framing::none;
  impl_->missing = 0;
  impl_->complete = true;
}

void Reader::body_taken(std::uint64_t bytes) {
  impl_->missing -= std::min(bytes, impl_->missing);
  if (impl_->missing == 0) impl_->complete = true;
}

std::expected<Piece, Refusal> Reader::read_body(std::string_view input) {
  auto& in = *impl_;
  if (in.complete) return Piece{0, {}, true};
  if (in.head.framing == Framing::length) {
    std::size_t size = std::min<std::uint64_t>(input.size(), in.missing);
    body_taken(size);
    return Piece{size, input.substr(0, size), in.complete};
  }
  if (in.head.framing == Framing::until_close) return Piece{input.size(), input, false};
  if (input.empty()) return Piece{};
  in.piece = {};
  llhttp_resume(&in.parser);
  llhttp_errno_t error = llhttp_execute(&in.parser, input.data(), input.size());
  if (error != HPE_OK && error != HPE_PAUSED) {
    const char* reason = llhttp_get_error_reason(&in.parser);
    return refuse(400, reason != nullptr && *reason != '\0' ? reason : llhttp_errno_name(error));
  }
  in.piece.consumed =
      error == HPE_OK ? input.size()
                      : static_cast<std::size_t>(llhttp_get_error_pos(&in.parser) - input.data());
  in.piece.end = in.complete;
  // A client that sends heads of chunks without end holds the connection for nothing.
  in.overhead = in.piece.data.empty() ? in.overhead + in.piece.consumed : 0;
  if (in.overhead > chunk_overhead_bytes + in.limits.head_bytes ||
      in.trailer_bytes > in.limits.head_bytes || in.trailers.size() > in.limits.field_count) {
    return refuse(431, "the chunks' heads or the trailer are too large");
  }
  if (in.complete) {
    for (auto& [name, value] : in.trailers) value = std::string(trim(value));
  }
  return in.piece;
}

std::expected<void, Refusal> Reader::end_of_stream() {
  auto& in = *impl_;
  if (in.head.framing == Framing::until_close && in.in_body) in.complete = true;
  if (!in.complete) return refuse(400, "the message was cut off");
  return {};
}

}  // namespace mayfly::io::http1
