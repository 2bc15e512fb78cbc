// SPDX-License-Identifier: CC0-1.0
// greeter.v1.Greeter with gRPC C++, with RA-TLS: but for attested_* and the credentials, as in every gRPC tutorial.
// Serves until its input ends.
#include "attested.h"
#include "greeter.grpc.pb.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <iostream>
#include <memory>
#include <string>

namespace {

class Greeter final : public greeter::v1::Greeter::Service {
 public:
  explicit Greeter(ccz_grpc_creds *creds) : creds_(creds) {}

  grpc::Status SayHello(grpc::ServerContext *context, const greeter::v1::HelloRequest *request,
                        greeter::v1::HelloReply *reply) override {
    // Who asks? Every caller was accepted by the policy; this is what the policy accepted.
    auto pem = context->auth_context()->FindPropertyValues("x509_pem_cert");
    struct ccz_ratls_peer peer;
    if (pem.empty() || ccz_grpc_peer(&peer, creds_, Span(pem[0]), nullptr) != CCZ_OK || !peer.attested)
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "not attested");
    attested_print(&peer);
    std::fflush(stdout);
    reply->set_text("hello " + request->name());
    return grpc::Status::OK;
  }

 private:
  static ccz_span Span(const grpc::string_ref &s) {
    return {reinterpret_cast<const uint8_t *>(s.data()), s.size()};
  }
  ccz_grpc_creds *creds_;
};

// C++ keeps the C options to itself once it has made credentials of them; this is the place to fill them.
std::shared_ptr<grpc::ServerCredentials> Credentials(ccz_grpc_creds *creds) {
  grpc::experimental::TlsServerCredentialsOptions options(nullptr);
  ccz_grpc_tls_options(options.c_credentials_options(), creds);
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace

int main(int argc, char **argv) {
  attested me;
  if (int status = attested_open(&me, true, argc, argv))
    return status;
  {
    Greeter greeter(me.creds);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(argv[1], Credentials(me.creds), &port);
    builder.RegisterService(&greeter);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (!server)
      return 3;
    std::cout << "listening " << port << std::endl;
    while (std::cin.get() != std::char_traits<char>::eof()) {
    }
    server->Shutdown();
  }
  attested_close(&me);
  return 0;
}
