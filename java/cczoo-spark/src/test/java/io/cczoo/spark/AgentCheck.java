/* SPDX-License-Identifier: Apache-2.0 */
package io.cczoo.spark;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;

/**
 * Checks the classes beside it, started by tests/integration/56-spark.sh inside `cczoo agent run`: against that agent (first argument: a master key
 * that it may use, second: one that it may not, third: one that it may only unwrap), and against servers that misbehave.
 */
public final class AgentCheck {
    private AgentCheck() {}

    private static void check(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    private interface Action {
        void run() throws Exception;
    }

    private static void refused(Class<? extends Exception> kind, String text, Action action) throws Exception {
        try {
            action.run();
        } catch (Exception e) {
            check(kind.isInstance(e) && String.valueOf(e.getMessage()).contains(text), "expected " + kind.getSimpleName() + " with " + text + ", got " + e);
            return;
        }
        throw new AssertionError("expected " + kind.getSimpleName() + " with " + text);
    }

    private static final String EXECUTOR = "--driver-url\nspark://CoarseGrainedScheduler@127.0.0.1:41307\n--executor-id\n0\n--hostname\nsome-host\n"
            + "--cores\n1\n--app-id\napp-20261126233935-0000\n--worker-url\nspark://Worker@[fd00::1]:40781\n--resourceProfileId\n0\n";

    /** What an executor takes from who starts it. */
    private static void executors() throws Exception {
        check(Executor.arguments(EXECUTOR).length == 14 && Executor.arguments(EXECUTOR)[3].equals("0"), "the arguments of an executor");
        for (int size = 0; size < EXECUTOR.length(); size++) {
            String cut = EXECUTOR.substring(0, size);
            refused(IllegalArgumentException.class, "executor:argument", () -> Executor.arguments(cut));
        }
        for (String bad : new String[] {EXECUTOR + "--user-class-path\n/tmp/evil.jar\n", EXECUTOR + "--cores\n1\n", EXECUTOR + "\n", EXECUTOR + "x\ny\n",
            EXECUTOR.replace("--cores\n1", "--user-class-path\n/tmp/evil.jar"), EXECUTOR.replace("--cores\n1", "--executor-id\n1"),
            EXECUTOR.replace("some-host", "some host"), EXECUTOR.replace("spark://Worker@", "http://"), EXECUTOR.replace("\n1\n", "\n-1\n"),
            EXECUTOR.replace("--cores\n1", "--resourcesFile\n/tmp/x")}) {
            refused(IllegalArgumentException.class, "executor:argument", () -> Executor.arguments(bad));
        }
    }

    private static AgentKmsClient client() {
        AgentKmsClient c = new AgentKmsClient();
        c.initialize(new Configuration(false), "DEFAULT", "DEFAULT", "DEFAULT");
        return c;
    }

    private static void withAgent(String key, String forbidden, String readOnly) throws Exception {
        AgentKmsClient c = client();
        for (int size : new int[] {16, 24, 32}) {
            byte[] dek = new byte[size];
            Arrays.fill(dek, (byte) size);
            String wrapped = c.wrapKey(dek, key);
            check(Arrays.equals(c.unwrapKey(wrapped, key), dek), "another key came back");
            check(!wrapped.equals(c.wrapKey(dek, key)), "the same text twice");
            refused(KeyAccessDeniedException.class, "agent:not-allowed", () -> c.unwrapKey(wrapped, forbidden));
            refused(KeyAccessDeniedException.class, "agent:wrapped", () -> c.unwrapKey(wrapped.substring(1), key));
            refused(KeyAccessDeniedException.class, "agent:wrapped", () -> c.unwrapKey(wrapped.substring(0, 30) + "AAAA" + wrapped.substring(34), key));
        }
        refused(KeyAccessDeniedException.class, "agent:not-allowed", () -> c.wrapKey(new byte[16], readOnly));
        refused(KeyAccessDeniedException.class, "agent:name", () -> c.wrapKey(new byte[16], "a\nsecret b"));
        refused(KeyAccessDeniedException.class, "agent:wrapped", () -> c.unwrapKey("x\nsecret b", key));
        refused(KeyAccessDeniedException.class, "base64", () -> c.wrapKey(new byte[65], key));
        // an address that comes with a file is never used
        for (String url : new String[] {"unix:/tmp/other.sock", "http://kms", System.getenv(Agent.VARIABLE)}) {
            refused(KeyAccessDeniedException.class, "agent:url",
                () -> new AgentKmsClient().initialize(new Configuration(false), "DEFAULT", url, "DEFAULT"));
        }
    }

    /** A server that answers each line with the next of the given texts, then hangs up. */
    private static final class Fake implements AutoCloseable {
        final Path path;
        final AtomicInteger connections = new AtomicInteger();
        private final ServerSocketChannel server;

        Fake(String... answers) throws IOException {
            path = Files.createTempDirectory("agent-check").resolve("a.sock");
            server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            server.bind(UnixDomainSocketAddress.of(path));
            Thread t = new Thread(() -> serve(answers));
            t.setDaemon(true);
            t.start();
        }

        private void serve(String[] answers) {
            for (;;) {
                try (SocketChannel c = server.accept()) {
                    connections.incrementAndGet();
                    for (String a : answers) {
                        ByteBuffer b = ByteBuffer.allocate(1);
                        do {
                            b.clear();
                        } while (c.read(b) == 1 && b.get(0) != '\n');
                        c.write(ByteBuffer.wrap(a.getBytes()));
                    }
                } catch (java.nio.channels.ClosedChannelException e) {
                    return;
                } catch (IOException e) {
                    // this client has gone; the next one comes
                }
            }
        }

        @Override
        public void close() throws IOException {
            server.close();
            Files.delete(path);
            Files.delete(path.getParent());
        }
    }

    private static void withFakes() throws Exception {
        refused(IOException.class, "agent:connect", () -> new Agent("/nonexistent/agent.sock"));
        String[] nonsense = {"", "ok", "ok \n", "yes 1\n", "ok 2\n", "no rc=CCZ_E_UNSUPPORTED where=\"agent:version\"\n"};
        for (String answer : nonsense) {
            try (Fake f = new Fake(answer)) {
                refused(IOException.class, "agent:", () -> new Agent(f.path.toString()).close());
            }
        }
        try (Fake f = new Fake("ok 1\n", "ok !!!\n"); Agent a = new Agent("unix:" + f.path)) {
            refused(IOException.class, "agent:answer", () -> a.secret("x"));
        }
        try (Fake f = new Fake("ok 1\n", "no rc=CCZ_E_POLICY where=\"policy:mrenclave\" got=\"aa\" expected=\"bb\" msg=\"m\"\n"); Agent a = new Agent(f.path.toString())) {
            refused(Agent.Refused.class, "policy:mrenclave: got aa, expected bb", () -> a.secret("x"));
        }
        try (Fake f = new Fake("ok 1\n", "no rc=CCZ_E_UNAVAILABLE where=\"net:connect\" msg=\"no route\"\n"); Agent a = new Agent(f.path.toString())) {
            refused(IOException.class, "net:connect: no route", () -> a.secret("x"));
        }
        StringBuilder flood = new StringBuilder("ok ");
        flood.append("A".repeat(300_000));
        try (Fake f = new Fake("ok 1\n", flood.toString()); Agent a = new Agent(f.path.toString())) {
            refused(IOException.class, "agent:answer", () -> a.secret("x"));
        }
    }

    /** Without CCZ_AGENT, and with one that hangs up after each answer. */
    private static void alone(String mode) throws Exception {
        if (mode.equals("none")) {
            refused(KeyAccessDeniedException.class, "without attestation", AgentCheck::client);
        } else {
            refused(ParquetCryptoRuntimeException.class, "agent:connect", AgentCheck::client);
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length == 1) {
            alone(args[0]);
        } else {
            withAgent(args[0], args[1], args[2]);
            withFakes();
            executors();
        }
        System.out.println("agent check: ok");
    }
}
