#include "io/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

namespace mayfly::io {

namespace {

// A record of TLS has at most 16 KiB of content.
constexpr std::size_t piece_bytes = std::size_t{16} * 1024;

std::string last_error() {
  std::array<char, 256> text{};
  auto code = ERR_get_error();
  if (code == 0) return "the session broke";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

void TlsTrust::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void Tls::Free::operator()(ssl_st* session) const { SSL_free(session); }

Result<TlsTrust> TlsTrust::load(const std::string& ca_file) {
  TlsTrust out;
  out.context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!out.context_) return fail(ErrorKind::unavailable, fmt::format("TLS: {}", last_error()));
  SSL_CTX_set_min_proto_version(out.context(), TLS1_2_VERSION);
  SSL_CTX_set_verify(out.context(), SSL_VERIFY_PEER, nullptr);
  // A machine without certificates trusts nobody, and says so when it is asked to.
  SSL_CTX_set_default_verify_paths(out.context());
  if (!ca_file.empty() &&
      SSL_CTX_load_verify_locations(out.context(), ca_file.c_str(), nullptr) != 1) {
    return fail(ErrorKind::invalid,
                fmt::format("no certificates in {}: {}", ca_file, last_error()));
  }
  ERR_clear_error();
  return out;
}

Tls::Tls(Stream& stream, ssl_st* session) : stream_(&stream), session_(session) {
  // The session owns both.
  SSL_set_bio(session, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
}

Result<Tls> Tls::to_host(Stream& stream, const TlsTrust& trust, const std::string& host) {
  auto* session = SSL_new(trust.context());
  if (session == nullptr) return fail(ErrorKind::unavailable, fmt::format("TLS: {}", last_error()));
  Tls out(stream, session);
  SSL_set_connect_state(session);
  bool known = is_address(host)
                   ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str()) == 1
                   : SSL_set1_host(session, host.c_str()) == 1 &&
                         SSL_set_tlsext_host_name(session, host.c_str()) == 1;
  if (!known) return fail(ErrorKind::invalid, fmt::format("TLS: '{}' is no host", host));
  return out;
}

Task<Result<>> Tls::send_pending(Deadline deadline, std::stop_token stop) {
  auto* out = SSL_get_wbio(session_.get());
  std::array<char, piece_bytes> piece{};
  while (BIO_pending(out) > 0) {
    int taken = BIO_read(out, piece.data(), static_cast<int>(piece.size()));
    if (taken <= 0) break;
    std::string_view bytes(piece.data(), static_cast<std::size_t>(taken));
    CO_TRY(co_await stream_->write_all(bytes, deadline, stop));
  }
  co_return Result<>{};
}

Task<Result<>> Tls::receive(Deadline deadline, std::stop_token stop) {
  std::array<char, piece_bytes> piece{};
  CO_TRY_ASSIGN(auto got, co_await stream_->read(piece, deadline, stop));
  if (got == 0) co_return fail(ErrorKind::unavailable, "TLS: the connection ended");
  BIO_write(SSL_get_rbio(session_.get()), piece.data(), static_cast<int>(got));
  co_return Result<>{};
}

Task<Result<>> Tls::go_on(int outcome, Deadline deadline, std::stop_token stop) {
  int error = SSL_get_error(session_.get(), outcome);
  std::string text = error == SSL_ERROR_WANT_READ ? std::string() : last_error();
  // Also what tells the peer why it is left.
  CO_TRY(co_await send_pending(deadline, stop));
  if (error == SSL_ERROR_WANT_READ) co_return co_await receive(deadline, stop);
  if (auto verdict = SSL_get_verify_result(session_.get()); verdict != X509_V_OK) {
    co_return fail(ErrorKind::unavailable,
                   fmt::format("TLS: the certificate is not trusted: {}",
                               X509_verify_cert_error_string(verdict)),
                   "certificate");
  }
  co_return fail(ErrorKind::unavailable, fmt::format("TLS: {}", text));
}

Task<Result<>> Tls::handshake(Deadline deadline, std::stop_token stop) {
  while (true) {
    ERR_clear_error();
    int outcome = SSL_do_handshake(session_.get());
    if (outcome == 1) co_return co_await send_pending(deadline, stop);
    CO_TRY(co_await go_on(outcome, deadline, stop));
  }
}

Task<Result<std::size_t>> Tls::read(std::span<char> into, Deadline deadline, std::stop_token stop) {
  while (true) {
    ERR_clear_error();
    int got = SSL_read(session_.get(), into.data(), static_cast<int>(into.size()));
    if (got > 0) co_return static_cast<std::size_t>(got);
    if (SSL_get_error(session_.get(), got) == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
    CO_TRY(co_await go_on(got, deadline, stop));
  }
}

Task<Result<>> Tls::write_all(std::string_view bytes, Deadline deadline, std::stop_token stop) {
  while (!bytes.empty()) {
    ERR_clear_error();
    auto piece = bytes.substr(0, piece_bytes);
    int put = SSL_write(session_.get(), piece.data(), static_cast<int>(piece.size()));
    if (put > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(put));
      CO_TRY(co_await send_pending(deadline, stop));
    } else {
      CO_TRY(co_await go_on(put, deadline, stop));
    }
  }
  co_return Result<>{};
}

Task<Result<>> Tls::finish(Deadline deadline, std::stop_token stop) {
  ERR_clear_error();
  SSL_shutdown(session_.get());
  co_return co_await send_pending(deadline, stop);
}

}  // namespace mayfly::io
