#include "api/record_json.h"

#include "wire/protocol/codec.h"

namespace mayfly::api {

wire::Json json_of(const wire::Record& record) {
  auto body =
      wire::encode_response({.protocol = wire::Protocol::json, .output = record.shape}, record, "")
          .body;
  return wire::parse_json(body).value_or(wire::Json());
}

Result<wire::Record> record_of(const wire::Shape& shape, const wire::Json& json) {
  auto body = json.dump();
  return wire::decode_request({.protocol = wire::Protocol::json, .input = &shape}, {.body = body});
}

}  // namespace mayfly::api
