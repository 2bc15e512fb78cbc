/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC's asynchronous C++ interface as one of the peers of grpc_peers.sh: what generated code does, with plain bytes as messages;
 * one completion queue and one thread on each side. Command line: grpc_peer.h; PEER_KEY and PEER_CERT as in grpc_peer_core.c.
 */
#include "grpc_peer.h"

#include <fstream>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

using grpc::ByteBuffer;
using grpc::internal::RpcMethod;

static std::string read_file(const char *variable)
{
    const char *path = getenv(variable);
    peer_must(path != nullptr, variable);
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    peer_must(file.good(), variable);
    return text.str();
}

static ByteBuffer bytes(const void *p, size_t size)
{
    grpc::Slice slice(p, size);
    return ByteBuffer(&slice, 1);
}

/* --------------------------------------------------------------------------------------- server */

class EchoService : public grpc::Service
{
  public:
    EchoService()
    {
        AddMethod(
            new grpc::internal::RpcServiceMethod(PEER_UNARY_PATH, RpcMethod::NORMAL_RPC, nullptr));
        MarkMethodAsync(0);
        AddMethod(new grpc::internal::RpcServiceMethod(PEER_STREAM_PATH,
                                                       RpcMethod::SERVER_STREAMING, nullptr));
        MarkMethodAsync(1);
    }
    using grpc::Service::RequestAsyncServerStreaming;
    using grpc::Service::RequestAsyncUnary;
};

struct Server {
    EchoService service;
    std::unique_ptr<grpc::ServerCompletionQueue> cq;
    std::unique_ptr<grpc::Server> server;
};

class ServerCall
{
  public:
    explicit ServerCall(Server *server) : server_(server)
    {
    }
    virtual ~ServerCall() = default;
    virtual void proceed(bool ok) = 0;

  protected:
    Server *server_;
    grpc::ServerContext context_;
    ByteBuffer request_;
};

class UnaryCall final : public ServerCall
{
  public:
    explicit UnaryCall(Server *server) : ServerCall(server), responder_(&context_)
    {
        server->service.RequestAsyncUnary(0, &context_, &request_, &responder_, server->cq.get(),
                                          server->cq.get(), this);
    }
    void proceed(bool ok) override
    {
        if (answered_) {
            delete this;
            return;
        }
        peer_must(ok, "server stopped");
        new UnaryCall(server_);
        answered_ = true;
        responder_.Finish(request_, grpc::Status::OK, this);
    }

  private:
    grpc::ServerAsyncResponseWriter<ByteBuffer> responder_;
    bool answered_ = false;
};

class StreamCall final : public ServerCall
{
  public:
    explicit StreamCall(Server *server) : ServerCall(server), writer_(&context_)
    {
        server->service.RequestAsyncServerStreaming(1, &context_, &request_, &writer_,
                                                    server->cq.get(), server->cq.get(), this);
    }
    void proceed(bool ok) override
    {
        if (!message_.Valid()) {
            grpc::Slice slice;
            peer_must(ok && request_.DumpToSingleSlice(&slice).ok() &&
                          slice.size() == PEER_REQUEST_SIZE,
                      "request of a stream");
            new StreamCall(server_);
            std::string text(peer_request_size(slice.begin()), 'x');
            message_ = bytes(text.data(), text.size());
        } else if (!ok) {
            delete this; /* the client has gone */
            return;
        }
        writer_.Write(message_, this);
    }

  private:
    grpc::ServerAsyncWriter<ByteBuffer> writer_;
    ByteBuffer message_;
};

static void run_server(Server *s)
{
    void *tag;
    bool ok;
    while (s->cq->Next(&tag, &ok))
        static_cast<ServerCall *>(tag)->proceed(ok);
}

