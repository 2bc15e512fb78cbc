# SPDX-License-Identifier: Apache-2.0
"""gRPC's interop cases by name; docs/design/rpc.md has the table of cases and peers.

Not among them: cacheable_unary (needs a caching proxy), the cases of Google's credentials and of load reports (ORCA).
"""
UNARY = ["empty_unary", "large_unary"]
STREAMS = ["client_streaming", "server_streaming", "ping_pong", "empty_stream"]
ENDS = ["cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server"]
STATUS = ["custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
          "unimplemented_service"]
COMMON = UNARY + STREAMS + ENDS + STATUS
# Per-message compression; grpc-go has none.
COMPRESSION = ["client_compressed_unary", "server_compressed_unary", "client_compressed_streaming",
               "server_compressed_streaming"]
MANY = ["rpc_soak", "channel_soak", "concurrent_large_unary"]
