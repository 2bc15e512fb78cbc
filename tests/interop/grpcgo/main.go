// SPDX-License-Identifier: Apache-2.0

// Grpcgo runs gRPC's interop cases as grpc-go has them.
//
// usage: grpcgo client HOST:PORT CERT_FILE CASE     one case against the server with that certificate; exit 1 if it fails
// usage: grpcgo server CERT_FILE KEY_FILE           prints its port; serves until standard input ends
// usage: grpcgo refused HOST:PORT CERT_FILE KEY_FILE SECONDS  waits so long for a server that refuses it; prints the status
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // the server takes it
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

type testCase func(context.Context, testgrpc.TestServiceClient, *grpc.ClientConn)

// plain is a case that needs the service only.
func plain(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) testCase {
	return func(ctx context.Context, tc testgrpc.TestServiceClient, _ *grpc.ClientConn) { f(ctx, tc) }
}

// gzip is the same case with every request compressed.
func gzip(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) testCase {
	return func(ctx context.Context, tc testgrpc.TestServiceClient, _ *grpc.ClientConn) {
		f(ctx, tc, grpc.UseCompressor("gzip"))
	}
}

var cases = map[string]testCase{
	"empty_unary":                 plain(interop.DoEmptyUnaryCall),
	"large_unary":                 plain(interop.DoLargeUnaryCall),
	"client_streaming":            plain(interop.DoClientStreaming),
	"server_streaming":            plain(interop.DoServerStreaming),
	"ping_pong":                   plain(interop.DoPingPong),
	"empty_stream":                plain(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  plain(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          plain(interop.DoCancelAfterBegin),
	"cancel_after_first_response": plain(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             plain(interop.DoCustomMetadata),
	"status_code_and_message":     plain(interop.DoStatusCodeAndMessage),
	"special_status_message":      plain(interop.DoSpecialStatusMessage),
	"pick_first_unary": func(ctx context.Context, tc testgrpc.TestServiceClient, _ *grpc.ClientConn) {
		interop.DoPickFirstUnary(ctx, tc)
	},
	"unimplemented_method": func(ctx context.Context, _ testgrpc.TestServiceClient, cc *grpc.ClientConn) {
		interop.DoUnimplementedMethod(ctx, cc)
	},
	"unimplemented_service": func(ctx context.Context, _ testgrpc.TestServiceClient, cc *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(cc))
	},
	"large_unary/gzip":      gzip(interop.DoLargeUnaryCall),
	"client_streaming/gzip": gzip(interop.DoClientStreaming),
	"server_streaming/gzip": gzip(interop.DoServerStreaming),
	"ping_pong/gzip":        gzip(interop.DoPingPong),
}

// pinned are credentials for the one certificate in file; it need not have a name.
func pinned(file string) credentials.TransportCredentials {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		log.Fatalf("%s is no PEM file", file)
	}
	return credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, // by a chain and a name: it is verified here
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("another certificate")
			}
			return nil
		},
	})
}

func client(address, cert, which string) {
	run, ok := cases[which]
	if !ok {
		log.Fatalf("there is no case %s", which)
	}
	conn, err := grpc.NewClient("dns:///"+address, grpc.WithTransportCredentials(pinned(cert)))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	run(ctx, testgrpc.NewTestServiceClient(conn), conn) // ends the program if it fails
}

func server(cert, key string) {
	creds, err := credentials.NewServerTLSFromFile(cert, key)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(creds))
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	if err := s.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// refused calls a server that wants more of its clients than a certificate: any certificate of the server will do.
func refused(address, certFile, keyFile, seconds string) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		log.Fatal(err)
	}
	wait, err := time.ParseDuration(seconds + "s")
	if err != nil {
		log.Fatal(err)
	}
	creds := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	_, err = testgrpc.NewTestServiceClient(cc).EmptyCall(ctx, &testgrpc.Empty{}, grpc.WaitForReady(true))
	fmt.Println(status.Code(err))
}

func main() {
	switch {
	case len(os.Args) == 6 && os.Args[1] == "refused":
		refused(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case len(os.Args) == 5 && os.Args[1] == "client":
		client(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 4 && os.Args[1] == "server":
		server(os.Args[2], os.Args[3])
	default:
		log.Fatal("usage: grpcgo client HOST:PORT CERT_FILE CASE | server CERT_FILE KEY_FILE | refused HOST:PORT CERT_FILE KEY_FILE SECONDS")
	}
}