static void serve()
{
    static Server s;
    int port = 0;
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({read_file("PEER_KEY"), read_file("PEER_CERT")});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
    builder.RegisterService(&s.service);
    s.cq = builder.AddCompletionQueue();
    s.server = builder.BuildAndStart();
    peer_must(s.server && port > 0, "server");
    for (int i = 0; i < PEER_STREAMS_MAX; i++)
        new UnaryCall(&s);
    new StreamCall(&s);
    std::thread(run_server, &s).detach();
    peer_say_port((unsigned)port);
    peer_wait_for_end();
}

/* --------------------------------------------------------------------------------------- client */

class AnyCertificate : public grpc::experimental::ExternalCertificateVerifier
{
  public:
    bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest *,
                std::function<void(grpc::Status)>, grpc::Status *status) override
    {
        *status = grpc::Status::OK;
        return true;
    }
    void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest *) override
    {
    }
};

static std::shared_ptr<grpc::Channel> connect_to(const char *address)
{
    grpc::experimental::TlsChannelCredentialsOptions options;
    options.set_verify_server_certs(false);
    options.set_check_call_host(false);
    options.set_certificate_verifier(
        grpc::experimental::ExternalCertificateVerifier::Create<AnyCertificate>());
    return grpc::CreateChannel(address, grpc::experimental::TlsCredentials(options));
}

struct Lane {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<ByteBuffer>> reader;
    ByteBuffer response;
    grpc::Status status;
    int64_t from_ns = 0;
};

struct Client {
    std::shared_ptr<grpc::Channel> channel;
    grpc::CompletionQueue cq;
    RpcMethod unary, stream;
    explicit Client(std::shared_ptr<grpc::Channel> c)
        : channel(c), unary(PEER_UNARY_PATH, nullptr, RpcMethod::NORMAL_RPC, c),
          stream(PEER_STREAM_PATH, nullptr, RpcMethod::SERVER_STREAMING, c)
    {
    }
    void start(Lane *l, const ByteBuffer &body)
    {
        l->context = std::make_unique<grpc::ClientContext>();
        l->response.Clear();
        l->reader.reset(grpc::internal::ClientAsyncResponseReaderHelper::Create<ByteBuffer>(
            channel.get(), &cq, unary, l->context.get(), body));
        l->reader->StartCall();
        l->reader->Finish(&l->response, &l->status, l);
    }
    void *next()
    {
        void *tag;
        bool ok;
        peer_must(cq.Next(&tag, &ok) && ok, "completion queue");
        return tag;
    }
};

static void run_unary(const struct peer_args &a, struct peer_tally *tally, Client *c)
{
    std::vector<Lane> lanes(a.streams);
    std::string text(a.size, 'x');
    ByteBuffer body = bytes(text.data(), text.size());
    for (Lane &l : lanes) {
        l.from_ns = peer_now_ns();
        c->start(&l, body);
    }
    for (;;) {
        Lane *l = static_cast<Lane *>(c->next());
        peer_must(l->status.ok() && l->response.Length() == a.size, "a call failed");
        l->from_ns = peer_tally_add(tally, l->from_ns);
        c->start(l, body);
    }
}

static void run_stream(const struct peer_args &a, struct peer_tally *tally, Client *c)
{
    grpc::ClientContext context;
    uint8_t request[PEER_REQUEST_SIZE];
    peer_must(a.streams == 1, "one stream at a time");
    peer_request(request, a.size);
    auto *reader = grpc::internal::ClientAsyncReaderFactory<ByteBuffer>::Create(
        c->channel.get(), &c->cq, c->stream, &context, bytes(request, sizeof(request)), true, c);
    c->next();
    for (int64_t from = peer_now_ns();; from = peer_tally_add(tally, from)) {
        ByteBuffer message;
        reader->Read(&message, c);
        c->next();
        peer_must(message.Length() == a.size, "message");
    }
}

int main(int argc, char **argv)
{
    static struct peer_tally tally;
    struct peer_args a;
    peer_args_read(&a, argc, argv);
    if (a.server)
        serve();
    Client client(connect_to(a.address));
    peer_tally_start(&tally, &a);
    if (a.stream)
        run_stream(a, &tally, &client);
    run_unary(a, &tally, &client);
    return 0;
}
