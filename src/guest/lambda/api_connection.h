// ApiConnection: one HTTP/1.1 connection of a guest to its Runtime API: bytes ↔ requests and
// answers. What requests mean is the Handler's business (runtime_api.cc).
//
// Owned by the Handler; loop thread; ends when the guest closes or the Handler drops it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guest/channel.h"
#include "io/duplex.h"
#include "io/http1.h"

namespace mayfly::guest {

struct ApiRequest {
  std::string method;
  std::string path;
  std::string content_type;
  std::string error_type;     // Lambda-Runtime-Function-Error-Type
  std::string response_mode;  // Lambda-Runtime-Function-Response-Mode
  // Of the Extensions API: Lambda-Extension-Name, -Identifier, -Accept-Feature and
  // -Function-Error-Type.
  std::string extension_name;
  std::string extension_id;
  std::string extension_features;
  std::string extension_error_type;
  std::string body;
  bool oversized = false;  // the body was longer than allowed; what came was thrown away
  bool truncated = false;  // the connection ended inside the body
  // Behind a chunked body: how a streaming response reports an error in its middle.
  std::string trailer_error_type;
  std::string trailer_error_body;  // base64
};

struct ApiAnswer {
  int status = 200;
  std::vector<std::pair<std::string_view, std::string>> fields;
  std::string_view content_type = "application/json";
  std::string body;
};

class ApiConnection final : private io::Duplex::Sink {
 public:
  class Handler {
   public:
    // The head is there. A refusal is sent after the body, which is thrown away then.
    virtual std::optional<ApiAnswer> on_head(const ApiRequest& request) = 0;
    // A piece of a body that is not refused. True: it is taken, and not kept for on_request().
    virtual bool on_piece(ApiConnection& from, const ApiRequest& request,
                          std::string_view bytes) = 0;
    // The whole request is there. Answers now or later, with answer().
    virtual void on_request(ApiConnection& from, ApiRequest request) = 0;
    // Longer ones are oversized.
    virtual std::size_t body_max_bytes() const { return AnswerBounds{}.whole; }
    // The last call; destroys the connection.
    virtual void on_closed(ApiConnection& connection) = 0;

   protected:
    ~Handler() = default;
  };

  ApiConnection(io::Loop& loop, io::Fd fd, Handler& handler);

  void answer(const ApiAnswer& answer);
  // Reads no further, so that the guest must wait with what it sends.
  void pause() { duplex_.pause(); }
  void resume() { duplex_.resume(); }

 private:
  enum class Phase { head, body, answering };

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void read_heads();
  void start_request(std::size_t head_bytes);
  void take_body(std::string_view bytes);
  void complete();
  void cut_off();
  void refuse(const io::http1::Refusal& refusal);

  Handler& handler_;
  io::http1::Reader reader_;
  std::string input_;  // a head in the making, and what was sent ahead of its turn
  Phase phase_ = Phase::head;
  ApiRequest request_;
  std::optional<ApiAnswer> refusal_;
  bool keep_alive_ = true;
  bool busy_ = false;  // inside read_heads(): an answer goes on there, not by recursion
  io::Duplex duplex_;  // last: its first call may come at once
};

}  // namespace mayfly::guest
