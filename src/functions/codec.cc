#include "functions/codec.h"

#include <bit>
#include <cstring>
#include <type_traits>

namespace mayfly::functions {

namespace {

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

bool take_varint(std::string_view& in, std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (in.empty()) return false;
    auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

bool take_bytes(std::string_view& in, std::string_view& bytes) {
  std::uint64_t length = 0;
  if (!take_varint(in, length) || length > in.size()) return false;
  bytes = in.substr(0, length);
  in.remove_prefix(length);
  return true;
}

void put_fixed(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

bool take_fixed(std::string_view in, std::uint64_t& value) {
  if (in.size() != 8) return false;
  value = 0;
  for (int i = 0; i < 8; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  }
  return true;
}

// The fields of each structure: one list serves reading and writing.
template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, PackageRef>
{
  io(1, x.sha256)(2, x.zip_bytes)(3, x.unzipped_bytes);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, LayerRef>
{
  io(1, x.arn)(2, x.package);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, FileSystemMount>
{
  io(1, x.arn)(2, x.path);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, Version>
{
  io(1, x.name.value)(2, x.version)(3, x.description)(4, x.runtime)(5, x.handler)(6, x.role);
  io(7, x.timeout_seconds)(8, x.memory_mb)(9, x.tmp_mb)(10, x.architecture)(11, x.environment);
  io(12, x.package)(13, x.layers)(14, x.package_type)(15, x.state)(16, x.state_reason);
  io(17, x.state_reason_code)(18, x.update_status)(19, x.update_reason)(20, x.update_reason_code);
  io(21, x.last_modified)(22, x.revision_id)(23, x.config_sha256)(24, x.log_format);
  io(25, x.application_log_level)(26, x.system_log_level)(27, x.log_group)(28, x.tracing_mode);
  io(29, x.dead_letter_arn)(30, x.extra);
  io(40, x.update_runtime_on)(41, x.runtime_version_arn)(42, x.snap_start)(43, x.per_tenant);
  io(50, x.image_uri)(51, x.image_entry_point)(52, x.image_command)(53, x.image_working_dir);
  io(60, x.capacity_provider_arn)(61, x.max_concurrency)(62, x.memory_gib_per_vcpu);
  io(63, x.environments_least)(64, x.environments_most);
  io(65, x.file_systems);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, Alias>
{
  io(1, x.name)(2, x.version)(3, x.description)(4, x.weights)(5, x.revision_id);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, Permission>
{
  io(1, x.sid)(2, x.qualifier)(3, x.principal)(4, x.action)(5, x.source_arn)(6, x.source_account);
  io(7, x.principal_org_id)(8, x.event_source_token)(9, x.function_url_auth_type);
  io(10, x.invoked_via_function_url);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, FunctionUrl>
{
  io(1, x.url_id)(2, x.qualifier)(3, x.auth_type)(4, x.invoke_mode)(5, x.cors_json);
  io(6, x.created)(7, x.modified);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, EventInvokeConfig>
{
  io(1, x.qualifier)(2, x.max_retries)(3, x.max_age_seconds)(4, x.on_success_arn);
  io(5, x.on_failure_arn)(6, x.modified);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, ProvisionedConfig>
{
  io(1, x.qualifier)(2, x.requested)(3, x.modified);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, Function>
{
  io(1, x.scope.account.value)(2, x.scope.region.value)(3, x.name.value)(4, x.latest);
  io(5, x.last_published)(6, x.aliases)(7, x.tags)(8, x.permissions)(9, x.policy_revisions);
  io(10, x.urls)(11, x.event_configs)(12, x.reserved_concurrency)(13, x.created);
  io(14, x.provisioned)(15, x.allow_recursion)(20, x.code_signing_config_arn);
  io(30, x.latest_published);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, LayerVersion>
{
  io(1, x.scope.account.value)(2, x.scope.region.value)(3, x.name)(4, x.version);
  io(5, x.description)(6, x.license)(7, x.compatible_runtimes)(8, x.compatible_architectures);
  io(9, x.package)(10, x.created)(11, x.permissions)(12, x.policy_revision);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, CodeSigningConfig>
{
  io(1, x.scope.account.value)(2, x.scope.region.value)(3, x.id)(4, x.description);
  io(5, x.publishers)(6, x.untrusted)(7, x.tags)(8, x.modified);
}

template <class Io, class T>
void fields(Io& io, T& x)
  requires std::is_same_v<std::remove_const_t<T>, CapacityProvider>
{
  io(1, x.scope.account.value)(2, x.scope.region.value)(3, x.name)(4, x.subnets);
  io(5, x.security_groups)(6, x.operator_role)(7, x.architectures)(8, x.allowed_instances);
  io(9, x.excluded_instances)(10, x.vcpus_max)(11, x.scaling_mode)(12, x.targets)(13, x.tags);
  io(14, x.modified);
}

class Encoder {
 public:
  template <class T>
  Encoder& operator()(unsigned tag, const T& value) {
    std::string body;
    if (!write(body, value)) return *this;
    put_varint(out_, tag);
    put_bytes(out_, body);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  // False: nothing to write, the reader's default stands for it.
  static bool write(std::string& out, const std::string& text) {
    out = text;
    return true;
  }
  static bool write(std::string& out, double value) {
    put_fixed(out, std::bit_cast<std::uint64_t>(value));
    return true;
  }
  static bool write(std::string& out, WallTime time) {
    put_fixed(out, static_cast<std::uint64_t>(time.time_since_epoch().count()));
    return true;
  }
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  static bool write(std::string& out, T value) {
    auto wide = static_cast<std::int64_t>(value);
    put_varint(out,
               (static_cast<std::uint64_t>(wide) << 1) ^ static_cast<std::uint64_t>(wide >> 63));
    return true;
  }
  template <class T>
  static bool write(std::string& out, const std::optional<T>& value) {
    return value && write(out, *value);
  }
  template <class T>
  static bool write(std::string& out, const std::vector<T>& list) {
    for (const T& item : list) write_item(out, item);
    return true;
  }
  template <class T>
  static bool write(std::string& out, const std::map<std::string, T>& map) {
    for (const auto& [key, value] : map) {
      put_bytes(out, key);
      write_item(out, value);
    }
    return true;
  }
  template <class T>
    requires std::is_class_v<T>
  static bool write(std::string& out, const T& record) {
    Encoder nested;
    fields(nested, record);
    out = nested.take();
    return true;
  }
  template <class T>
  static void write_item(std::string& out, const T& item) {
    std::string body;
    write(body, item);
    put_bytes(out, body);
  }

  std::string out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) {
    while (!bytes.empty()) {
      std::uint64_t tag = 0;
      std::string_view body;
      if (!take_varint(bytes, tag) || !take_bytes(bytes, body)) {
        good_ = false;
        return;
      }
      found_.emplace_back(tag, body);
    }
  }
  template <class T>
  Decoder& operator()(unsigned tag, T& value) {
    while (next_ < found_.size() && found_[next_].first < tag) ++next_;
    if (next_ < found_.size() && found_[next_].first == tag) {
      good_ = read(found_[next_].second, value) && good_;
    }
    return *this;
  }
  bool good() const { return good_; }

 private:
  static bool read(std::string_view in, std::string& text) {
    text = in;
    return true;
  }
  static bool read(std::string_view in, double& value) {
    std::uint64_t raw = 0;
    if (!take_fixed(in, raw)) return false;
    value = std::bit_cast<double>(raw);
    return true;
  }
  static bool read(std::string_view in, WallTime& time) {
    std::uint64_t raw = 0;
    if (!take_fixed(in, raw)) return false;
    time = WallTime(Duration(static_cast<std::int64_t>(raw)));
    return true;
  }
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  static bool read(std::string_view in, T& value) {
    std::uint64_t raw = 0;
    if (!take_varint(in, raw) || !in.empty()) return false;
    value = static_cast<T>(static_cast<std::int64_t>((raw >> 1) ^ (~(raw & 1) + 1)));
    return true;
  }
  template <class T>
  static bool read(std::string_view in, std::optional<T>& value) {
    return read(in, value.emplace());
  }
  template <class T>
  static bool read(std::string_view in, std::vector<T>& list) {
    while (!in.empty()) {
      std::string_view item;
      if (!take_bytes(in, item) || !read(item, list.emplace_back())) return false;
    }
    return true;
  }
  template <class T>
  static bool read(std::string_view in, std::map<std::string, T>& map) {
    while (!in.empty()) {
      std::string_view key;
      std::string_view item;
      if (!take_bytes(in, key) || !take_bytes(in, item)) return false;
      if (!read(item, map[std::string(key)])) return false;
    }
    return true;
  }
  template <class T>
    requires std::is_class_v<T>
  static bool read(std::string_view in, T& record) {
    Decoder nested(in);
    fields(nested, record);
    return nested.good();
  }

  bool good_ = true;
  std::size_t next_ = 0;
  std::vector<std::pair<std::uint64_t, std::string_view>> found_;
};

template <class T>
std::string encode_record(const T& record) {
  Encoder encoder;
  fields(encoder, record);
  return encoder.take();
}

template <class T>
Result<T> decode_record(std::string_view bytes, std::string_view what) {
  T record;
  Decoder decoder(bytes);
  fields(decoder, record);
  if (!decoder.good()) return fail(ErrorKind::corrupt, fmt::format("damaged {} record", what));
  return record;
}

}  // namespace

std::string encode(const Function& function) { return encode_record(function); }
std::string encode(const Version& version) { return encode_record(version); }
std::string encode(const LayerVersion& layer) { return encode_record(layer); }
std::string encode(const CodeSigningConfig& config) { return encode_record(config); }
std::string encode(const CapacityProvider& provider) { return encode_record(provider); }
Result<Function> decode_function(std::string_view bytes) {
  return decode_record<Function>(bytes, "function");
}
Result<Version> decode_version(std::string_view bytes) {
  return decode_record<Version>(bytes, "version");
}
Result<LayerVersion> decode_layer(std::string_view bytes) {
  return decode_record<LayerVersion>(bytes, "layer");
}
Result<CodeSigningConfig> decode_code_signing_config(std::string_view bytes) {
  return decode_record<CodeSigningConfig>(bytes, "code signing configuration");
}
Result<CapacityProvider> decode_capacity_provider(std::string_view bytes) {
  return decode_record<CapacityProvider>(bytes, "capacity provider");
}

}  // namespace mayfly::functions
