// SPDX-License-Identifier: CC0-1.0
// One call of greeter.v1.Greeter/SayHello with gRPC C++, with RA-TLS.
#include "attested.h"
#include "greeter.grpc.pb.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>
#include <iostream>
#include <memory>

namespace {

std::shared_ptr<grpc::ChannelCredentials> Credentials(ccz_grpc_creds *creds) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  ccz_grpc_tls_options(options.c_credentials_options(), creds);
  return grpc::experimental::TlsCredentials(options);
}

void PrintPeer(const grpc::ClientContext &context, ccz_grpc_creds *creds) {
  auto pem = context.auth_context()->FindPropertyValues("x509_pem_cert");
  struct ccz_ratls_peer peer;
  if (!pem.empty() &&
      ccz_grpc_peer(&peer, creds, {reinterpret_cast<const uint8_t *>(pem[0].data()), pem[0].size()}, nullptr) == CCZ_OK)
    attested_print(&peer);
}

}  // namespace

int main(int argc, char **argv) {
  attested me;
  if (int status = attested_open(&me, false, argc, argv))
    return status;
  grpc::Status status;
  {
    auto stub = greeter::v1::Greeter::NewStub(grpc::CreateChannel(argv[1], Credentials(me.creds)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    greeter::v1::HelloRequest request;
    greeter::v1::HelloReply reply;
    request.set_name("libgrpc++");
    status = stub->SayHello(&context, request, &reply);
    if (status.ok()) {
      PrintPeer(context, me.creds);
      std::cout << reply.text() << std::endl;
    } else {
      std::cerr << "status " << status.error_code() << ": " << status.error_message() << std::endl;
    }
  }
  attested_close(&me);
  return status.ok() ? 0 : 1;
}
