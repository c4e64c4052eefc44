// Web: what the URLs in messages of topics lead to, under links.h's own path, for anybody who has
// one: the certificate of the signatures, the confirmation of a subscription, its end.
//
// Loop thread; Deps live as long as the server.
#pragma once

#include "services/sns/service.h"
#include "services/sns/signer.h"

namespace mayfly::services::sns {

class Web {
 public:
  Web(Deps deps, Signer& signer) : deps_(std::move(deps)), signer_(signer) {}

  struct Page {
    int status = 200;
    std::string content_type = "text/xml";
    std::string body;
  };
  // `path` and `query` as they came.
  io::Task<Page> answer(std::string method, std::string path, std::string query);

 private:
  io::Task<Page> certificate(std::string path);
  io::Task<Page> end(std::string arn);

  Deps deps_;
  Signer& signer_;
};

}  // namespace mayfly::services::sns
